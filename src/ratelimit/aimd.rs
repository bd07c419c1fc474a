//! The share of the configured rate that is used: it falls by a factor and rises by a step, as TCP's does.
//!
//! So a service that allows less than configured is found out and followed with few wasted requests.

use std::time::Duration;

use tokio::time::Instant;

/// What is left of the share after a throttle. Found, with [`INCREASE`], by the simulation in `tests/pace.rs`: a larger
/// step down wastes throughput, a larger step up wastes requests.
const DECREASE: f64 = 0.9;

/// What a window without a throttle adds to the share.
const INCREASE: f64 = 0.01;

/// The smallest share.
pub(super) const LEAST: f64 = 0.01;

/// A share of the configured rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateShare {
    share: f64,
    /// When it was last changed, or a pause ended.
    since: Instant,
}

impl RateShare {
    /// The whole rate.
    pub(super) const fn whole(now: Instant) -> Self {
        Self { share: 1.0, since: now }
    }

    pub(super) const fn get(self) -> f64 {
        self.share
    }

    /// Less, after a throttle.
    pub(super) const fn decrease(&mut self, now: Instant) {
        *self = Self { share: (self.share * DECREASE).max(LEAST), since: now };
    }

    /// A little more after each `window` without a throttle; whether it changed.
    pub(super) fn increase_after(&mut self, window: Duration, now: Instant) -> bool {
        let is_due = self.share < 1.0 && now - self.since >= window;
        if is_due {
            *self = Self { share: (self.share + INCREASE).min(1.0), since: now };
        }
        is_due
    }

    /// A clean window begins only now.
    pub(super) const fn begin_window(&mut self, now: Instant) {
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_share_falls_at_once_and_rises_with_each_clean_window() {
        let window = Duration::from_secs(10);
        let start = Clock::start().now();
        let mut share = RateShare::whole(start);
        assert!(!share.increase_after(window, start + 2 * window), "there is no more than the whole");
        share.decrease(start);
        share.decrease(start);
        assert!((share.get() - 0.81).abs() < 1e-9);
        assert!(!share.increase_after(window, start + window / 2));
        assert!(share.increase_after(window, start + window));
        assert!((share.get() - 0.82).abs() < 1e-9);
        share.begin_window(start + 2 * window);
        assert!(!share.increase_after(window, start + 2 * window));
        for _ in 0..100 {
            share.decrease(start);
        }
        assert!((share.get() - LEAST).abs() < 1e-9);
    }
}
