//! The reads of records that all processes make, which share one pace.

use rusqlite::{Connection, OptionalExtension as _};

use super::columns::time;
use crate::clock::UnixMillis;
use crate::domain::Rate;
use crate::ledger::cover_job::READS_KEPT;
use crate::ratelimit::slack;

/// Counts a read, unless the window of the pace is full until a time.
pub(super) fn claim_read(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<Option<UnixMillis>> {
    let full = full_until(connection, at, pace)?;
    if full.is_none() {
        note_read(connection, at)?;
    }
    Ok(full)
}

/// Until when the window of the pace is full, if it is.
fn full_until(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<Option<UnixMillis>> {
    let mut query = connection.prepare_cached("SELECT at FROM read_log ORDER BY seq DESC LIMIT 1 OFFSET ?1")?;
    let nth = query.query_row([pace.count.get() - 1], |row| time(row, 0)).optional()?;
    // One from the future, by a clock that was set back since, must not hold everyone up.
    Ok(nth.filter(|nth| *nth <= at).map(|nth| nth.after(pace.period + slack(pace))).filter(|free| *free > at))
}

/// Counts it, and forgets two that no pace looks back to: that of another process may be longer than this one's.
fn note_read(connection: &Connection, at: UnixMillis) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO read_log (at) VALUES (?1)")?.execute([at.0])?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM read_log WHERE seq IN (SELECT seq FROM read_log ORDER BY seq LIMIT 2) AND at <= ?1",
    )?;
    delete.execute([at.before(READS_KEPT).0]).map(drop)
}
