//! The rows of a catalog, counted, and those that are not settled by the causes for that.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::changes::{Before, Changes};
use super::line::{Cover, ResultLine};
use super::named::{NamedRows, RowName};
use super::standing::{Remedy, Standing};
use crate::catalog::{Catalog, Labels, Unlike};
use crate::domain::{Reason, Status};
use crate::join::Joined;

/// Causes told apart: bad rows may be bad in many ways.
const MOST_CAUSES: usize = 200;

/// Codes with words told apart within one cause; the service may invent them without end.
const MOST_SAYINGS: usize = 20;

/// The code of a success, which an answer carries whatever it tells.
const SUCCESS: i64 = 200;

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
    /// Music tasks of which an image on disk has a shorter side than is wanted.
    pub small: NamedRows,
    /// Ids that do not look like the others.
    pub unlike: Option<Unlike>,
    /// What has changed since earlier results.
    pub changes: Changes,
    labels: Labels,
    before: Option<Arc<Before>>,
    statuses: BTreeMap<Status, u64>,
    causes: BTreeMap<(Remedy, Status, Option<Reason>, String), Cause>,
}

impl Tally {
    /// No rows yet: they will be named by these labels, and compared with how they stood before.
    #[must_use]
    pub fn new(labels: Labels, before: Option<Before>) -> Self {
        let before = before.map(Arc::new);
        Self { changes: Changes::since(before.as_deref()), labels, before, ..Self::default() }
    }

    /// Counts a row.
    pub(super) fn add(&mut self, catalog: &Catalog, joined: &Joined, line: &ResultLine) {
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
        let now = Standing::of(line.status, line.retryable, line.cover);
        let before = self.before.as_ref().map_or(Standing::New, |before| before.of(joined.row.number));
        let name = || RowName::of(catalog, &self.labels, &joined.row);
        if !line.is_duplicate() {
            self.changes.add((before, now), joined, name);
        }
        if line.is_small && !line.is_duplicate() {
            self.small.add(name);
        }
        if !matches!(now, Standing::Covered | Standing::Ignored) {
            let is_full = self.causes.len() >= MOST_CAUSES;
            // What is wrong with a row itself is said in words alone.
            let words = if line.status == Status::Invalid && !is_full { line.message() } else { "" };
            let key = (now.remedy(), line.status, line.reason, words.to_owned());
            let cause = self.causes.entry(key).or_insert_with(|| Cause::new(line.status, line.reason, now.remedy()));
            let code = joined.record.as_ref().and_then(|record| record.answer.code);
            cause.add(now > before, (code, line.what_was_said()), name);
        }
    }

    /// Rows with this status.
    #[must_use]
    pub fn with(&self, status: Status) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Rows that were sent and failed, in this run or before.
    #[must_use]
    pub fn failed(&self) -> u64 {
        [Status::Failed, Status::GenerationFailed, Status::GaveUp].into_iter().map(|status| self.with(status)).sum()
    }

    /// Why rows are not settled, most rows first; of as many, those that come first.
    #[must_use]
    pub fn causes(&self) -> Vec<&Cause> {
        let mut causes: Vec<&Cause> = self.causes.values().collect();
        causes.sort_by_key(|cause| (Reverse(cause.all.rows), cause.all.first.first().and_then(|name| name.line)));
        causes
    }

    /// Rows that have not come as far as is wanted, and who sees to them.
    #[must_use]
    pub fn left_to(&self, remedy: Remedy) -> u64 {
        self.causes.values().filter(|cause| cause.remedy == remedy).map(|cause| cause.all.rows).sum()
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

/// Rows that are not settled for one and the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What became of them.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// Who sees to them.
    pub remedy: Remedy,
    /// All of them.
    pub all: NamedRows,
    /// Those of them that were better off before.
    pub news: NamedRows,
    /// What was said of them: the service's code, the words, and of how many rows.
    said: Vec<(Option<i64>, String, u64)>,
}

impl Cause {
    /// No rows yet.
    #[must_use]
    pub fn new(status: Status, reason: Option<Reason>, remedy: Remedy) -> Self {
        Self { status, reason, remedy, all: NamedRows::default(), news: NamedRows::default(), said: Vec::new() }
    }

    /// Counts a row of which this was said.
    pub fn add(&mut self, is_news: bool, (code, words): (Option<i64>, &str), name: impl Fn() -> RowName) {
        self.all.add(&name);
        if is_news {
            self.news.add(name);
        }
        let known = self.said.iter_mut().find(|(known, said, _)| *known == code && said == words);
        if let Some((_, _, rows)) = known {
            *rows += 1;
        } else if self.said.len() < MOST_SAYINGS {
            self.said.push((code, words.to_owned(), 1));
        }
    }

    /// The service's code and the words that were said of most rows, those aside of which nothing was said.
    #[must_use]
    pub fn commonest(&self) -> (Option<i64>, &str) {
        let weight = |(_, words, rows): &&(Option<i64>, String, u64)| (!words.is_empty(), *rows);
        // Of several that are as frequent, the first.
        let most = self.said.iter().rev().max_by_key(weight);
        most.map_or((None, ""), |(code, words, _)| (*code, words))
    }

    /// The same code, unless it is that of a success.
    #[must_use]
    pub fn failure_code(&self) -> Option<i64> {
        self.commonest().0.filter(|code| *code != SUCCESS)
    }
}

/// `failed: not_found (code 404)`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        // `generation_failed` is the word for both.
        if let Some(reason) = self.reason.filter(|reason| reason.word() != self.status.word()) {
            write!(f, ": {reason}")?;
        }
        self.failure_code().map_or(Ok(()), |code| write!(f, " (code {code})"))
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (code, words) = self.commonest();
        let mut fields = serializer.serialize_struct("Cause", 8)?;
        fields.serialize_field("status", &self.status)?;
        fields.serialize_field("reason", &self.reason)?;
        fields.serialize_field("code", &code)?;
        fields.serialize_field("message", words)?;
        fields.serialize_field("mends_by_itself", &(self.remedy == Remedy::NextRun))?;
        fields.serialize_field("rows", &self.all.rows)?;
        fields.serialize_field("new_rows", &self.news.rows)?;
        fields.serialize_field("first", &self.all.first)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_success_is_no_cause() {
        let mut cause = Cause::new(Status::GenerationFailed, Some(Reason::GenerationFailed), Remedy::NextRun);
        cause.add(true, (Some(200), "no"), || RowName { line: Some(2), id: None, labels: Vec::new() });
        assert_eq!(cause.to_string(), "generation_failed");
    }

    #[test]
    fn the_code_and_the_words_of_most_rows_speak_for_all() {
        let mut cause = Cause::new(Status::GaveUp, Some(Reason::ServerError), Remedy::NextRun);
        let name = || RowName { line: Some(2), id: None, labels: Vec::new() };
        for (code, words) in [(501, "no"), (500, "rare"), (500, "often"), (500, "often"), (501, "no")] {
            cause.add(words == "no", (Some(code), words), name);
        }
        assert_eq!(cause.to_string(), "gave_up: server_error (code 501)");
        assert_eq!(cause.commonest(), (Some(501), "no"), "the first of those that are as frequent");
        assert_eq!((cause.all.rows, cause.news.rows), (5, 2));
        cause.add(false, (Some(500), "often"), name);
        (0..9).for_each(|_| cause.add(false, (None, ""), name));
        for other in 0..1000 {
            cause.add(false, (Some(other), "of one row"), name);
        }
        assert_eq!((cause.commonest(), cause.all.rows, cause.said.len()), ((Some(500), "often"), 1015, MOST_SAYINGS));
    }
}
