//! The statements about runs, each in a transaction that has locked the account.

use super::alive::IS_DEAD;
use super::columns::{task_id, time, value};
use super::counting::{FIRST_AFTER, IN_FLIGHT, counted_until, end_future, in_flight};
use super::cover_jobs::release_jobs;
use super::failure::Failure;
use super::pace;
use super::session::{GRACE, Session, Value};
use crate::clock::UnixMillis;
use crate::domain::{Ended, MusicTaskId, Reason};
use crate::ledger::run::{AttemptKey, Begin, Begun, NewRun, RunHolder, RunId, host};

/// Opens a run, unless one is alive that writes the same results; `None` if it cannot be told yet who is alive, or if the
/// connection broke.
pub(super) async fn begin(session: Session, new: NewRun) -> Result<Option<Begin>, Failure> {
    let context = &session.context;
    if session.is_again {
        // It may have been out of reach for long; it is asked once more, at the time that it is now.
        return Ok(None);
    }
    // The run that was begun before with the same ledger is over, whatever the locks of others say.
    if let Some(lock) = context.locks.release().await? {
        let sql = "SELECT run FROM run WHERE account = $1 AND kind = 'run' AND ended IS NULL AND lock = $2";
        if let Some(row) = session.row(sql, &[&lock]).await? {
            end_dead(&session, RunId(value(&row, 0)?), new.at).await?;
        }
    }
    if recover(&session, new.at).await? == Recovered::NotYet {
        return Ok(None);
    }
    end_future(&session, session.of_server(new.at)).await?;
    let results = new.results.as_deref();
    if let Some(holder) = writer_of(&session, results).await? {
        return Ok(Some(Begin::ResultsInUse(holder)));
    }
    let lock = context.locks.take().await?;
    let (seen, there_until) = (last_attempt(&session).await?, counted_until(&session).await?);
    let in_flight = in_flight(&session).await?;
    let run = open(&session, &new, "run", Some(lock)).await?;
    pace::forget_old_pause(&session, run, session.of_server(new.at)).await?;
    let were_there = pace::read(&session, run).await?.has_others;
    let mut others = context.others();
    (others.run, others.newest, others.in_flight, others.were_there) = (run, run, in_flight, were_there);
    (others.looked_at, others.there_until, others.counted) = (UnixMillis(i64::MIN), there_until, None);
    others.until_checkpoint = 0;
    Ok(Some(Begin::Begun(Begun { run, seen })))
}

/// Opens a command that follows covers.
pub(super) async fn begin_follow(session: Session, new: NewRun) -> Result<RunId, Failure> {
    open(&session, &new, "follow", None).await
}

async fn open(session: &Session, new: &NewRun, kind: &str, lock: Option<i64>) -> Result<RunId, Failure> {
    let sql = "INSERT INTO run (account, run, catalog, kind, is_partial, results, command, host, pid, lock, started_at)
               SELECT $1::integer, coalesce(max(run), 0) + 1, $2::text, $3::text, $4::boolean, $5::text, $6::text, $7::text,
                      $8::bigint, $9::bigint, $10::bigint
               FROM run WHERE account = $1
               RETURNING run";
    let pid = i64::from(std::process::id());
    let NewRun { catalog, is_partial, results, command, at } = new;
    let values: [Value<'_>; 9] = [catalog, &kind, is_partial, results, command, &host(), &pid, &lock, &at.0];
    let row = session.row(sql, &values).await?;
    row.map_or(Err(Failure::Closed), |row| value(&row, 0).map(RunId))
}

/// The run that is alive and writes these results, on this host.
async fn writer_of(session: &Session, results: Option<&str>) -> Result<Option<RunHolder>, Failure> {
    let sql = "SELECT pid, host, started_at FROM run
               WHERE account = $1 AND kind = 'run' AND ended IS NULL AND results = $2 AND host = $3";
    let Some(row) = session.row(sql, &[&results, &host()]).await? else { return Ok(None) };
    let pid = u32::try_from(value::<i64>(&row, 0)?).unwrap_or_default();
    Ok(Some(RunHolder { pid, host: value(&row, 1)?, started: time(&row, 2)? }))
}

/// The last submission of all. The sequence knows it: whoever submits for the account has locked it.
async fn last_attempt(session: &Session) -> Result<AttemptKey, Failure> {
    let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM attempt_seq_seq WHERE $1 = $1::integer";
    session.row(sql, &[]).await?.map_or(Ok(AttemptKey(0)), |row| value(&row, 0).map(AttemptKey))
}

/// Whether it can be told who is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovered {
    /// All who are have been found.
    All,
    /// Some may be, or may not be back yet after the server was.
    NotYet,
}

