//! The clock of the server, by which the pace counts, so that the clocks of hosts need not agree.
//!
//! What a process did, it did at a time of its own clock, and it may be told to the server much later. So that time is moved
//! by as much as the two clocks are known to differ. What is on its way to the server while the clock of this process is set
//! is moved wrongly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::failure::Failure;
use crate::clock::{Clock, UnixMillis};

/// How long a difference that was measured is good for: the clock of the server may be set. When ours is, that is seen.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What the rounding of both clocks to milliseconds may come to.
const ROUNDING: i64 = 2;

/// How far the clock of the server may fall back before it was set.
const STEP: Duration = Duration::from_secs(1);

/// How far the clock of the server is ahead of that of this process.
#[derive(Debug)]
pub(super) struct ServerClock {
    clock: Clock,
    measured: Mutex<Option<Measured>>,
    was_set_back: AtomicBool,
}

/// The clock of the server beside ours.
#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    server: UnixMillis,
    /// By how many milliseconds the server was ahead.
    ahead: i64,
    /// When our clock was started, by the time of day as that was set then.
    started_at: UnixMillis,
}

impl Measured {
    /// Whether it holds still, for a clock of ours that was started at this time of day as that is set now.
    fn is_good(self, now: Instant, started_at: UnixMillis) -> bool {
        now.duration_since(self.at) < GOOD_FOR && self.started_at.0.abs_diff(started_at.0) <= ROUNDING.unsigned_abs()
    }

    /// Whether the clock of the server was set back since, if it showed `server` so much later or more.
    fn was_set_back(self, server: UnixMillis, later: Duration) -> bool {
        server.after(STEP) < self.server.after(later)
    }
}

impl ServerClock {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, measured: Mutex::new(None), was_set_back: AtomicBool::new(false) }
    }

    /// Measures again, if that is due; whether the clock of the server was set back, until it is noted that this was heeded.
    pub(super) async fn measure(&self, client: &Client) -> Result<bool, Failure> {
        let (last, started_at) = (*self.measured(), self.clock.started_at());
        if last.is_none_or(|last| !last.is_good(self.clock.now(), started_at)) {
            self.measure_since(last, started_at, client).await?;
        }
        Ok(self.was_set_back.load(Ordering::Relaxed))
    }

    async fn measure_since(
        &self,
        last: Option<Measured>,
        started_at: UnixMillis,
        client: &Client,
    ) -> Result<(), Failure> {
        let (asked_at, before) = (self.clock.now(), started_at.after(self.clock.elapsed()));
        let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let server = UnixMillis(client.query_one(sql, &[]).await?.try_get(0)?);
        let (at, after) = (self.clock.now(), started_at.after(self.clock.elapsed()));
        let ahead = least_difference(server.0, before.0 - ROUNDING, after.0 + ROUNDING);
        if last.is_some_and(|last| last.was_set_back(server, asked_at.duration_since(last.at))) {
            self.was_set_back.store(true, Ordering::Relaxed);
        }
        *self.measured() = Some(Measured { at, server, ahead, started_at });
        Ok(())
    }

    /// Notes that nothing counts from later than now any more, since the clock of the server was set back.
    pub(super) fn note_heeded(&self) {
        self.was_set_back.store(false, Ordering::Relaxed);
    }

    /// A time of this process, by the clock of the server.
    pub(super) fn of_server(&self, ours: UnixMillis) -> UnixMillis {
        UnixMillis(ours.0.saturating_add(self.ahead()))
    }

    /// A time of the server, by the clock of this process.
    pub(super) fn of_ours(&self, servers: UnixMillis) -> UnixMillis {
        UnixMillis(servers.0.saturating_sub(self.ahead()))
    }

    fn ahead(&self) -> i64 {
        self.measured().map_or(0, |measured| measured.ahead)
    }

    fn measured(&self) -> MutexGuard<'_, Option<Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least that a clock can be ahead which showed `server` at some moment between two readings of ours.
fn least_difference(server: i64, before: i64, after: i64) -> i64 {
    server - server.clamp(before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_may_agree_do_and_others_differ_by_the_least_that_explains_it() {
        for (server, expected) in [(100, 0), (110, 0), (105, 0), (99, -1), (111, 1), (3_600_110, 3_600_000)] {
            assert_eq!(least_difference(server, 100, 110), expected, "{server}");
        }
    }
    fn measured() -> Measured {
        Measured { at: Clock::start().now(), server: UnixMillis(500_000), ahead: 0, started_at: UnixMillis(40_000) }
    }

    #[test]
    fn a_difference_is_measured_again_after_a_while_and_when_the_time_of_day_was_set() {
        let measured = measured();
        let is_good =
            |millis, started_at| measured.is_good(measured.at + Duration::from_millis(millis), UnixMillis(started_at));
        assert_eq!([0, 9_999, 10_000].map(|millis| is_good(millis, 40_000)), [true, true, false]);
        let set = [39_998, 40_002, 39_997, 40_003, 3_640_000];
        assert_eq!(set.map(|started_at| is_good(0, started_at)), [true, true, false, false, false]);
    }

    #[test]
    fn a_clock_of_the_server_was_set_back_if_it_shows_a_second_less_than_it_must() {
        let measured = measured();
        for (server, was_set_back) in [(510_000, false), (509_000, false), (508_999, true), (3_600_000, false)] {
            assert_eq!(measured.was_set_back(UnixMillis(server), Duration::from_secs(10)), was_set_back, "{server}");
        }
    }
}
