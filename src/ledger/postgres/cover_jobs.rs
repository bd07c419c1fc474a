//! The statements that find and claim the covers that are due; and the reads of
//! records that all processes make, which share one pace.

use std::time::Duration;

use tokio_postgres::Row;

use super::columns::{count, cover_id, route, task_id, time, time_if_any, unbelievable, value};
use super::failure::Failure;
use super::look_up::IS_FORGOTTEN;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::{IMAGES_LAST, MusicTaskId, Rate};
use crate::images::{ImageNumber, NameWords};
use crate::ledger::cover_job::{CoverJob, CoverKey, CoverScope, Due, JobKind, JobStep, READS_KEPT, WAKE_REST, Waiter};
use crate::ledger::run::RunId;
use crate::ratelimit::slack;

pub(super) async fn watch(
    session: Session,
    (waiter, tasks, at): (Waiter, Vec<MusicTaskId>, UnixMillis),
) -> Result<u64, Failure> {
    // Images that are known are only followed for their files, and only while their host has them.
    let sql = format!(
        "UPDATE task SET state = CASE WHEN state = 'completed' THEN 'submitted' ELSE state END,
                         waiter = $3, wants_files = wants_files OR $4, failures = CASE WHEN $8 THEN 0 ELSE failures END,
                         due_at = least(coalesce(due_at, $5), $6),
                         accepted_at = coalesce(accepted_at, answered_at, $5)
         WHERE account = $1 AND id = ANY ($2) AND cover_id IS NOT NULL AND given_up_by IS DISTINCT FROM $3
           AND coalesce(accepted_at, answered_at, $5) >= $7
           AND CASE WHEN image_1 IS NULL THEN state IN ('submitted', 'exists')
                    ELSE $4 AND state IN ('submitted', 'exists', 'completed') AND NOT {IS_FORGOTTEN}
                         AND (file_1 IS NULL OR (image_2 IS NOT NULL AND file_2 IS NULL)) END"
    );
    let ids: Vec<&str> = tasks.iter().map(MusicTaskId::as_str).collect();
    let (latest, earliest) = (at.after(waiter.longest), waiter.earliest(at));
    let Waiter { run, wants_files, .. } = waiter;
    session.execute(&sql, &[&ids, &run.0, &wants_files, &at.0, &latest.0, &earliest.0, &waiter.begins(at)]).await
}

/// The rows of a scope and a kind of job, as a condition; `$2` is the run or the oldest due time.
const fn condition(scope: CoverScope, kind: JobKind) -> &'static str {
    match (scope, kind) {
        (CoverScope::OfRun(_), JobKind::Poll) => "waiter = $2 AND due_at IS NOT NULL AND image_1 IS NULL",
        (CoverScope::OfRun(_), JobKind::Download) => {
            "waiter = $2 AND due_at IS NOT NULL AND image_1 IS NOT NULL AND wants_files"
        }
        (CoverScope::All, JobKind::Poll) => "due_at > $2 AND image_1 IS NULL",
        (CoverScope::All, JobKind::Download) => "due_at > $2 AND image_1 IS NOT NULL AND wants_files",
    }
}

/// The value of `$2` in [`condition`].
fn parameter(scope: CoverScope, kind: JobKind, at: UnixMillis) -> i64 {
    match (scope, kind) {
        (CoverScope::OfRun(run), _) => run.0,
        (CoverScope::All, JobKind::Poll) => at.before(IMAGES_LAST).0,
        // However old they are: only their host knows when they are gone.
        (CoverScope::All, JobKind::Download) => i64::MIN,
    }
}

/// The first due time of a kind of job.
async fn next(
    session: &Session,
    scope: CoverScope,
    kind: JobKind,
    at: UnixMillis,
) -> Result<Option<UnixMillis>, Failure> {
    let sql =
        format!("SELECT due_at FROM task WHERE account = $1 AND {} ORDER BY due_at LIMIT 1", condition(scope, kind));
    let row = session.row(&sql, &[&parameter(scope, kind, at)]).await?;
    row.map(|row| time(&row, 0)).transpose()
}

pub(super) async fn next_due(
    session: Session,
    (scope, at): (CoverScope, UnixMillis),
) -> Result<(Option<UnixMillis>, Option<UnixMillis>), Failure> {
    Ok((next(&session, scope, JobKind::Poll, at).await?, next(&session, scope, JobKind::Download, at).await?))
}

