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
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware};
use tokio::time::Instant;

use super::{later, slack};
use crate::domain::Rate;

/// Timers are no finer than this, so at high rates so much of the rate may go at once.
const TIMER_GRAIN: Duration = Duration::from_millis(10);

/// Even spacing at a share of a rate.
#[derive(Debug)]
pub(super) struct Spacing {
    rate: Rate,
    origin: Instant,
    now: Dial,
    limiter: RateLimiter<NotKeyed, InMemoryState, Dial, NoOpMiddleware<Nanos>>,
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

impl Spacing {
    /// The full pace of `rate`, from `now` on.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let dial = Dial::default();
        let limiter = RateLimiter::direct_with_clock(quota(rate, 1.0), dial.clone());
        Self { rate, origin: now, now: dial, limiter }
    }

    /// Lets one pass, or says when one may.
    pub(super) fn pass(&self, now: Instant) -> Result<(), Instant> {
        self.set(now);
        self.limiter.check().map_err(|not_until| later(now, not_until.wait_time_from(self.now.now())))
    }

    /// Goes on at another share of the rate, without a burst at the change.
    pub(super) fn set_share(&mut self, share: f64, now: Instant) {
        self.set(now);
        let quota = quota(self.rate, share);
        self.limiter = RateLimiter::direct_with_clock(quota, self.now.clone());
        // A new limiter starts with its whole burst unspent.
        let _ = self.limiter.check_n(quota.burst_size());
    }

    fn set(&self, now: Instant) {
        let nanos = u64::try_from((now - self.origin).as_nanos()).unwrap_or(u64::MAX);
        self.now.0.store(nanos, Ordering::Relaxed);
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
        assert_eq!(spacing.pass(start), Ok(()));
        spacing.set_share(0.5, start + Duration::from_secs(7));
        let next = start + Duration::from_secs(7) + Duration::from_millis(1025);
        assert_eq!(spacing.pass(start + Duration::from_secs(7)), Err(next));
        assert_eq!(spacing.pass(next), Ok(()));
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
