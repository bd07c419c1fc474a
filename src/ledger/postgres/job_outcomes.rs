//! The statements that write down what came of a claimed cover.

use super::columns::value;
use super::cover_jobs::rested;
use super::failure::Failure;
use super::session::{Session, Value};
use crate::clock::UnixMillis;
use crate::domain::{Answer, Credits, Generated, ImageFile, Reason};
use crate::images::ImageNumber;
use crate::ledger::cover_job::{CoverKey, JobOutcome};
use crate::ledger::record::numbers_of;
use crate::ledger::run::RunId;

pub(super) async fn settle_job(
    session: Session,
    (key, outcome, at): (CoverKey, JobOutcome, UnixMillis),
) -> Result<(), Failure> {
    let sql = "SELECT wants_files FROM task
               WHERE account = $1 AND seq = $2 AND due_at IS NOT NULL AND claimed_at IS NOT NULL
                 AND accepted_at IS NOT DISTINCT FROM $3";
    // Whoever else followed it meanwhile may have finished it, or a person may have had it forgotten, and another
    // one be there.
    let Some(row) = session.row(sql, &[&key.task, &key.since.map(|at| at.0)]).await? else { return Ok(()) };
    let wants_files: bool = value(&row, 0)?;
    let session = &session;
    match outcome {
        JobOutcome::Later { due, failures, said, given_up_by } => {
            reschedule(session, key, (due, failures, given_up_by), at).await?;
            say_if_any(session, key, said, at).await
        }
        JobOutcome::Forgotten(said) => {
            say_if_any(session, key, said, at).await?;
            leave_as(session, key, None).await
        }
        JobOutcome::Generated { cover, answer, wants_files: also } => {
            say(session, key, (Reason::Generated, answer), at).await?;
            note_images(session, key, &cover, wants_files || also, at).await
        }
        JobOutcome::Failed { answer, credits } => {
            say(session, key, (Reason::GenerationFailed, answer), at).await?;
            let sql = "UPDATE task SET failed_runs = failed_runs + 1, credits = $3 WHERE account = $1 AND seq = $2";
            session.execute(sql, &[&key.task, &credits.map(Credits::thousandths)]).await?;
            leave_as(session, key, Some("generation_failed")).await
        }
        JobOutcome::Saved { number, file } => note_file(session, key, number, &file, at).await,
    }
}

/// Makes the cover due at a time; earlier if it was woken while it was claimed.
async fn reschedule(
    session: &Session,
    key: CoverKey,
    (due, failures, given_up_by): (UnixMillis, u32, Option<RunId>),
    at: UnixMillis,
) -> Result<(), Failure> {
    let sql = format!(
        "UPDATE task SET due_at = CASE WHEN woken_at >= claimed_at THEN least({}, $4) ELSE $4 END,
                         failures = $5, waiter = nullif(waiter, $6), given_up_by = coalesce($6, given_up_by)
         WHERE account = $1 AND seq = $2",
        rested()
    );
    let run = given_up_by.map(|run| run.0);
    session.execute(&sql, &[&key.task, &at.0, &due.0, &i64::from(failures), &run]).await.map(drop)
}

/// Keeps what was said last.
async fn say(
    session: &Session,
    key: CoverKey,
    (reason, answer): (Reason, Answer),
    at: UnixMillis,
) -> Result<(), Failure> {
    let sql = "UPDATE task SET reason = $3, http_status = $4, code = $5, message = $6, answered_at = $7
               WHERE account = $1 AND seq = $2";
    let Answer { http_status, code, message } = answer;
    let status = http_status.map(i64::from);
    session.execute(sql, &[&key.task, &reason.word(), &status, &code, &message, &at.0]).await.map(drop)
}

async fn say_if_any(
    session: &Session,
    key: CoverKey,
    said: Option<(Reason, Answer)>,
    at: UnixMillis,
) -> Result<(), Failure> {
    match said {
        Some(said) => say(session, key, said, at).await,
        None => Ok(()),
    }
}

/// Nobody follows the cover any more; it moves to a state, if one is given.
async fn leave_as(session: &Session, key: CoverKey, state: Option<&str>) -> Result<(), Failure> {
    let sql = "UPDATE task SET state = coalesce($3, state), due_at = NULL, waiter = NULL, failures = 0
               WHERE account = $1 AND seq = $2";
    session.execute(sql, &[&key.task, &state]).await.map(drop)
}

async fn note_images(
    session: &Session,
    key: CoverKey,
    cover: &Generated,
    wants_files: bool,
    at: UnixMillis,
) -> Result<(), Failure> {
    let [first, second] = [0, 1].map(|number| cover.images.urls().get(number));
    let took = cover.took.map(|took| i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    // A time that is still to come is no time at which it was finished.
    let completed_at = cover.completed_at.unwrap_or(at).min(at);
    let sql = "UPDATE task SET image_1 = $3, image_2 = $4, completed_at = $5, generated_in = $6, wants_files = $7,
                               due_at = $8, failures = 0, credits = $9
               WHERE account = $1 AND seq = $2";
    let credits = cover.credits.map(Credits::thousandths);
    session.execute(sql, &[&key.task, &first, &second, &completed_at.0, &took, &wants_files, &at.0, &credits]).await?;
    if wants_files { Ok(()) } else { leave_as(session, key, Some("completed")).await }
}

async fn note_file(
    session: &Session,
    key: CoverKey,
    number: ImageNumber,
    file: &ImageFile,
    at: UnixMillis,
) -> Result<(), Failure> {
    let (nth, and) = match number {
        // The cover itself is there now, where the default cover stood in.
        ImageNumber::One => (1, ", fallback = NULL"),
        ImageNumber::Two => (2, ""),
    };
    let sql = format!(
        "UPDATE task SET file_{nth} = $3, width_{nth} = $5, height_{nth} = $6, bytes_{nth} = $7, failures = 0,
                         due_at = $4{and}
         WHERE account = $1 AND seq = $2
         RETURNING file_1 IS NOT NULL AND (image_2 IS NULL OR file_2 IS NOT NULL)"
    );
    let [width, height, bytes] = numbers_of(Some(file));
    let values: [Value<'_>; 6] = [&key.task, &file.name, &at.0, &width, &height, &bytes];
    let Some(row) = session.row(&sql, &values).await? else { return Ok(()) };
    if value(&row, 0)? {
        let answer = Answer { http_status: Some(200), ..Answer::default() };
        say(session, key, (Reason::Generated, answer), at).await?;
        leave_as(session, key, Some("completed")).await?;
    }
    Ok(())
}
