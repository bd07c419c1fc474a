//! Everything that can end the program, its exit code, and what a person is told of it.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::api::client::ClientError;
use crate::catalog::CatalogError;
use crate::covers::DefaultCoverError;
use crate::domain::{Ended, Signal, Status};
use crate::files::FileError;
use crate::join::JoinError;
use crate::ledger::{LedgerError, RunHolder};
use crate::results::{ResultsError, Tally};
use crate::runner::RunError;
use crate::worklist::WorklistError;

/// How the program ends, as the contract lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: every row is settled, or what was asked for is done.
    Success,
    /// 1: a defect of this program.
    Defect,
    /// 2: wrong usage, configuration or address; nothing was accepted.
    Usage,
    /// 3: some rows failed or are invalid, and a plain rerun will not send any of them.
    Failed,
    /// 4: rows are left that a plain rerun will send, or whose covers it goes on to wait for.
    Left,
    /// 5: the key is refused or the credits are used up.
    Account,
    /// 6: another run writes the same results.
    Held,
    /// 7: the catalog cannot be used; nothing was sent.
    Catalog,
    /// 8: ledger or results could not be written.
    Unwritten,
    /// 130 or 143: ended by a signal.
    Signal(Signal),
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Defect => 1,
            Self::Usage => 2,
            Self::Failed => 3,
            Self::Left => 4,
            Self::Account => 5,
            Self::Held => 6,
            Self::Catalog => 7,
            Self::Unwritten => 8,
            Self::Signal(Signal::Interrupt) => 130,
            Self::Signal(Signal::Terminate) => 143,
        }
    }

    /// What the rows alone come to.
    #[must_use]
    pub fn of_rows(tally: &Tally) -> Self {
        if tally.retryable > 0 || tally.with(Status::InDoubt) > 0 || tally.awaited > 0 {
            Self::Left
        } else if tally.is_all_settled() {
            Self::Success
        } else {
            Self::Failed
        }
    }

    /// What a run comes to: how it ended wins over what its rows say.
    #[must_use]
    pub fn of_run(ended: Ended, tally: &Tally) -> Self {
        match ended {
            Ended::Unauthorized | Ended::NoCredits => Self::Account,
            Ended::Interrupted(signal) => Self::Signal(signal),
            Ended::WrongAddress => Self::Usage,
            Ended::Finished
            | Ended::Deadline
            | Ended::Outage
            | Ended::TooManyFailures
            | Ended::Limit
            | Ended::Budget
            | Ended::BalanceUnknown
            | Ended::NotUnderstood => Self::of_rows(tally),
        }
    }
}

