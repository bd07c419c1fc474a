//! A copy of a ledger as it is at one moment, while others write to it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::files::{AtomicFile, folder_of, remove_abandoned};
use crate::ledger::error::{LedgerError, LedgerErrorKind};

use super::failure::Failure;

/// How the names of unfinished copies begin.
const TEMP_PREFIX: &str = ".coverbatch-copy-";

/// Makes the copy `to`, unless something is there. Durable when this returns.
pub(super) fn copy(connection: &Connection, to: &Path) -> Result<(), LedgerError> {
    let unwritten = |cause: io::Error| LedgerError {
        location: to.display().to_string(),
        what: "make",
        kind: LedgerErrorKind::Unavailable,
        cause: Arc::new(cause),
    };
    remove_abandoned(folder_of(to), TEMP_PREFIX);
    let file = AtomicFile::within(folder_of(to), TEMP_PREFIX).map_err(unwritten)?;
    fill(connection, file.path()).map_err(|bad| Failure::from(bad).at("make", to))?;
    file.commit_noclobber(to).map_err(unwritten)
}

fn fill(from: &Connection, path: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open(path)?;
    // Nobody sees it before it is whole and synchronised.
    copy.pragma_update(None, "journal_mode", "off")?;
    copy.pragma_update(None, "synchronous", "off")?;
    // All pages in one step: between two of them a writer would have the copy begin anew.
    Backup::new(from, &mut copy)?.run_to_completion(i32::MAX, Duration::ZERO, None)
}
