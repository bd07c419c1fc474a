//! What the ledger is to be told: rows that are about to be sent, and answers. While it writes some of it down the rest
//! gathers, so that one transaction serves many rows.

use std::sync::Arc;

use super::flight::{Answered, Departing, Landed, Pilot};
use super::submissions::MOMENT;
use super::{RunError, Runner};
use crate::api::CoverApi;
use crate::ledger::Ledger;

/// What is not handed to the ledger yet.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Rows that are to be announced, and sent when that is done.
    pub(super) departing: Vec<Departing>,
    /// Answers to be written down.
    pub(super) answered: Vec<Answered>,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// Whether there is something for the ledger, and it is not busy with what came before.
    pub(super) fn may_write(&self) -> bool {
        !self.is_writing && (!self.entries.answered.is_empty() || self.submissions.announceable(self.room()) > 0)
    }

    /// Hands over what has gathered.
    pub(super) fn write(&mut self) {
        self.is_writing = true;
        let count = self.submissions.announceable(self.room());
        self.submissions.announce(count);
        let entries = Entries {
            departing: self.entries.departing.drain(..count).collect(),
            answered: std::mem::take(&mut self.entries.answered),
        };
        self.flights.spawn(Arc::clone(&self.pilot).write(entries));
    }

    /// Sends announced rows, as many as there are places. One that had to wait for longer than a moment is announced anew,
    /// so that the time of its announcement is that of its request; so is every one once the run ends.
    pub(super) fn set_out(&mut self) {
        while (self.submissions.sent() < self.room() || self.pilot.stop.requested().is_some())
            && let Some((key, departing, since)) = self.announced.pop_front()
        {
            self.submissions.sets_out();
            let pilot = Arc::clone(&self.pilot);
            if pilot.clock.now() - since <= MOMENT {
                self.flights.spawn(pilot.fly(key, departing));
            } else {
                self.flights.spawn(async move { pilot.withdraw(key, departing.row).await });
            }
        }
    }

    /// Rows that are not announced yet stay as they are.
    pub(super) fn stay(&mut self) {
        self.entries.departing.clear();
        self.submissions.stay();
    }
}

impl<A: CoverApi, L: Ledger> Pilot<A, L> {
    /// Writes down what has gathered.
    async fn write(self: Arc<Self>, entries: Entries) -> Result<Landed, RunError> {
        let Entries { departing, answered } = entries;
        let (settlements, settled) = answered.into_iter().map(Answered::in_two).unzip();
        let tasks = departing.iter().map(|departing| departing.row.task.clone()).collect();
        let claims = self.ledger.write(self.run, settlements, tasks, self.clock.unix()).await?;
        Ok(Landed::Written { settled, claimed: departing.into_iter().zip(claims).collect() })
    }
}
