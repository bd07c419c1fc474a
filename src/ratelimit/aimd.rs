//! The share of the configured rate that is used: it falls by a factor and rises by a step, as TCP's does.
//!
//! So a service that allows less than configured is found out and followed with few wasted requests. It rises with time
//! alone, so whoever keeps it writes it down only when it falls. Times count from an origin of whoever keeps it: a gate's own
//! beginning, or 1970 in a ledger.

use std::time::Duration;

use crate::policy::Refusal;

/// What is left of the share after a throttle. Found, with [`INCREASE`], by the simulation in `tests/modules/pace.rs`: a larger
/// step down wastes throughput, a larger step up wastes requests.
const DECREASE: f64 = 0.9;

/// What a window without a throttle adds to the share.
const INCREASE: f64 = 0.01;

/// The smallest share.
pub(super) const LEAST: f64 = 0.01;

/// A share of the configured rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateShare {
    /// What it was then.
    pub(super) share: f64,
    /// When the first clean window began, or begins.
    pub(super) since: Duration,
}

impl RateShare {
    /// What was read somewhere, made one that can be.
    pub(super) const fn new(share: f64, since: Duration) -> Self {
        Self { share: if share.is_nan() { LEAST } else { share.clamp(LEAST, 1.0) }, since }
    }

    /// What it is now: a little more after each `window` without a throttle.
    pub(super) fn at(self, now: Duration, window: Duration) -> f64 {
        let windows = now.saturating_sub(self.since).as_nanos() / window.as_nanos().max(1);
        (self.share + INCREASE * f64::from(u32::try_from(windows).unwrap_or(u32::MAX))).min(1.0)
    }

    /// Nobody sends until a time; after a throttle it is less from then on.
    #[must_use]
    pub(super) fn paused(self, refusal: Refusal, (now, until): (Duration, Duration), window: Duration) -> Self {
        let left = match refusal {
            Refusal::Throttled => DECREASE,
            Refusal::Unavailable => 1.0,
        };
        Self::new(self.at(now, window) * left, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_falls_at_once_and_rises_with_each_clean_window() {
        let [window, start] = [10, 1_000].map(Duration::from_secs);
        let is = |share: RateShare, windows: f64, expected: f64| {
            let share = share.at(start + window.mul_f64(windows), window);
            assert!((share - expected).abs() < 1e-9, "{share} after {windows} windows");
        };
        let throttled = |share: RateShare, at| share.paused(Refusal::Throttled, (at, at), window);
        let whole = RateShare::new(1.0, start);
        is(whole, 2.0, 1.0);
        let twice = throttled(throttled(whole, start), start);
        for (windows, expected) in [(0.0, 0.81), (0.9, 0.81), (1.0, 0.82), (2.9, 0.83), (19.0, 1.0), (1e6, 1.0)] {
            is(twice, windows, expected);
        }
        is(throttled(twice, start + window), 1.0, 0.82 * 0.9);
        let outage = twice.paused(Refusal::Unavailable, (start + window, start + 3 * window), window);
        for (windows, expected) in [(1.0, 0.82), (3.9, 0.82), (4.0, 0.83)] {
            is(outage, windows, expected);
        }
        is((0..100).fold(whole, |share, _| throttled(share, start)), 0.0, LEAST);
    }

    #[test]
    fn what_cannot_be_a_share_is_the_nearest_one_that_can() {
        for (read, expected) in [(0.5, 0.5), (-1.0, LEAST), (7.0, 1.0), (f64::NAN, LEAST)] {
            assert!((RateShare::new(read, Duration::ZERO).share - expected).abs() < 1e-9, "{read}");
        }
    }
}
