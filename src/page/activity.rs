//! Submissions over time, counted in bins of a length that people read times in.

use std::time::Duration;

use crate::clock::UnixMillis;

/// Most bins of a plot.
const MAX_BINS: i64 = 96;

/// Fewest bins, so that a run of seconds does not look like a wall.
const MIN_BINS: i64 = 12;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// A day, in milliseconds.
pub(super) const DAY: i64 = 24 * HOUR;

/// Lengths of time, in milliseconds, whose multiples people know from clocks and calendars.
const ROUND: [i64; 20] = [
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
];

/// What one submission came to, as far as the plot tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Accepted.
    Accepted,
    /// A cover was there.
    Existing,
    /// Sent too fast for the service.
    Throttled,
    /// The service was not there.
    Unavailable,
    /// No answer, or one that settles nothing.
    Trouble,
    /// The row was refused.
    Rejected,
}

impl Kind {
    /// Every kind, from the bottom of a bar to its top.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Existing, Self::Throttled, Self::Unavailable, Self::Trouble, Self::Rejected];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Existing => "existing",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Trouble => "trouble",
            Self::Rejected => "rejected",
        }
    }
}

/// Submissions by time and kind; the default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    start: i64,
    length: i64,
    bins: Vec<[u64; Kind::ALL.len()]>,
}

impl Activity {
    /// No submissions yet between these times.
    #[must_use]
    pub fn new(from: UnixMillis, until: UnixMillis) -> Self {
        let span = until.0.saturating_sub(from.0).max(0);
        let length = round_length(span, MAX_BINS - 1);
        let start = from.0.div_euclid(length).saturating_mul(length);
        let count = (until.0.saturating_sub(start) / length + 1).clamp(MIN_BINS, MAX_BINS);
        Self { start, length, bins: vec![Default::default(); usize::try_from(count).unwrap_or(0)] }
    }

    /// One submission more; a time outside counts for the nearest bin.
    pub fn add(&mut self, at: UnixMillis, kind: Kind) {
        let place = at.0.saturating_sub(self.start).max(0) / self.length.max(1);
        let place = usize::try_from(place).unwrap_or(usize::MAX).min(self.bins.len().saturating_sub(1));
        if let Some(bin) = self.bins.get_mut(place) {
            bin[kind as usize] += 1;
        }
    }

    /// How long a bin is.
    #[must_use]
    pub fn bin_length(&self) -> Duration {
        Duration::from_millis(self.length.unsigned_abs())
    }

    /// The bins, each with its beginning.
    pub(super) fn bins(&self) -> impl ExactSizeIterator<Item = (UnixMillis, &[u64; Kind::ALL.len()])> {
        let start = UnixMillis(self.start);
        let length = self.bin_length();
        let mut begin = start;
        self.bins.iter().map(move |bin| {
            let this = begin;
            begin = begin.after(length);
            (this, bin)
        })
    }

    /// Submissions of a kind.
    pub(super) fn total(&self, kind: Kind) -> u64 {
        self.bins.iter().map(|bin| bin[kind as usize]).sum()
    }

    /// Whether there is nothing to plot.
    pub(super) fn is_empty(&self) -> bool {
        self.bins.iter().flatten().all(|count| *count == 0)
    }
}

/// The shortest round length that goes into `span` at most `most` times, in milliseconds.
pub(super) fn round_length(span: i64, most: i64) -> i64 {
    let round = ROUND.into_iter().find(|length| span / length <= most);
    round.unwrap_or_else(|| (span / most / DAY + 1).saturating_mul(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_is_cut_at_round_times() {
        let from = UnixMillis::from_rfc3339("2026-11-22T22:03:10Z").unwrap();
        let mut night = Activity::new(from, from.after(Duration::from_secs(3600 * 7)));
        assert_eq!(night.bin_length(), Duration::from_secs(300));
        assert_eq!(night.bins().next().unwrap().0.to_string(), "2026-11-22T22:00:00.000Z");
        night.add(UnixMillis(0), Kind::Accepted);
        night.add(UnixMillis(i64::MAX), Kind::Rejected);
        night.add(from.after(Duration::from_secs(180)), Kind::Throttled);
        assert_eq!(night.bins().next().unwrap().1, &[1, 0, 0, 0, 0, 0]);
        assert_eq!(night.bins().nth(1).unwrap().1, &[0, 0, 1, 0, 0, 0]);
        assert_eq!(night.bins().last().unwrap().1, &[0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn any_span_has_a_bounded_number_of_bins() {
        for (from, until) in [(0, 0), (0, 1), (7, 5), (i64::MIN, i64::MAX), (0, 400 * DAY), (0, 9000 * DAY)] {
            let activity = Activity::new(UnixMillis(from), UnixMillis(until));
            assert!((12..=96).contains(&activity.bins().len()), "{from} {until}");
            assert!(activity.is_empty());
        }
        let mut none = Activity::default();
        none.add(UnixMillis(5), Kind::Trouble);
        assert!(none.is_empty());
    }
}
