//! How far apart submissions are: the rate limit as arithmetic.
//!
//! Two things keep the promise "never more than N in any window". Governor's GCRA spaces the submissions evenly; a log
//! of the last submissions, which starts with those of earlier runs, makes the promise exact whatever came before.
//!
//! GCRA with period T and burst B admits at most `B + ceil(L/T) - 1` in any half-open window of length L, so for N in
//! W it takes `T = (W + slack) / (N - B + 1)`, rounded up. The natural settings break the limit: N per W with burst N
//! lets 2N - 1 through (governor issue 219).

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::Rate;

/// Least difference between our window and the service's: requests are not equally long on their way.
const LEAST_SLACK: Duration = Duration::from_millis(250);

/// Timers are no finer than this, so at high rates so much of the rate may go at once.
const TIMER_GRAIN: Duration = Duration::from_millis(10);

/// The slowest pace, as a share of the configured one.
const SLOWEST: f64 = 0.01;

/// How much longer than the configured one our own window is.
#[must_use]
pub fn slack(rate: Rate) -> Duration {
    LEAST_SLACK.max(rate.period / 50)
}

impl clock::Clock for Clock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.elapsed()
    }
}

/// Even spacing at a share of a rate.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    clock: Clock,
    share: f64,
    limiter: RateLimiter<NotKeyed, InMemoryState, Clock, NoOpMiddleware<Duration>>,
}

impl Pace {
    /// The full pace of `rate`.
    pub(super) fn new(rate: Rate, clock: Clock) -> Self {
        Self { rate, clock, share: 1.0, limiter: RateLimiter::direct_with_clock(quota(rate, 1.0), clock) }
    }

    /// Lets one pass, or says how long it takes until one may.
    pub(super) fn pass(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.elapsed()))
    }

    /// The present share of the configured rate.
    pub(super) const fn share(&self) -> f64 {
        self.share
    }

    /// Goes on at another share of the rate, without a burst at the change.
    pub(super) fn set_share(&mut self, share: f64) {
        let share = share.clamp(SLOWEST, 1.0);
        if (share - self.share).abs() < f64::EPSILON {
            return;
        }
        self.share = share;
        let quota = quota(self.rate, share);
        self.limiter = RateLimiter::direct_with_clock(quota, self.clock);
        // A new limiter starts with its whole burst unspent.
        let _ = self.limiter.check_n(quota.burst_size());
    }
}

/// How long so many submissions take at the full pace of `rate`, if nothing goes wrong.
#[must_use]
pub fn expected_time(rate: Rate, submissions: u32) -> Duration {
    let after_the_burst = submissions.saturating_sub(burst(rate).get());
    quota(rate, 1.0).replenish_interval().saturating_mul(after_the_burst)
}

/// The strict quota of a rate: see the module's own text for the arithmetic.
fn quota(rate: Rate, share: f64) -> Quota {
    let burst = burst(rate);
    let gaps = u128::from(rate.count.get() - burst.get()) + 1;
    let nanos = (rate.period + slack(rate)).as_nanos().div_ceil(gaps);
    let period = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).div_f64(share);
    Quota::with_period(period).map_or_else(|| Quota::per_hour(NonZeroU32::MIN), |quota| quota.allow_burst(burst))
}

/// How many may go at once: what the rate brings within the grain of a timer, at most half of a window's number.
fn burst(rate: Rate) -> NonZeroU32 {
    let grain = u128::from(rate.count.get()) * TIMER_GRAIN.as_nanos();
    let natural = u32::try_from(grain.div_ceil(rate.period.as_nanos().max(1))).unwrap_or(u32::MAX);
    NonZeroU32::new(natural.min(rate.count.get() / 2)).unwrap_or(NonZeroU32::MIN)
}

/// The last submissions, as far back as one window reaches.
#[derive(Debug)]
pub(super) struct SendLog {
    span: Duration,
    times: VecDeque<Instant>,
    most: usize,
}

impl SendLog {
    /// A log of windows of length `span`, with what is known of the time before, oldest first.
    pub(super) fn new(span: Duration, earlier: &[Instant]) -> Self {
        let mut log = Self { span, times: VecDeque::new(), most: 0 };
        for time in earlier {
            log.note(*time);
        }
        log
    }

    /// Notes one submission at `time`, not before the last one noted.
    pub(super) fn note(&mut self, time: Instant) {
        while self.times.front().is_some_and(|first| *first + self.span <= time) {
            self.times.pop_front();
        }
        self.times.push_back(time);
        self.most = self.most.max(self.times.len());
    }

    /// When the next submission leaves at most `count` in each window.
    pub(super) fn earliest(&self, count: NonZeroU32) -> Option<Instant> {
        let before = self.times.len().checked_sub(usize::try_from(count.get()).unwrap_or(usize::MAX))?;
        self.times.get(before).map(|time| *time + self.span)
    }

    /// The most submissions noted in any window.
    pub(super) const fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn the_usual_limit_sends_one_each_half_second_and_a_little() {
        assert_eq!(quota(rate("20/10s"), 1.0).replenish_interval(), Duration::from_micros(512_500));
        assert_eq!(quota(rate("20/10s"), 1.0).burst_size().get(), 1);
        assert_eq!(quota(rate("20/10s"), 0.5).replenish_interval(), Duration::from_millis(1025));
    }

    #[test]
    fn a_burst_is_what_a_timer_cannot_tell_apart() {
        let bursts = ["1/1s", "20/10s", "200/1s", "1000/1s", "10000/1s", "5/1ms"].map(|text| burst(rate(text)).get());
        assert_eq!(bursts, [1, 1, 2, 10, 100, 2]);
    }

    proptest! {
        #[test]
        fn gcra_alone_admits_at_most_n_in_any_window(count in 1_u32..2_000, period_ms in 1_u64..100_000) {
            let rate = Rate { count: NonZeroU32::new(count).unwrap(), period: Duration::from_millis(period_ms) };
            let quota = quota(rate, 1.0);
            let gaps = rate.period.as_nanos().div_ceil(quota.replenish_interval().as_nanos());
            prop_assert!(u128::from(quota.burst_size().get()) + gaps - 1 <= u128::from(count));
        }

        #[test]
        fn the_log_alone_keeps_any_window(
            count in 1_u32..30, span_ms in 1_u64..1_000, waits in prop::collection::vec(0_u64..200, 1..300),
        ) {
            let (count, span) = (NonZeroU32::new(count).unwrap(), Duration::from_millis(span_ms));
            let mut log = SendLog::new(span, &[]);
            let mut sent: Vec<Instant> = Vec::new();
            let mut now = Clock::start().now();
            for wait in waits {
                now += Duration::from_millis(wait);
                now = log.earliest(count).map_or(now, |earliest| earliest.max(now));
                log.note(now);
                sent.push(now);
            }
            let in_window = |start: Instant| sent.iter().filter(|t| **t >= start && **t < start + span).count();
            let most = sent.iter().map(|start| in_window(*start)).max().unwrap();
            prop_assert!(most <= usize::try_from(count.get()).unwrap());
            prop_assert_eq!(most, log.most());
        }
    }
}
