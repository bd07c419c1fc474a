//! The statements that tell of the past, each run inside a transaction of its caller.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{answer, reason, time, time_if_any, unusable};
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, Reason};
use crate::ledger::cover_job::PollStats;
use crate::ledger::run::{PastRun, RunId, RunResult};
use crate::ledger::submission::{Sends, Submission};

/// Finished covers that the usual time of generation is learned from.
const LEARNED_FROM: u32 = 100;

pub(super) fn beginning_with(
    connection: &Connection,
    start: &MusicTaskId,
    most: u32,
) -> rusqlite::Result<Vec<MusicTaskId>> {
    // No id holds a character as high as DEL.
    let mut query =
        connection.prepare_cached("SELECT id FROM task WHERE id >= ?1 AND id < ?1 || x'7f' ORDER BY id LIMIT ?2")?;
    let ids = query.query_map(params![start.as_str(), most], |row| {
        MusicTaskId::new(row.get_ref(0)?.as_bytes()?).map_err(|bad| unusable(0, bad))
    })?;
    ids.collect()
}

pub(super) fn history(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<Vec<Submission>> {
    let mut query = connection.prepare_cached(
        "SELECT run, sent_at, answered_at, reason, http_status, code, message FROM attempt
         WHERE task = (SELECT seq FROM task WHERE id = ?1) ORDER BY seq",
    )?;
    let submissions = query.query_map([task.as_str()], |row| {
        Ok(Submission {
            run: RunId(row.get(0)?),
            sent_at: time(row, 1)?,
            answered_at: time_if_any(row, 2)?,
            reason: reason(row, 3)?,
            answer: answer(row, 4)?,
        })
    })?;
    submissions.collect()
}

pub(super) fn poll_stats(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<Option<PollStats>> {
    let mut query = connection
        .prepare_cached("SELECT polls, due_at FROM task WHERE id = ?1 AND (polls > 0 OR due_at IS NOT NULL)")?;
    query
        .query_row([task.as_str()], |row| Ok(PollStats { polls: row.get(0)?, due_at: time_if_any(row, 1)? }))
        .optional()
}

pub(super) fn last_end(connection: &Connection, catalog: &str) -> rusqlite::Result<Option<Reason>> {
    let mut query = connection.prepare_cached(
        "SELECT nullif(coalesce(ended, 'interrupted'), 'finished') FROM run WHERE catalog = ?1 AND kind = 'run'
             ORDER BY run DESC LIMIT 1",
    )?;
    Ok(query.query_row([catalog], |row| reason(row, 0)).optional()?.flatten())
}

pub(super) fn past_runs(connection: &Connection, catalog: &str, most: u32) -> rusqlite::Result<Vec<PastRun>> {
    let mut query = connection.prepare_cached(
        "SELECT kind = 'run', started_at, ended_at, nullif(ended, 'finished'), exit_code, sent, new_covers, failed, command,
                is_partial
         FROM run WHERE catalog = ?1 ORDER BY run DESC LIMIT ?2",
    )?;
    let runs = query.query_map(params![catalog, most], |row| {
        Ok(PastRun {
            submits: row.get(0)?,
            is_partial: row.get(9)?,
            started: time(row, 1)?,
            ended: time_if_any(row, 2)?,
            cut_short: reason(row, 3)?,
            result: result(row, 4)?,
            command: row.get(8)?,
        })
    })?;
    runs.collect()
}

/// What came of a run, in four columns from `first`.
fn result(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<RunResult>> {
    let Some(exit_code) = row.get(first)? else { return Ok(None) };
    let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let (sent, new_covers, failed) = (count(first + 1)?, count(first + 2)?, count(first + 3)?);
    Ok(Some(RunResult { sent, new_covers, failed, exit_code }))
}

pub(super) fn note_result(connection: &Connection, run: RunId, result: RunResult) -> rusqlite::Result<()> {
    let RunResult { sent, new_covers, failed, exit_code } = result;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = "UPDATE run SET sent = ?2, new_covers = ?3, failed = ?4, exit_code = ?5 WHERE run = ?1";
    connection.execute(sql, params![run.0, count(sent), count(new_covers), count(failed), exit_code]).map(drop)
}

pub(super) fn sends_between(
    connection: &Connection,
    (from, until): (UnixMillis, UnixMillis),
    stretch: Duration,
) -> rusqlite::Result<Vec<Sends>> {
    // None is counted by the pace from before it was sent, so the index of that leads to them.
    let mut query = connection.prepare_cached(
        "SELECT sent_at / ?3 * ?3, reason, count(*) FROM attempt
         WHERE paced_at >= ?1 AND sent_at BETWEEN ?1 AND ?2 GROUP BY 1, 2 ORDER BY 1",
    )?;
    let stretch = i64::try_from(stretch.as_millis()).unwrap_or(i64::MAX).max(1);
    let sends = query.query_map(params![from.0, until.0, stretch], |row| {
        Ok(Sends { at: time(row, 0)?, reason: reason(row, 1)?, count: row.get::<_, i64>(2)?.unsigned_abs() })
    })?;
    sends.collect()
}

pub(super) fn generation_times(connection: &Connection) -> rusqlite::Result<Vec<Duration>> {
    let mut query = connection.prepare_cached(
        "SELECT generated_in FROM task WHERE generated_in IS NOT NULL ORDER BY completed_at DESC LIMIT ?1",
    )?;
    let times = query.query_map([LEARNED_FROM], |row| row.get::<_, i64>(0))?;
    times.map(|time| time.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))).collect()
}
