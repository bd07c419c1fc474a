//! The sliding window: which moments lie in the last period. Pure; the time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::Rate;

/// The moments of the last period, oldest first; one that is exactly a period old is gone.
#[derive(Debug)]
pub(super) struct Recent {
    period: Duration,
    moments: VecDeque<Duration>,
}

impl Recent {
    /// No moments yet.
    pub(super) const fn new(period: Duration) -> Self {
        Self { period, moments: VecDeque::new() }
    }

    /// How many moments lie in the period that ends `now`; `now` must not go backwards.
    pub(super) fn count(&mut self, now: Duration) -> usize {
        while self.moments.front().is_some_and(|moment| now.saturating_sub(*moment) >= self.period) {
            self.moments.pop_front();
        }
        self.moments.len()
    }

    /// Remembers `now`.
    pub(super) fn note(&mut self, now: Duration) {
        self.moments.push_back(now);
    }
}

/// A sliding-window log: admits at most `rate.count` requests in any window of `rate.period`.
///
/// Only admitted requests count: one that is refused does not prolong the wait of the next.
#[derive(Debug)]
pub(super) struct Limiter {
    most: usize,
    admitted: Recent,
}

impl Limiter {
    /// A limiter that has admitted nothing yet.
    pub(super) fn new(rate: Rate) -> Self {
        Self { most: usize::try_from(rate.count.get()).unwrap_or(usize::MAX), admitted: Recent::new(rate.period) }
    }

    /// Whether a request that arrives `now` is admitted.
    pub(super) fn admits(&mut self, now: Duration) -> bool {
        let free = self.admitted.count(now) < self.most;
        if free {
            self.admitted.note(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    fn limiter(count: u32) -> Limiter {
        Limiter::new(Rate { count: count.try_into().unwrap(), period: PERIOD })
    }

    /// The arrival times after these gaps, with whether each was admitted.
    fn run(count: u32, gaps: &[u64]) -> Vec<(Duration, bool)> {
        let mut limiter = limiter(count);
        let mut now = Duration::ZERO;
        let arrive = |gap: &u64| {
            now += Duration::from_millis(*gap);
            (now, limiter.admits(now))
        };
        gaps.iter().map(arrive).collect()
    }

    proptest! {
        #[test]
        fn a_request_is_admitted_exactly_if_the_window_before_it_has_room(
            count in 1_u32..6,
            gaps in prop::collection::vec(0_u64..600, 0..200),
        ) {
            let mut admitted: Vec<Duration> = Vec::new();
            for (now, was_admitted) in run(count, &gaps) {
                let before = admitted.iter().filter(|moment| **moment + PERIOD > now).count();
                prop_assert_eq!(was_admitted, before < count as usize);
                if was_admitted {
                    admitted.push(now);
                }
            }
            for apart in admitted.windows(count as usize + 1) {
                prop_assert!(apart[count as usize] >= apart[0] + PERIOD);
            }
        }
    }

    #[test]
    fn after_an_idle_period_the_whole_limit_is_free_again() {
        let mut limiter = limiter(20);
        for start in [Duration::ZERO, PERIOD, PERIOD * 5] {
            assert_eq!((0..25).filter(|_| limiter.admits(start)).count(), 20, "{start:?}");
        }
    }

    #[test]
    fn refused_requests_do_not_prolong_the_wait() {
        let mut limiter = limiter(1);
        assert!(limiter.admits(Duration::ZERO));
        assert!((1..1000).all(|ms| !limiter.admits(Duration::from_millis(ms))));
        assert!(limiter.admits(PERIOD));
    }
}
