//! The reads of records that all processes make, which share one pace.

use rusqlite::{Connection, OptionalExtension as _};

use super::columns::time;
use crate::clock::UnixMillis;
use crate::domain::{MAX_RATE_COUNT, Rate};
use crate::ratelimit::slack;

/// Counts a read, unless the window of the pace is full until a time.
pub(super) fn claim_read(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<Option<UnixMillis>> {
    let full = full_until(connection, at, pace)?;
    if full.is_none() {
        note_read(connection, at, pace)?;
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

fn note_read(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO read_log (at) VALUES (?1) RETURNING seq")?;
    let last: i64 = insert.query_row([at.0], |row| row.get(0))?;
    let kept = i64::from(pace.count.get().min(MAX_RATE_COUNT));
    let mut delete = connection.prepare_cached("DELETE FROM read_log WHERE seq <= ?1 AND at <= ?2")?;
    delete.execute([last - kept, at.before(pace.period + slack(pace)).0])?;
    Ok(())
}