pub(super) async fn claim_job(
    session: Session,
    (scope, kind, at, lease, pace): (CoverScope, JobKind, UnixMillis, Duration, Rate),
) -> Result<Due, Failure> {
    let first = next(&session, scope, kind, at).await?;
    if first.is_none_or(|due| due > at) {
        return Ok(Due { job: None, next: first });
    }
    if kind == JobKind::Poll
        && let Some(free) = claim_read(session.clone(), (at, pace)).await?
    {
        return Ok(Due { job: None, next: Some(free) });
    }
    let sql = format!(
        "UPDATE task SET due_at = $3, claimed_at = $4, polls = polls + $5
         FROM (SELECT seq, due_at FROM task WHERE account = $1 AND {} ORDER BY due_at LIMIT 1) AS first
         WHERE task.seq = first.seq
         RETURNING task.seq, id, cover_id, coalesce(completed_at, accepted_at, first.due_at), failures, image_1, image_2,
                   file_1 IS NOT NULL, route, fallback,
                   (SELECT words FROM file_name WHERE account = $1 AND file_name.id = task.id), accepted_at",
        condition(scope, kind)
    );
    let polls = i64::from(kind == JobKind::Poll);
    let row = session.row(&sql, &[&parameter(scope, kind, at), &at.after(lease).0, &at.0, &polls]).await?;
    let job = row.map(|row| job(&row)).transpose()?;
    Ok(Due { job, next: next(&session, scope, kind, at).await? })
}

fn job(row: &Row) -> Result<CoverJob, Failure> {
    let (first, has_first) = (value::<Option<String>>(row, 5)?, value::<bool>(row, 7)?);
    let step = match first {
        None => JobStep::Poll,
        Some(url) if !has_first => JobStep::Download { number: ImageNumber::One, url },
        Some(_) => JobStep::Download { number: ImageNumber::Two, url: value(row, 6)? },
    };
    Ok(CoverJob {
        key: CoverKey { task: value(row, 0)?, since: time_if_any(row, 11)? },
        task: task_id(row, 1)?,
        cover: cover_id(row, 2)?.ok_or_else(|| unbelievable(2, "its cover is followed, and has no id"))?,
        route: route(row, 8)?,
        words: value::<Option<&str>>(row, 10)?.and_then(NameWords::new),
        default_cover: value(row, 9)?,
        since: time(row, 3)?,
        failures: count(row, 4)?,
        step,
    })
}

/// The earliest time at which a cover that was woken may be polled, as SQL; `$3` is now.
pub(super) fn rested() -> String {
    format!("greatest(claimed_at + {}, $3)", WAKE_REST.as_millis())
}

pub(super) async fn wake(session: Session, (task, at): (MusicTaskId, UnixMillis)) -> Result<(), Failure> {
    let sql = format!(
        "UPDATE task SET woken_at = $3,
                         due_at = CASE WHEN state = 'in_flight' THEN due_at ELSE least(due_at, {}) END
         WHERE account = $1 AND id = $2
           AND (state = 'in_flight'
                OR (state IN ('submitted', 'exists') AND cover_id IS NOT NULL AND image_1 IS NULL))",
        rested()
    );
    session.execute(&sql, &[&task.as_str(), &at.0]).await.map(drop)
}

pub(super) async fn release_jobs(session: Session, (run, at): (RunId, UnixMillis)) -> Result<(), Failure> {
    // Whatever it had claimed, nothing of it is under way any more. One statement for each of the indexes.
    for images in ["IS NULL", "IS NOT NULL"] {
        let sql = format!(
            "UPDATE task SET waiter = NULL, due_at = CASE WHEN due_at > $3 THEN $3 ELSE due_at END
             WHERE account = $1 AND waiter = $2 AND image_1 {images}"
        );
        session.execute(&sql, &[&run.0, &at.0]).await?;
    }
    Ok(())
}

/// Counts a read, unless the window of the pace is full until a time.
pub(super) async fn claim_read(
    session: Session,
    (at, pace): (UnixMillis, Rate),
) -> Result<Option<UnixMillis>, Failure> {
    let now = session.of_server(at);
    let full = full_until(&session, now, pace).await?;
    if full.is_none() {
        note_read(&session, now).await?;
    }
    Ok(full.map(|until| session.context.server_clock.of_ours(until)))
}

/// Until when the window of the pace is full, if it is; both times are those of the server.
async fn full_until(session: &Session, now: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, Failure> {
    let sql = "SELECT at FROM read_log WHERE account = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2";
    let row = session.row(sql, &[&(i64::from(pace.count.get()) - 1)]).await?;
    let nth = row.map(|row| time(&row, 0)).transpose()?;
    // One from the future, by a clock that was set back since, must not hold everyone up.
    Ok(nth.filter(|nth| *nth <= now).map(|nth| nth.after(pace.period + slack(pace))).filter(|free| *free > now))
}

/// Counts it, and forgets two that no pace looks back to: that of another process may be longer than this one's.
async fn note_read(session: &Session, now: UnixMillis) -> Result<(), Failure> {
    session.execute("INSERT INTO read_log (account, at) VALUES ($1, $2)", &[&now.0]).await?;
    let delete = "DELETE FROM read_log
                  WHERE account = $1 AND seq IN (SELECT seq FROM read_log WHERE account = $1 ORDER BY seq LIMIT 2)
                    AND at <= $2";
    session.execute(delete, &[&now.before(READS_KEPT).0]).await.map(drop)
}
