//! Submissions over time, counted in bins of a length that people read times in, and their plot: where bars, lines and
//! labels stand, in whole units of the drawing.

use std::time::Duration;

use super::labels::{DAY, HOUR, MINUTE, SECOND, Thousands as _};
use crate::clock::UnixMillis;
use crate::domain::words;

/// Most bins of a plot.
const MAX_BINS: i64 = 96;

/// Fewest bins, so that a run of seconds does not look like a wall.
const MIN_BINS: i64 = 12;

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

words! {
    /// What one submission came to, as far as the plot tells it apart; from the bottom of a bar to its top.
    Kind {
        /// Accepted.
        Accepted = "accepted",
        /// A cover was there.
        Existing = "existing",
        /// Sent too fast for the service.
        Throttled = "throttled",
        /// The service was not there.
        Unavailable = "unavailable",
        /// No answer, or one that settles nothing.
        Trouble = "trouble",
        /// The row was refused.
        Rejected = "rejected",
    }
}

impl Kind {
    /// In words.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Existing => "cover was there",
            Self::Throttled => "throttled",
            Self::Unavailable => "service unavailable",
            Self::Trouble => "trouble or no answer",
            Self::Rejected => "refused",
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
    fn bins(&self) -> impl ExactSizeIterator<Item = (UnixMillis, &[u64; Kind::ALL.len()])> {
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
fn round_length(span: i64, most: i64) -> i64 {
    let round = ROUND.into_iter().find(|length| span / length <= most);
    round.unwrap_or_else(|| (span / most / DAY + 1).saturating_mul(DAY))
}

/// Room above and below the bars.
const TOP: u64 = 12;
const BOTTOM: u64 = 61;
const PLOT_WIDTH: u64 = Chart::WIDTH - Chart::LEFT - 8;
const PLOT_HEIGHT: u64 = Chart::HEIGHT - TOP - BOTTOM;
/// Lowest part of a bar, so that one throttled submission among hundreds is seen.
const LEAST: u64 = 2;
/// Most labels along the time axis and up the side.
const TIME_LABELS: i64 = 8;
const COUNT_LABELS: u64 = 4;

/// A plot, ready to be drawn.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) counts: Vec<CountLabel>,
    pub(super) times: Vec<TimeLabel>,
    pub(super) legend: Vec<Legend>,
    /// What is to be seen, in a sentence.
    pub(super) summary: String,
}

/// A bin in which something was sent.
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) counts: [u64; Kind::ALL.len()],
    pub(super) parts: Vec<Part>,
}

/// The submissions of one kind in a bar.
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) y: u64,
    pub(super) height: u64,
}

/// A line across, with its number.
pub(super) struct CountLabel {
    pub(super) y: u64,
    pub(super) count: String,
}

/// A time of day on the axis, and the day where it changes.
pub(super) struct TimeLabel {
    pub(super) x: u64,
    pub(super) at: UnixMillis,
    pub(super) time: String,
    pub(super) day: Option<String>,
}

/// A kind that occurs.
pub(super) struct Legend {
    pub(super) kind: Kind,
    pub(super) total: String,
}

impl Chart {
    pub(super) const WIDTH: u64 = 960;
    pub(super) const HEIGHT: u64 = 280;
    /// Room for the numbers on the left.
    pub(super) const LEFT: u64 = 52;
    pub(super) const RIGHT: u64 = Self::LEFT + PLOT_WIDTH;
    pub(super) const FLOOR: u64 = TOP + PLOT_HEIGHT;

    /// The plot of what was sent; `None` if nothing was.
    pub(super) fn of(activity: &Activity) -> Option<Self> {
        if activity.is_empty() {
            return None;
        }
        let highest = activity.bins().map(|(_, counts)| counts.iter().sum()).max().unwrap_or(0);
        let step = round_count(highest);
        let top = highest.div_ceil(step) * step;
        let label = |count: u64| CountLabel { y: Self::FLOOR - height(count, top), count: count.thousands() };
        Some(Self {
            bars: bars(activity, top),
            counts: (0..=top / step).map(|line| line * step).map(label).collect(),
            times: times(activity),
            legend: legend(activity),
            summary: summary(activity),
        })
    }
}