/// Why the program cannot do what it was asked for.
#[derive(Debug, ThisError)]
pub enum Error {
    /// Options that do not fit.
    #[error("{problem}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Another run.
    #[error(
        "another run writes the results `{}`: pid {} on {}, started {}", results.display(), holder.pid, holder.host, holder.started
    )]
    ResultsInUse {
        /// The file that both would write.
        results: PathBuf,
        /// The other one.
        holder: RunHolder,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The results.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A file of results that cannot be written, found out before anything was sent.
    #[error(transparent)]
    Unwritable(FileError),
    /// The list of rows.
    #[error(transparent)]
    Worklist(#[from] WorklistError),
    /// The default cover.
    #[error(transparent)]
    DefaultCover(#[from] DefaultCoverError),
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The HTTPS client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The service refuses the key while nothing is sent.
    #[error("the service refuses the key or this machine")]
    KeyRefused,
    /// The endpoint for callbacks.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The stand-in service.
    #[error("cannot start the stand-in service")]
    Sandbox(#[source] io::Error),
    /// Standard output.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    /// Signals or threads.
    #[error("cannot {what}")]
    System {
        /// What could not be done.
        what: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::Unwritable(error)
    }
}

impl Error {
    /// An error about the options.
    pub fn usage(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { problem: problem.into(), hint: hint.into() }
    }

    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::Catalog(CatalogError::TemporarySpace { .. }) => Exit::Unwritten,
            Self::Catalog(CatalogError::NoRowOf(..)) => Exit::Usage,
            Self::Catalog(_) => Exit::Catalog,
            Self::ResultsInUse { .. } => Exit::Held,
            Self::Ledger(error) if error.kind.is_wrong_ledger() => Exit::Usage,
            Self::Ledger(_) | Self::Results(_) | Self::Unwritable(_) | Self::Stdout(_) => Exit::Unwritten,
            Self::Worklist(WorklistError::Join(JoinError::Catalog(_)))
            | Self::DefaultCover(DefaultCoverError::Join(JoinError::Catalog(_))) => Exit::Catalog,
            Self::Worklist(_) | Self::DefaultCover(_) => Exit::Unwritten,
            Self::Run(RunError::Ledger(_) | RunError::Worklist(_) | RunError::Image(_)) => Exit::Unwritten,
            Self::Run(RunError::Defect(_)) | Self::System { .. } => Exit::Defect,
            Self::Client(_) | Self::Sandbox(_) | Self::Listen { .. } => Exit::Usage,
            Self::KeyRefused => Exit::Account,
        }
    }

    /// The message for a person: what, why, and what to do.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = format!("error: {self}\n");
        for cause in self.causes() {
            let _ = writeln!(report, "  caused by: {cause}");
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(report, "hint: {hint}");
        }
        report
    }

    /// The same on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let words = [vec![self.to_string()], self.causes()].concat().join(": ");
        let words = words.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        self.hint().map(|hint| format!("{words}; {hint}")).unwrap_or(words)
    }

    /// Why it is so, the innermost cause last.
    fn causes(&self) -> Vec<String> {
        let (mut cause, mut said, mut causes) = (self.source(), self.to_string(), Vec::new());
        while let Some(inner) = cause {
            let words = inner.to_string();
            // Some libraries wrap a cause in nothing but a number.
            if !words.ends_with(&said) {
                causes.push(words.clone());
            }
            (cause, said) = (inner.source(), words);
        }
        causes
    }

    /// What the reader can do about it.
    fn hint(&self) -> Option<&str> {
        if let Some(hint) = self.ledger().and_then(|error| error.kind.hint()) {
            return Some(hint);
        }
        match self {
            Self::Usage { hint, .. } => Some(hint.as_str()).filter(|hint| !hint.is_empty()),
            Self::ResultsInUse { .. } => Some(
                "nothing was sent; wait for that run, or stop it, and run again; another catalog may run at the same time",
            ),
            Self::Run(RunError::Ledger(_)) => Some(
                "nothing more was sent and nothing settled is lost; once the ledger can be written, run the same \
                 command again",
            ),
            Self::Ledger(_) | Self::Worklist(WorklistError::Join(JoinError::Ledger(_))) => {
                Some("nothing was sent; once the ledger can be written, run again")
            }
            Self::Worklist(WorklistError::Spool(_)) | Self::Run(RunError::Worklist(_)) => Some(
                "nothing settled is lost; make room there, or name another folder in TMPDIR, and run the same command \
                 again",
            ),
            Self::Run(RunError::Image(_)) => Some(
                "nothing settled is lost; make room there, and run the same command again: it goes on with the images \
                 that are missing",
            ),
            Self::DefaultCover(_) => Some(
                "the ledger holds every answer; once the folder of --download can be written, run the same command again",
            ),
            Self::Unwritable(_) => Some("nothing was sent; name a file that can be written, or make its folder"),
            Self::Results(ResultsError::File(_) | ResultsError::Join(JoinError::Ledger(_))) => Some(
                "the ledger holds every answer; once the file can be written, `coverbatch results` with the same \
                 catalog and --ledger makes it",
            ),
            Self::Results(ResultsError::Join(JoinError::Catalog(_)) | ResultsError::RowCount { .. }) => {
                Some("the ledger holds every answer; `coverbatch results` makes the file from the catalog as it is now")
            }
            Self::Run(RunError::Defect(_)) => Some("please report it; the ledger is safe, and a rerun goes on"),
            Self::Client(ClientError::Proxy(_)) => Some(
                "nothing was sent; name it like http://proxy.example:3128 or socks5h://proxy.example:1080, or unset the \
                 variable to go without",
            ),
            Self::Client(ClientError::Certificates { .. } | ClientError::Build(_)) => Some(
                "nothing was sent; install the certificates of authorities (often a package `ca-certificates`), or \
                 name a file of them in SSL_CERT_FILE",
            ),
            Self::KeyRefused => Some("check the API key and start again; the covers are followed from where they were"),
            Self::Listen { .. } => Some("another process may be listening there; name another address with --listen"),
            Self::Catalog(CatalogError::NoRowOf(..)) => {
                Some("nothing was sent; --only takes whole ids as they stand in the catalog")
            }
            Self::Catalog(_) | Self::Worklist(_) | Self::Sandbox(_) | Self::Stdout(_) | Self::System { .. } => None,
        }
    }

    /// What went wrong with the ledger, if it was that.
    const fn ledger(&self) -> Option<&LedgerError> {
        if let Self::Ledger(error)
        | Self::Worklist(WorklistError::Join(JoinError::Ledger(error)))
        | Self::Run(RunError::Ledger(error))
        | Self::DefaultCover(DefaultCoverError::Join(JoinError::Ledger(error)))
        | Self::Results(ResultsError::Join(JoinError::Ledger(error))) = self
        {
            Some(error)
        } else {
            None
        }
    }
}
