//! One round of the loop: takes what is due, waits for what comes first, and begins the call that it allows.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::flight::{Departing, Landed, Sequel};
use super::following::{FETCHES, Following};
use super::submissions::Room;
use super::{Row, RunError, Runner};
use crate::api::CoverApi;
use crate::domain::Ended;
use crate::gate::{Gate, OutageOver, Permit};
use crate::ledger::{Lane, Ledger, Pursuit, Step};
use crate::policy::Jitter;

/// What may be begun as soon as its gate lets it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Music,
    Cover,
}

/// Something that happened.
enum News {
    Landed(Result<Landed, RunError>),
    MaySubmit(Permit),
    MayRead(Read, Permit),
    Hint,
    /// Of the gate of reads, if it is that one.
    Outage(Option<Read>),
    /// Nothing at once: what has gathered can be written down.
    Quiet,
    Time,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// The one loop.
    pub(super) async fn go_round(&mut self) -> Result<Ended, RunError> {
        loop {
            while let Some(landed) = self.flights.try_join_next() {
                self.touch_down(landed?)?;
            }
            self.set_out();
            self.take_rows().await?;
            self.look_ahead().await?;
            let read = self.read_at_hand();
            if self.is_over(read) {
                if let Some(failure) = self.failure.take() {
                    return Err(failure.into());
                }
                return Ok(self.pilot.stop.requested().unwrap_or(Ended::Finished));
            }
            match self.news(read).await? {
                News::Landed(landed) => self.touch_down(landed)?,
                News::MaySubmit(permit) => self.submit(permit).await?,
                News::MayRead(read, permit) => self.read(read, permit).await?,
                News::Hint => self.horizon.forget(),
                // Rows can be submitted although nobody tells what became of earlier ones.
                News::Outage(Some(Read::Cover)) if !self.submissions.is_over() => self.has_left_covers = true,
                News::Outage(_) => self.pilot.stop.request(Ended::Outage),
                News::Quiet => self.write(),
                News::Time => {}
            }
        }
    }

    /// Whether covers are followed, and still are.
    fn follows(&self) -> bool {
        self.following.is_some() && !self.has_left_covers && !self.pilot.stop.ends_everything()
    }

    /// Requests that may be in flight beside looks.
    pub(super) fn room(&self) -> usize {
        self.concurrency.saturating_sub(self.looks)
    }

    fn room_of_rows(&self) -> Room {
        Room { places: self.room(), is_open: self.pilot.gate.is_open() }
    }

    /// Takes the next rows to submit, unless nothing more is to be submitted.
    async fn take_rows(&mut self) -> Result<(), RunError> {
        if self.pilot.stop.requested().is_some() {
            self.submissions.end();
            return Ok(());
        }
        let now = self.pilot.clock.now();
        self.submissions.take(now, self.room_of_rows(), self.music.is_some()).await?;
        Ok(())
    }

    /// Finds out which covers are due, and begins to fetch images, which waits for no gate.
    async fn look_ahead(&mut self) -> Result<(), RunError> {
        let Some(following) = self.following.clone().filter(|_| self.follows()) else {
            return Ok(());
        };
        let clock = self.pilot.clock;
        self.horizon.refresh(&*self.pilot.ledger, &following, clock).await?;
        let Some(store) = &following.images else { return Ok(()) };
        while self.fetches < FETCHES && self.horizon.is_due(Lane::Fetch, clock.unix()) {
            let Some(pursuit) = self.claim(&following, Lane::Fetch).await? else { continue };
            let Step::Fetch { number, url } = pursuit.step.clone() else { continue };
            let (jitter, to) = (self.jitter(), (Arc::clone(&following), store.clone()));
            self.fetches += 1;
            self.flights.spawn(Arc::clone(&self.pilot).fetch(pursuit, (number, url), to, jitter));
        }
        Ok(())
    }

    /// Claims the cover that has been due for longest.
    async fn claim(&mut self, following: &Following, lane: Lane) -> Result<Option<Pursuit>, RunError> {
        let (at, lease) = (self.pilot.clock.unix(), following.lease(lane));
        let due = self.pilot.ledger.claim_due(following.who, lane, at, lease, following.pace).await?;
        self.horizon.set(lane, due.next);
        if due.next.is_none() {
            // Another process may have moved the last cover from one lane to the other since the ledger was asked.
            self.horizon.forget();
        }
        Ok(due.pursuit)
    }

    /// What could be read as soon as the gate of reads lets it pass. Music goes first: covers can wait.
    fn read_at_hand(&self) -> Option<Read> {
        if self.pilot.stop.ends_everything() || self.submissions.sent() >= self.room() {
            return None;
        }
        let now = self.pilot.clock.unix();
        if self.submissions.to_check.is_some() && self.music_held.is_none_or(|until| until <= now) {
            return Some(Read::Music);
        }
        let has_place = self.submissions.under_way() < self.room();
        (self.follows() && has_place && self.horizon.is_due(Lane::Look, now)).then_some(Read::Cover)
    }

