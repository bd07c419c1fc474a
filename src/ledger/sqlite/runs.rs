//! The statements about runs, each run inside a transaction of its caller.

use rusqlite::{Connection, params};

use super::alive::Locks;
use super::columns::{IN_FLIGHT, task_id};
use super::cover_jobs::release_jobs;
use super::failure::Failure;
use crate::clock::UnixMillis;
use crate::domain::{Ended, MusicTaskId, Reason};
use crate::ledger::run::{AttemptKey, NewRun, RunId, host};

/// Finds runs that died: what they had in flight is in doubt, and their covers are left to others.
pub(super) fn recover(connection: &Connection, locks: &Locks, at: UnixMillis) -> Result<(), Failure> {
    let mut query = connection.prepare_cached("SELECT run, lock FROM run WHERE kind = 'run' AND ended IS NULL")?;
    let open: Vec<(i64, Option<String>)> =
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (run, lock) in open {
        // In a copy of a ledger a run has no lock: it is not one that goes on here.
        let is_alive = lock.as_deref().map_or(Ok(false), |lock| locks.is_alive(lock))?;
        if !is_alive {
            doubt_in_flight(connection, run, at)?;
            connection.execute("UPDATE run SET ended = ?2 WHERE run = ?1", params![run, Reason::Interrupted.word()])?;
            release_jobs(connection, RunId(run), at)?;
            if let Some(lock) = lock {
                locks.remove(&lock);
            }
        }
    }
    Ok(())
}

/// What is in flight was sent at some moment until now, if it was, and nobody waits for its answer any more.
fn doubt_in_flight(connection: &Connection, run: i64, at: UnixMillis) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE task SET state = 'in_doubt', reason = ?1, http_status = NULL, code = NULL, message = NULL,
                         answered_at = NULL
         WHERE seq IN (SELECT task FROM attempt WHERE paced_at = ?3 AND run = ?2)",
        params![Reason::Interrupted.word(), run, IN_FLIGHT.0],
    )?;
    connection.execute(
        "UPDATE attempt SET reason = ?1, paced_at = ?2 WHERE paced_at = ?4 AND run = ?3",
        params![Reason::Interrupted.word(), at.0, run, IN_FLIGHT.0],
    )?;
    Ok(())
}

/// The music tasks in doubt that another run over the catalog of `run` left behind after the submission `seen`, and the last
/// submission of all.
pub(super) fn left_in_doubt(
    connection: &Connection,
    run: RunId,
    seen: AttemptKey,
) -> rusqlite::Result<(Vec<MusicTaskId>, AttemptKey)> {
    let mut query = connection.prepare_cached(
        "SELECT DISTINCT task.id
         FROM run JOIN attempt ON attempt.run = run.run AND attempt.reason = 'interrupted' AND attempt.seq > ?2
                  JOIN task ON task.seq = attempt.task AND task.state = 'in_doubt'
         WHERE run.catalog = (SELECT catalog FROM run WHERE run = ?1) AND run.run <> ?1 AND run.ended = 'interrupted'
         ORDER BY attempt.seq",
    )?;
    let tasks = query.query_map(params![run.0, seen.0], |row| task_id(row, 0))?;
    let tasks = tasks.collect::<rusqlite::Result<_>>()?;
    let last = connection.query_row("SELECT coalesce(max(seq), 0) FROM attempt", [], |row| row.get(0))?;
    Ok((tasks, AttemptKey(last)))
}

pub(super) fn open_run(
    connection: &Connection,
    new: &NewRun,
    kind: &str,
    lock: Option<&str>,
) -> rusqlite::Result<RunId> {
    connection.query_row(
        "INSERT INTO run (catalog, kind, is_partial, results, command, host, pid, lock, started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING run",
        params![
            new.catalog,
            kind,
            new.is_partial,
            new.results,
            new.command,
            host(),
            std::process::id(),
            lock,
            new.at.0
        ],
        |row| row.get(0).map(RunId),
    )
}

pub(super) fn end_run(connection: &Connection, run: RunId, ended: Ended, at: UnixMillis) -> rusqlite::Result<()> {
    let word = ended.reason().map_or("finished", Reason::word);
    connection.execute("UPDATE run SET ended_at = ?2, ended = ?3 WHERE run = ?1", params![run.0, at.0, word])?;
    release_jobs(connection, run, at)
}
