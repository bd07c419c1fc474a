//! The one source of "now".
//!
//! Tokio's time, so that a test can pause it and live through a night in a second. Everything that needs the time of
//! day gets it from a [`Clock`]; the standard library's clocks are banned elsewhere (`clippy.toml`).

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This time moved later by `duration`, at most to the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// This time moved earlier by `duration`, at most to the beginning of time.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// How long before `later` this is; zero if it is not before.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// The time in an RFC 3339 text.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }
}

/// RFC 3339 in UTC with milliseconds, as `2026-11-22T02:10:00.000Z`.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

/// Whole milliseconds of a duration, at most `i64::MAX`.
fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Time that only moves forward, tied once to the time of day.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_at: UnixMillis,
}

impl Clock {
    /// A clock that shows the system's time of day now, and from then on runs steadily whatever happens to that.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    #[must_use]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: UnixMillis(whole_millis(since_epoch)) }
    }

    /// The moment, for measuring and waiting.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the runtime for the time")]
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time of day, for the ledger and for people.
    #[must_use]
    pub fn unix(&self) -> UnixMillis {
        self.started_at.after(self.now() - self.started)
    }

    /// Times of day as moments; one from the future, by a clock that was set back since, counts as now.
    #[must_use]
    pub fn instants(&self, times: Vec<UnixMillis>) -> Vec<Instant> {
        let (here, now) = (self.now(), self.unix());
        times.into_iter().map(|at| here.checked_sub(at.until(now)).unwrap_or(here)).collect()
    }

    /// Since this clock was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now() - self.started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_with_milliseconds_and_read_back() {
        let time = UnixMillis(1_763_777_400_007);
        assert_eq!(time.to_string(), "2025-11-22T02:10:00.007Z");
        assert_eq!(UnixMillis::from_rfc3339("2025-11-22T03:10:00.007+01:00"), Some(time));
        assert_eq!(UnixMillis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMillis::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn a_time_before_has_no_distance() {
        assert_eq!(UnixMillis(5).until(UnixMillis(7)), Duration::from_millis(2));
        assert_eq!(UnixMillis(7).until(UnixMillis(5)), Duration::ZERO);
        assert_eq!(UnixMillis(1).after(Duration::MAX), UnixMillis(i64::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_follows_the_runtime() {
        let clock = Clock::start();
        let before = clock.unix();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(before.until(clock.unix()), Duration::from_secs(3600));
    }
}