    /// Whether nothing is on its way and nothing is left to begin.
    fn is_over(&self, read: Option<Read>) -> bool {
        let is_left = match &self.following {
            Some(following) if self.follows() => following.is_endless() || read.is_some() || !self.horizon.is_empty(),
            Some(_) | None => read.is_some(),
        };
        self.flights.is_empty() && self.submissions.is_over() && !is_left
    }

    /// Waits until something can be done.
    async fn news(&mut self, read: Option<Read>) -> Result<News, RunError> {
        let pilot = Arc::clone(&self.pilot);
        let submit_gate = self.submissions.may_leave(self.room_of_rows()).then(|| Arc::clone(&pilot.gate));
        let read_gate = read.and_then(|read| Some((read, self.gate_of(read)?)));
        let (stop, is_stopped) = (&pilot.stop, pilot.stop.requested().is_some());
        let wake = self.wake();
        Ok(tokio::select! {
            biased;
            () = stop.wait(), if !is_stopped => News::Time,
            () = stop.wait_for_everything(), if !stop.ends_everything() => News::Time,
            permit = leave(submit_gate.as_ref()) => permit.map_or(News::Outage(None), News::MaySubmit),
            Some(landed) = self.flights.join_next(), if !self.flights.is_empty() => News::Landed(landed?),
            () = ready(()), if self.may_write() => News::Quiet,
            permit = leave(read_gate.as_ref().map(|(_, gate)| gate)) => match (permit, read) {
                (Ok(permit), Some(read)) => News::MayRead(read, permit),
                (Ok(_), None) => News::Time,
                (Err(OutageOver), read) => News::Outage(read),
            },
            () = hinted(self.following.as_deref()) => News::Hint,
            () = wait_until(wake) => News::Time,
        })
    }

    fn gate_of(&self, read: Read) -> Option<Arc<Gate>> {
        match read {
            Read::Music => self.music.clone(),
            Read::Cover => self.following.as_ref().map(|following| Arc::clone(&following.gate)),
        }
    }

    /// When to look again without other news: a row is due, its music may be checked, a cover may be due, or an announced
    /// row has waited for long enough.
    fn wake(&self) -> Option<Instant> {
        let row = self.submissions.next_due(self.room_of_rows());
        let follows = self.follows();
        let (here, now) = (self.pilot.clock.now(), self.pilot.clock.unix());
        let cover = follows.then(|| here + self.horizon.wait(now));
        let held = self.music_held.filter(|until| *until > now && self.submissions.to_check.is_some());
        let music = held.map(|until| here + now.until(until));
        [row, cover, music, self.overdue()].into_iter().flatten().min()
    }

    /// Gives a row leave to be sent, and as many others as the gate lets pass at once.
    async fn submit(&mut self, permit: Permit) -> Result<(), RunError> {
        let mut leave = Some(permit);
        while let Some(permit) = leave.take()
            && let Some(row) = self.submissions.to_submit.take()
        {
            let departing = self.departing(row, permit);
            self.submissions.depart(departing);
            self.take_rows().await?;
            let may_leave = self.submissions.may_leave(self.room_of_rows());
            leave = may_leave.then(|| self.pilot.gate.try_ready()).flatten();
        }
        Ok(())
    }

    fn departing(&mut self, row: Row, permit: Permit) -> Departing {
        let followed = self.following.as_ref().and_then(|following| following.mark());
        let longest = followed.map_or(Duration::MAX, |followed| followed.wait);
        let sequel = Sequel { usual: self.usual.time().min(longest), followed };
        Departing { row, permit, sequel, jitter: self.jitter() }
    }

    async fn read(&mut self, read: Read, permit: Permit) -> Result<(), RunError> {
        let jitter = self.jitter();
        match (read, self.following.clone()) {
            (Read::Music, _) => {
                let pace = self.music.as_ref().map(|gate| gate.rate());
                let Some(pace) = pace else { return Ok(()) };
                self.music_held = self.pilot.ledger.claim_read(self.pilot.clock.unix(), pace).await?;
                if self.music_held.is_none()
                    && let Some(row) = self.submissions.depart_to_check()
                {
                    self.flights.spawn(Arc::clone(&self.pilot).check(row, permit, jitter));
                }
            }
            (Read::Cover, Some(following)) => {
                if let Some(pursuit) = self.claim(&following, Lane::Look).await? {
                    self.looks += 1;
                    self.flights.spawn(Arc::clone(&self.pilot).look(pursuit, permit, following, jitter));
                }
            }
            (Read::Cover, None) => {}
        }
        Ok(())
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(self.dice.f64())
    }
}

/// Leave of a gate; never, if nothing waits for it.
async fn leave(gate: Option<&Arc<Gate>>) -> Result<Permit, OutageOver> {
    match gate {
        Some(gate) => gate.ready().await,
        None => pending().await,
    }
}

/// Waits until a time; for ever if there is none.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Waits for a hint that this process has written; for ever if it follows nothing.
async fn hinted(following: Option<&Following>) {
    match following {
        Some(following) => following.hinted.notified().await,
        None => pending().await,
    }
}