/// Finds runs that died: what they had in flight is in doubt, and their covers are left to others.
pub(super) async fn recover(session: &Session, at: UnixMillis) -> Result<Recovered, Failure> {
    let sql = format!(
        "SELECT run, locked_at > pg_postmaster_start_time()
                     OR clock_timestamp() > pg_postmaster_start_time() + make_interval(secs => {})
         FROM run WHERE {IS_DEAD}",
        GRACE.as_secs()
    );
    let mut recovered = Recovered::All;
    for row in session.rows(&sql, &[]).await? {
        if session.context.trusts_locks() && value(&row, 1)? {
            end_dead(session, RunId(value(&row, 0)?), at).await?;
        } else {
            recovered = Recovered::NotYet;
        }
    }
    Ok(recovered)
}

async fn end_dead(session: &Session, run: RunId, at: UnixMillis) -> Result<(), Failure> {
    doubt_in_flight(session, run, at).await?;
    let sql = "UPDATE run SET ended = $3 WHERE account = $1 AND run = $2";
    session.execute(sql, &[&run.0, &Reason::Interrupted.word()]).await?;
    release_jobs(session.clone(), (run, at)).await
}

/// What is in flight was sent at some moment until now, if it was, and nobody waits for its answer any more.
async fn doubt_in_flight(session: &Session, run: RunId, at: UnixMillis) -> Result<(), Failure> {
    let word = Reason::Interrupted.word();
    let in_flight = format!("account = $1 AND seq >= {FIRST_AFTER} AND paced_at = $2 AND run = $3");
    let sql = format!(
        "UPDATE task SET state = 'in_doubt', reason = $4, http_status = NULL, code = NULL, message = NULL,
                         answered_at = NULL
         WHERE seq IN (SELECT task FROM attempt WHERE {in_flight})"
    );
    session.execute(&sql, &[&IN_FLIGHT.0, &run.0, &word]).await?;
    let sql = format!("UPDATE attempt SET reason = $4, paced_at = $5 WHERE {in_flight}");
    session.execute(&sql, &[&IN_FLIGHT.0, &run.0, &word, &session.of_server(at).0]).await.map(drop)
}

/// Finds runs that died. The music tasks in doubt that another run over the catalog of `run` left behind after the submission
/// `seen`, and the last submission of all.
pub(super) async fn recover_for(
    session: Session,
    (run, seen, at): (RunId, AttemptKey, UnixMillis),
) -> Result<(Vec<MusicTaskId>, AttemptKey), Failure> {
    recover(&session, at).await?;
    let sql = "SELECT task.id
               FROM run JOIN attempt ON attempt.account = $1 AND attempt.run = run.run
                                    AND attempt.reason = 'interrupted' AND attempt.seq > $3
                        JOIN task ON task.seq = attempt.task AND task.state = 'in_doubt'
               WHERE run.account = $1 AND run.run <> $2 AND run.ended = 'interrupted'
                 AND run.catalog = (SELECT catalog FROM run WHERE account = $1 AND run = $2)
               GROUP BY task.id ORDER BY min(attempt.seq)";
    let rows = session.rows(sql, &[&run.0, &seen.0]).await?;
    let tasks = rows.iter().map(|row| task_id(row, 0)).collect::<Result<_, _>>()?;
    Ok((tasks, last_attempt(&session).await?))
}

/// A run that was believed dead while its connection was lost is alive, by another lock.
pub(super) async fn revive(session: &Session, lock: i64) -> Result<(), Failure> {
    let run = session.context.others().run;
    let sql = "UPDATE run SET lock = $3, locked_at = clock_timestamp(), ended = NULL
               WHERE account = $1 AND run = $2 AND ended_at IS NULL";
    session.execute(sql, &[&run.0, &lock]).await.map(drop)
}

pub(super) async fn end(session: Session, (run, ended, at): (RunId, Ended, UnixMillis)) -> Result<(), Failure> {
    let word = ended.reason().map_or("finished", Reason::word);
    let sql = "UPDATE run SET ended_at = $3, ended = $4 WHERE account = $1 AND run = $2";
    session.execute(sql, &[&run.0, &at.0, &word]).await?;
    release_jobs(session, (run, at)).await
}
