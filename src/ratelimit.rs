//! The only place that makes a request wait: the rate limit, and the pauses that the service asks for.
//!
//! A caller [reserves](Gate::reserve) a request, says when it [departs](Reservation::depart), and
//! [reports](InFlight::report) what came of it. Four values decide whether one may be reserved, each with pure methods
//! that get the time as an argument: the `window` that no more than N requests may fall into, the `spacing` within
//! it, the `breaker` that pauses everyone while the service refuses everyone, and the `aimd` factor by which the
//! pace follows a service that allows less than configured. What several runs of an account have in common is a fifth value,
//! `shared`, which the ledger keeps.

mod aimd;
mod breaker;
mod gate;
mod shared;
mod spacing;
mod window;

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Rate, Reason};
use crate::policy::Refusal;

pub use breaker::Pause;
pub use gate::{Gate, GateView, InFlight, OutageOver, Reported, Reservation};
pub use shared::{Asking, Counted, NotYet, PauseCause, PauseChange, SharedPace};
pub use spacing::expected_time;

/// How much longer than the configured one our own window is: a fortieth of it, from 10 s on a quarter of a second, from
/// 12.5 s on a fiftieth.
///
/// The limit is kept without it. It saves the estimate for answers that are quicker than that, and forgives clocks.
#[must_use]
pub fn slack(rate: Rate) -> Duration {
    (rate.period / 40).min(Duration::from_millis(250)).max(rate.period / 50)
}

/// What came of a request, as far as it concerns the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// The service answered, whatever it said of the row: it is there, and not too busy.
    Answered,
    /// No answer came, which says nothing of the others.
    Lost,
    /// The service refused everyone.
    Refused(Refused),
}

/// How the service refused everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Whether it is there.
    pub refusal: Refusal,
    /// Why.
    pub reason: Reason,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Whether a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It may, now.
    Now,
    /// Not before a time.
    At(Instant),
    /// Not before something has changed.
    OnChange,
    /// Never: the service has refused everyone for too long.
    Never,
}

/// A time later by `wait`; one beyond all counting is a century away.
fn later(time: Instant, wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(3_155_760_000);
    time + wait.min(CENTURY)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_slack_is_a_small_part_of_any_window() {
        for (period, expected) in [(100, 2.5), (1_000, 25.0), (10_000, 250.0), (12_000, 250.0), (60_000, 1_200.0)] {
            let rate = Rate { count: NonZeroU32::MIN, period: Duration::from_millis(period) };
            assert_eq!(slack(rate), Duration::from_secs_f64(expected / 1_000.0), "{period} ms");
        }
    }

    #[tokio::test]
    async fn a_time_beyond_all_counting_is_a_century_away() {
        let now = Clock::start().now();
        assert_eq!(later(now, Duration::from_secs(3)), now + Duration::from_secs(3));
        assert_eq!(later(now, Duration::MAX), now + Duration::from_secs(3_155_760_000));
    }
}
