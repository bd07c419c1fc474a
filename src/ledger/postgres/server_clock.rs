//! The clock of the server, by which the pace counts, so that the clocks of hosts need not agree.
//!
//! What a process did, it did at a time of its own clock, and it may be told to the server much later. So that time is moved
//! by as much as the two clocks are known to differ.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::failure::Failure;
use crate::clock::{Clock, UnixMillis};

/// How long a difference that was measured is good for: a clock may be set.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What the rounding of both clocks to milliseconds may come to.
const ROUNDING: i64 = 2;

/// How far the clock of the server is ahead of that of this process.
#[derive(Debug)]
pub(super) struct ServerClock {
    clock: Clock,
    measured: Mutex<Option<(Instant, i64)>>,
}

impl ServerClock {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, measured: Mutex::new(None) }
    }

    /// Measures again, if that is due.
    pub(super) async fn measure(&self, client: &Client) -> Result<(), Failure> {
        let is_good = |(at, _): (Instant, i64)| self.clock.now().duration_since(at) < GOOD_FOR;
        if self.measured().is_some_and(is_good) {
            return Ok(());
        }
        let before = self.clock.unix();
        let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let server: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
        let ahead = least_difference(server, before.0 - ROUNDING, self.clock.unix().0 + ROUNDING);
        *self.measured() = Some((self.clock.now(), ahead));
        Ok(())
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
        self.measured().map_or(0, |(_, ahead)| ahead)
    }

    fn measured(&self) -> MutexGuard<'_, Option<(Instant, i64)>> {
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
}
