//! How many connections there are, and who goes when one more comes.
//!
//! Waiting costs an attacker nothing, so a limit alone would let the idle lock out everyone else. Here the oldest
//! that keeps us waiting leaves for the newcomer; who waits for us never does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// When nobody could be asked to leave, how long until that is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing that is a request.
    Idle,
    /// Its request is coming in.
    Reading,
    /// Its request is whole, and it waits for us.
    Processing,
}

/// A fixed number of slots for connections.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    capacity: usize,
    free: Arc<Semaphore>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    next: u64,
    /// Who has not been asked to leave, oldest first.
    occupied: BTreeMap<u64, Occupant>,
    most: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Occupant {
    phase: Phase,
    leave: CancellationToken,
}

/// One connection's slot; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    leave: CancellationToken,
    limiter: Arc<ConnectionLimiter>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimiter {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, free: Arc::new(Semaphore::new(capacity)), slots: Mutex::default() })
    }

    /// A slot, for which another connection may have to leave first.
    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        let permit = self.permit().await;
        let leave = CancellationToken::new();
        let taken = self.taken();
        let mut slots = self.slots();
        let number = slots.next;
        slots.next += 1;
        slots.most = slots.most.max(taken);
        slots.occupied.insert(number, Occupant { phase: Phase::Idle, leave: leave.clone() });
        drop(slots);
        Slot { number, leave, limiter: Arc::clone(self), _permit: permit }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            // One leaves unless there is a free slot, or someone who is on the way out.
            let is_full = self.slots().occupied.len() >= self.capacity;
            if is_full {
                self.drop_oldest();
            }
            let permit = timeout(LOOK_AGAIN, Arc::clone(&self.free).acquire_owned()).await;
            if let Ok(permit) = permit {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    /// Ends the oldest connection that keeps us waiting, if there is one.
    pub(super) fn drop_oldest(&self) {
        let mut slots = self.slots();
        let oldest =
            slots.occupied.iter().find(|(_, occupant)| occupant.phase != Phase::Processing).map(|(number, _)| *number);
        if let Some(occupant) = oldest.and_then(|number| slots.occupied.remove(&number)) {
            occupant.leave.cancel();
            slots.dropped += 1;
        }
    }

    /// Ends all connections, whatever they are doing.
    pub(super) fn drop_all(&self) {
        for (_, occupant) in std::mem::take(&mut self.slots().occupied) {
            occupant.leave.cancel();
        }
    }

    /// Returns when no connection is left; to be called when no more can come.
    pub(super) async fn all_gone(&self) {
        let all = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }

    /// Connections that are open now.
    pub(super) fn taken(&self) -> usize {
        self.capacity - self.free.available_permits()
    }

    /// Most connections that were open at once.
    pub(super) fn most(&self) -> usize {
        self.slots().most
    }

    /// Connections that had to leave for others.
    pub(super) fn dropped(&self) -> u64 {
        self.slots().dropped
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Says what the connection is doing from now on; `false` if it has been asked to leave.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        self.limiter.slots().occupied.get_mut(&self.number).map(|occupant| occupant.phase = phase).is_some()
    }

    /// Whether the connection has begun no request that is still open.
    pub(super) fn is_idle(&self) -> bool {
        self.limiter.slots().occupied.get(&self.number).is_none_or(|occupant| occupant.phase == Phase::Idle)
    }

    /// Returns when the connection has to end at once.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limiter.slots().occupied.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_keeps_us_waiting_leaves_for_the_next() {
        let limiter = ConnectionLimiter::new(3);
        let (first, second, third) = (limiter.take().await, limiter.take().await, limiter.take().await);
        assert!(first.enter(Phase::Processing) && second.enter(Phase::Reading));
        let next = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.take().await }
        });
        timeout(LOOK_AGAIN * 10, second.asked_to_leave()).await.expect("the oldest that does not wait for us");
        assert!(!second.enter(Phase::Processing), "who was asked to leave is not served any more");
        assert_eq!((limiter.taken(), limiter.dropped()), (3, 1));
        drop(second);
        let next = next.await.unwrap();
        assert_eq!((limiter.taken(), limiter.most(), limiter.dropped()), (3, 3, 1));
        assert!(first.enter(Phase::Idle) && third.enter(Phase::Idle) && next.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_slow_to_leave_costs_nobody_else_the_place() {
        let limiter = ConnectionLimiter::new(2);
        let (first, second) = (limiter.take().await, limiter.take().await);
        assert!(timeout(LOOK_AGAIN * 10, limiter.take()).await.is_err());
        assert_eq!(limiter.dropped(), 1);
        assert!(second.enter(Phase::Idle));
        drop(first);
        limiter.take().await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_wait_for_us_the_next_waits_too() {
        let limiter = ConnectionLimiter::new(1);
        let only = limiter.take().await;
        assert!(only.enter(Phase::Processing));
        assert!(timeout(LOOK_AGAIN * 10, limiter.take()).await.is_err());
        assert_eq!(limiter.dropped(), 0);
        assert!(only.enter(Phase::Idle));
        let leaves = async {
            only.asked_to_leave().await;
            drop(only);
        };
        let both = timeout(LOOK_AGAIN * 10, async { tokio::join!(limiter.take(), leaves) }).await;
        let (_next, ()) = both.expect("it leaves when it does not wait for us any more");
        limiter.all_gone_after_drop().await;
    }

    impl ConnectionLimiter {
        async fn all_gone_after_drop(&self) {
            assert!(timeout(LOOK_AGAIN, self.all_gone()).await.is_err(), "one is still here");
            self.drop_all();
            assert_eq!(self.dropped(), 1, "an end for all is no giving way");
        }
    }
}
