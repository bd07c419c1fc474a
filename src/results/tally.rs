//! The rows of a catalog, counted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::line::{Cover, ResultLine};
use crate::catalog::Unlike;
use crate::domain::{Reason, Status};
use crate::join::Joined;

/// Line numbers kept of each cause.
const FIRST_LINES: usize = 3;

/// Causes told apart; the service may invent codes without end.
const MOST_CAUSES: usize = 200;

/// Rows that are not settled for one and the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// What became of them.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// The service's code.
    pub code: Option<i64>,
    /// What was said of the first one.
    pub message: String,
    /// How many.
    pub rows: u64,
    /// Where the first of them are.
    #[serde(rename = "first_lines")]
    pub lines: Vec<u64>,
}

impl Cause {
    /// `3, 9, 17 …`.
    #[must_use]
    pub fn line_list(&self) -> String {
        let numbers: Vec<String> = self.lines.iter().map(u64::to_string).collect();
        let more = self.rows > u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        numbers.join(", ") + if more { " …" } else { "" }
    }
}

/// What the results say of all rows together that a command took up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Data rows that were taken up.
    pub rows: u64,
    /// Data rows that were not.
    pub others: u64,
    /// Rows that repeat an earlier one; each has the status of that one too.
    pub duplicates: u64,
    /// Rows that the next plain rerun sends, or that repeat one.
    pub retryable: u64,
    /// Music tasks that the next plain rerun sends: each once.
    pub to_send: u64,
    /// Accepted rows whose cover is waited for and not there yet.
    pub awaited: u64,
    /// Accepted rows whose cover has no id to follow it by.
    pub unknown: u64,
    /// Accepted rows whose images were forgotten before they were on disk.
    pub forgotten: u64,
    /// Rows for which the default cover stands in.
    pub fallbacks: u64,
    /// Ids that do not look like the others.
    pub unlike: Option<Unlike>,
    statuses: BTreeMap<Status, u64>,
    causes: BTreeMap<(Status, Option<Reason>, Option<i64>), Cause>,
}

impl Tally {
    /// Counts a row.
    pub(super) fn add(&mut self, joined: &Joined, line: &ResultLine) {
        if !line.is_taken_up {
            self.others += 1;
            return;
        }
        self.rows += 1;
        self.duplicates += u64::from(line.is_duplicate());
        self.retryable += u64::from(line.retryable);
        self.to_send += u64::from(line.retryable && !line.is_duplicate());
        *self.statuses.entry(line.status).or_default() += 1;
        match line.cover {
            Cover::Done => {}
            Cover::Awaited => self.awaited += 1,
            Cover::Unknown => self.unknown += 1,
            Cover::Forgotten => self.forgotten += 1,
        }
        let art = joined.record.as_ref().map(|record| &record.artwork);
        self.fallbacks += u64::from(art.is_some_and(|art| art.fallback.is_some()));
        if !line.status.is_settled() || matches!(line.cover, Cover::Awaited | Cover::Forgotten) {
            self.add_cause(joined, line);
        }
    }

    fn add_cause(&mut self, joined: &Joined, line: &ResultLine) {
        let code = joined.record.as_ref().and_then(|record| record.answer.code);
        let full = self.causes.len() >= MOST_CAUSES;
        let key = (line.status, line.reason, code.filter(|_| !full));
        let cause = self.causes.entry(key).or_insert_with(|| Cause {
            status: key.0,
            reason: key.1,
            code: key.2,
            message: message(line),
            rows: 0,
            lines: Vec::new(),
        });
        cause.rows += 1;
        if cause.lines.len() < FIRST_LINES {
            cause.lines.push(joined.row.line);
        }
    }

    /// Rows with this status.
    #[must_use]
    pub fn with(&self, status: Status) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Why rows are not settled, most rows first.
    #[must_use]
    pub fn causes(&self) -> Vec<&Cause> {
        let mut causes: Vec<&Cause> = self.causes.values().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        causes
    }

    /// Rows that have not come as far as is wanted.
    #[must_use]
    pub fn left(&self) -> u64 {
        let unsettled: u64 = Status::ALL.iter().filter(|s| !s.is_settled()).map(|s| self.with(*s)).sum();
        unsettled + self.awaited + self.forgotten
    }

    /// Whether every row has its cover, or the promise of one where no more is wanted.
    #[must_use]
    pub fn is_all_settled(&self) -> bool {
        self.left() == 0
    }
}

/// What is said of a row. The words of an acceptance do not tell why its cover is not in hand.
fn message(line: &ResultLine) -> String {
    match (line.cover, line.reason) {
        (Cover::Awaited, Some(Reason::Accepted | Reason::AlreadyExists | Reason::Conflict)) => {
            "its cover is not finished yet".to_owned()
        }
        (Cover::Forgotten, _) => "the service has forgotten its images".to_owned(),
        (Cover::Awaited | Cover::Done | Cover::Unknown, _) => line.message().to_owned(),
    }
}
