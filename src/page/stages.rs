//! How many covers are in hand, of the whole catalog, and what runs out when.

use super::labels::{DAY, Expiry};
use super::row::Stage;
use crate::clock::UnixMillis;

/// Days until an end that are told apart, one more than the service keeps images; what ends later counts for the last.
const DAYS: usize = 15;

/// All rows of the catalog by how far their covers have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    now: UnixMillis,
    rows: [u64; Stage::ALL.len()],
    /// Covers that are online only, by the begun days that are left; those at 0 may be gone.
    ends: [u64; DAYS + 1],
}

/// Covers that are online only until the same day.
pub(super) struct End {
    pub(super) expiry: Expiry,
    /// The day; `None` if it is over, or later than any that is told apart.
    pub(super) until: Option<String>,
    pub(super) rows: u64,
}

impl Stages {
    /// No rows yet; what ends is measured against `now`.
    #[must_use]
    pub const fn new(now: UnixMillis) -> Self {
        Self { now, rows: [0; Stage::ALL.len()], ends: [0; DAYS + 1] }
    }

    /// Counts a row, whose images the service deletes at `end`.
    pub fn add(&mut self, stage: Stage, end: Option<UnixMillis>) {
        self.rows[stage as usize] += 1;
        if let (Stage::Online, Some(end)) = (stage, end) {
            let days = usize::try_from(Expiry::at(self.now, end).days()).unwrap_or(DAYS);
            self.ends[days.min(DAYS)] += 1;
        }
    }

    pub(super) const fn with(&self, stage: Stage) -> u64 {
        self.rows[stage as usize]
    }

    /// Rows by stage, as far as there are any.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Stage, u64)> {
        Stage::ALL.iter().map(|stage| (*stage, self.with(*stage))).filter(|(_, rows)| *rows > 0)
    }

    /// What runs out when, the first to end first.
    pub(super) fn ends(&self) -> Vec<End> {
        (0..).zip(self.ends).filter(|(_, rows)| *rows > 0).map(|(days, rows)| self.end(days, rows)).collect()
    }

    fn end(&self, days: i64, rows: u64) -> End {
        let last = UnixMillis(self.now.0.saturating_add(days * DAY - 1));
        let is_told = days > 0 && usize::try_from(days) != Ok(DAYS);
        End { expiry: Expiry::at(self.now, last), until: is_told.then(|| last.day()), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_online_only_is_counted_by_the_day_on_which_it_ends() {
        let now = UnixMillis::from_rfc3339("2026-11-27T09:00:00Z").unwrap();
        let mut stages = Stages::new(now);
        for left in [-DAY, 0, 1, DAY, DAY + 1, 14 * DAY, 400 * DAY, i64::MAX - now.0] {
            stages.add(Stage::Online, Some(UnixMillis(now.0 + left)));
        }
        stages.add(Stage::Saved, Some(UnixMillis(now.0 + DAY)));
        stages.add(Stage::Online, None);
        let ends = stages.ends().into_iter().map(|end| (end.expiry.words(), end.until, end.rows));
        let until = |day: &str| Some(day.to_owned());
        let expected = [
            ("may be gone", None, 2),
            ("last day", until("28 Nov"), 2),
            ("2 days left", until("29 Nov"), 1),
            ("14 days left", until("11 Dec"), 1),
            ("15 days left", None, 2),
        ];
        assert!(ends.eq(expected.map(|(words, until, rows)| (words.to_owned(), until, rows))));
        assert!(stages.counts().eq([(Stage::Saved, 1), (Stage::Online, 9)]));
    }
}
