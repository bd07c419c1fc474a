//! The statements about runs, each run inside a transaction of its caller.

use rusqlite::{Connection, params};

use super::cover_jobs::release_jobs;
use crate::clock::UnixMillis;
use crate::domain::{Ended, Reason};
use crate::ledger::keys::RunId;

pub(super) fn begin_run(connection: &Connection, catalog: &str, at: UnixMillis) -> rusqlite::Result<RunId> {
    // Whoever holds the lock knows that no other run is alive. Commands that only follow may be.
    doubt_in_flight(connection, at)?;
    end_dead_runs(connection, at)?;
    open_run(connection, catalog, "run", at)
}

/// What is in flight was sent at some moment until now, if it was, and nobody waits for its answer any more.
fn doubt_in_flight(connection: &Connection, at: UnixMillis) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE task SET state = 'in_doubt', reason = ?1, http_status = NULL, code = NULL, message = NULL,
                         answered_at = NULL
         WHERE seq IN (SELECT task FROM attempt WHERE reason IS NULL)",
        [Reason::Interrupted.word()],
    )?;
    connection.execute(
        "UPDATE attempt SET reason = ?1, paced_at = ?2 WHERE reason IS NULL",
        params![Reason::Interrupted.word(), at.0],
    )?;
    Ok(())
}

fn end_dead_runs(connection: &Connection, at: UnixMillis) -> rusqlite::Result<()> {
    let mut dead =
        connection.prepare("UPDATE run SET ended = ?1 WHERE kind = 'run' AND ended IS NULL RETURNING run")?;
    let dead: Vec<i64> =
        dead.query_map([Reason::Interrupted.word()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    dead.into_iter().try_for_each(|run| release_jobs(connection, RunId(run), at))
}

pub(super) fn open_run(connection: &Connection, catalog: &str, kind: &str, at: UnixMillis) -> rusqlite::Result<RunId> {
    connection.query_row(
        "INSERT INTO run (catalog, kind, pid, started_at) VALUES (?1, ?2, ?3, ?4) RETURNING run",
        params![catalog, kind, std::process::id(), at.0],
        |row| row.get(0).map(RunId),
    )
}

pub(super) fn end_run(connection: &Connection, run: RunId, ended: Ended, at: UnixMillis) -> rusqlite::Result<()> {
    let word = ended.reason().map_or("finished", Reason::word);
    connection.execute("UPDATE run SET ended_at = ?2, ended = ?3 WHERE run = ?1", params![run.0, at.0, word])?;
    release_jobs(connection, run, at)
}
