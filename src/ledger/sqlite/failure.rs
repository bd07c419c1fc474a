//! What can go wrong with the database, sorted by what helps.

use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::ledger::error::{LedgerError, LedgerErrorKind, WrongLedger};

/// Why an operation failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The database.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file is not the ledger that was asked for.
    #[error(transparent)]
    Wrong(#[from] WrongLedger),
    /// What is settled without having been claimed would be a hole in the promise.
    #[error("a submission was to be ended that is not in flight")]
    NotInFlight,
    /// An operation panicked.
    #[error("a defect of this program ended the transaction")]
    Panicked,
    /// The ledger was let go.
    #[error("it is closed")]
    Closed,
}

impl Failure {
    /// The error about the ledger at `path`.
    pub(super) fn at(self, what: &'static str, path: &Path) -> LedgerError {
        LedgerError { location: path.display().to_string(), what, kind: self.kind(), cause: Arc::new(self) }
    }

    /// Whether another process holds the database at this moment.
    pub(super) fn is_busy(&self) -> bool {
        self.kind() == LedgerErrorKind::Busy
    }

    fn kind(&self) -> LedgerErrorKind {
        match self {
            Self::Sqlite(error) => kind_of(error),
            Self::Wrong(wrong) => wrong.kind(),
            Self::NotInFlight | Self::Panicked | Self::Closed => LedgerErrorKind::Defect,
        }
    }
}

fn kind_of(error: &rusqlite::Error) -> LedgerErrorKind {
    // No code at all is a value that cannot be; an unknown one is what a statement meets in a wrong schema.
    let code = error.sqlite_error_code().unwrap_or(ErrorCode::Unknown);
    if matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) {
        LedgerErrorKind::Damaged
    } else if matches!(code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) {
        LedgerErrorKind::Busy
    } else {
        LedgerErrorKind::Unavailable
    }
}
