//! What the ledger is to be told: rows that are about to be sent, and answers. While it writes some of it down the rest
//! gathers, so that one transaction serves many rows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

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

    /// Sends announced rows, as many as there are places. Those that have to wait for longer than a moment are withdrawn, to
    /// be announced anew: the time of the announcement has to be about that of the request. So are all once the run ends.
    pub(super) fn set_out(&mut self) {
        while let Some((_, _, since)) = self.announced.front() {
            let is_over = self.pilot.stop.requested().is_some();
            let is_late = self.pilot.clock.now() - *since > MOMENT;
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

    /// When the first announced row has waited for longer than a moment.
    pub(super) fn overdue(&self) -> Option<Instant> {
        self.announced.front().map(|(_, _, since)| *since + MOMENT + Duration::from_millis(1))
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
