//! What a person is told of an error: what, why, and what to do.

use std::error::Error as _;
use std::fmt::Write as _;

use super::kinds::Error;
use crate::api::client::ClientError;
use crate::default_covers::StandInError;
use crate::join::JoinError;
use crate::ledger::{LedgerError, LockError};
use crate::results::ResultsError;
use crate::runner::RunError;
use crate::worklist::WorklistError;

impl Error {
    /// The message for a person: what, why, and what to do.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = format!("error: {self}\n");
        let (mut cause, mut said) = (self.source(), self.to_string());
        while let Some(inner) = cause {
            let words = inner.to_string();
            // Some libraries wrap a cause in nothing but a number.
            if !words.ends_with(&said) {
                let _ = writeln!(report, "  caused by: {words}");
            }
            (cause, said) = (inner.source(), words);
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(report, "hint: {hint}");
        }
        report
    }

    /// What the reader can do about it.
    fn hint(&self) -> Option<&str> {
        if let Some(hint) = self.ledger().and_then(|error| error.kind.hint()) {
            return Some(hint);
        }
        match self {
            Self::Usage { hint, .. } => Some(hint.as_str()).filter(|hint| !hint.is_empty()),
            Self::Lock(LockError::Held { .. }) => {
                Some("nothing was sent; wait for that run, or stop it, and run again")
            }
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
            Self::StandIn(_) => Some(
                "the ledger holds every answer; once the folder of --download can be written, run the same command again",
            ),
            Self::Unwritable(_) => Some("nothing was sent; name a file that can be written, or make its folder"),
            Self::Lock(LockError::Io { .. }) => {
                Some("nothing was sent; the ledger needs a folder that can be written, see --ledger")
            }
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
            Self::WrongAddress => Some(
                "the log names the address; check --api-url and the network, and start again: covers are followed on",
            ),
            Self::KeyRefused => Some("check the API key and start again; the covers are followed from where they were"),
            Self::Listen { .. } => Some("another process may be listening there; name another address with --listen"),
            Self::Catalog(_) | Self::Worklist(_) | Self::Sandbox(_) | Self::Stdout(_) | Self::System { .. } => None,
        }
    }

    /// What went wrong with the ledger, if it was that.
    const fn ledger(&self) -> Option<&LedgerError> {
        match self {
            Self::Ledger(error)
            | Self::Worklist(WorklistError::Join(JoinError::Ledger(error)))
            | Self::Run(RunError::Ledger(error))
            | Self::StandIn(StandInError::Join(JoinError::Ledger(error)))
            | Self::Results(ResultsError::Join(JoinError::Ledger(error))) => Some(error),
            Self::Usage { .. }
            | Self::Catalog(_)
            | Self::Lock(_)
            | Self::Results(_)
            | Self::Unwritable(_)
            | Self::Worklist(_)
            | Self::StandIn(_)
            | Self::Run(_)
            | Self::Client(_)
            | Self::Sandbox(_)
            | Self::KeyRefused
            | Self::WrongAddress
            | Self::Listen { .. }
            | Self::Stdout(_)
            | Self::System { .. } => None,
        }
    }
}
