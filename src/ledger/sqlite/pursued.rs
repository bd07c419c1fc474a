//! The statements that write down what came of a claimed cover, each run inside a transaction of its caller.

use rusqlite::{Connection, params};

use super::follow::rest;
use super::rows::remember_submission;
use crate::clock::UnixMillis;
use crate::domain::{Answer, Reason};
use crate::images::ImageNumber;
use crate::ledger::{Pursued, RowKey};

pub(super) fn settle_pursuit(
    connection: &Connection,
    row: RowKey,
    pursued: &Pursued,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    // Whoever else followed it meanwhile may have finished it.
    let is_followed: bool =
        connection.query_row("SELECT due_at IS NOT NULL FROM task WHERE seq = ?1", [row.0], |row| row.get(0))?;
    if !is_followed {
        return Ok(());
    }
    match pursued {
        Pursued::Later { due, troubles, said, given_up } => {
            put_off(connection, row, (*due, *troubles, *given_up), at)?;
            said.as_ref().map_or(Ok(()), |(reason, answer)| say(connection, row, *reason, answer, at))
        }
        Pursued::Forgotten(said) => {
            if let Some((reason, answer)) = said {
                say(connection, row, *reason, answer, at)?;
            }
            let mut update =
                connection.prepare_cached("UPDATE task SET due_at = NULL, follow_run = NULL WHERE seq = ?1")?;
            update.execute([row.0]).map(drop)
        }
        Pursued::Generated { cover, answer, files } => {
            say(connection, row, Reason::Generated, answer, at)?;
            let [first, second] = [0, 1].map(|number| cover.images.urls().get(number));
            let mut update = connection.prepare_cached(
                "UPDATE task SET state = iif(wants_files OR ?6, state, 'completed'), wants_files = wants_files OR ?6,
                                 due_at = iif(wants_files OR ?6, ?7, NULL),
                                 follow_run = iif(wants_files OR ?6, follow_run, NULL), troubles = 0,
                                 image_1 = ?2, image_2 = ?3, completed_at = ?4, generated_in = ?5
                 WHERE seq = ?1 AND state IN ('submitted', 'exists')",
            )?;
            let took = cover.took.map(|took| i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
            // A time that is still to come is no time at which it was finished.
            let completed_at = cover.completed_at.unwrap_or(at).min(at);
            update.execute(params![row.0, first, second, completed_at.0, took, files, at.0])?;
            Ok(())
        }
        Pursued::Failed(answer) => {
            say(connection, row, Reason::GenerationFailed, answer, at)?;
            connection
                .prepare_cached(
                    "UPDATE task SET state = 'generation_failed', failed_runs = failed_runs + 1, due_at = NULL,
                                 follow_run = NULL, troubles = 0
                 WHERE seq = ?1 AND state IN ('submitted', 'exists')",
                )?
                .execute([row.0])
                .map(drop)
        }
        Pursued::Saved { number, file } => saved(connection, row, *number, file, at),
    }
}

/// Makes the row due at a time; earlier if a hint came while it was claimed.
fn put_off(
    connection: &Connection,
    row: RowKey,
    (due, troubles, given_up): (UnixMillis, u32, bool),
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE task SET due_at = iif(hinted_at >= looked_at, min(?2, max(?5, looked_at + ?6)), ?2), troubles = ?3,
                         follow_run = iif(?4, NULL, follow_run)
         WHERE seq = ?1",
    )?;
    update.execute(params![row.0, due.0, troubles, given_up, at.0, rest()]).map(drop)
}

/// Keeps what was said last; the submission becomes history.
fn say(connection: &Connection, row: RowKey, reason: Reason, answer: &Answer, at: UnixMillis) -> rusqlite::Result<()> {
    remember_submission(connection, row.0)?;
    let mut update = connection.prepare_cached(
        "UPDATE task SET sent_at = NULL, reason = ?2, http_status = ?3, code = ?4, message = ?5, answered_at = ?6
         WHERE seq = ?1",
    )?;
    update.execute(params![row.0, reason.word(), answer.http_status, answer.code, answer.message, at.0]).map(drop)
}

fn saved(
    connection: &Connection,
    row: RowKey,
    number: ImageNumber,
    file: &str,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let column = match number {
        // The cover itself is there now, where the default cover stood in.
        ImageNumber::One => "fallback = NULL, file_1",
        ImageNumber::Two => "file_2",
    };
    connection
        .prepare_cached(&format!("UPDATE task SET {column} = ?2, troubles = 0, due_at = ?3 WHERE seq = ?1"))?
        .execute(params![row.0, file, at.0])?;
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = 'completed', reason = ?2, http_status = 200, code = NULL, message = NULL,
                         answered_at = ?3, due_at = NULL,
                         follow_run = NULL
         WHERE seq = ?1 AND file_1 IS NOT NULL AND (image_2 IS NULL OR file_2 IS NOT NULL)",
    )?;
    update.execute(params![row.0, Reason::Generated.word(), at.0]).map(drop)
}
