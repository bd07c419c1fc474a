//! What all runs of an account share of the pace: a value that the ledger keeps, read and written in the transaction that
//! claims a row.
//!
//! Each run has a gate of its own, which knows its own requests best. What that lets pass is asked here once more, with the
//! requests and the pauses of the others, as long as there are others.

use std::time::Duration;

use super::aimd::RateShare;
use super::slack;
use super::spacing::{furthest, next_due_at};
use crate::clock::UnixMillis;
use crate::domain::{Rate, Reason};
use crate::policy::{GATE_BACKOFF, Refusal};

/// When to look again for what ends at no known time: the answer to a request of another run.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// When to look again whether the probe of another run was answered.
const LOOK_AT_PROBE: Duration = Duration::from_secs(1);

/// What a run asks with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asking {
    /// The rate that it keeps.
    pub rate: Rate,
    /// Whether it asks as a probe, after a pause.
    pub is_probe: bool,
    /// The time that it was promised when it asked before.
    pub promised: Option<UnixMillis>,
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseCause {
    /// Whether the service is there.
    pub refusal: Refusal,
    /// What it said.
    pub reason: Reason,
    /// Refusals in a row, each after a pause of its own.
    pub refusals: u32,
}

/// What the answer to a request does to the pause of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseChange {
    /// Nothing.
    Keep,
    /// Nothing is sent for a while.
    Begin {
        /// Why.
        cause: PauseCause,
        /// For how long.
        wait: Duration,
        /// A window of the run that was refused: each clean one lets the pace rise again.
        window: Duration,
    },
    /// The service answers again.
    End,
}

/// Requests that count against the limit, whoever made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many there are.
    pub requests: u64,
    /// From when the first of them counts; `None` if none has been answered.
    pub first: Option<UnixMillis>,
}

/// A request may not be made yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NotYet {
    /// When to ask again, from when it was asked.
    pub wait: Duration,
    /// Why nobody may, if that is so.
    pub pause: Option<PauseCause>,
    /// The share of the rate that all runs use together.
    pub share: f64,
    /// The time that is kept for it, to ask with again: runs that ask earlier, or are nearer to the ledger, do not take it.
    pub promised: Option<UnixMillis>,
}

/// What all runs share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedPace {
    /// The theoretical arrival time of the next request, in nanoseconds since 1970: even spacing needs no more.
    pub next_at: u64,
    /// Why nothing is sent, and until when.
    pub pause: Option<(PauseCause, UnixMillis)>,
    /// Whether a probe is on its way.
    pub is_probing: bool,
    /// The share of the rate that all runs use together, as it was at a time: it rises with each clean window.
    pub share: f64,
    /// When the first of these began, or begins.
    pub share_since: UnixMillis,
}

impl SharedPace {
    /// Lets one request pass at `now`, which counts from then on; or says when to ask again.
    ///
    /// # Errors
    /// [`NotYet`]
    pub fn admit(&mut self, asking: Asking, counted: Counted, now: UnixMillis) -> Result<(), NotYet> {
        let share = self.rate_share().at(since_1970(now), asking.rate.period);
        if let Some((cause, wait)) = self.paused_for(asking.is_probe, now) {
            return Err(NotYet { wait, pause: Some(cause), share, promised: None });
        }
        if counted.requests >= u64::from(asking.rate.count.get()) {
            // To the moment: who waits for longer once a window loses as much of each one.
            let reach = asking.rate.period + slack(asking.rate);
            let wait = counted.first.map_or(LOOK_AGAIN, |first| now.until(first.after(reach)));
            return Err(NotYet { wait, pause: None, share, promised: asking.promised });
        }
        let due_at = self.due_at(asking, share, now);
        if due_at > now {
            let is_kept = due_at <= now.after(asking.rate.period);
            return Err(NotYet {
                wait: now.until(due_at),
                pause: None,
                share,
                promised: Some(due_at).filter(|_| is_kept),
            });
        }
        self.is_probing |= asking.is_probe;
        Ok(())
    }

    /// Whether a pause holds anybody up: it is not over, or is one after which a probe goes first.
    #[must_use]
    pub fn is_paused(&self, now: UnixMillis) -> bool {
        self.pause.is_some_and(|(cause, until)| match cause.refusal {
            Refusal::Unavailable => true,
            Refusal::Throttled => until > now,
        })
    }

    /// From when a request may be made for the sake of even spacing: what it was promised, or else the next time that nobody
    /// was, which is promised to it unless that is further ahead than a window.
    fn due_at(&mut self, Asking { rate, promised, .. }: Asking, share: f64, now: UnixMillis) -> UnixMillis {
        // One from long ago would come together with others; one further ahead is of a clock that was set back since.
        let is_good = |promised: &UnixMillis| (now.before(rate.period)..=now.after(furthest(rate))).contains(promised);
        promised.filter(is_good).unwrap_or_else(|| {
            let (wait, next_at) = next_due_at(rate, share, self.next_at, nanos(now));
            if wait <= rate.period {
                self.next_at = next_at;
            }
            // Rounded up: who comes back by a clock of milliseconds is not too early then.
            now.after(wait + Duration::from_nanos(999_999))
        })
    }

