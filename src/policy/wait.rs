//! How long to wait: after trouble, and until the first poll of a cover.
//!
//! This is the only home of the `backoff` crate: it is no longer maintained and is used for its interval arithmetic alone,
//! because its own jitter exceeds its cap, its `retry` sleeps past any rate limit, and its default stops silently after
//! 15 minutes.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff as _;

/// Longest pause that a service may ask for with `Retry-After`.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// A random number that the caller draws: from 0 up to, not including, 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// The number `value`, brought into range.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0 - f64::EPSILON) })
    }
}

/// Exponential waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, before it is shortened.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
}

/// Row trouble: 1 s, doubling, at most 60 s.
pub const ROW_BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };

/// Requests of the whole account: 1 s, doubling, at most [`MAX_RETRY_AFTER`].
pub const GATE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: MAX_RETRY_AFTER };

impl Backoff {
    /// Wait after the `failure`-th failure in a row: `base * 2^(failure-1)`, at most `cap`, shortened by up to half.
    ///
    /// A function of its arguments alone. At least `retry_after`, as far as that is at most [`MAX_RETRY_AFTER`].
    #[must_use]
    pub fn delay(&self, failure: NonZeroU32, jitter: Jitter, retry_after: Option<Duration>) -> Duration {
        let shortened = self.full(failure).mul_f64(1.0 - jitter.0 / 2.0);
        shortened.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
    }

    /// The wait before jitter.
    fn full(&self, failure: NonZeroU32) -> Duration {
        let mut intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.base)
            .with_multiplier(2.0)
            .with_max_interval(self.cap)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        // Doubling reaches any cap long before the 64th step, so a huge number costs no more than 64.
        let steps = failure.get().min(64);
        (0..steps).map_while(|_| intervals.next_backoff()).last().unwrap_or(self.cap).min(self.cap)
    }
}

/// How long a row waits after trouble, when `failures` answers in trouble came before; `None` if that was the last of its
/// attempts.
pub(super) fn after_trouble(
    failures: u32,
    max_attempts: NonZeroU32,
    jitter: Jitter,
    retry_after: Option<Duration>,
) -> Option<Duration> {
    let failure = NonZeroU32::MIN.saturating_add(failures);
    (failure < max_attempts).then(|| ROW_BACKOFF.delay(failure, jitter, retry_after))
}

/// The usual time of generation before any cover was seen to be finished.
const AT_FIRST: Duration = Duration::from_secs(60);

/// The usual time is that within which so many of a hundred covers are finished: a poll that comes too early is made
/// again, one that comes late makes a person wait.
const FINISHED_PERCENT: usize = 80;

/// Covers that the usual time is learned from.
const LEARNED_FROM: usize = 100;

/// The first poll is never earlier than this, and never later than [`LATEST`] after acceptance.
const EARLIEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(600);

/// How long covers usually take, learned from the last ones.
#[derive(Debug, Clone, Default)]
pub struct GenerationEstimate(VecDeque<Duration>);

impl GenerationEstimate {
    /// What the last covers, latest first, tell.
    #[must_use]
    pub fn new(latest_first: impl IntoIterator<Item = Duration>) -> Self {
        Self(latest_first.into_iter().take(LEARNED_FROM).collect())
    }

    /// Learns from one more cover.
    pub fn learn(&mut self, took: Duration) {
        self.0.push_front(took);
        self.0.truncate(LEARNED_FROM);
    }

    /// How long after its acceptance a cover is polled first.
    #[must_use]
    pub fn time(&self) -> Duration {
        let mut times: Vec<Duration> = self.0.iter().copied().collect();
        times.sort_unstable();
        let rank = (times.len() * FINISHED_PERCENT).div_ceil(100).saturating_sub(1);
        times.get(rank).map_or(AT_FIRST, |time| (*time).clamp(EARLIEST, LATEST))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nth(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn an_unjittered_row_waits_1_2_4_seconds_up_to_60() {
        let waits: Vec<_> = (1..=8).map(|n| ROW_BACKOFF.delay(nth(n), Jitter::new(0.0), None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn retry_after_is_a_minimum_up_to_ten_minutes() {
        let wait = |asked| ROW_BACKOFF.delay(nth(3), Jitter::new(0.0), Some(Duration::from_secs(asked))).as_secs();
        assert_eq!([wait(0), wait(3), wait(5), wait(600), wait(86_400)], [4, 4, 5, 600, 600]);
    }

    fn u32_ms(millis: u64) -> f64 {
        u32::try_from(millis).unwrap().into()
    }

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_all_of_its_interval_and_never_over_the_cap(
            base_ms in 0_u64..100_000, cap_ms in 0_u64..1_000_000, failure in 1_u32.., random in any::<f64>(),
        ) {
            let backoff = Backoff { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms) };
            let full = backoff.delay(nth(failure), Jitter::new(0.0), None);
            let wait = backoff.delay(nth(failure), Jitter::new(random), None);
            prop_assert!(full <= backoff.cap);
            prop_assert!(wait <= full && wait + Duration::from_nanos(1) >= full / 2);
            let expected = 2_f64.powi(i32::try_from(failure.min(1_000)).unwrap() - 1) * u32_ms(base_ms);
            prop_assert!((full.as_secs_f64() * 1e3 - expected.min(u32_ms(cap_ms))).abs() < 1.0);
        }
    }

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn the_first_poll_comes_after_60_s_and_then_after_what_four_of_five_covers_took() {
        let mut estimate = GenerationEstimate::default();
        assert_eq!(estimate.time(), seconds(60));
        for took in 1..=100 {
            estimate.learn(seconds(took));
        }
        assert_eq!(estimate.time(), seconds(80));
        for _ in 0..100 {
            estimate.learn(seconds(7));
        }
        assert_eq!(estimate.time(), seconds(7));
        assert_eq!(GenerationEstimate::new([seconds(10_000)]).time(), seconds(600));
        assert_eq!(GenerationEstimate::new([Duration::ZERO]).time(), seconds(1));
        assert_eq!(GenerationEstimate::new((1..=1000).map(seconds)).time(), seconds(80));
    }
}
