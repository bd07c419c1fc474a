//! What a check of a ledger finds: how much it holds, or what no row of it may be, in SQL that every engine understands.
//!
//! No engine notices all that can happen to its files. What it does not notice may still show in rows that contradict
//! themselves, since every row was written by statements that keep to these sentences.

use thiserror::Error;

use crate::domain::{Reason, RowState};

/// A row that no statement of this program leaves.
#[derive(Debug, Error)]
#[error("music task `{task}` contradicts itself: {what}")]
pub(super) struct Contradiction {
    /// Its music task.
    pub(super) task: String,
    /// How.
    pub(super) what: &'static str,
}

/// A query for the id of a music task that is so, and what that means. Rows that an earlier results CSV told of have no attempt,
/// and may lack what they will.
const CONTRADICTIONS: [(&str, &str); 11] = [
    (
        "SELECT id FROM task
         WHERE state = 'in_flight'
           AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.task = task.seq AND attempt.reason IS NULL)",
        "it is in flight, and no submission of it is",
    ),
    (
        "SELECT coalesce(id, 'number ' || attempt.task) FROM attempt LEFT JOIN task ON task.seq = attempt.task
         WHERE attempt.reason IS NULL AND state IS DISTINCT FROM 'in_flight'",
        "a submission of it is in flight, and it is not",
    ),
    (
        "SELECT coalesce(id, 'number ' || attempt.task) FROM attempt LEFT JOIN task ON task.seq = attempt.task
         WHERE (attempt.reason IS NULL) <> (paced_at = 9223372036854775807)",
        "a submission of it is counted as one in flight, or is one, and not both",
    ),
    (
        "SELECT 'number ' || attempt.task FROM attempt
         WHERE NOT EXISTS (SELECT 1 FROM task WHERE task.seq = attempt.task)",
        "it was submitted, and is not there",
    ),
    (
        "SELECT id FROM attempt JOIN task ON task.seq = attempt.task
         WHERE attempt.reason <> 'interrupted' AND attempt.answered_at IS NULL",
        "a submission of it has ended without an answer",
    ),
    (
        "SELECT id FROM attempt JOIN task ON task.seq = attempt.task
         WHERE state_before IN ('in_flight', 'submitted', 'exists', 'completed', 'ignored')",
        "it was submitted while it was settled or in flight",
    ),
    (
        "SELECT id FROM task WHERE submissions < (SELECT count(*) FROM attempt WHERE attempt.task = task.seq)",
        "it was submitted more often than it counts",
    ),
    (
        "SELECT id FROM task
         WHERE state NOT IN ('pending', 'in_flight', 'in_doubt') AND (answered_at IS NULL OR reason IS NULL)
           AND EXISTS (SELECT 1 FROM attempt WHERE attempt.task = task.seq)",
        "it has come to an end without an answer",
    ),
    ("SELECT id FROM task WHERE due_at IS NOT NULL AND cover_id IS NULL", "its cover is followed, and has no id"),
    (
        "SELECT id FROM task WHERE state = 'ignored' AND (due_at IS NOT NULL OR waiter IS NOT NULL)",
        "it is ignored, and its cover is followed",
    ),
    (
        "SELECT id FROM decision
         WHERE undone_at IS NULL AND NOT EXISTS (SELECT 1 FROM task WHERE task.id = decision.id)",
        "something was decided about it, and it is not there",
    ),
];

/// Every query for a music task that contradicts itself, and what that means.
pub(super) fn contradictions() -> impl Iterator<Item = (String, &'static str)> {
    let states = RowState::ALL.iter().map(|state| state.word());
    let reasons = Reason::ALL.iter().map(|reason| reason.word());
    let words = [
        (unknown("state", states), "it is in no state that there is"),
        (unknown("reason", reasons), "there is no such reason for its state"),
    ];
    let contradictions = CONTRADICTIONS.iter().map(|(sql, what)| ((*sql).to_owned(), *what));
    words.into_iter().chain(contradictions).map(|(sql, what)| (sql + " LIMIT 1", what))
}

/// The query for a music task with a word in a column that is none of these.
fn unknown<'a>(column: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    format!("SELECT id FROM task WHERE {column} NOT IN ({})", words.join(", "))
}

/// How much a ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Music tasks.
    pub music_tasks: u64,
    /// Submissions that were made with it.
    pub submissions: u64,
    /// Runs, and commands that followed covers.
    pub runs: u64,
}
