//! Why the program cannot do what it was asked for, and which exit code that is.

use std::io;
use std::net::SocketAddr;

use thiserror::Error as ThisError;

use super::exit::Exit;
use crate::api::client::ClientError;
use crate::catalog::CatalogError;
use crate::default_covers::StandInError;
use crate::files::FileError;
use crate::join::JoinError;
use crate::ledger::{LedgerError, LockError};
use crate::results::ResultsError;
use crate::runner::RunError;
use crate::worklist::WorklistError;

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
    #[error(transparent)]
    Lock(#[from] LockError),
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
    StandIn(#[from] StandInError),
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The HTTPS client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The service refuses the key while nothing is sent.
    #[error("the service refuses the key or this machine")]
    KeyRefused,
    /// What answers is not the service while nothing is sent.
    #[error("the service is not to be reached at this address")]
    WrongAddress,
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
            Self::Catalog(_) => Exit::Catalog,
            Self::Lock(LockError::Held { .. }) => Exit::Held,
            Self::Ledger(error) if error.kind.is_wrong_ledger() => Exit::Usage,
            Self::Lock(LockError::Io { .. })
            | Self::Ledger(_)
            | Self::Results(_)
            | Self::Unwritable(_)
            | Self::Stdout(_) => Exit::Unwritten,
            Self::Worklist(WorklistError::Join(JoinError::Catalog(_)))
            | Self::StandIn(StandInError::Join(JoinError::Catalog(_))) => Exit::Catalog,
            Self::Worklist(_) | Self::StandIn(_) => Exit::Unwritten,
            Self::Run(RunError::Ledger(_) | RunError::Worklist(_) | RunError::Image(_)) => Exit::Unwritten,
            Self::Run(RunError::Defect(_)) | Self::System { .. } => Exit::Defect,
            Self::Client(_) | Self::WrongAddress | Self::Sandbox(_) | Self::Listen { .. } => Exit::Usage,
            Self::KeyRefused => Exit::Account,
        }
    }
}
