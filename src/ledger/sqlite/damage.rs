//! Whether a ledger can be believed, looked at before anything is sent or followed.
//!
//! SQLite keeps no checksums of its pages: what it does not notice itself may still show in rows that contradict
//! themselves, since every row was written by statements that keep to these sentences.

use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;
use crate::domain::{Reason, RowState};
use crate::ledger::history::Contents;

/// Bytes up to which a ledger is looked at as a whole, some 200,000 music tasks; this takes half a second.
const CHECKED_BYTES: i64 = 64 << 20;

/// What no row may be: a query for the id of one that is so, and what that means. Rows that an earlier results CSV told of
/// have no attempt, and may lack what they will.
const CONTRADICTIONS: [(&str, &str); 9] = [
    (
        "SELECT id FROM task
         WHERE state = 'in_flight' AND NOT EXISTS (SELECT 1 FROM attempt WHERE task = task.seq AND reason IS NULL)",
        "it is in flight, and no submission of it is",
    ),
    (
        "SELECT coalesce(id, 'number ' || attempt.task) FROM attempt LEFT JOIN task ON task.seq = attempt.task
         WHERE attempt.reason IS NULL AND state IS NOT 'in_flight'",
        "a submission of it is in flight, and it is not",
    ),
    (
        "SELECT coalesce(id, 'number ' || attempt.task) FROM attempt LEFT JOIN task ON task.seq = attempt.task
         WHERE (attempt.reason IS NULL) <> (paced_at = 9223372036854775807)",
        "a submission of it is counted as one in flight, or is one, and not both",
    ),
    (
        "SELECT 'number ' || task FROM attempt WHERE task NOT IN (SELECT seq FROM task)",
        "it was submitted, and is not there",
    ),
    (
        "SELECT id FROM attempt JOIN task ON task.seq = attempt.task
         WHERE attempt.reason <> 'interrupted' AND attempt.answered_at IS NULL",
        "a submission of it has ended without an answer",
    ),
    (
        "SELECT id FROM attempt JOIN task ON task.seq = attempt.task
         WHERE state_before IN ('in_flight', 'submitted', 'exists', 'completed')",
        "it was submitted while it was settled or in flight",
    ),
    (
        "SELECT id FROM task WHERE submissions < (SELECT count(*) FROM attempt WHERE task = task.seq)",
        "it was submitted more often than it counts",
    ),
    (
        "SELECT id FROM task
         WHERE state NOT IN ('pending', 'in_flight', 'in_doubt') AND (answered_at IS NULL OR reason IS NULL)
           AND EXISTS (SELECT 1 FROM attempt WHERE task = task.seq)",
        "it has come to an end without an answer",
    ),
    ("SELECT id FROM task WHERE due_at IS NOT NULL AND cover_id IS NULL", "its cover is followed, and has no id"),
];

/// Refuses a ledger that is not too large to be looked at and is not in order.
pub(super) fn check(connection: &Connection) -> Result<(), Failure> {
    let size = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    if size("page_count")? * size("page_size")? > CHECKED_BYTES {
        return Ok(());
    }
    check_with("quick_check", connection)
}

/// Refuses a ledger that is not in order, whatever its size, its indexes included; else counts what it holds.
pub(super) fn check_whole(connection: &Connection) -> Result<Contents, Failure> {
    check_with("integrity_check", connection)?;
    let count = |table| {
        let count = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        count.map(i64::unsigned_abs)
    };
    Ok(Contents { music_tasks: count("task")?, submissions: count("attempt")?, runs: count("run")? })
}

fn check_with(pragma: &str, connection: &Connection) -> Result<(), Failure> {
    let found: String = connection.query_row(&format!("PRAGMA {pragma}(1)"), [], |row| row.get(0))?;
    if found != "ok" {
        // The lines before say which database it is.
        return Err(Failure::Damaged(found.lines().last().unwrap_or_default().to_owned()));
    }
    let states = RowState::ALL.iter().map(|state| state.word());
    refuse_any(connection, &unknown("state", states), "it is in no state that there is")?;
    let reasons = Reason::ALL.iter().map(|reason| reason.word());
    refuse_any(connection, &unknown("reason", reasons), "there is no such reason for its state")?;
    CONTRADICTIONS.iter().try_for_each(|(sql, what)| refuse_any(connection, sql, what))
}

/// The query for a music task with a word in a column that is none of these.
fn unknown<'a>(column: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    format!("SELECT id FROM task WHERE {column} NOT IN ({})", words.join(", "))
}

fn refuse_any(connection: &Connection, sql: &str, what: &'static str) -> Result<(), Failure> {
    let row = connection.query_row(&format!("{sql} LIMIT 1"), [], |row| row.get(0)).optional()?;
    row.map_or(Ok(()), |task| Err(Failure::Contradiction { task, what }))
}
