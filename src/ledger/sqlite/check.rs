//! Whether a ledger can be believed, looked at before anything is sent or followed.
//!
//! SQLite keeps no checksums of its pages, so rows are looked at that contradict themselves.

use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;
use crate::ledger::contradictions::{Contents, Contradiction, contradictions};

/// Bytes up to which a ledger is looked at as a whole, some 200,000 music tasks; this takes half a second.
const CHECKED_BYTES: i64 = 64 << 20;

/// Refuses a ledger that is not too large to be looked at and is not in order.
pub(super) fn check(connection: &Connection) -> Result<(), Failure> {
    let size = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    if size("page_count")? * size("page_size")? > CHECKED_BYTES {
        return Ok(());
    }
    check_with("quick_check", connection)
}

/// Refuses a ledger that is not in order, whatever its size, its indexes included; else counts what it holds.
pub(super) fn check_whole(connection: &Connection) -> Result<Contents, Failure> {
    check_with("integrity_check", connection)?;
    let count = |table| {
        let count = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        count.map(i64::unsigned_abs)
    };
    Ok(Contents { music_tasks: count("task")?, submissions: count("attempt")?, runs: count("run")? })
}

fn check_with(pragma: &str, connection: &Connection) -> Result<(), Failure> {
    let found: String = connection.query_row(&format!("PRAGMA {pragma}(1)"), [], |row| row.get(0))?;
    if found != "ok" {
        // The lines before say which database it is.
        return Err(Failure::Damaged(found.lines().last().unwrap_or_default().to_owned()));
    }
    contradictions().try_for_each(|(sql, what)| refuse_any(connection, &sql, what))
}

fn refuse_any(connection: &Connection, sql: &str, what: &'static str) -> Result<(), Failure> {
    let row = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    row.map_or(Ok(()), |task| Err(Contradiction { task, what }.into()))
}