impl Bar {
    /// `02:10 to 02:15: 40 accepted, 2 throttled`.
    pub(super) fn text(&self) -> String {
        let parts: Vec<String> = (Kind::ALL.iter().zip(self.counts))
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{} {}", count.thousands(), kind.label()))
            .collect();
        format!("{} to {}: {}", self.from, self.until, parts.join(", "))
    }
}

fn height(count: u64, top: u64) -> u64 {
    let scaled = u128::from(count) * u128::from(PLOT_HEIGHT) / u128::from(top.max(1));
    u64::try_from(scaled).unwrap_or(PLOT_HEIGHT)
}

fn bars(activity: &Activity, top: u64) -> Vec<Bar> {
    let bins = u64::try_from(activity.bins().len()).unwrap_or(1).max(1);
    let left_of = |place: u64| Chart::LEFT + place * PLOT_WIDTH / bins;
    let clock = if activity.bin_length().as_secs() < 60 { UnixMillis::second_of_day } else { UnixMillis::time_of_day };
    (0..)
        .zip(activity.bins())
        .filter(|(_, (_, counts))| counts.iter().any(|count| *count > 0))
        .map(|(place, (begin, counts))| Bar {
            x: left_of(place) + 1,
            width: left_of(place + 1) - left_of(place) - 2,
            from: clock(begin),
            until: clock(begin.after(activity.bin_length())),
            counts: *counts,
            parts: parts(counts, top),
        })
        .collect()
}

/// The parts of a bar, from its foot to its head.
fn parts(counts: &[u64; Kind::ALL.len()], top: u64) -> Vec<Part> {
    let mut foot = Chart::FLOOR;
    let mut parts = Vec::new();
    for (kind, count) in Kind::ALL.iter().copied().zip(counts).filter(|(_, count)| **count > 0) {
        let height = height(*count, top).max(LEAST);
        foot = foot.saturating_sub(height);
        parts.push(Part { kind, y: foot, height });
    }
    parts
}

/// The shortest of 1, 2, 5, 10, 20, 50 … that goes into `highest` at most [`COUNT_LABELS`] times.
fn round_count(highest: u64) -> u64 {
    let powers = (0..19).map(|power| 10_u64.pow(power));
    let mut steps = powers.flat_map(|power| [1, 2, 5].map(|step| power.saturating_mul(step)));
    steps.find(|step| highest.div_ceil(*step) <= COUNT_LABELS).unwrap_or(u64::MAX / 2)
}

fn times(activity: &Activity) -> Vec<TimeLabel> {
    let Some((begin, _)) = activity.bins().next() else { return Vec::new() };
    let length = i64::try_from(activity.bin_length().as_millis()).unwrap_or(i64::MAX).max(1);
    let span = length.saturating_mul(i64::try_from(activity.bins().len()).unwrap_or(i64::MAX));
    let step = round_length(span, TIME_LABELS).max(length);
    let first = begin.0.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
    let mut labels: Vec<TimeLabel> = Vec::new();
    let mut at = first;
    while at <= begin.0.saturating_add(span) && labels.len() < 20 {
        labels.push(time_label(at, begin.0, span, step, labels.is_empty()));
        at = at.saturating_add(step);
    }
    labels
}

fn time_label(at: i64, begin: i64, span: i64, step: i64, is_first: bool) -> TimeLabel {
    let part = i128::from(at.saturating_sub(begin)) * i128::from(PLOT_WIDTH) / i128::from(span.max(1));
    let time = UnixMillis(at);
    let is_new_day = is_first || at.rem_euclid(DAY) == 0;
    TimeLabel {
        x: Chart::LEFT + u64::try_from(part).unwrap_or(0),
        at: time,
        time: if step < MINUTE { time.second_of_day() } else { time.time_of_day() },
        day: is_new_day.then(|| time.day()),
    }
}

