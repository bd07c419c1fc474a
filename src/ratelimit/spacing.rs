//! How far apart requests are within a window: governor's GCRA. The only home of that crate.
//!
//! GCRA with period T and burst B admits at most `B + ceil(L/T) - 1` in any half-open window of length L, so for N in
//! W it takes `T = (W + slack) / (N - B + 1)`, rounded up. The natural settings break the limit: N per W with burst N
//! lets 2N - 1 through (governor issue 219).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware};
use tokio::time::Instant;

use super::aimd::LEAST;
use super::{later, slack};
use crate::domain::Rate;

/// Timers are no finer than this, so at high rates so much of the rate may go at once.
const TIMER_GRAIN: Duration = Duration::from_millis(10);

/// Even spacing at a share of a rate.
#[derive(Debug)]
pub(super) struct Spacing {
    rate: Rate,
    share: f64,
    origin: Instant,
    now: Dial,
    arrival: Arrival,
    limiter: Limiter,
}

type Limiter = RateLimiter<NotKeyed, Arrival, Dial, NoOpMiddleware<Nanos>>;

/// Leave for one request, by what it changed: given back if nobody has passed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    before: u64,
    after: u64,
}

/// A clock that shows what it is set to, so that the time is an argument like any other.
#[derive(Debug, Clone, Default)]
struct Dial(Arc<AtomicU64>);

impl Clock for Dial {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// All that the GCRA remembers: the theoretical arrival time of the next request, in nanoseconds; zero if there is none.
#[derive(Debug, Clone, Default)]
struct Arrival(Arc<AtomicU64>);

impl Arrival {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let known = self.get();
        let (decision, next) = decide((known > 0).then(|| Nanos::new(known)))?;
        self.0.store(next.as_u64(), Ordering::Relaxed);
        Ok(decision)
    }
}

/// How long one request has to wait at `now` behind those before it, and the arrival time of the one after it. The times are
/// nanoseconds since 1970, so that several processes can share them.
pub(super) fn next_due_at(rate: Rate, share: f64, next_at: u64, now: u64) -> (Duration, u64) {
    let (dial, arrival) = (Dial::default(), Arrival::default());
    // Made at time zero: a limiter counts from when it was made.
    let limiter: Limiter = RateLimiter::new(quota(rate, share), arrival.clone(), dial.clone());
    let is_believable = next_at <= now.saturating_add(nanos(furthest(rate)));
    arrival.0.store(if is_believable { next_at } else { 0 }, Ordering::Relaxed);
    dial.0.store(now, Ordering::Relaxed);
    let wait = limiter.check().err().map_or(Duration::ZERO, |not_until| {
        let wait = not_until.wait_time_from(Nanos::new(now));
        dial.0.store(now.saturating_add(nanos(wait)), Ordering::Relaxed);
        // It is due by then.
        let _ = limiter.check();
        wait
    });
    (wait, arrival.get())
}

/// How far ahead requests can have moved the shared arrival time: by a burst at the lowest share, and by what is promised for
/// a window at most. One further ahead is of a clock that was set back since: it holds up nobody.
pub(super) fn furthest(rate: Rate) -> Duration {
    quota(rate, LEAST).replenish_interval().saturating_mul(burst(rate).get()).saturating_add(rate.period)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Spacing {
    /// The full pace of `rate`, from `now` on.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let (dial, arrival) = (Dial::default(), Arrival::default());
        let limiter = RateLimiter::new(quota(rate, 1.0), arrival.clone(), dial.clone());
        Self { rate, share: 1.0, origin: now, now: dial, arrival, limiter }
    }

    /// Lets one pass, or says when one may.
    pub(super) fn pass(&self, now: Instant) -> Result<Turn, Instant> {
        self.set(now);
        let before = self.arrival.get();
        self.limiter.check().map_err(|not_until| later(now, not_until.wait_time_from(self.now.now())))?;
        Ok(Turn { before, after: self.arrival.get() })
    }

    /// One that passed was not made.
    pub(super) fn give_back(&self, turn: Turn) {
        // If another has passed since, or the pace has changed, what is given back is lost, which is safe.
        let _ = self.arrival.0.compare_exchange(turn.after, turn.before, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Goes on at a share of the rate, without a burst if that is another one.
    pub(super) fn set_share(&mut self, share: f64, now: Instant) {
        if share.total_cmp(&self.share).is_eq() {
            return;
        }
        self.share = share;
        self.set(now);
        let quota = quota(self.rate, share);
        self.arrival = Arrival::default();
        self.limiter = RateLimiter::new(quota, self.arrival.clone(), self.now.clone());
        // A new limiter starts with its whole burst unspent.
        let _ = self.limiter.check_n(quota.burst_size());
    }

    fn set(&self, now: Instant) {
        self.now.0.store(nanos(now - self.origin), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_left_takes_as_long_as_its_spacing_but_for_the_burst() {
        for (text, submissions, expected) in
            [("20/10s", 0, 0), ("20/10s", 1, 0), ("20/10s", 101, 51_250), ("1/2s", 4, 6_150), ("10000/1s", 20, 0)]
        {
            let expected = Duration::from_millis(expected);
            assert_eq!(expected_time(rate(text), submissions), expected, "{submissions} at {text}");
        }
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

    #[test]
    fn a_change_of_the_share_brings_no_burst() {
        let start = crate::clock::Clock::start().now();
        let mut spacing = Spacing::new(rate("20/10s"), start);
        assert!(spacing.pass(start).is_ok());
        spacing.set_share(0.5, start + Duration::from_secs(7));
        let next = start + Duration::from_secs(7) + Duration::from_millis(1025);
        assert_eq!(spacing.pass(start + Duration::from_secs(7)), Err(next));
        let turn = spacing.pass(next).unwrap();
        spacing.give_back(turn);
        assert_eq!(spacing.pass(next), Ok(turn), "what was given back is there again");
    }

    #[test]
    fn shared_spacing_is_the_same_arithmetic_on_a_number_that_is_kept_elsewhere() {
        let (rate, start) = (rate("20/10s"), 1_800_000_000_000_000_000);
        let mut next_at = 0;
        let mut wait_at = |now| {
            let (wait, next) = next_due_at(rate, 1.0, next_at, now);
            next_at = next;
            wait.as_micros()
        };
        assert_eq!([start, start, start].map(&mut wait_at), [0, 512_500, 1_025_000]);
        assert_eq!([start + 1_537_500_000, start + 2_000_000_000].map(&mut wait_at), [0, 50_000]);
        // The clock was set back by an hour: nobody waits for that.
        let back = start - 3_600_000_000_000;
        assert_eq!([back, back].map(wait_at), [0, 512_500]);
    }

    proptest! {
        #[test]
        fn the_spacing_alone_admits_at_most_n_in_any_window(count in 1_u32..2_000, period_ms in 1_u64..100_000) {
            let rate = Rate { count: NonZeroU32::new(count).unwrap(), period: Duration::from_millis(period_ms) };
            let quota = quota(rate, 1.0);
            let gaps = rate.period.as_nanos().div_ceil(quota.replenish_interval().as_nanos());
            prop_assert!(u128::from(quota.burst_size().get()) + gaps - 1 <= u128::from(count));
        }
    }
}