    /// How long nobody may send, and why. After an outage a single probe goes first, whichever run makes it.
    fn paused_for(&self, is_probe: bool, now: UnixMillis) -> Option<(PauseCause, Duration)> {
        let (cause, until) = self.pause?;
        // One that ends later than any can is of a clock that was set back since: it holds up nobody.
        let wait = Some(now.until(until)).filter(|wait| *wait <= GATE_BACKOFF.cap).unwrap_or_default();
        let wait = match cause.refusal {
            _ if !wait.is_zero() => wait,
            Refusal::Unavailable if self.is_probing => LOOK_AT_PROBE,
            // It learns of the pause by this, and asks as a probe next.
            Refusal::Unavailable if !is_probe => Duration::ZERO,
            Refusal::Unavailable | Refusal::Throttled => return None,
        };
        Some((cause, wait))
    }

    /// What an answer at `now` does to the pause; of two pauses the longer one counts. What was sent before a pause and is
    /// refused during it says nothing new of the share.
    pub fn change(&mut self, change: PauseChange, now: UnixMillis) {
        match change {
            PauseChange::Keep => {}
            PauseChange::End => (self.pause, self.share_since) = (None, now),
            PauseChange::Begin { cause, wait, window } => {
                let (known, until) = (self.pause.map(|(_, until)| until), now.after(wait));
                if known.is_none_or(|known| known <= now) {
                    let times = (since_1970(now), since_1970(until));
                    self.share = self.rate_share().paused(cause.refusal, times, window).share;
                    self.share_since = until;
                }
                if known.is_none_or(|known| known < until) {
                    self.pause = Some((cause, until));
                }
            }
        }
    }

    fn rate_share(&self) -> RateShare {
        RateShare::new(self.share, since_1970(self.share_since))
    }
}

fn nanos(time: UnixMillis) -> u64 {
    u64::try_from(since_1970(time).as_nanos()).unwrap_or(u64::MAX)
}

