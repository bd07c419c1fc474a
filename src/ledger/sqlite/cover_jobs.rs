//! The statements that find and claim the covers that are due, each run inside a transaction of its caller; and the reads of
//! records that all processes make, which share one pace.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{route, time, time_if_any, unusable};
use crate::clock::UnixMillis;
use crate::domain::{CoverTaskId, IMAGES_LAST, MusicTaskId, Rate};
use crate::images::{ImageNumber, NameWords};
use crate::ledger::cover_job::{CoverJob, CoverKey, CoverScope, Due, JobKind, JobStep, READS_KEPT, WAKE_REST, Waiter};
use crate::ledger::run::RunId;
use crate::ratelimit::slack;

pub(super) fn watch(
    connection: &Connection,
    waiter: Waiter,
    tasks: &[MusicTaskId],
    at: UnixMillis,
) -> rusqlite::Result<u64> {
    // Images that are known are only followed for their files, and only while their host has them.
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = CASE WHEN state = 'completed' THEN 'submitted' ELSE state END,
                         waiter = ?2, wants_files = wants_files OR ?3, failures = iif(?7, 0, failures),
                         due_at = CASE WHEN due_at IS NULL THEN ?4 WHEN due_at < ?5 THEN due_at ELSE ?5 END,
                         accepted_at = coalesce(accepted_at, answered_at, ?4)
         WHERE id = ?1 AND cover_id IS NOT NULL AND given_up_by IS NOT ?2
           AND coalesce(accepted_at, answered_at, ?4) >= ?6
           AND CASE WHEN image_1 IS NULL THEN state IN ('submitted', 'exists')
                    ELSE ?3 AND state IN ('submitted', 'exists', 'completed') AND NOT is_forgotten
                         AND (file_1 IS NULL OR (image_2 IS NOT NULL AND file_2 IS NULL)) END",
    )?;
    let (mut count, latest, earliest) = (0, at.after(waiter.longest), waiter.earliest(at));
    for task in tasks {
        let Waiter { run, wants_files, .. } = waiter;
        let begins = waiter.begins(at);
        let changed = update.execute(params![task.as_str(), run.0, wants_files, at.0, latest.0, earliest.0, begins])?;
        count += u64::try_from(changed).unwrap_or(0);
    }
    Ok(count)
}

/// The rows of a scope and a kind of job, as a condition; `?1` is the run or the oldest due time.
pub(super) const fn condition(scope: CoverScope, kind: JobKind) -> &'static str {
    match (scope, kind) {
        (CoverScope::OfRun(_), JobKind::Poll) => "waiter = ?1 AND due_at IS NOT NULL AND image_1 IS NULL",
        (CoverScope::OfRun(_), JobKind::Download) => {
            "waiter = ?1 AND due_at IS NOT NULL AND image_1 IS NOT NULL AND wants_files"
        }
        (CoverScope::All, JobKind::Poll) => "due_at > ?1 AND image_1 IS NULL",
        (CoverScope::All, JobKind::Download) => "due_at > ?1 AND image_1 IS NOT NULL AND wants_files",
    }
}

/// The value of `?1` in [`condition`].
fn parameter(scope: CoverScope, kind: JobKind, at: UnixMillis) -> i64 {
    match (scope, kind) {
        (CoverScope::OfRun(run), _) => run.0,
        (CoverScope::All, JobKind::Poll) => at.before(IMAGES_LAST).0,
        // However old they are: only their host knows when they are gone.
        (CoverScope::All, JobKind::Download) => i64::MIN,
    }
}

/// The first due time of a kind of job.
fn next(
    connection: &Connection,
    scope: CoverScope,
    kind: JobKind,
    at: UnixMillis,
) -> rusqlite::Result<Option<UnixMillis>> {
    let sql = format!("SELECT due_at FROM task WHERE {} ORDER BY due_at LIMIT 1", condition(scope, kind));
    let mut query = connection.prepare_cached(&sql)?;
    query.query_row([parameter(scope, kind, at)], |row| time(row, 0)).optional()
}

pub(super) fn next_due(
    connection: &Connection,
    scope: CoverScope,
    at: UnixMillis,
) -> rusqlite::Result<(Option<UnixMillis>, Option<UnixMillis>)> {
    Ok((next(connection, scope, JobKind::Poll, at)?, next(connection, scope, JobKind::Download, at)?))
}

