//! The words of the progress line: as many as fit, the most important ones longest.

use std::time::Duration;

use crate::domain::{Brief, Rate};
use crate::policy::Refusal;
use crate::runner::{Covers, Progress};

/// The widest bar, and the narrowest that says anything.
const BAR: (usize, usize) = (30, 10);

/// How a command stands at a moment.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) progress: Progress,
    /// Rows to send.
    pub(super) total: u64,
    /// Covers that are followed, finished ones included.
    pub(super) covers: u64,
    pub(super) elapsed: Duration,
    /// The limit of submissions, if there are any, and how many were made of late in one period.
    pub(super) pace: Option<(Rate, f64)>,
    /// Why nothing is sent, and until when by the clock.
    pub(super) paused: Option<(Refusal, String)>,
    /// How long the rest of the rows takes.
    pub(super) left: Duration,
    /// In what time the next cover is looked at.
    pub(super) next_look: Option<Duration>,
    /// How long covers have been waited for, and how long they are at most.
    pub(super) waited: Option<(Duration, Duration)>,
}

/// Words, and how soon they are left out: those of rank 0 never are.
type Part = (u8, String);

impl Moment {
    /// The line, with a bar if there is room for one.
    pub(super) fn line(&self, width: usize) -> String {
        let words = fitted(self.parts(), width);
        let room = width.saturating_sub(words.chars().count() + 3).min(BAR.0);
        if room < BAR.1 { words } else { format!("[{}] {words}", self.bar(room)) }
    }

    /// The same without a bar, however long.
    pub(super) fn words(&self) -> String {
        fitted(self.parts(), usize::MAX)
    }

    fn parts(&self) -> Vec<Part> {
        if self.waits_for_covers() { self.cover_parts() } else { self.row_parts() }
    }

    /// Whether every row is dealt with and covers are not.
    fn waits_for_covers(&self) -> bool {
        self.progress.done >= self.total && self.covers > 0
    }

    const fn covers_done(&self) -> u64 {
        let Covers { generated, failed, given_up, .. } = self.progress.covers;
        generated + failed + given_up
    }

    fn bar(&self, room: usize) -> String {
        let (done, total) =
            if self.waits_for_covers() { (self.covers_done(), self.covers) } else { (self.progress.done, self.total) };
        let cells = u64::try_from(room).unwrap_or(0);
        let full = usize::try_from((done.min(total) * cells).checked_div(total).unwrap_or(cells)).unwrap_or(room);
        "#".repeat(full) + &"-".repeat(room - full)
    }

    fn row_parts(&self) -> Vec<Part> {
        let Progress { done, failed, waiting, .. } = self.progress;
        let mut parts = vec![(0, format!("{done}/{}", self.total)), (1, clock(self.elapsed))];
        parts.extend(self.paused_parts());
        if let (Some((limit, lately)), None) = (self.pace, &self.paused) {
            parts.push((2, format!("{lately:.1} of {limit}")));
        }
        parts.extend(count(1, failed, "failed"));
        parts.extend(count(4, waiting, "retrying"));
        if self.covers > 0 {
            parts.push((3, format!("covers {}/{}", self.covers_done(), self.covers)));
        }
        if self.paused.is_none() {
            parts.push((2, format!("{} left", Brief(Duration::from_secs(self.left.as_secs())))));
        }
        parts
    }

    fn cover_parts(&self) -> Vec<Part> {
        let mut parts = vec![(0, format!("covers {}/{}", self.covers_done(), self.covers))];
        parts.extend(self.paused_parts());
        if self.paused.is_none() {
            let next = self.next_look.filter(|wait| !wait.is_zero());
            let look = next.map_or("looking".to_owned(), |wait| format!("next look in {}s", wait.as_secs().max(1)));
            parts.push((1, look));
        }
        parts.extend(self.waited.map(|(waited, most)| (2, format!("waited {} of {}", clock(waited), clock(most)))));
        parts.extend(count(3, self.progress.failed + self.progress.covers.failed, "failed"));
        parts.extend(count(4, self.progress.covers.saved, "images saved"));
        parts
    }

