//! What the operations of one ledger have in common, beside the connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::alive::Locks;
use super::server_clock::ServerClock;
use crate::clock::{Clock, UnixMillis};
use crate::ledger::keys::{AttemptKey, RunId};

/// How long after the loss of a connection, or the start of the server, nobody is believed dead: what cut this process off
/// may have cut off others. Must be longer than the longest silence of a run that is alive, once the server is back:
/// [`BETWEEN_LOOKS`], a wait between two attempts to reach the server, and an attempt.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// Between two looks whether the lock of the run is held still.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// The account, and what this process knows of it.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) account: i32,
    pub(super) locks: Locks,
    pub(super) clock: Clock,
    pub(super) server_clock: ServerClock,
    others: Mutex<Others>,
    lost_at: Mutex<Option<Instant>>,
}

/// What is known of the other runs; times are those of the server.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) run: RunId,
    /// Submissions of theirs that were in flight when this run began.
    pub(super) in_flight: Vec<AttemptKey>,
    /// How many submissions counted against the limit when they were counted last, and which was the last one then.
    pub(super) counted: Option<(u64, AttemptKey)>,
    /// How many more are announced before a checkpoint is made.
    pub(super) until_checkpoint: u64,
    pub(super) newest: RunId,
    /// Whether another run was open when it was last looked: it may have sent until it ended.
    pub(super) were_there: bool,
    pub(super) looked_at: UnixMillis,
    /// Until when requests of others may count, but for the length of a window.
    pub(super) there_until: UnixMillis,
}

impl Context {
    pub(super) fn new(account: i32, locks: Locks) -> Self {
        let (run, newest, in_flight) = (RunId(0), RunId(0), Vec::new());
        let [looked_at, there_until] = [UnixMillis(i64::MIN); 2];
        let (counted, until_checkpoint, were_there) = (None, 0, false);
        let others = Others { run, in_flight, counted, until_checkpoint, newest, were_there, looked_at, there_until };
        let clock = Clock::start();
        let server_clock = ServerClock::new(clock);
        Self { account, locks, clock, server_clock, others: Mutex::new(others), lost_at: Mutex::default() }
    }

    pub(super) fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the connection was lost.
    pub(super) fn note_loss(&self) {
        *self.lost_at() = Some(self.clock.now());
    }

    /// Whether the locks of others tell who is alive.
    pub(super) fn trusts_locks(&self) -> bool {
        self.lost_at().is_none_or(|lost| self.clock.now().duration_since(lost) > GRACE)
    }

    fn lost_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.lost_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
