//! What is read before a submission: the record of a row's music, and the balance.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::queue::Row;
use super::task::{BalanceRead, Disposition, RunError, Slot, TaskContext, TaskOutput, feedback};
use crate::api::CoverApi;
use crate::clock::UnixMillis;
use crate::domain::{Ended, MusicProgress, Reason, RowState};
use crate::ledger::{Ledger, LedgerError};
use crate::policy::{Allowance, Budget, Jitter, PollFailure, Scope, found};
use crate::ratelimit::{Gate, Reservation};

/// The check of a row's music before it is submitted.
#[derive(Debug)]
pub(super) struct MusicChecks {
    pub(super) gate: Arc<Gate>,
    /// Until when other processes have used up the pace of reads, if a check found that.
    held_until: Option<UnixMillis>,
}

impl MusicChecks {
    pub(super) const fn new(gate: Arc<Gate>) -> Self {
        Self { gate, held_until: None }
    }

    /// Counts a read that is about to be made; whether it may be.
    pub(super) async fn claim<L: Ledger>(&mut self, ledger: &L, at: UnixMillis) -> Result<bool, LedgerError> {
        self.held_until = ledger.claim_read(at, self.gate.rate()).await?;
        Ok(self.held_until.is_none())
    }

    /// Until when checks are held up, if they are.
    pub(super) fn held_until(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.held_until.filter(|until| *until > now)
    }
}

/// When the balance is read, and what follows from it.
#[derive(Debug)]
pub(super) struct BalanceChecks {
    pub(super) gate: Arc<Gate>,
    pub(super) budget: Budget,
    /// Reads that went wrong, one after the other.
    troubles: u32,
    /// Until when it is not read: other processes have used up the pace of reads, or the last read went wrong.
    held_until: Option<UnixMillis>,
    /// Whether a read is on its way.
    is_reading: bool,
    /// Whether the last read of all was made, or cannot be.
    is_last_made: bool,
}

impl BalanceChecks {
    pub(super) const fn new(gate: Arc<Gate>, budget: Budget) -> Self {
        Self { gate, budget, troubles: 0, held_until: None, is_reading: false, is_last_made: false }
    }

    /// Whether the balance is to be read now; `is_last` if nothing more is sent. What it is in the end is good to know: worth
    /// one look, and no wait.
    pub(super) fn is_due(&self, is_last: bool) -> bool {
        if self.is_reading {
            return false;
        }
        if is_last {
            !self.is_last_made && self.budget.is_read_again_at_the_end() && !self.gate.is_paused()
        } else {
            self.budget.allowance() == Allowance::Balance
        }
    }

    /// Until when the balance is not read, if something holds it up.
    pub(super) fn held_until(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.held_until.filter(|until| *until > now)
    }

    /// Counts a read that is about to be made, of all the last if it `is_last`; whether it may be.
    pub(super) async fn claim<L: Ledger>(
        &mut self,
        ledger: &L,
        at: UnixMillis,
        is_last: bool,
    ) -> Result<bool, LedgerError> {
        self.held_until = ledger.claim_read(at, self.gate.rate()).await?;
        self.is_reading = self.held_until.is_none();
        self.is_last_made = self.is_reading && is_last;
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
                self.troubles = 0;
                self.budget.read(balance);
            }
            BalanceRead::Later { at, counts } => {
                self.troubles += u32::from(counts);
                self.held_until = Some(at);
            }
            BalanceRead::Stopped => self.is_last_made = true,
        }
    }
}

/// Reads the record of the music before its cover is asked for.
pub(super) async fn check_music<A: CoverApi, L: Ledger>(
    context: Arc<TaskContext<A, L>>,
    max_attempts: NonZeroU32,
    (row, _slot): (Row, Slot),
    reservation: Reservation,
    jitter: Jitter,
) -> Result<TaskOutput, RunError> {
    let again = |counts, wait| Some(Disposition::Again { due: context.clock.now() + wait, counts });
    let Some(in_flight) = context.begin_read(reservation) else {
        return Ok(TaskOutput::MusicCheck(row, again(false, Duration::ZERO)));
    };
    let reading = context.api.read_music(&row.task).await;
    in_flight.report(feedback(&reading), jitter);
    let (reason, answer) = (reading.reason, reading.answer.clone());
    let (state, reason) = match found(reading, row.failures, max_attempts, jitter) {
        Ok(MusicProgress::Finished) => return Ok(TaskOutput::MusicCheck(row, None)),
        Ok(MusicProgress::Unfinished) => (RowState::Pending, Reason::MusicNotReady),
        Ok(MusicProgress::Failed) => (RowState::Failed, Reason::MusicFailed),
        // A mistyped id, or music that is as old as the service remembers.
        Ok(MusicProgress::Unknown) => (RowState::Failed, Reason::NotFound),
        Err(PollFailure::GiveUp) => (RowState::GaveUp, reason),
        Err(PollFailure::Again(Scope::Row(wait))) => return Ok(TaskOutput::MusicCheck(row, again(true, wait))),
        Err(PollFailure::Again(Scope::Account(_))) => {
            return Ok(TaskOutput::MusicCheck(row, again(false, Duration::ZERO)));
        }
        Err(PollFailure::Stop(ended)) => {
            context.stop.request(ended);
            return Ok(TaskOutput::MusicCheck(row, Some(Disposition::Stopped)));
        }
    };
    let message = answer.message.clone();
    context.ledger.note_music(&row.task, state, (reason, answer), context.clock.unix()).await?;
    context.tell_failure(&row.task, state, reason, &message);
    Ok(TaskOutput::MusicCheck(row, Some(Disposition::Done(state))))
}

/// Reads the balance. A budget cannot be kept without it, so that a run which cannot read it stops.
pub(super) async fn check_balance<A: CoverApi, L: Ledger>(
    context: Arc<TaskContext<A, L>>,
    max_attempts: NonZeroU32,
    reservation: Reservation,
    troubles: u32,
    jitter: Jitter,
) -> Result<TaskOutput, RunError> {
    let later = |wait, counts| BalanceRead::Later { at: context.clock.unix().after(wait), counts };
    let Some(in_flight) = context.begin_read(reservation) else {
        return Ok(TaskOutput::Balance(later(Duration::ZERO, false)));
    };
    let reading = context.api.read_balance().await;
    in_flight.report(feedback(&reading), jitter);
    let (reason, answer) = (reading.reason, reading.answer.clone());
    let stopped = |ended| {
        context.stop.request(ended);
        BalanceRead::Stopped
    };
    Ok(TaskOutput::Balance(match found(reading, troubles, max_attempts, jitter) {
        Ok(balance) => BalanceRead::Known(balance),
        Err(PollFailure::Again(Scope::Row(wait))) => later(wait, true),
        // The gate makes it wait, and everyone else.
        Err(PollFailure::Again(Scope::Account(_))) => later(Duration::ZERO, false),
        Err(PollFailure::Stop(ended)) => stopped(ended),
        Err(PollFailure::GiveUp) => {
            warn!(%reason, said = answer.message, "the balance cannot be read, so that --max-credits cannot be kept");
            stopped(Ended::BalanceUnknown)
        }
    }))
}
