//! The one source of "now".
//!
//! Tokio's time, so that a test can pause it and live through a night in a second. Everything that needs the time of
//! day gets it from a [`Clock`]; the standard library's clocks are banned elsewhere (`clippy.toml`).

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
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

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whole milliseconds of a duration, at most `i64::MAX`.
fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How far the system's time of day may move before this is a step: it was set, or the machine was suspended.
const STEP: Duration = Duration::from_secs(1);

/// Time for waiting, which only moves forward, and the time of day, which moves with it from one step of the system's
/// time of day to the next.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_at: Reading,
}

impl Clock {
    /// A clock that shows the system's time of day.
    #[must_use]
    pub fn start() -> Self {
        let started_at = Reading::of_system();
        Self { started: runtime_now(), started_at }
    }

    /// The moment, for measuring and waiting.
    #[must_use]
    pub fn now(&self) -> Instant {
        runtime_now()
    }

    /// The time of day, for the ledger and for people; it follows when the system's is set.
    #[must_use]
    pub fn unix(&self) -> UnixMillis {
        // The runtime's time is what tests pause; the steps are those of the system's time, whatever the runtime's is.
        self.started_at().after(self.elapsed())
    }

    /// When it was started, by the system's time of day as that is set now.
    #[must_use]
    pub fn started_at(&self) -> UnixMillis {
        let step = self.started_at.step_until(Reading::of_system());
        UnixMillis(self.started_at.time_of_day.0.saturating_add(step))
    }

    /// Since this clock was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now() - self.started
    }
}

/// What both of the system's clocks show at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    steady: std::time::Instant,
    time_of_day: UnixMillis,
}

impl Reading {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn of_system() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { steady: std::time::Instant::now(), time_of_day: UnixMillis(whole_millis(since_epoch)) }
    }

    /// Milliseconds that the time of day was set forward until `later`, negative if back; zero below a [`STEP`], so
    /// that times which are measured are exact.
    fn step_until(self, later: Self) -> i64 {
        let expected = self.time_of_day.after(later.steady - self.steady);
        let step = later.time_of_day.0.saturating_sub(expected.0);
        if Duration::from_millis(step.unsigned_abs()) < STEP { 0 } else { step }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the runtime for the time")]
fn runtime_now() -> Instant {
    Instant::now()
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

    /// A clock as it would be had the system's time of day been set by so much since it was started.
    fn started_before_a_step(millis: i64) -> Clock {
        let mut clock = Clock::start();
        clock.started_at.time_of_day.0 -= millis;
        clock
    }

    #[test]
    fn the_time_of_day_follows_when_the_system_s_is_set() {
        for step in [3_600_000, -3_600_000] {
            let off = started_before_a_step(step).unix().0 - Clock::start().unix().0;
            assert!(off.abs() < 1_000, "off by {off} ms after a step of {step} ms");
        }
    }

    #[test]
    fn only_a_second_and_more_is_a_step() {
        let began = Reading::of_system();
        let step = |millis: i64| {
            let hours = Duration::from_secs(7200);
            let time_of_day = UnixMillis(began.time_of_day.after(hours).0 + millis);
            began.step_until(Reading { steady: began.steady + hours, time_of_day })
        };
        assert_eq!([0, 999, -999, 1_000, -1_000, 3_600_000].map(step), [0, 0, 0, 1_000, -1_000, 3_600_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_does_not_move_waiting() {
        let clock = started_before_a_step(3_600_000);
        let began = clock.now();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!((clock.now() - began, clock.elapsed()), (Duration::from_secs(60), Duration::from_secs(60)));
    }
}
