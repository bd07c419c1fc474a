//! The statements about covers that are followed, each run inside a transaction of its caller.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::remember_submission;
use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, MAX_RATE_COUNT, MusicTaskId, Rate, Reason, RowState};
use crate::images::ImageNumber;
use crate::ledger::follow::{HINT_REST, IMAGES_LAST};
use crate::ledger::{Due, FollowedBy, Follower, Lane, Pursuit, RowKey, Step};

/// Finished covers that the usual time is learned from.
const LEARNED_FROM: usize = 100;

pub(super) fn follow(
    connection: &Connection,
    followed: FollowedBy,
    tasks: &[MusicTaskId],
    at: UnixMillis,
) -> rusqlite::Result<u64> {
    // Images that are known are only followed for their files, and a finished cover only while its images last.
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = iif(state = 'completed', 'submitted', state),
                         follow_run = ?2, wants_files = wants_files OR ?3, troubles = 0, due_at = min(coalesce(due_at, ?4), ?6),
                         accepted_at = coalesce(accepted_at, answered_at, ?4)
         WHERE key = id_key(?1) AND id = ?1 AND cover_id IS NOT NULL AND coalesce(looked_at, 0) < ?4
           AND CASE WHEN image_1 IS NULL THEN state IN ('submitted', 'exists')
                    ELSE ?3 AND state IN ('submitted', 'exists', 'completed') AND completed_at > ?5
                         AND (file_1 IS NULL OR (image_2 IS NOT NULL AND file_2 IS NULL)) END",
    )?;
    let (forgotten, latest) = (at.before(IMAGES_LAST), at.after(followed.wait));
    let mut count = 0;
    for task in tasks {
        let values = params![task.as_str(), followed.run.0, followed.files, at.0, forgotten.0, latest.0];
        let changed = update.execute(values)?;
        count += u64::try_from(changed).unwrap_or(0);
    }
    Ok(count)
}

/// The rows of a follower and a lane, as a condition; `?1` is the run or the oldest due time.
const fn condition(who: Follower, lane: Lane) -> &'static str {
    match (who, lane) {
        (Follower::Run(_), Lane::Look) => "follow_run = ?1 AND due_at IS NOT NULL AND image_1 IS NULL",
        (Follower::Run(_), Lane::Fetch) => {
            "follow_run = ?1 AND due_at IS NOT NULL AND image_1 IS NOT NULL AND wants_files"
        }
        (Follower::Everyone, Lane::Look) => "due_at > ?1 AND image_1 IS NULL",
        (Follower::Everyone, Lane::Fetch) => "due_at > ?1 AND image_1 IS NOT NULL AND wants_files",
    }
}

fn parameter(who: Follower, at: UnixMillis) -> i64 {
    match who {
        Follower::Run(run) => run.0,
        Follower::Everyone => at.before(IMAGES_LAST).0,
    }
}

/// The first due time of a follower's lane.
fn next(connection: &Connection, who: Follower, lane: Lane, at: UnixMillis) -> rusqlite::Result<Option<UnixMillis>> {
    let sql = format!("SELECT due_at FROM task WHERE {} ORDER BY due_at LIMIT 1", condition(who, lane));
    let mut query = connection.prepare_cached(&sql)?;
    query.query_row([parameter(who, at)], |row| row.get(0).map(UnixMillis)).optional()
}

pub(super) fn next_due(
    connection: &Connection,
    who: Follower,
    at: UnixMillis,
) -> rusqlite::Result<(Option<UnixMillis>, Option<UnixMillis>)> {
    Ok((next(connection, who, Lane::Look, at)?, next(connection, who, Lane::Fetch, at)?))
}

pub(super) fn claim_due(
    connection: &Connection,
    (who, lane): (Follower, Lane),
    at: UnixMillis,
    lease: Duration,
    pace: Rate,
) -> rusqlite::Result<Due> {
    if next(connection, who, lane, at)?.is_none_or(|due| due > at) {
        return Ok(Due { pursuit: None, next: next(connection, who, lane, at)? });
    }
    if lane == Lane::Look
        && let Some(free) = claim_read(connection, at, pace)?
    {
        return Ok(Due { pursuit: None, next: Some(free) });
    }
    let sql = format!(
        "SELECT seq, id, cover_id, coalesce(accepted_at, due_at), troubles, file_1 IS NOT NULL,
                iif(file_1 IS NULL, image_1, image_2)
         FROM task WHERE {} ORDER BY due_at LIMIT 1",
        condition(who, lane)
    );
    let mut query = connection.prepare_cached(&sql)?;
    let pursuit = query.query_row([parameter(who, at)], pursuit)?;
    let mut claim =
        connection.prepare_cached("UPDATE task SET due_at = ?2, looked_at = ?3, looks = looks + ?4 WHERE seq = ?1")?;
    claim.execute(params![pursuit.key.0, at.after(lease).0, at.0, lane == Lane::Look])?;
    Ok(Due { pursuit: Some(pursuit), next: next(connection, who, lane, at)? })
}

