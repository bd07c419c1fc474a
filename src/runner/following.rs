//! Covers that a run follows: when the next one is due, as the ledger says.
//!
//! Due times live in the ledger and not here, so memory does not grow with the covers that are waited for, and whatever
//! another process writes there, such as the hint of a callback, is seen within a [`TICK`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::{Clock, UnixMillis};
use crate::domain::Rate;
use crate::gate::Gate;
use crate::images::Store;
use crate::ledger::{FollowedBy, Follower, Lane, Ledger, LedgerError};
use crate::policy::PollPolicy;

/// How often the ledger is asked for news that others wrote.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Images that are fetched at a time.
pub(super) const FETCHES: usize = 4;

/// What a run does with covers once they are accepted.
#[derive(Debug, Clone)]
pub struct Following {
    /// Whose covers.
    pub who: Follower,
    /// Where reads wait.
    pub gate: Arc<Gate>,
    /// The pace that the gate keeps, which other processes share.
    pub pace: Rate,
    /// How long they are followed.
    pub patience: PollPolicy,
    /// Where their images go, if they are wanted on disk.
    pub images: Option<Store>,
    /// Longest time for one look.
    pub timeout: Duration,
    /// Longest time for one download.
    pub longest_fetch: Duration,
    /// Told when this process has written a hint, which is then seen at once.
    pub hinted: Arc<Notify>,
}

/// What a lease is longer than its call.
const SPARE: Duration = Duration::from_secs(5);

impl Following {
    /// How long a claim of a lane lasts if nothing comes of it.
    pub(super) fn lease(&self, lane: Lane) -> Duration {
        SPARE
            + match lane {
                Lane::Look => self.timeout,
                Lane::Fetch => self.longest_fetch,
            }
    }

    /// What rows that are submitted by the same run are marked with; nothing if nobody waits for them.
    pub(super) fn mark(&self) -> Option<FollowedBy> {
        match self.who {
            Follower::Run(run) => {
                let wait = self.patience.wait.unwrap_or(Duration::MAX);
                Some(FollowedBy { run, files: self.images.is_some(), wait })
            }
            Follower::Everyone => None,
        }
    }

    /// Whether it goes on also when nothing is left.
    pub(super) const fn is_endless(&self) -> bool {
        match self.who {
            Follower::Run(_) => false,
            Follower::Everyone => true,
        }
    }
}

/// When something is due, as far as the ledger was asked.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    look: Option<UnixMillis>,
    fetch: Option<UnixMillis>,
    asked: Option<Instant>,
}

impl Horizon {
    /// Asks the ledger, unless it was asked a moment ago and nothing has happened since.
    pub(super) async fn refresh<L: Ledger>(
        &mut self,
        ledger: &L,
        following: &Following,
        clock: Clock,
    ) -> Result<(), LedgerError> {
        if self.asked.is_some_and(|asked| clock.now() - asked < TICK) {
            return Ok(());
        }
        let (look, fetch) = ledger.next_due(following.who, clock.unix()).await?;
        let fetch = fetch.filter(|_| following.images.is_some());
        *self = Self { look, fetch, asked: Some(clock.now()) };
        Ok(())
    }

    /// Something has happened: the ledger is to be asked again.
    pub(super) const fn forget(&mut self) {
        self.asked = None;
    }

    /// A cover is due at a time, as the one who wrote that down tells.
    pub(super) fn includes(&mut self, look: UnixMillis) {
        self.look = Some(self.look.map_or(look, |before| before.min(look)));
    }

    /// What a claim said of the next one.
    pub(super) const fn set(&mut self, lane: Lane, next: Option<UnixMillis>) {
        match lane {
            Lane::Look => self.look = next,
            Lane::Fetch => self.fetch = next,
        }
    }

    /// Whether something is due in a lane.
    pub(super) fn is_due(&self, lane: Lane, now: UnixMillis) -> bool {
        let next = match lane {
            Lane::Look => self.look,
            Lane::Fetch => self.fetch,
        };
        next.is_some_and(|next| next <= now)
    }

    /// Whether nothing is left to follow.
    pub(super) const fn is_empty(&self) -> bool {
        self.look.is_none() && self.fetch.is_none()
    }

    /// How long until the ledger is worth asking again.
    pub(super) fn wait(&self, now: UnixMillis) -> Duration {
        let next = [self.look, self.fetch].into_iter().flatten().filter(|next| *next > now).min();
        next.map_or(TICK, |next| now.until(next).clamp(Duration::from_millis(1), TICK))
    }
}
