//! The statements that write down what came of a claimed cover, each run inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::cover_jobs::rested;
use crate::clock::UnixMillis;
use crate::domain::{Answer, Credits, Generated, ImageFile, Reason};
use crate::images::ImageNumber;
use crate::ledger::cover_job::{CoverKey, JobOutcome};
use crate::ledger::record::numbers_of;
use crate::ledger::run::RunId;

pub(super) fn settle_job(
    connection: &Connection,
    key: CoverKey,
    outcome: &JobOutcome,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let mut query = connection.prepare_cached(
        "SELECT wants_files FROM task
         WHERE seq = ?1 AND due_at IS NOT NULL AND claimed_at IS NOT NULL AND accepted_at IS ?2",
    )?;
    let wants_files: Option<bool> =
        query.query_row(params![key.task, key.since.map(|at| at.0)], |row| row.get(0)).optional()?;
    // Whoever else followed it meanwhile may have finished it, or a person may have had it forgotten, and
    // another one be there.
    let Some(wants_files) = wants_files else { return Ok(()) };
    match outcome {
        JobOutcome::Later { due, failures, said, given_up_by } => {
            reschedule(connection, key, (*due, *failures, *given_up_by), at)?;
            say_if_any(connection, key, said.as_ref(), at)
        }
        JobOutcome::Forgotten(said) => {
            say_if_any(connection, key, said.as_ref(), at)?;
            leave_as(connection, key, None)
        }
        JobOutcome::Generated { cover, answer, wants_files: also } => {
            say(connection, key, Reason::Generated, answer, at)?;
            note_images(connection, key, cover, wants_files || *also, at)
        }
        JobOutcome::Failed { answer, credits } => {
            say(connection, key, Reason::GenerationFailed, answer, at)?;
            let mut update = connection
                .prepare_cached("UPDATE task SET failed_runs = failed_runs + 1, credits = ?2 WHERE seq = ?1")?;
            update.execute(params![key.task, credits.map(Credits::thousandths)])?;
            leave_as(connection, key, Some("generation_failed"))
        }
        JobOutcome::Saved { number, file } => note_file(connection, key, *number, file, at),
    }
}

/// Makes the cover due at a time; earlier if it was woken while it was claimed.
fn reschedule(
    connection: &Connection,
    key: CoverKey,
    (due, failures, given_up_by): (UnixMillis, u32, Option<RunId>),
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let rested = rested();
    let mut update = connection.prepare_cached(&format!(
        "UPDATE task SET due_at = CASE WHEN woken_at >= claimed_at AND {rested} < ?3 THEN {rested} ELSE ?3 END,
                         failures = ?4, waiter = nullif(waiter, ?5), given_up_by = coalesce(?5, given_up_by)
         WHERE seq = ?1",
    ))?;
    update.execute(params![key.task, at.0, due.0, failures, given_up_by.map(|run| run.0)]).map(drop)
}

/// Keeps what was said last.
fn say(
    connection: &Connection,
    key: CoverKey,
    reason: Reason,
    answer: &Answer,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE task SET reason = ?2, http_status = ?3, code = ?4, message = ?5, answered_at = ?6 WHERE seq = ?1",
    )?;
    let Answer { http_status, code, message } = answer;
    update.execute(params![key.task, reason.word(), http_status, code, message, at.0]).map(drop)
}

fn say_if_any(
    connection: &Connection,
    key: CoverKey,
    said: Option<&(Reason, Answer)>,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    said.map_or(Ok(()), |(reason, answer)| say(connection, key, *reason, answer, at))
}

/// Nobody follows the cover any more; it moves to a state, if one is given.
fn leave_as(connection: &Connection, key: CoverKey, state: Option<&str>) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = coalesce(?2, state), due_at = NULL, waiter = NULL, failures = 0 WHERE seq = ?1",
    )?;
    update.execute(params![key.task, state]).map(drop)
}

fn note_images(
    connection: &Connection,
    key: CoverKey,
    cover: &Generated,
    wants_files: bool,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let [first, second] = [0, 1].map(|number| cover.images.urls().get(number));
    let took = cover.took.map(|took| i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    // A time that is still to come is no time at which it was finished.
    let completed_at = cover.completed_at.unwrap_or(at).min(at);
    let mut update = connection.prepare_cached(
        "UPDATE task SET image_1 = ?2, image_2 = ?3, completed_at = ?4, generated_in = ?5, wants_files = ?6,
                         due_at = ?7, failures = 0, credits = ?8
         WHERE seq = ?1",
    )?;
    let credits = cover.credits.map(Credits::thousandths);
    update.execute(params![key.task, first, second, completed_at.0, took, wants_files, at.0, credits])?;
    if wants_files { Ok(()) } else { leave_as(connection, key, Some("completed")) }
}

fn note_file(
    connection: &Connection,
    key: CoverKey,
    number: ImageNumber,
    file: &ImageFile,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let (nth, and) = match number {
        // The cover itself is there now, where the default cover stood in.
        ImageNumber::One => (1, ", fallback = NULL"),
        ImageNumber::Two => (2, ""),
    };
    let mut update = connection.prepare_cached(&format!(
        "UPDATE task SET file_{nth} = ?2, width_{nth} = ?4, height_{nth} = ?5, bytes_{nth} = ?6, failures = 0,
                         due_at = ?3{and}
         WHERE seq = ?1
         RETURNING file_1 IS NOT NULL AND (image_2 IS NULL OR file_2 IS NOT NULL)"
    ))?;
    let [width, height, bytes] = numbers_of(Some(file));
    if update.query_row(params![key.task, file.name, at.0, width, height, bytes], |row| row.get(0))? {
        let answer = Answer { http_status: Some(200), ..Answer::default() };
        say(connection, key, Reason::Generated, &answer, at)?;
        leave_as(connection, key, Some("completed"))?;
    }
    Ok(())
}
