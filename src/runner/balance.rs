//! The look at the balance of a run that may spend only so much: at its start, now and then, and at its end.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::RunError;
use super::poll::feedback;
use super::task::{BalanceRead, TaskContext, TaskOutput};
use crate::api::CoverApi;
use crate::clock::UnixMillis;
use crate::domain::Ended;
use crate::ledger::{Ledger, LedgerError};
use crate::policy::{Allowance, Budget, Jitter, PollFailure, Scope, found};
use crate::ratelimit::{Gate, Reservation};

/// When the balance is read, and what follows from it.
#[derive(Debug)]
pub(super) struct BalanceChecks {
    pub(super) gate: Arc<Gate>,
    pub(super) budget: Budget,
    /// Reads of which nothing came, one after the other, and those of them that were about nothing else.
    failures: u32,
    troubles: u32,
    /// Until when it is not read: other processes have used up the pace of reads, or the last read went wrong.
    held_until: Option<UnixMillis>,
    /// Whether a read is on its way.
    is_reading: bool,
    /// Whether the last read of all was made, or cannot be.
    is_over: bool,
}

impl BalanceChecks {
    pub(super) const fn new(gate: Arc<Gate>, budget: Budget) -> Self {
        Self { gate, budget, failures: 0, troubles: 0, held_until: None, is_reading: false, is_over: false }
    }

    /// Whether the balance is to be read now; `is_last` if nothing more is sent. What it is in the end is good to know
    /// and not worth waiting for.
    pub(super) fn is_due(&self, is_last: bool) -> bool {
        if self.is_reading || self.is_over {
            return false;
        }
        if is_last {
            self.budget.is_read_again_at_the_end() && self.failures == 0 && !self.gate.is_paused()
        } else {
            self.budget.allowance() == Allowance::Balance
        }
    }

    /// Until when the balance is not read, if something holds it up.
    pub(super) fn held_until(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.held_until.filter(|until| *until > now)
    }

    /// Counts a read that is about to be made; whether it may be.
    pub(super) async fn claim<L: Ledger>(&mut self, ledger: &L, at: UnixMillis) -> Result<bool, LedgerError> {
        self.held_until = ledger.claim_read(at, self.gate.rate()).await?;
        self.is_reading = self.held_until.is_none();
        Ok(self.is_reading)
    }

    /// How many reads before the next one went wrong.
    pub(super) const fn troubles(&self) -> u32 {
        self.troubles
    }

    /// Takes in what became of a read.
    pub(super) fn note(&mut self, read: BalanceRead) {
        self.is_reading = false;
        match read {
            BalanceRead::Known(balance) => {
                (self.failures, self.troubles) = (0, 0);
                self.budget.read(balance);
            }
            BalanceRead::Later { at, counts } => {
                self.failures += 1;
                self.troubles += u32::from(counts);
                self.held_until = Some(at);
            }
            BalanceRead::Stopped => self.is_over = true,
        }
    }
}

impl<A: CoverApi, L: Ledger> TaskContext<A, L> {
    /// Reads the balance. A budget cannot be kept without it, so that a run which cannot read it stops.
    pub(super) async fn check_balance(
        self: Arc<Self>,
        reservation: Reservation,
        troubles: u32,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let later = |wait, counts| BalanceRead::Later { at: self.clock.unix().after(wait), counts };
        let Some(in_flight) = reservation.depart() else {
            return Ok(TaskOutput::Balance(later(Duration::ZERO, false)));
        };
        let reading = self.api.read_balance().await;
        in_flight.report(feedback(&reading), jitter);
        let (reason, answer) = (reading.reason, reading.answer.clone());
        let stopped = |ended| {
            self.stop.request(ended);
            BalanceRead::Stopped
        };
        Ok(TaskOutput::Balance(match found(reading, troubles, self.policy.max_attempts, jitter) {
            Ok(balance) => BalanceRead::Known(balance),
            Err(PollFailure::Again(Scope::Row(wait))) => later(wait, true),
            // The gate makes it wait, and everyone else.
            Err(PollFailure::Again(Scope::Account(_))) => later(Duration::ZERO, false),
            Err(PollFailure::Stop(ended)) => stopped(ended),
            Err(PollFailure::GiveUp) => {
                warn!(%reason, message = answer.message, "the balance cannot be read, so that --max-credits cannot be kept");
                stopped(Ended::Budget)
            }
        }))
    }
}
