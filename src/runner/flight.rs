//! One submission: sent once and decided.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::CoverApi;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Ended, Outcome, Reason, RowState, Verdict};
use crate::gate::{Departure, Gate, Permit, Refused};
use crate::ledger::{Claim, FollowedBy, Ledger, RowKey, RunId, Settlement};
use crate::policy::{Decision, Health, Jitter, Observer, Refusal, RowPolicy, Scope, decide};
use crate::runner::pursuit::Followed;
use crate::runner::{Row, RunError, Stop};

/// What became of a row, or of a cover, that was given leave.
#[derive(Debug)]
pub(super) enum Landed {
    /// A row that was submitted and has its answer, which is not written down yet.
    Answered(Answered),
    /// A row that was to be submitted and was not.
    Unsent(Fate),
    /// Rows whose answers are written down, and rows that are announced, if they may be sent.
    Written { settled: Vec<Settled>, claimed: Vec<(Departing, Claim)> },
    /// A row whose music was to be finished.
    Checked(Checked),
    /// A cover whose record was read.
    Looked(Followed),
    /// A cover of which an image was to be fetched.
    Fetched(Followed),
}

/// A row that has leave to be sent.
#[derive(Debug)]
pub(super) struct Departing {
    pub(super) row: Row,
    pub(super) permit: Permit,
    pub(super) sequel: Sequel,
    pub(super) jitter: Jitter,
}

/// An answer to be written down, and what becomes of its row after that.
#[derive(Debug)]
pub(super) struct Answered {
    key: RowKey,
    settlement: Settlement,
    pub(super) fate: Fate,
    /// How long the answer took.
    pub(super) took: Duration,
}

impl Answered {
    /// What is written, and what is known of the row then.
    pub(super) fn in_two(self) -> ((RowKey, Settlement), Settled) {
        let look_at = self.settlement.cover.is_some().then_some(self.settlement.look_at);
        let settled = Settled { reason: self.settlement.reason, fate: self.fate, look_at };
        ((self.key, self.settlement), settled)
    }
}

/// A row whose answer is written down.
#[derive(Debug)]
pub(super) struct Settled {
    /// What its answer meant.
    pub(super) reason: Reason,
    pub(super) fate: Fate,
    /// When its cover is to be looked at, if it has one.
    pub(super) look_at: Option<UnixMillis>,
}

/// What the record of a row's music came to.
#[derive(Debug)]
pub(super) enum Checked {
    /// It is finished.
    MayBeSent(Row),
    /// It keeps the row from being submitted.
    Held(Fate),
}

/// Where a row goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It will not be sent again in this run.
    Done(RowState),
    /// It is to be sent, or sent again, once it is due.
    Again(Row, Instant),
    /// Its answer stops the run.
    Stopped,
    /// The ledger does not let it be sent: it is settled, or on its way as another row.
    Refused,
}

impl Fate {
    /// Whether it failed in this run.
    pub(super) fn is_failed(&self) -> bool {
        match self {
            Self::Done(state) => matches!(state, RowState::Failed | RowState::GaveUp),
            Self::Again(..) | Self::Stopped | Self::Refused => false,
        }
    }
}

/// What every submission of a run has in common.
pub(super) struct Pilot<A, L> {
    pub(super) api: Arc<A>,
    pub(super) ledger: Arc<L>,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Clock,
    pub(super) run: RunId,
    pub(super) policy: RowPolicy,
    /// What the answers so far tell beside one another.
    pub(super) observer: Mutex<Observer>,
    pub(super) stop: Stop,
    /// When the run began to follow covers.
    pub(super) began: UnixMillis,
}

/// What a submission leaves behind for those who follow its cover.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequel {
    /// How long covers usually take.
    pub(super) usual: Duration,
    /// The run that waits for it.
    pub(super) followed: Option<FollowedBy>,
}

impl<A: CoverApi, L: Ledger> Pilot<A, L> {
    /// Sends one row, which is announced.
    pub(super) async fn fly(self: Arc<Self>, key: RowKey, departing: Departing) -> Result<Landed, RunError> {
        let Departing { row, permit, sequel, jitter } = departing;
        let Some(permit) = self.fresh(permit).await else {
            return self.withdraw(key, row).await;
        };
        let departure = permit.depart();
        let (sent_at, departed) = (self.clock.unix(), self.clock.now());
        let outcome = self.api.submit(&row.task).await;
        let took = self.clock.now() - departed;
        let (outcome, health) =
            self.observer.lock().unwrap_or_else(PoisonError::into_inner).observe(&row.task, row.failures, outcome);
        if health == Health::OutOfStep {
            // At once, before another request takes the connection up.
            self.api.drop_connections();
        }
        let decision = decide(&outcome, health, row.failures, self.policy, jitter);
        report(departure, &outcome, (decision, health), jitter);
        if let Decision::Stop(why) = decision {
            self.stop.request(why);
        }
        let settlement = self.settlement(outcome, decision, sent_at).followed(sequel.usual, sequel.followed);
        Ok(Landed::Answered(Answered { key, settlement, fate: self.fate(row, decision), took }))
    }

    /// Takes the announcement of a row back.
    pub(super) async fn withdraw(&self, key: RowKey, row: Row) -> Result<Landed, RunError> {
        self.ledger.release(key).await?;
        Ok(Landed::Unsent(Fate::Again(row, self.clock.now())))
    }

    /// The permit, or a new one if writing the claim took so long that it would break the pace; `None` if the run ends, or
    /// if the gate has closed: a row does not hold its place through a pause.
    async fn fresh(&self, mut permit: Permit) -> Option<Permit> {
        loop {
            if self.stop.requested().is_some() || permit.is_outdated() {
                return None;
            }
            if permit.is_fresh() {
                return Some(permit);
            }
            drop(permit);
            let renewed =
                tokio::select! { () = self.stop.wait() => None, renewed = self.gate.ready() => Some(renewed) };
            let Ok(new) = renewed? else {
                self.stop.request(Ended::Outage);
                return None;
            };
            permit = new;
        }
    }

    /// What the decision makes of the row.
    fn settlement(&self, outcome: Outcome, decision: Decision, sent_at: UnixMillis) -> Settlement {
        Settlement::new(decision.state(&outcome.verdict), outcome, sent_at, self.clock.unix())
    }

    /// Where the row goes after a decision.
    fn fate(&self, row: Row, decision: Decision) -> Fate {
        let now = self.clock.now();
        match decision {
            Decision::MoveTo(state) => Fate::Done(state),
            Decision::Again(Scope::Row(wait)) => Fate::Again(Row { failures: row.failures + 1, ..row }, now + wait),
            // The gate makes it wait, and everyone else.
            Decision::Again(Scope::Account(_)) => Fate::Again(row, now),
            Decision::Stop(_) => Fate::Stopped,
        }
    }
}

/// Tells the gate at once, before anything is written down: it may have to close for everyone.
fn report(departure: Departure, outcome: &Outcome, (decision, health): (Decision, Health), jitter: Jitter) {
    let refused = |refusal| Refused { refusal, reason: outcome.reason, retry_after: outcome.retry_after };
    match (decision, &outcome.verdict) {
        (Decision::Again(Scope::Account(refusal)), _) => departure.refused(refused(refusal), jitter),
        (_, Verdict::Lost) if health == Health::Down => departure.refused(refused(Refusal::Unavailable), jitter),
        (_, Verdict::Lost) => departure.lost(jitter),
        (Decision::MoveTo(_) | Decision::Again(Scope::Row(_)) | Decision::Stop(_), _) => departure.answered(),
    }
}
