//! What a run submits: which rows, through which gate, and what is read before.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::attempt::{Attempt, FollowUp, Rules};
use super::checks::{BalanceChecks, MusicChecks, check_balance, check_music};
use super::progress::Progress;
use super::queue::{Queue, Row};
use super::recovery::Recovery;
use super::task::{BalanceRead, Disposition, RunError, Slot, TaskContext, Tasks};
use crate::api::CoverApi;
use crate::clock::Clock;
use crate::domain::{Ended, Reason, RowState};
use crate::ledger::{Begun, Ledger};
use crate::policy::{Allowance, Budget, Jitter, MaxFailures, RowPolicy};
use crate::ratelimit::{Gate, Reservation};
use crate::worklist::Worklist;

/// How often a row may be found on its way in another run: for two minutes, twice the usual `--timeout`.
const MOST_ELSEWHERE: u32 = 120;

/// What submissions are set to.
#[derive(Debug, Clone, Copy)]
pub struct SubmitConfig {
    /// When a row is given up.
    pub rows: RowPolicy,
    /// When the run is.
    pub max_failures: MaxFailures,
}

/// A read that comes before a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Balance,
    Music,
}

/// The submissions of a run that is open in the ledger.
#[derive(Debug)]
pub struct Submissions {
    rules: Arc<Rules>,
    /// Where submissions wait.
    gate: Arc<Gate>,
    queue: Queue,
    /// The look for rows that other runs leave behind when they die, unless only some rows are taken up.
    recovery: Option<Recovery>,
    /// The check of a row's music before it is submitted, if that is wanted.
    music: Option<MusicChecks>,
    /// The read of the balance, if only so much may be spent.
    balance: Option<BalanceChecks>,
    max_failures: MaxFailures,
}

impl Submissions {
    /// Those of `run`, of which none was made yet.
    #[must_use]
    pub fn new(run: Begun, worklist: Worklist, gate: Arc<Gate>, config: SubmitConfig, clock: Clock) -> Self {
        let SubmitConfig { rows, max_failures } = config;
        Self {
            rules: Arc::new(Rules { run, policy: rows, observer: Mutex::default() }),
            gate,
            queue: Queue::of(worklist),
            recovery: Some(Recovery::new(run.seen, clock.now())),
            music: None,
            balance: None,
            max_failures,
        }
    }

    /// The same, of nothing but what the worklist names: rows that other runs leave in doubt are left to others.
    #[must_use]
    pub fn confined(self) -> Self {
        Self { recovery: None, ..self }
    }

    /// The same, of nothing but what has finished music, whose record is read through `gate`.
    #[must_use]
    pub fn checking_music(self, gate: Arc<Gate>) -> Self {
        Self { music: Some(MusicChecks::new(gate)), queue: self.queue.checking_music(), ..self }
    }

    /// The same, spending no more than this as far as the balance tells, which is read through `gate`.
    #[must_use]
    pub fn spending(self, budget: Budget, gate: Arc<Gate>) -> Self {
        Self { balance: Some(BalanceChecks::new(gate, budget)), ..self }
    }

    /// Has the next row at hand, if there is one and `room` for it, and takes in what dead runs left when it is time to look for
    /// that. A row that may not be paid for ends the run, and after the end nothing new is submitted.
    pub(super) async fn prepare<A, L: Ledger>(
        &mut self,
        context: &TaskContext<A, L>,
        room: usize,
    ) -> Result<(), RunError> {
        if context.stop.is_requested() {
            self.queue.end();
        }
        self.queue.load(context.clock.now(), room, self.gate.is_paused()).await?;
        if self.queue.has_row() && self.allowance() == Allowance::Nothing {
            context.stop.request(Ended::Budget);
            self.queue.end();
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.look(context, &self.rules, &mut self.queue).await?;
        }
        Ok(())
    }

