//! The statements that tell of the past.

use std::time::Duration;

use tokio_postgres::Row;

use super::columns::{answer, count, reason, time, time_if_any, unbelievable, value};
use super::counting::FIRST_AFTER;
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, Reason};
use crate::ledger::cover_job::PollStats;
use crate::ledger::run::{PastRun, RunId, RunResult};
use crate::ledger::submission::{Sends, Submission};

/// Finished covers that the usual time of generation is learned from.
const LEARNED_FROM: i64 = 100;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn submissions(session: Session, task: MusicTaskId) -> Result<Vec<Submission>, Failure> {
    let sql = "SELECT run, sent_at, answered_at, reason, http_status, code, message FROM attempt
               WHERE task = (SELECT seq FROM task WHERE account = $1 AND id = $2) ORDER BY seq";
    let rows = session.rows(sql, &[&task.as_str()]).await?;
    let submission = |row| {
        Ok(Submission {
            run: RunId(value(row, 0)?),
            sent_at: time(row, 1)?,
            answered_at: time_if_any(row, 2)?,
            reason: reason(row, 3)?,
            answer: answer(row, 4)?,
        })
    };
    rows.iter().map(submission).collect()
}

pub(super) async fn poll_stats(session: Session, task: MusicTaskId) -> Result<Option<PollStats>, Failure> {
    let sql = "SELECT polls, due_at FROM task WHERE account = $1 AND id = $2 AND (polls > 0 OR due_at IS NOT NULL)";
    let row = session.row(sql, &[&task.as_str()]).await?;
    row.map(|row| Ok(PollStats { polls: count(&row, 0)?, due_at: time_if_any(&row, 1)? })).transpose()
}

pub(super) async fn last_end(session: Session, catalog: String) -> Result<Option<Reason>, Failure> {
    let sql = "SELECT nullif(coalesce(ended, 'interrupted'), 'finished') FROM run
               WHERE account = $1 AND catalog = $2 AND kind = 'run' ORDER BY run DESC LIMIT 1";
    let row = session.row(sql, &[&catalog]).await?;
    row.map_or(Ok(None), |row| reason(&row, 0))
}

pub(super) async fn past_runs(session: Session, (catalog, most): (String, u32)) -> Result<Vec<PastRun>, Failure> {
    let sql = "SELECT kind = 'run', started_at, ended_at, nullif(ended, 'finished'), exit_code, sent, new_covers, failed, command,
                      is_partial
               FROM run WHERE account = $1 AND catalog = $2 ORDER BY run DESC LIMIT $3";
    let rows = session.rows(sql, &[&catalog, &i64::from(most)]).await?;
    let past = |row| {
        Ok(PastRun {
            submits: value(row, 0)?,
            is_partial: value(row, 9)?,
            started: time(row, 1)?,
            ended: time_if_any(row, 2)?,
            cut_short: reason(row, 3)?,
            result: result(row, 4)?,
            command: value(row, 8)?,
        })
    };
    rows.iter().map(past).collect()
}

/// What came of a run, in four columns from `first`.
fn result(row: &Row, first: usize) -> Result<Option<RunResult>, Failure> {
    let Some(exit_code) = value::<Option<i64>>(row, first)? else { return Ok(None) };
    let exit_code = u8::try_from(exit_code).map_err(|error| unbelievable(first, error))?;
    let count = |column| value::<i64>(row, column).map(i64::unsigned_abs);
    let (sent, new_covers, failed) = (count(first + 1)?, count(first + 2)?, count(first + 3)?);
    Ok(Some(RunResult { sent, new_covers, failed, exit_code }))
}

pub(super) async fn note_result(session: Session, (run, result): (RunId, RunResult)) -> Result<(), Failure> {
    let RunResult { sent, new_covers, failed, exit_code } = result;
    let [sent, new_covers, failed] = [sent, new_covers, failed].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let sql = "UPDATE run SET sent = $3, new_covers = $4, failed = $5, exit_code = $6 WHERE account = $1 AND run = $2";
    session.execute(sql, &[&run.0, &sent, &new_covers, &failed, &i64::from(exit_code)]).await.map(drop)
}

pub(super) async fn sends_between(
    session: Session,
    ((from, until), stretch): ((UnixMillis, UnixMillis), Duration),
) -> Result<Vec<Sends>, Failure> {
    // None counts from before it was sent; a day covers what the clocks of two hosts differ by.
    let sql = format!(
        "SELECT sent_at / $5 * $5, reason, count(*) FROM attempt
         WHERE account = $1 AND seq >= {FIRST_AFTER} AND sent_at BETWEEN $3 AND $4 GROUP BY 1, 2 ORDER BY 1"
    );
    let stretch = i64::try_from(stretch.as_millis()).unwrap_or(i64::MAX).max(1);
    let rows = session.rows(&sql, &[&from.before(A_DAY).0, &from.0, &until.0, &stretch]).await?;
    let sends =
        |row| Ok(Sends { at: time(row, 0)?, reason: reason(row, 1)?, count: value::<i64>(row, 2)?.unsigned_abs() });
    rows.iter().map(sends).collect()
}

pub(super) async fn generation_times(session: Session, (): ()) -> Result<Vec<Duration>, Failure> {
    let sql = "SELECT generated_in FROM task WHERE account = $1 AND generated_in IS NOT NULL
               ORDER BY completed_at DESC LIMIT $2";
    let rows = session.rows(sql, &[&LEARNED_FROM]).await?;
    let took = |row| Ok(Duration::from_millis(u64::try_from(value::<i64>(row, 0)?).unwrap_or(0)));
    rows.iter().map(took).collect()
}
