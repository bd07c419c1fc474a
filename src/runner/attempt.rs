//! One submission, from its reservation at the gate to its durable answer.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::join;
use tracing::warn;

use super::RunError;
use super::queue::Row;
use super::task::{Disposition, Slot, Submitted, TaskContext, TaskOutput};
use crate::api::CoverApi;
use crate::domain::{Ended, Outcome, RowState, Verdict};
use crate::ledger::{AttemptKey, Claim, ClaimRequest, Ledger, Settled, Settlement, Waiter};
use crate::policy::{Decision, Health, Jitter, Refusal, Scope, decide};
use crate::ratelimit::{Feedback, Refused, Reservation};

/// After which time it is asked again whether a row that another run is sending has its answer.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// What a submission leaves behind for those who follow its cover.
#[derive(Debug, Clone, Copy)]
pub(super) struct FollowUp {
    /// How long covers usually take.
    pub(super) usual: Duration,
    /// The run that waits for it.
    pub(super) waiter: Option<Waiter>,
}

impl<A: CoverApi, L: Ledger> TaskContext<A, L> {
    /// Submits a row, once.
    ///
    /// Four states meet here. The *ledger* knows of the submission before its first byte is sent, and of the answer before
    /// anyone else does: whatever dies in between leaves the row in doubt and no more. The *reservation* counts against
    /// the limit from before the claim until the answer, so a slow disk delays this row and never crowds the window.
    /// The *end of the run*, or a pause, may come while the disk is busy: then nothing is sent and the claim is taken back.
    /// The *slot* goes to the next row once the ledger is told of the answer, before that is durable: the next claim becomes
    /// durable together with it or later, so no more rows are ever in doubt than there are slots.
    pub(super) async fn attempt(
        self: Arc<Self>,
        (row, slot): (Row, Slot),
        reservation: Reservation,
        follow_up: FollowUp,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let unsent =
            |row, disposition| Ok(TaskOutput::Submission(Submitted { row, disposition, reason: None, poll_at: None }));
        let (key, reservation) = match self.claim(&row, reservation).await? {
            Ok(claimed) => claimed,
            Err(disposition) => return unsent(row, disposition),
        };
        let departed = if self.stop.is_requested() { None } else { reservation.depart() };
        let Some(in_flight) = departed else {
            self.ledger.release(key).await?;
            return unsent(row, Disposition::Again { due: self.clock.now(), counts: false });
        };
        let sent_at = self.clock.unix();
        let outcome = self.api.submit(&row.task).await;
        let (outcome, health) = self.observe(&row, outcome);
        let decision = decide(&outcome, health, row.failures, self.policy, jitter);
        // Before anything is written down: everyone else may have to wait, or to stop. Other runs learn of a pause by the
        // settlement below.
        let reported = in_flight.report(feedback(&outcome, decision, health), jitter);
        if let Decision::Stop(why) = decision {
            self.stop.request(why);
        }
        if decision == Decision::Stop(Ended::WrongAddress) {
            // The service has not heard of it: the row is as it was.
            self.ledger.release(key).await?;
            let reason = Some(outcome.reason);
            return Ok(TaskOutput::Submission(Submitted {
                row,
                disposition: Disposition::Stopped,
                reason,
                poll_at: None,
            }));
        }
        let disposition = self.disposition(decision);
        let state = decision.state(&outcome.verdict);
        let settlement = Settlement::new(state, outcome, self.api.route(), (sent_at, self.clock.unix()));
        let settlement = settlement.reported(reported).watched_by(follow_up.usual, follow_up.waiter);
        let poll_at = settlement.cover.is_some().then_some(settlement.poll_at);
        let (reason, message) = (settlement.reason, settlement.answer.message.clone());
        // One that has failed is counted first: it may be one too many.
        let is_accepted = matches!(disposition, Disposition::Done(RowState::Submitted | RowState::Exists));
        let mut slot = Some(slot);
        let next = async { drop(slot.take_if(|_| is_accepted)) };
        let (settled, ()) = join!(biased; self.ledger.settle(key, settlement), next);
        if settled? == Settled::Overtaken {
            warn!(task = %row.task, "the answer came too late: this run was believed dead, and the row has been sent again since, or is ignored");
        }
        if let Disposition::Done(state) = disposition {
            self.tell_failure(&row.task, state, reason, &message);
        }
        Ok(TaskOutput::Submission(Submitted { row, disposition, reason: Some(reason), poll_at }))
    }

    /// Announces the submission in the ledger, or says where the row goes if that does not let it be sent.
    async fn claim(
        &self,
        row: &Row,
        reservation: Reservation,
    ) -> Result<Result<(AttemptKey, Reservation), Disposition>, RunError> {
        let asked = self.clock.now();
        let request = ClaimRequest {
            run: self.run.run,
            task: row.task.clone(),
            seen: row.seen.unwrap_or(self.run.seen),
            asking: reservation.asking(),
            at: self.clock.unix(),
        };
        Ok(match self.ledger.claim(request).await? {
            Claim::Granted(key) => Ok((key, reservation)),
            Claim::Refused => Err(Disposition::Refused),
            Claim::InFlight => Err(Disposition::Elsewhere { due: self.clock.now() + ELSEWHERE }),
            Claim::NotYet(not_yet) => {
                reservation.hold(not_yet, asked);
                Err(Disposition::NotYet)
            }
        })
    }

    /// Takes the answer as what it is beside those before it.
    fn observe(&self, row: &Row, outcome: Outcome) -> (Outcome, Health) {
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, health) = observer.observe(&row.task, outcome);
        if health == Health::OutOfStep {
            // At once, before another request takes the connection up.
            self.api.drop_connections();
        }
        (outcome, health)
    }

    /// Where the row goes after a decision.
    fn disposition(&self, decision: Decision) -> Disposition {
        let now = self.clock.now();
        match decision {
            Decision::MoveTo(state) => Disposition::Done(state),
            Decision::Again(Scope::Row(wait)) => Disposition::Again { due: now + wait, counts: true },
            // The gate makes it wait, and everyone else.
            Decision::Again(Scope::Account(_)) => Disposition::Again { due: now, counts: false },
            Decision::Stop(_) => Disposition::Stopped,
        }
    }
}

/// What an answer tells the gate.
fn feedback(outcome: &Outcome, decision: Decision, health: Health) -> Feedback {
    let refused =
        |refusal| Feedback::Refused(Refused { refusal, reason: outcome.reason, retry_after: outcome.retry_after });
    match (decision, &outcome.verdict) {
        (Decision::Again(Scope::Account(refusal)), _) => refused(refusal),
        // The row is held back, and everyone else waits.
        (_, Verdict::Lost) if health == Health::Down => refused(Refusal::Unavailable),
        (_, Verdict::Lost) => Feedback::Lost,
        (Decision::MoveTo(_) | Decision::Again(Scope::Row(_)) | Decision::Stop(_), _) => Feedback::Answered,
    }
}
