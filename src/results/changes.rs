//! What has changed since earlier results.

use serde::Serialize;

use super::before::Before;
use super::named::{NamedRows, RowName};
use super::standing::Standing;
use crate::clock::UnixMillis;
use crate::join::Joined;
use crate::policy::REJECTED_RUNS;

/// What has changed since earlier results; with none, everything is new. Each music task is counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// When the earlier results told of were written.
    pub since: Option<UnixMillis>,
    /// Whether there were any.
    #[serde(skip)]
    pub has_before: bool,
    /// Covers of rows that had not failed.
    pub new_covers: NamedRows,
    /// Covers of rows that had failed.
    pub mended: NamedRows,
    /// Rows that had not failed, or only for what may pass, and that somebody has to see to now.
    pub newly_failed: NamedRows,
    /// Failed rows that the next run tries for the last time.
    pub last_try: NamedRows,
    /// Failed rows that no run tries any more by itself.
    pub left_alone: NamedRows,
    /// Rows that the earlier results do not have.
    pub new_rows: NamedRows,
    /// Rows that only the earlier results have.
    pub vanished_rows: NamedRows,
}

impl Changes {
    /// Nothing yet; beside the rows that are gone.
    pub(super) fn since(before: Option<&Before>) -> Self {
        Self {
            since: before.and_then(|before| before.since),
            has_before: before.is_some(),
            vanished_rows: before.map(|before| before.vanished.clone()).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Counts what has changed of a row that stood and stands so.
    pub(super) fn add(&mut self, (before, now): (Standing, Standing), joined: &Joined, name: impl Fn() -> RowName) {
        if self.has_before && before == Standing::New {
            self.new_rows.add(&name);
        }
        if now.has_failed() && is_at_last_try(joined, now) {
            self.last_try.add(&name);
        }
        let change = match (before, now) {
            (Standing::New | Standing::Ignored | Standing::Open, Standing::Covered) => &mut self.new_covers,
            (Standing::Retried | Standing::Refused | Standing::Left, Standing::Covered) => &mut self.mended,
            (Standing::Refused, Standing::Left) => &mut self.left_alone,
            (before, now) if now.has_failed() && now > before => &mut self.newly_failed,
            (_, _) => return,
        };
        change.add(name);
    }

    /// Whether there were earlier results and all is as they say.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self { new_covers, mended, newly_failed, last_try, left_alone, new_rows, vanished_rows, .. } = self;
        let all = [new_covers, mended, newly_failed, last_try, left_alone, new_rows, vanished_rows];
        self.has_before && all.iter().all(|rows| rows.rows == 0)
    }
}

/// Whether the next run is the last that tries a row by itself.
fn is_at_last_try(joined: &Joined, now: Standing) -> bool {
    now != Standing::Left && joined.record.as_ref().is_some_and(|record| record.failed_runs + 1 == REJECTED_RUNS)
}