    fn paused_parts(&self) -> Vec<Part> {
        let Some((refusal, until)) = &self.paused else { return Vec::new() };
        let why = match refusal {
            Refusal::Throttled => "the service asks for a slower pace",
            Refusal::Unavailable => "the service is unavailable",
        };
        vec![(0, format!("paused until {until}")), (2, why.to_owned())]
    }
}

fn count(rank: u8, count: u64, what: &str) -> Option<Part> {
    (count > 0).then(|| (rank, format!("{count} {what}")))
}

/// As many of these as fit; those of the highest rank go first, of as many the last.
fn fitted(mut parts: Vec<Part>, width: usize) -> String {
    loop {
        let line = parts.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join(", ");
        if line.chars().count() <= width {
            return line;
        }
        let least = parts.iter().enumerate().filter(|(_, (rank, _))| *rank > 0).max_by_key(|(_, (rank, _))| *rank);
        match least.map(|(at, _)| at) {
            Some(at) => drop(parts.remove(at)),
            None => return line.chars().take(width).collect(),
        }
    }
}

/// `0:18`, `30:00`, `2:10:00`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const WIDTHS: [usize; 3] = [40, 80, 120];

    fn moment() -> Moment {
        let covers = Covers { generated: 6, failed: 1, saved: 12, ..Covers::default() };
        Moment {
            progress: Progress { done: 120, failed: 2, sent: 131, waiting: 3, covers, ..Progress::default() },
            total: 215,
            covers: 11,
            elapsed: Duration::from_secs(63),
            pace: Some(("20/10s".parse().unwrap(), 19.84)),
            paused: None,
            left: Duration::from_secs(48),
            next_look: Some(Duration::from_secs(41)),
            waited: Some((Duration::from_secs(18), Duration::from_secs(1800))),
        }
    }

    #[test]
    fn the_line_says_what_fits_from_40_columns_on() {
        let sending = moment();
        let done = Progress { done: 215, ..sending.progress };
        let waiting = Moment { progress: done, elapsed: Duration::from_secs(8000), ..sending.clone() };
        let pause = |refusal| Some((refusal, "02:15:10".to_owned()));
        let unavailable = Moment { paused: pause(Refusal::Unavailable), ..sending.clone() };
        let throttled = Moment { paused: pause(Refusal::Throttled), ..waiting.clone() };
        let looking = Moment { next_look: None, waited: None, ..waiting.clone() };
        let mut text = String::new();
        for moment in [sending, unavailable, waiting, throttled, looking] {
            for width in WIDTHS {
                let line = moment.line(width);
                assert!(line.chars().count() <= width, "{line}");
                writeln!(text, "{line}").unwrap();
            }
            assert!(moment.line(7).chars().count() <= 7);
        }
        insta::assert_snapshot!(text, @r"
        120/215, 1:03, 19.8 of 20/10s, 2 failed
        120/215, 1:03, 19.8 of 20/10s, 2 failed, 3 retrying, covers 7/11, 48s left
        [################--------------] 120/215, 1:03, 19.8 of 20/10s, 2 failed, 3 retrying, covers 7/11, 48s left
        120/215, 1:03, paused until 02:15:10
        120/215, 1:03, paused until 02:15:10, the service is unavailable, 2 failed
        [##########--------] 120/215, 1:03, paused until 02:15:10, the service is unavailable, 2 failed, 3 retrying, covers 7/11
        covers 7/11, next look in 41s
        covers 7/11, next look in 41s, waited 0:18 of 30:00, 3 failed, 12 images saved
        [###################-----------] covers 7/11, next look in 41s, waited 0:18 of 30:00, 3 failed, 12 images saved
        covers 7/11, paused until 02:15:10
        covers 7/11, paused until 02:15:10, the service asks for a slower pace
        covers 7/11, paused until 02:15:10, the service asks for a slower pace, waited 0:18 of 30:00, 3 failed, 12 images saved
        covers 7/11, looking, 3 failed
        [###################-----------] covers 7/11, looking, 3 failed, 12 images saved
        [###################-----------] covers 7/11, looking, 3 failed, 12 images saved
        ");
    }

    #[test]
    fn a_duration_is_told_as_a_clock_does() {
        let told = [0, 18, 60, 1800, 3599, 3600, 7810].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(told, ["0:00", "0:18", "1:00", "30:00", "59:59", "1:00:00", "2:10:10"]);
    }
}
