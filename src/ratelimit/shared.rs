//! What all runs of an account share of the pace: a value that the ledger keeps, read and written in the transaction that
//! claims a row.
//!
//! Each run has a gate of its own, which knows its own requests best. What that lets pass is asked here once more, with the
//! requests and the pauses of the others, as long as there are others.

use std::time::Duration;

use super::slack;
use super::spacing::pass_shared;
use crate::clock::UnixMillis;
use crate::domain::{Rate, Reason};
use crate::policy::Refusal;

/// When to look again for what ends at no known time: the answer to a request of another run.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// When to look again whether the probe of another run was answered.
const LOOK_AT_PROBE: Duration = Duration::from_secs(1);

/// What a run asks with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asking {
    /// The rate that it keeps.
    pub rate: Rate,
    /// The share of it that it uses.
    pub share: f64,
    /// Whether it asks as a probe, after a pause.
    pub is_probe: bool,
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
    /// Nothing is sent for so long.
    Begin(PauseCause, Duration),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet {
    /// When to ask again, from when it was asked.
    pub wait: Duration,
    /// Why nobody may, if that is so.
    pub pause: Option<PauseCause>,
}

/// What all runs share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedPace {
    /// The theoretical arrival time of the next request, in nanoseconds since 1970: even spacing needs no more.
    pub next_at: u64,
    /// Why nothing is sent, and until when.
    pub pause: Option<(PauseCause, UnixMillis)>,
    /// Whether a probe is on its way.
    pub is_probing: bool,
}

impl SharedPace {
    /// Lets one request pass at `now`, which counts from then on; or says when to ask again.
    ///
    /// # Errors
    /// [`NotYet`]
    pub fn admit(&mut self, asking: Asking, counted: Counted, now: UnixMillis) -> Result<(), NotYet> {
        self.admit_after_pause(asking.is_probe, now)?;
        if counted.requests >= u64::from(asking.rate.count.get()) {
            // To the moment: who waits for longer once a window loses as much of each one.
            let reach = asking.rate.period + slack(asking.rate);
            let wait = counted.first.map_or(LOOK_AGAIN, |first| now.until(first.after(reach)));
            return Err(NotYet { wait, pause: None });
        }
        let nanos = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000_000);
        pass_shared(asking.rate, asking.share, &mut self.next_at, nanos)
            .map_err(|wait| NotYet { wait, pause: None })?;
        self.is_probing |= asking.is_probe;
        Ok(())
    }

    /// After an outage a single probe goes first, whichever run makes it.
    fn admit_after_pause(&self, is_probe: bool, now: UnixMillis) -> Result<(), NotYet> {
        let Some((cause, until)) = self.pause else { return Ok(()) };
        let not_yet = |wait| Err(NotYet { wait, pause: Some(cause) });
        match cause.refusal {
            _ if until > now => not_yet(now.until(until)),
            Refusal::Unavailable if self.is_probing => not_yet(LOOK_AT_PROBE),
            // It learns of the pause by this, and asks as a probe next.
            Refusal::Unavailable if !is_probe => not_yet(Duration::ZERO),
            Refusal::Unavailable | Refusal::Throttled => Ok(()),
        }
    }

    /// What an answer at `now` does to the pause; of two pauses the longer one counts.
    pub fn change(&mut self, change: PauseChange, now: UnixMillis) {
        match change {
            PauseChange::Keep => {}
            PauseChange::End => self.pause = None,
            PauseChange::Begin(cause, wait) => {
                let until = now.after(wait);
                if self.pause.is_none_or(|(_, known)| known < until) {
                    self.pause = Some((cause, until));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const NOTHING: Counted = Counted { requests: 0, first: None };

    fn asking(is_probe: bool) -> Asking {
        Asking { rate: "2/10s".parse().unwrap(), share: 1.0, is_probe }
    }

    fn paused(refusal: Refusal, wait: Duration) -> (SharedPace, PauseCause) {
        let cause = PauseCause { refusal, reason: Reason::Maintenance, refusals: 1 };
        let mut pace = SharedPace::default();
        pace.change(PauseChange::Begin(cause, wait), NOW);
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
            let admitted = SharedPace::default().admit(asking(false), Counted { requests, first }, NOW);
            assert_eq!(admitted.err(), wait.map(|wait| NotYet { wait, pause: None }), "{requests} {first:?}");
        }
    }

    #[test]
    fn after_an_outage_one_run_probes_and_the_others_wait_for_what_comes_of_it() {
        let (mut pace, cause) = paused(Refusal::Unavailable, 5 * SECOND);
        let not_yet = |wait| Err(NotYet { wait, pause: Some(cause) });
        let over = NOW.after(5 * SECOND);
        for is_probe in [false, true] {
            assert_eq!(pace.admit(asking(is_probe), NOTHING, NOW.after(SECOND)), not_yet(4 * SECOND));
        }
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
        assert_eq!(pace.admit(asking(false), NOTHING, NOW.after(5 * SECOND)), Ok(()));
    }

    #[test]
    fn of_two_pauses_the_longer_one_counts() {
        let (mut pace, known) = paused(Refusal::Unavailable, 5 * SECOND);
        let other = PauseCause { refusal: Refusal::Throttled, refusals: 2, ..known };
        for (change, pause) in [
            (PauseChange::Keep, (known, 5)),
            (PauseChange::Begin(other, 4 * SECOND), (known, 5)),
            (PauseChange::Begin(other, 5 * SECOND), (known, 5)),
            (PauseChange::Begin(other, 6 * SECOND), (other, 6)),
        ] {
            pace.change(change, NOW);
            assert_eq!(pace.pause, Some((pause.0, NOW.after(pause.1 * SECOND))));
        }
    }
}