fn legend(activity: &Activity) -> Vec<Legend> {
    let occurs = Kind::ALL.iter().copied().filter(|kind| activity.total(*kind) > 0);
    occurs.map(|kind| Legend { kind, total: activity.total(kind).thousands() }).collect()
}

fn summary(activity: &Activity) -> String {
    let total: u64 = Kind::ALL.iter().map(|kind| activity.total(*kind)).sum();
    let held_up = activity.total(Kind::Throttled) + activity.total(Kind::Unavailable);
    format!(
        "{} submissions {}, {} of them throttled or met by a service that was not there.",
        total.thousands(),
        when(activity),
        held_up.thousands()
    )
}

/// `between 02:10 and 05:40 UTC on 22 Nov 2026`.
fn when(activity: &Activity) -> String {
    let (begin, end) = span(activity);
    if begin.date() == end.date() {
        return format!("between {} and {} UTC on {}", begin.time_of_day(), end.time_of_day(), end.date());
    }
    format!("between {} and {} UTC", begin.day_and_time(), end.day_and_time())
}

/// From the first bin in which something was sent to the end of the last one.
fn span(activity: &Activity) -> (UnixMillis, UnixMillis) {
    let used = || activity.bins().filter(|(_, counts)| counts.iter().any(|count| *count > 0)).map(|(begin, _)| begin);
    let begin = used().next().unwrap_or(UnixMillis(0));
    (begin, used().last().unwrap_or(begin).after(activity.bin_length()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn a_bar_says_in_words_what_it_shows() {
        let from = UnixMillis::from_rfc3339("2026-11-22T22:30:00Z").unwrap();
        let mut night = Activity::new(from, from.after(Duration::from_secs(3600 * 5)));
        for _ in 0..1000 {
            night.add(from, Kind::Accepted);
        }
        night.add(from, Kind::Throttled);
        let chart = Chart::of(&night).unwrap();
        assert_eq!(chart.bars.len(), 1);
        assert_eq!(chart.bars[0].text(), "22:30 to 22:35: 1,000 accepted, 1 throttled");
        assert_eq!(chart.bars[0].parts[1].height, LEAST, "one of a thousand is seen");
        let days: Vec<_> = chart.times.iter().filter_map(|label| label.day.as_deref()).collect();
        assert_eq!(days, ["22 Nov", "23 Nov"]);
        assert!(Chart::of(&Activity::default()).is_none());
    }

    #[test]
    fn whatever_is_counted_stays_within_the_drawing() {
        for count in [1, 3, 4, 5, 7, 99, 100, 101, 12_345, 1 << 40, u64::MAX / 8] {
            let counts = [count, 0, 1, 1, 1, 1];
            let highest: u64 = counts.iter().sum();
            let step = round_count(highest);
            assert!(highest.div_ceil(step) <= COUNT_LABELS, "{count}");
            let parts = parts(&counts, highest.div_ceil(step) * step);
            assert!(parts.iter().all(|part| part.y + part.height <= Chart::FLOOR && part.y > 0), "{count}");
        }
        for hours in [0, 1, 5, 30, 24 * 365, 24 * 365 * 40] {
            let mut activity = Activity::new(UnixMillis(0), UnixMillis(0).after(Duration::from_secs(3600 * hours)));
            activity.add(UnixMillis(i64::MAX), Kind::Rejected);
            let chart = Chart::of(&activity).unwrap();
            assert!((2..=10).contains(&chart.times.len()), "{hours} h: {}", chart.times.len());
            assert!(chart.times.iter().all(|label| (Chart::LEFT..=Chart::RIGHT).contains(&label.x)));
        }
    }
}