    /// The gate at which a row waits that may be submitted.
    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        (self.queue.has_row() && self.allowance() == Allowance::Cover).then_some(&self.gate)
    }

    /// Begins the submission of the next row.
    pub(super) fn submit<A: CoverApi, L: Ledger>(
        &mut self,
        context: &Arc<TaskContext<A, L>>,
        tasks: &mut Tasks,
        slot: Slot,
        reservation: Reservation,
        follow_up: FollowUp,
        jitter: Jitter,
    ) {
        let Some(row) = self.queue.take() else { return };
        if let Some(balance) = &mut self.balance {
            balance.budget.ask();
        }
        let (context, rules) = (Arc::clone(context), Arc::clone(&self.rules));
        tasks.spawn(Attempt { context, rules, row, follow_up }.submit(slot, reservation, jitter));
    }

    /// Begins the read of the balance, if other processes leave room for it.
    pub(super) async fn check_balance<A: CoverApi, L: Ledger>(
        &mut self,
        context: &Arc<TaskContext<A, L>>,
        tasks: &mut Tasks,
        reservation: Reservation,
        jitter: Jitter,
    ) -> Result<(), RunError> {
        let Some(balance) = &mut self.balance else { return Ok(()) };
        let is_last = self.queue.is_over();
        if balance.claim(&*context.ledger, context.clock.unix(), is_last).await? {
            // All is sent: that it cannot be read stops nothing.
            let most = if is_last { NonZeroU32::MAX } else { self.rules.policy.max_attempts };
            tasks.spawn(check_balance(Arc::clone(context), most, reservation, balance.troubles(), jitter));
        }
        Ok(())
    }

    /// Begins the check of the next row's music, if other processes leave room for it.
    pub(super) async fn check_music<A: CoverApi, L: Ledger>(
        &mut self,
        context: &Arc<TaskContext<A, L>>,
        tasks: &mut Tasks,
        slot: Slot,
        reservation: Reservation,
        jitter: Jitter,
    ) -> Result<(), RunError> {
        let Some(music) = &mut self.music else { return Ok(()) };
        if music.claim(&*context.ledger, context.clock.unix()).await?
            && let Some(row) = self.queue.take_unchecked()
        {
            let most = self.rules.policy.max_attempts;
            tasks.spawn(check_music(Arc::clone(context), most, (row, slot), reservation, jitter));
        }
        Ok(())
    }

    /// Takes the answer about a row in.
    pub(super) fn note_answer(&mut self, reason: Option<Reason>) {
        if let Some(balance) = &mut self.balance {
            balance.budget.answer(reason);
        }
    }

    /// Takes in what became of a read of the balance.
    pub(super) fn note_balance(&mut self, read: BalanceRead, progress: &mut Progress) {
        if let Some(balance) = &mut self.balance {
            balance.note(read);
            progress.spending = balance.budget.spending();
        }
    }

    /// A row whose music was checked is the next one, or goes where that says.
    pub(super) fn put_checked(&mut self, row: Row, disposition: Option<Disposition>, progress: &mut Progress) {
        match disposition {
            None => self.queue.put_back_checked(row),
            Some(disposition) => self.put_away(row, disposition, progress),
        }
    }

    /// A row goes back into the queue, or is done with.
    pub(super) fn put_away(&mut self, row: Row, disposition: Disposition, progress: &mut Progress) {
        progress.failed += u64::from(matches!(disposition, Disposition::Done(RowState::Failed | RowState::GaveUp)));
        match disposition {
            Disposition::Again { due, counts } => {
                self.queue.put_back(Row { failures: row.failures + u32::from(counts), ..row }, due);
            }
            Disposition::Elsewhere { due } if row.found_elsewhere < MOST_ELSEWHERE => {
                self.queue.put_back(Row { found_elsewhere: row.found_elsewhere + 1, ..row }, due);
            }
            // A run that stands still for long with a row has it to itself: the row is told as it is.
            Disposition::Done(_) | Disposition::Refused | Disposition::Elsewhere { .. } => {
                progress.done += 1;
                self.queue.finish();
            }
            Disposition::NotYet => self.queue.put_first(row),
            Disposition::Stopped => self.queue.finish(),
        }
    }

    /// How many rows wait for another attempt.
    pub(super) fn waiting(&self) -> u64 {
        self.queue.waiting()
    }

    /// Whether so many have failed that nothing more is to be sent.
    pub(super) fn has_failed_too_often(&self, progress: &Progress) -> bool {
        self.max_failures.reached(progress.failed, progress.done)
    }

    /// What is to be read before anything else goes on. The balance tells what covers cost only once it is known which of them
    /// were accepted.
    pub(super) fn next_check(&self, context: &TaskContext<impl Sized, impl Sized>) -> Option<Check> {
        let now = context.clock.unix();
        let balance = self.balance.as_ref().filter(|balance| balance.is_due(self.queue.is_over()));
        if balance.is_some_and(|balance| balance.held_until(now).is_none()) {
            return (self.queue.in_flight() == 0).then_some(Check::Balance);
        }
        let music = self.music.as_ref().filter(|_| self.queue.has_unchecked_row());
        music.is_some_and(|music| music.held_until(now).is_none()).then_some(Check::Music)
    }

    /// The gate at which a check waits.
    pub(super) fn gate_of(&self, check: Check) -> Option<&Arc<Gate>> {
        match check {
            Check::Balance => self.balance.as_ref().map(|balance| &balance.gate),
            Check::Music => self.music.as_ref().map(|music| &music.gate),
        }
    }

    /// When a row, a check of its music, the balance or the look for rows of others is due, if nothing happens before.
    pub(super) fn wakes_at(&self, context: &TaskContext<impl Sized, impl Sized>, room: usize) -> Option<Instant> {
        let (here, now) = (context.clock.now(), context.clock.unix());
        let music = self.music.as_ref().filter(|_| self.queue.has_unchecked_row());
        let music = music.and_then(|music| music.held_until(now)).map(|until| here + now.until(until));
        let balance = self.balance.as_ref().and_then(|balance| balance.held_until(now));
        let balance = balance.map(|until| here + now.until(until));
        let look = self.recovery.as_ref().filter(|_| !context.stop.is_requested()).map(|recovery| recovery.due);
        [self.queue.wakes_at(room), music, balance, look].into_iter().flatten().min()
    }

    /// Whether nothing is on its way and nothing is left to submit.
    pub(super) fn is_over(&self) -> bool {
        self.queue.is_over()
    }

    /// What may be asked for.
    fn allowance(&self) -> Allowance {
        self.balance.as_ref().map_or(Allowance::Cover, |balance| balance.budget.allowance())
    }
}
