//! The rows of a catalog, counted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::before::Before;
use super::cause::Cause;
use super::changes::Changes;
use super::line::{Cover, ResultLine};
use super::named::{NamedRows, RowName};
use super::standing::{Remedy, Standing};
use crate::catalog::{Catalog, Labels, Unlike};
use crate::domain::{Reason, Status};
use crate::join::Joined;

/// Causes told apart: bad rows may be bad in many ways.
const MOST_CAUSES: usize = 200;

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
