//! One submission, from its reservation at the gate to its durable answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::join;
use tracing::warn;

use super::queue::Row;
use super::task::{Disposition, RunError, Slot, Submitted, TaskContext, TaskOutput};
use crate::api::CoverApi;
use crate::clock::UnixMillis;
use crate::domain::{Ended, Outcome, Reason, RowState, Verdict};
use crate::ledger::{AttemptKey, Begun, Claim, ClaimRequest, Ledger, Settled, Settlement, Waiter};
use crate::policy::{Decision, Health, Jitter, Observer, Refusal, RowPolicy, Scope, decide};
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

/// What the submissions of a run have in common.
#[derive(Debug)]
pub(super) struct Rules {
    /// The run, as it is open in the ledger.
    pub(super) run: Begun,
    pub(super) policy: RowPolicy,
    /// What the answers so far tell beside one another.
    pub(super) observer: Mutex<Observer>,
}

/// A row that may be submitted, and what it is done with.
pub(super) struct Attempt<A, L> {
    pub(super) context: Arc<TaskContext<A, L>>,
    pub(super) rules: Arc<Rules>,
    pub(super) row: Row,
    pub(super) follow_up: FollowUp,
}

impl<A: CoverApi, L: Ledger> Attempt<A, L> {
    /// Submits the row, once.
    ///
    /// Four states meet here. The *ledger* knows of the submission before its first byte is sent, and of the answer before
    /// anyone else does: whatever dies in between leaves the row in doubt and no more. The *reservation* counts against
    /// the limit from before the claim until the answer, so a slow disk delays this row and never crowds the window.
    /// The *end of the run*, or a pause, may come while the disk is busy: then nothing is sent and the claim is taken back.
    /// The *slot* goes to the next row once the ledger is told of the answer, before that is durable: the next claim becomes
    /// durable together with it or later, so no more rows are ever in doubt than there are slots.
    pub(super) async fn submit(
        self,
        slot: Slot,
        reservation: Reservation,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let TaskContext { api, ledger, clock, stop, .. } = &*self.context;
        let (key, reservation) = match self.claim(reservation).await? {
            Ok(claimed) => claimed,
            Err(disposition) => return Ok(self.came_to(disposition, None, None)),
        };
        let departed = if stop.is_requested() { None } else { reservation.depart() };
        let Some(in_flight) = departed else {
            ledger.release(key).await?;
            let again = Disposition::Again { due: clock.now(), counts: false };
            return Ok(self.came_to(again, None, None));
        };
        let sent_at = clock.unix();
        let (outcome, health) = self.observe(api.submit(&self.row.task).await);
        let decision = decide(&outcome, health, self.row.failures, self.rules.policy, jitter);
        // Before anything is written down: everyone else may have to wait, or to stop. Other runs learn of a pause by the
        // settlement below.
        let reported = in_flight.report(feedback(&outcome, decision, health), jitter);
        if let Decision::Stop(why) = decision {
            stop.request(why);
        }
        if decision == Decision::Stop(Ended::WrongAddress) {
            // The service has not heard of it: the row is as it was.
            ledger.release(key).await?;
            return Ok(self.came_to(Disposition::Stopped, Some(outcome.reason), None));
        }
        let disposition = self.disposition(decision);
        let state = decision.state(&outcome.verdict);
        let settlement = Settlement::new(state, outcome, api.route(), (sent_at, clock.unix()));
        let settlement = settlement.reported(reported).watched_by(self.follow_up.usual, self.follow_up.waiter);
        let poll_at = settlement.cover.is_some().then_some(settlement.poll_at);
        let (reason, message) = (settlement.reason, settlement.answer.message.clone());
        // One that has failed is counted first: it may be one too many.
        let is_accepted = matches!(disposition, Disposition::Done(RowState::Submitted | RowState::Exists));
        let mut slot = Some(slot);
        let next = async { drop(slot.take_if(|_| is_accepted)) };
        let (settled, ()) = join!(biased; ledger.settle(key, settlement), next);
        if settled? == Settled::Overtaken {
            warn!(task = %self.row.task, "the answer came too late: this run was believed dead, and the row has been sent again since, or is ignored");
        }
        if let Disposition::Done(state) = disposition {
            self.context.tell_failure(&self.row.task, state, reason, &message);
        }
        Ok(self.came_to(disposition, Some(reason), poll_at))
    }

    /// What became of the row; the reason is that of its answer, if it was sent.
    fn came_to(self, disposition: Disposition, reason: Option<Reason>, poll_at: Option<UnixMillis>) -> TaskOutput {
        TaskOutput::Submission(Submitted { row: self.row, disposition, reason, poll_at })
    }

    /// Announces the submission in the ledger, or says where the row goes if that does not let it be sent.
    async fn claim(
        &self,
        reservation: Reservation,
    ) -> Result<Result<(AttemptKey, Reservation), Disposition>, RunError> {
        let (TaskContext { ledger, clock, .. }, Begun { run, seen }) = (&*self.context, self.rules.run);
        let asked = clock.now();
        let request = ClaimRequest {
            run,
            task: self.row.task.clone(),
            seen: self.row.seen.unwrap_or(seen),
            asking: reservation.asking(),
            at: clock.unix(),
        };
        Ok(match ledger.claim(request).await? {
            Claim::Granted(key) => Ok((key, reservation)),
            Claim::Refused => Err(Disposition::Refused),
            Claim::InFlight => Err(Disposition::Elsewhere { due: clock.now() + ELSEWHERE }),
            Claim::NotYet(not_yet) => {
                reservation.hold(not_yet, asked);
                Err(Disposition::NotYet)
            }
        })
    }

    /// Takes the answer as what it is beside those before it.
    fn observe(&self, outcome: Outcome) -> (Outcome, Health) {
        let mut observer = self.rules.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, health) = observer.observe(&self.row.task, outcome);
        if health == Health::OutOfStep {
            // At once, before another request takes the connection up.
            self.context.api.drop_connections();
        }
        (outcome, health)
    }

    /// Where the row goes after a decision.
    fn disposition(&self, decision: Decision) -> Disposition {
        let now = self.context.clock.now();
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
