//! Writing down what is about to be sent and what was answered, and sending what is written down. While the ledger is
//! busy the rest gathers, so that one transaction serves many rows.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::flight::{Answered, Departing, Landed, Pilot};
use super::submissions::MOMENT;
use super::{RunError, Runner};
use crate::api::CoverApi;
use crate::ledger::Ledger;

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// Whether there is something for the ledger, and it is not busy with what came before.
    pub(super) fn may_write(&self) -> bool {
        !self.is_writing && (!self.answered.is_empty() || self.submissions.announceable(self.room()) > 0)
    }

    /// Hands over what has gathered.
    pub(super) fn write(&mut self) {
        self.is_writing = true;
        let departing = self.submissions.announce(self.room());
        let answered = std::mem::take(&mut self.answered);
        self.flights.spawn(Arc::clone(&self.pilot).write(departing, answered));
    }

    /// Sends announced rows, as many as there are places. Those that have to wait for a moment are withdrawn, to
    /// be announced anew: the time of the announcement has to be about that of the request. So are all once the run ends.
    pub(super) fn set_out(&mut self) {
        while let Some((_, _, since)) = self.announced.front() {
            let is_over = self.pilot.stop.requested().is_some();
            let is_late = self.pilot.clock.now() - *since >= MOMENT;
            if !is_over && !is_late && self.submissions.sent() >= self.room() {
                break;
            }
            let Some((key, departing, _)) = self.announced.pop_front() else { break };
            self.submissions.sets_out();
            let pilot = Arc::clone(&self.pilot);
            if is_late || is_over {
                self.submissions.slows_down();
                self.flights.spawn(async move { pilot.withdraw(key, departing.row).await });
            } else {
                self.flights.spawn(pilot.fly(key, departing));
            }
        }
    }

    /// When the first announced row has waited for a moment.
    pub(super) fn overdue(&self) -> Option<Instant> {
        self.announced.front().map(|(_, _, since)| *since + MOMENT)
    }
}

impl<A: CoverApi, L: Ledger> Pilot<A, L> {
    /// Writes down what has gathered.
    async fn write(self: Arc<Self>, departing: Vec<Departing>, answered: Vec<Answered>) -> Result<Landed, RunError> {
        let (settlements, settled): (Vec<_>, Vec<_>) = answered.into_iter().map(Answered::in_two).unzip();
        let mut writes = JoinSet::new();
        for (key, settlement) in settlements {
            let pilot = Arc::clone(&self);
            writes.spawn(async move { pilot.ledger.settle(key, settlement).await });
        }
        writes.join_all().await.into_iter().collect::<Result<(), _>>()?;
        let mut claims = JoinSet::new();
        for departing in departing {
            let (pilot, at) = (Arc::clone(&self), self.clock.unix());
            claims.spawn(async move {
                let claim = pilot.ledger.claim(pilot.run, &departing.row.task, at).await;
                claim.map(|claim| (departing, claim))
            });
        }
        let claimed = claims.join_all().await.into_iter().collect::<Result<_, _>>()?;
        Ok(Landed::Written { settled, claimed })
    }
}