/// The same time as a duration, which is what arithmetic is done with.
fn since_1970(time: UnixMillis) -> Duration {
    UnixMillis(0).until(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const NOTHING: Counted = Counted { requests: 0, first: None };

    fn pace() -> SharedPace {
        SharedPace { next_at: 0, pause: None, is_probing: false, share: 1.0, share_since: UnixMillis(0) }
    }

    fn throttled(wait: Duration) -> PauseChange {
        let cause = PauseCause { refusal: Refusal::Throttled, reason: Reason::RateLimited, refusals: 1 };
        PauseChange::Begin { cause, wait, window: 10 * SECOND }
    }

    fn asked(pace: &mut SharedPace, seconds: i64) -> Result<(), NotYet> {
        let asking = Asking { rate: "20/10s".parse().unwrap(), is_probe: false, promised: None };
        pace.admit(asking, NOTHING, UnixMillis(seconds * 1_000))
    }

    #[test]
    fn runs_that_are_refused_together_slow_down_once_and_clean_windows_after_the_pause_bring_the_pace_back() {
        let mut pace = pace();
        for second in [1_000, 1_001] {
            pace.change(throttled(5 * SECOND), UnixMillis(second * 1_000));
        }
        assert!((asked(&mut pace, 1_002).unwrap_err().share - 0.9).abs() < 1e-9);
        pace.change(throttled(5 * SECOND), UnixMillis(1_010_000));
        assert!((asked(&mut pace, 1_011).unwrap_err().share - 0.81).abs() < 1e-9, "another one, after the pause");
        for (second, share) in [(1_024, 0.81), (1_025, 0.82), (1_035, 0.83), (1_300, 1.0)] {
            let mut then = pace;
            assert_eq!(asked(&mut then, second), Ok(()));
            let not_yet = asked(&mut then, second).unwrap_err();
            assert!((not_yet.share - share).abs() < 1e-9, "{} at {second} s", not_yet.share);
        }
    }

    #[test]
    fn a_pause_that_a_clock_left_behind_which_was_set_back_holds_up_nobody() {
        let mut pace = pace();
        pace.change(throttled(5 * SECOND), UnixMillis(10_000_000));
        assert!(asked(&mut pace, 9_999).is_err());
        assert_eq!(asked(&mut pace, 10_000 - 3_600), Ok(()));
    }

    fn asking(is_probe: bool) -> Asking {
        Asking { rate: "2/10s".parse().unwrap(), is_probe, promised: None }
    }

    fn paused(refusal: Refusal, wait: Duration) -> (SharedPace, PauseCause) {
        let cause = PauseCause { refusal, reason: Reason::Maintenance, refusals: 1 };
        let mut pace = pace();
        pace.change(PauseChange::Begin { cause, wait, window: 10 * SECOND }, NOW);
        (pace, cause)
    }

    #[test]
    fn as_many_as_the_rate_says_count_and_the_next_waits_until_the_first_has_left_the_window() {
        let seconds_ago = |seconds| Some(NOW.before(seconds * SECOND));
        for (requests, first, wait) in [
            (1, seconds_ago(4), None),
            (2, seconds_ago(4), Some(Duration::from_millis(6_250))),
            (3, seconds_ago(10), Some(Duration::from_millis(250))),
            (2, None, Some(LOOK_AGAIN)),
        ] {
            let admitted = pace().admit(asking(false), Counted { requests, first }, NOW);
            assert_eq!(
                admitted.err(),
                wait.map(|wait| NotYet { wait, pause: None, share: 1.0, promised: None }),
                "{requests} {first:?}"
            );
        }
    }

    #[test]
    fn who_is_told_to_wait_keeps_its_time_whoever_asks_before_it() {
        let mut pace = pace();
        let in_millis = |ms| NOW.after(Duration::from_millis(ms));
        let mut ask = |promised: Option<u64>, ms| {
            let asking = Asking { promised: promised.map(in_millis), ..asking(false) };
            let asked = pace.admit(asking, NOTHING, in_millis(ms));
            asked.map_err(|not_yet| (not_yet.wait.as_millis(), not_yet.promised))
        };
        let not_yet = |wait, promised| Err((wait, Some(in_millis(promised))));
        assert_eq!(ask(None, 0), Ok(()));
        assert_eq!(ask(None, 1_000), not_yet(4_125, 5_125));
        assert_eq!(ask(None, 5_124), not_yet(5_126, 10_250), "another run is quicker");
        assert_eq!(ask(Some(5_125), 5_124), not_yet(1, 5_125), "too early, and none the worse");
        assert_eq!(ask(Some(5_125), 5_125), Ok(()));
        assert_eq!(ask(Some(10_250), 10_250), Ok(()));
        assert_eq!(ask(Some(5_125), 15_374), not_yet(1, 15_375), "one from long ago");
        assert_eq!(ask(Some(1_000_000), 15_375), not_yet(5_125, 20_500), "one of a clock that was set back since");
    }

    #[test]
    fn nothing_is_promised_for_longer_than_a_window() {
        let mut pace = pace();
        assert_eq!(asked(&mut pace, 1_000), Ok(()));
        let promised: Vec<_> = (0..30).map(|_| asked(&mut pace, 1_000).unwrap_err().promised).collect();
        assert_eq!(promised.iter().filter(|promised| promised.is_some()).count(), 19, "one each 512.5 ms");
        assert_eq!(promised.last(), Some(&None));
        assert_eq!(asked(&mut pace, 1_000).unwrap_err().wait, Duration::from_millis(10_250));
    }

    #[test]
    fn after_an_outage_one_run_probes_and_the_others_wait_for_what_comes_of_it() {
        let (mut pace, cause) = paused(Refusal::Unavailable, 5 * SECOND);
        let not_yet = |wait| Err(NotYet { wait, pause: Some(cause), share: 1.0, promised: None });
        let over = NOW.after(5 * SECOND);
        for is_probe in [false, true] {
            assert_eq!(pace.admit(asking(is_probe), NOTHING, NOW.after(SECOND)), not_yet(4 * SECOND));
        }
        assert!(pace.is_paused(over), "nobody has found out whether the service answers again");
        assert_eq!(pace.admit(asking(false), NOTHING, over), not_yet(Duration::ZERO), "it asks as a probe next");
        assert_eq!(pace.admit(asking(true), NOTHING, over), Ok(()));
        for is_probe in [false, true] {
            assert_eq!(pace.admit(asking(is_probe), NOTHING, over), not_yet(LOOK_AT_PROBE));
        }
        pace.change(PauseChange::End, over);
        assert_eq!(pace.admit(asking(false), NOTHING, over.after(10 * SECOND)), Ok(()));
    }

    #[test]
    fn after_a_throttle_everyone_goes_on() {
        let (mut pace, _) = paused(Refusal::Throttled, 5 * SECOND);
        assert!(pace.admit(asking(false), NOTHING, NOW.after(4 * SECOND)).is_err());
        assert!(pace.is_paused(NOW.after(4 * SECOND)) && !pace.is_paused(NOW.after(5 * SECOND)));
        assert_eq!(pace.admit(asking(false), NOTHING, NOW.after(5 * SECOND)), Ok(()));
    }

    #[test]
    fn of_two_pauses_the_longer_one_counts() {
        let (mut pace, known) = paused(Refusal::Unavailable, 5 * SECOND);
        let other = PauseCause { refusal: Refusal::Throttled, refusals: 2, ..known };
        let begin = |wait| PauseChange::Begin { cause: other, wait, window: 10 * SECOND };
        for (change, pause) in [
            (PauseChange::Keep, (known, 5)),
            (begin(4 * SECOND), (known, 5)),
            (begin(5 * SECOND), (known, 5)),
            (begin(6 * SECOND), (other, 6)),
        ] {
            pace.change(change, NOW);
            assert_eq!(pace.pause, Some((pause.0, NOW.after(pause.1 * SECOND))));
        }
    }
}