fn pursuit(row: &Row<'_>) -> rusqlite::Result<Pursuit> {
    let unusable = |column| {
        move |bad: crate::domain::BadId| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, bad.into())
        }
    };
    let url: Option<String> = row.get(6)?;
    Ok(Pursuit {
        key: RowKey(row.get(0)?),
        task: MusicTaskId::new(row.get_ref(1)?.as_str()?).map_err(unusable(1))?,
        cover: CoverTaskId::new(row.get_ref(2)?.as_str()?).map_err(unusable(2))?,
        since: UnixMillis(row.get(3)?),
        troubles: row.get(4)?,
        step: match (url, row.get::<_, bool>(5)?) {
            (None, _) => Step::Look,
            (Some(url), false) => Step::Fetch { number: ImageNumber::One, url },
            (Some(url), true) => Step::Fetch { number: ImageNumber::Two, url },
        },
    })
}

/// Counts a read, unless the window of the pace is full until a time.
pub(super) fn claim_read(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<Option<UnixMillis>> {
    let full = full_until(connection, at, pace)?;
    if full.is_none() {
        note_look(connection, at, pace)?;
    }
    Ok(full)
}

/// Until when the window of the pace is full, if it is.
fn full_until(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<Option<UnixMillis>> {
    let mut query = connection.prepare_cached("SELECT at FROM look ORDER BY seq DESC LIMIT 1 OFFSET ?1")?;
    let nth: Option<i64> = query.query_row([pace.count.get() - 1], |row| row.get(0)).optional()?;
    // One from the future, by a clock that was set back since, must not hold everyone up.
    Ok(nth.filter(|nth| *nth <= at.0).map(|nth| UnixMillis(nth).after(pace.period)).filter(|free| *free > at))
}

fn note_look(connection: &Connection, at: UnixMillis, pace: Rate) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO look (at) VALUES (?1)")?.execute([at.0])?;
    let last = connection.last_insert_rowid();
    let kept = i64::from(pace.count.get().min(MAX_RATE_COUNT));
    connection
        .prepare_cached("DELETE FROM look WHERE seq <= ?1 AND at <= ?2")?
        .execute([last - kept, at.before(pace.period).0])?;
    Ok(())
}

pub(super) fn looks_since(connection: &Connection, since: UnixMillis) -> rusqlite::Result<Vec<UnixMillis>> {
    let mut query = connection.prepare_cached("SELECT at FROM look WHERE at >= ?1 ORDER BY at")?;
    let times = query.query_map([since.0], |row| row.get(0).map(UnixMillis))?;
    times.collect()
}

pub(super) fn hint(connection: &Connection, task: &MusicTaskId, at: UnixMillis) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE task SET due_at = min(due_at, max(?2, coalesce(looked_at, 0) + ?3)),
                         hinted_at = ?2
         WHERE key = id_key(?1) AND id = ?1 AND (state = 'in_flight' OR (due_at IS NOT NULL AND image_1 IS NULL))",
    )?;
    update.execute(params![task.as_str(), at.0, rest()]).map(drop)
}

/// [`HINT_REST`] as the table counts time.
pub(super) fn rest() -> i64 {
    i64::try_from(HINT_REST.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn generation_times(connection: &Connection) -> rusqlite::Result<Vec<Duration>> {
    let mut query = connection.prepare_cached(
        "SELECT generated_in FROM task WHERE generated_in IS NOT NULL ORDER BY completed_at DESC LIMIT ?1",
    )?;
    let times = query.query_map([i64::try_from(LEARNED_FROM).unwrap_or(i64::MAX)], |row| row.get::<_, i64>(0))?;
    times.map(|time| time.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))).collect()
}

pub(super) fn note_music(
    connection: &Connection,
    task: &MusicTaskId,
    state: RowState,
    (reason, answer): (Reason, &Answer),
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let seq = place_or_new(connection, task)?;
    // A row in doubt stays so: that its music has news says nothing of the submission that was lost.
    let may_be_sent = "seq = ?1 AND state IN ('pending', 'failed', 'gave_up', 'generation_failed')";
    if !connection.prepare_cached(&format!("SELECT 1 FROM task WHERE {may_be_sent}"))?.exists([seq])? {
        return Ok(());
    }
    remember_submission(connection, seq)?;
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = ?2, failed_runs = failed_runs + (?2 = 'failed'), sent_at = NULL, reason = ?3,
                         http_status = ?4, code = ?5, message = ?6, answered_at = ?7
         WHERE seq = ?1",
    )?;
    let cells = params![seq, state.word(), reason.word(), answer.http_status, answer.code, answer.message, at.0];
    update.execute(cells).map(drop)
}

pub(super) fn fall_back(connection: &Connection, rows: &[(MusicTaskId, String)]) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached("UPDATE task SET fallback = ?2 WHERE seq = ?1")?;
    rows.iter().try_for_each(|(task, file)| update.execute(params![place_or_new(connection, task)?, file]).map(drop))
}

/// The `seq` of a music task. One that the ledger does not have becomes a pending row of it.
fn place_or_new(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<i64> {
    let mut insert = connection
        .prepare_cached("INSERT INTO task (id, state, submissions, key) VALUES (?1, 'pending', 0, id_key(?1))")?;
    if insert.execute([task.as_str()])? == 1 {
        return Ok(connection.last_insert_rowid());
    }
    let mut find = connection.prepare_cached("SELECT seq FROM task WHERE key = id_key(?1) AND id = ?1")?;
    find.query_row([task.as_str()], |row| row.get(0))
}

#[cfg(test)]
mod tests;
