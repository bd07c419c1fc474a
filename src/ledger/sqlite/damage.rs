//! Errors that tell of a broken file, told from those of one that is out of reach.

use rusqlite::ErrorCode;

use crate::ledger::LedgerError;

impl LedgerError {
    /// Whether the contents of the file are broken, as far as can be told, and not only out of reach.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        let code = self.cause.downcast_ref::<rusqlite::Error>().map(rusqlite::Error::sqlite_error_code);
        // Unknown is what a statement meets in a wrong schema; none at all, a value that cannot be.
        let is_damage =
            |code| matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown);
        code.is_some_and(|code| code.is_none_or(is_damage))
    }
}
