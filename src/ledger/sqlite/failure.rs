//! What can go wrong with the database, sorted by what helps.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::ledger::contradictions::Contradiction;
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
    /// The database, as it says of itself.
    #[error("it is malformed: {0}")]
    Damaged(String),
    /// A row that no statement of this program leaves.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// A row with a value that cannot be.
    #[error("what is written of music task `{task}` cannot be")]
    Unbelievable {
        /// Its music task.
        task: String,
        /// Which value.
        #[source]
        cause: rusqlite::Error,
    },
    /// What would be written to it now, nobody would find.
    #[error("`{}` was removed, renamed or replaced while it was in use", .0.display())]
    Moved(PathBuf),
    /// What was read of it may be half of one state and half of another.
    #[error("`{}` was written to while it was read by one who may not lock it", .0.display())]
    Changed(PathBuf),
    /// A copy of it cannot be made.
    #[error("it cannot be read without a copy")]
    Copy(#[from] io::Error),
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

    /// The error about the ledger at `path`, which was only to be read.
    pub(super) fn unreadable(self, path: &Path) -> LedgerError {
        let error = self.at("read", path);
        let is_out_of_reach = matches!(error.kind, LedgerErrorKind::Busy | LedgerErrorKind::Unavailable);
        LedgerError { kind: if is_out_of_reach { LedgerErrorKind::Unreadable } else { error.kind }, ..error }
    }

    /// Whether another process holds the database at this moment.
    pub(super) fn is_busy(&self) -> bool {
        self.kind() == LedgerErrorKind::Busy
    }

    fn kind(&self) -> LedgerErrorKind {
        match self {
            Self::Sqlite(error) => kind_of(error),
            Self::Wrong(wrong) => wrong.kind(),
            Self::Damaged(_) | Self::Contradiction(_) | Self::Unbelievable { .. } => LedgerErrorKind::Damaged,
            Self::Moved(_) => LedgerErrorKind::Moved,
            Self::Changed(_) => LedgerErrorKind::Unreadable,
            Self::Copy(_) => LedgerErrorKind::Unavailable,
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

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_the_database_says_is_sorted_by_what_helps() {
        use LedgerErrorKind::{Busy, Damaged, Unavailable, Unreadable};
        let failed = |code| Failure::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for (code, kind, to_a_reader) in [
            (ffi::SQLITE_BUSY, Busy, Unreadable),
            (ffi::SQLITE_LOCKED, Busy, Unreadable),
            (ffi::SQLITE_FULL, Unavailable, Unreadable),
            (ffi::SQLITE_IOERR, Unavailable, Unreadable),
            (ffi::SQLITE_CANTOPEN, Unavailable, Unreadable),
            (ffi::SQLITE_READONLY, Unavailable, Unreadable),
            (ffi::SQLITE_PERM, Unavailable, Unreadable),
            (ffi::SQLITE_CORRUPT, Damaged, Damaged),
            (ffi::SQLITE_NOTADB, Damaged, Damaged),
            (ffi::SQLITE_ERROR, Damaged, Damaged),
        ] {
            assert_eq!(failed(code).is_busy(), kind == Busy, "{code}");
            assert_eq!(failed(code).at("write to", Path::new("x.db")).kind, kind, "{code}");
            assert_eq!(failed(code).unreadable(Path::new("x.db")).kind, to_a_reader, "{code}");
        }
    }
}