pub(super) fn claim_job(
    connection: &Connection,
    (scope, kind): (CoverScope, JobKind),
    at: UnixMillis,
    lease: Duration,
    pace: Rate,
) -> rusqlite::Result<Due> {
    let first = next(connection, scope, kind, at)?;
    if first.is_none_or(|due| due > at) {
        return Ok(Due { job: None, next: first });
    }
    if kind == JobKind::Poll
        && let Some(free) = claim_read(connection, at, pace)?
    {
        return Ok(Due { job: None, next: Some(free) });
    }
    let sql = format!(
        "SELECT seq, id, cover_id, coalesce(completed_at, accepted_at, due_at), failures, image_1, image_2, file_1 IS NOT NULL,
                route, fallback, (SELECT words FROM file_name WHERE file_name.id = task.id), accepted_at
         FROM task WHERE {} ORDER BY due_at LIMIT 1",
        condition(scope, kind)
    );
    let job = connection.prepare_cached(&sql)?.query_row([parameter(scope, kind, at)], job)?;
    let mut claim =
        connection.prepare_cached("UPDATE task SET due_at = ?2, claimed_at = ?3, polls = polls + ?4 WHERE seq = ?1")?;
    claim.execute(params![job.key.task, at.after(lease).0, at.0, i32::from(kind == JobKind::Poll)])?;
    Ok(Due { job: Some(job), next: next(connection, scope, kind, at)? })
}

fn job(row: &Row<'_>) -> rusqlite::Result<CoverJob> {
    let (first, has_first) = (row.get::<_, Option<String>>(5)?, row.get::<_, bool>(7)?);
    let step = match first {
        None => JobStep::Poll,
        Some(url) if !has_first => JobStep::Download { number: ImageNumber::One, url },
        Some(_) => JobStep::Download { number: ImageNumber::Two, url: row.get(6)? },
    };
    Ok(CoverJob {
        key: CoverKey { task: row.get(0)?, since: time_if_any(row, 11)? },
        task: MusicTaskId::new(row.get_ref(1)?.as_str()?).map_err(|bad| unusable(1, bad))?,
        cover: CoverTaskId::new(row.get_ref(2)?.as_str()?).map_err(|bad| unusable(2, bad))?,
        route: route(row, 8)?,
        words: row.get_ref(10)?.as_str_or_null()?.and_then(NameWords::new),
        default_cover: row.get(9)?,
        since: time(row, 3)?,
        failures: row.get(4)?,
        step,
    })
}

/// The earliest time at which a cover that was woken may be polled, as SQL; `?2` is now.
pub(super) fn rested() -> String {
    let rest = WAKE_REST.as_millis();
    format!("CASE WHEN claimed_at + {rest} > ?2 THEN claimed_at + {rest} ELSE ?2 END")
}

pub(super) fn wake(connection: &Connection, task: &MusicTaskId, at: UnixMillis) -> rusqlite::Result<()> {
    let rested = rested();
    let mut update = connection.prepare_cached(&format!(
        "UPDATE task SET woken_at = ?2,
                         due_at = CASE WHEN state = 'in_flight' OR due_at < {rested} THEN due_at ELSE {rested} END
         WHERE id = ?1 AND (state = 'in_flight'
                            OR (state IN ('submitted', 'exists') AND cover_id IS NOT NULL AND image_1 IS NULL))"
    ))?;
    update.execute(params![task.as_str(), at.0]).map(drop)
}

pub(super) fn release_jobs(connection: &Connection, run: RunId, at: UnixMillis) -> rusqlite::Result<()> {
    // Whatever it had claimed, nothing of it is under way any more. One statement for each of the indexes.
    for images in ["IS NULL", "IS NOT NULL"] {
        let sql = format!(
            "UPDATE task SET waiter = NULL, due_at = CASE WHEN due_at > ?2 THEN ?2 ELSE due_at END
             WHERE waiter = ?1 AND image_1 {images}"
        );
        connection.prepare_cached(&sql)?.execute(params![run.0, at.0])?;
    }
    Ok(())
}

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
