//! How many connections there are, and who goes when one more comes.
//!
//! Waiting costs an attacker nothing, so a limit alone would let the silent lock out everyone else. Here the oldest
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
    Silent,
    /// Its request is coming in.
    Talking,
    /// Its request is whole, and it waits for us.
    Waiting,
}

/// A fixed number of places for connections.
#[derive(Debug)]
pub(super) struct Seats {
    capacity: usize,
    free: Arc<Semaphore>,
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    next: u64,
    /// Who has not been asked to leave, oldest first.
    seated: BTreeMap<u64, Seated>,
    most: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Seated {
    phase: Phase,
    leave: CancellationToken,
}

/// One connection's place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    leave: CancellationToken,
    seats: Arc<Seats>,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, free: Arc::new(Semaphore::new(capacity)), room: Mutex::default() })
    }

    /// A place, for which another connection may have to leave first.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        let permit = self.permit().await;
        let leave = CancellationToken::new();
        let taken = self.taken();
        let mut room = self.room();
        let number = room.next;
        room.next += 1;
        room.most = room.most.max(taken);
        room.seated.insert(number, Seated { phase: Phase::Silent, leave: leave.clone() });
        drop(room);
        Seat { number, leave, seats: Arc::clone(self), _permit: permit }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            self.make_room();
            let permit = timeout(LOOK_AGAIN, Arc::clone(&self.free).acquire_owned()).await;
            if let Ok(permit) = permit {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    /// Asks one connection to leave unless there is a place, or someone who is on the way out.
    fn make_room(&self) {
        let is_full = self.room().seated.len() >= self.capacity;
        if is_full {
            self.drop_oldest();
        }
    }

    /// Ends the oldest connection that keeps us waiting, if there is one.
    pub(super) fn drop_oldest(&self) {
        let mut room = self.room();
        let oldest = room.seated.iter().find(|(_, seated)| seated.phase != Phase::Waiting).map(|(number, _)| *number);
        if let Some(seated) = oldest.and_then(|number| room.seated.remove(&number)) {
            seated.leave.cancel();
            room.dropped += 1;
        }
    }

    /// Ends all connections, whatever they are doing.
    pub(super) fn drop_all(&self) {
        for (_, seated) in std::mem::take(&mut self.room().seated) {
            seated.leave.cancel();
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
        self.room().most
    }

    /// Connections that had to leave for others.
    pub(super) fn dropped(&self) -> u64 {
        self.room().dropped
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Says what the connection is doing from now on; `false` if it has been asked to leave.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        self.seats.room().seated.get_mut(&self.number).map(|seated| seated.phase = phase).is_some()
    }

    /// Whether the connection has begun no request that is still open.
    pub(super) fn is_silent(&self) -> bool {
        self.seats.room().seated.get(&self.number).is_none_or(|seated| seated.phase == Phase::Silent)
    }

    /// Returns when the connection has to end at once.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.room().seated.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_keeps_us_waiting_leaves_for_the_next() {
        let seats = Seats::new(3);
        let (first, second, third) = (seats.take().await, seats.take().await, seats.take().await);
        assert!(first.enter(Phase::Waiting) && second.enter(Phase::Talking));
        let next = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take().await }
        });
        timeout(LOOK_AGAIN * 10, second.asked_to_leave()).await.expect("the oldest that does not wait for us");
        assert!(!second.enter(Phase::Waiting), "who was asked to leave is not served any more");
        assert_eq!((seats.taken(), seats.dropped()), (3, 1));
        drop(second);
        let next = next.await.unwrap();
        assert_eq!((seats.taken(), seats.most(), seats.dropped()), (3, 3, 1));
        assert!(first.enter(Phase::Silent) && third.enter(Phase::Silent) && next.is_silent());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_slow_to_leave_costs_nobody_else_the_place() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().await, seats.take().await);
        assert!(timeout(LOOK_AGAIN * 10, seats.take()).await.is_err());
        assert_eq!(seats.dropped(), 1);
        assert!(second.enter(Phase::Silent));
        drop(first);
        seats.take().await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_wait_for_us_the_next_waits_too() {
        let seats = Seats::new(1);
        let only = seats.take().await;
        assert!(only.enter(Phase::Waiting));
        assert!(timeout(LOOK_AGAIN * 10, seats.take()).await.is_err());
        assert_eq!(seats.dropped(), 0);
        assert!(only.enter(Phase::Silent));
        let leaves = async {
            only.asked_to_leave().await;
            drop(only);
        };
        let both = timeout(LOOK_AGAIN * 10, async { tokio::join!(seats.take(), leaves) }).await;
        let (_next, ()) = both.expect("it leaves when it does not wait for us any more");
        seats.all_gone_after_drop().await;
    }

    impl Seats {
        async fn all_gone_after_drop(&self) {
            assert!(timeout(LOOK_AGAIN, self.all_gone()).await.is_err(), "one is still here");
            self.drop_all();
            assert_eq!(self.dropped(), 1, "an end for all is no giving way");
        }
    }
}
