//! One submission: claimed, sent once, decided, written down.

use std::sync::Arc;

use tokio::time::Instant;

use crate::api::CoverApi;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Ended, Outcome, RowState, Verdict};
use crate::gate::{Departure, Gate, Permit};
use crate::ledger::{Claim, Ledger, LedgerError, RowKey, RunId, Settlement};
use crate::policy::{Decision, Jitter, RowPolicy, Who, decide};
use crate::runner::{Row, Stop};

/// What became of a row that was given a permit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// It will not be sent again in this run.
    Done(RowState),
    /// It is to be sent again once it is due.
    Again { row: Row, due: Instant },
    /// It was not sent, because the run stops or the gate closed meanwhile.
    Unsent(Row),
    /// Its answer stops the run.
    Stopped,
    /// The ledger does not let it be sent: it is settled, or on its way as another row.
    Refused,
}

/// What every submission of a run has in common.
pub(super) struct Pilot<A, L> {
    pub(super) api: Arc<A>,
    pub(super) ledger: Arc<L>,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Clock,
    pub(super) run: RunId,
    pub(super) policy: RowPolicy,
    pub(super) stop: Stop,
}

impl<A: CoverApi, L: Ledger> Pilot<A, L> {
    /// Claims, sends and settles one row. The claim is durable before the first byte leaves.
    pub(super) async fn fly(self: Arc<Self>, row: Row, permit: Permit, jitter: Jitter) -> Result<Landed, LedgerError> {
        let Claim::Granted(key) = self.ledger.claim(self.run, &row.task, self.clock.unix()).await? else {
            return Ok(Landed::Refused);
        };
        let Some(permit) = self.fresh(permit).await else {
            self.ledger.release(key).await?;
            return Ok(Landed::Unsent(row));
        };
        let departure = permit.depart();
        let sent_at = self.clock.unix();
        let outcome = self.api.submit(&row.task).await;
        let decision = decide(&outcome, row.failures, self.policy, jitter);
        report(departure, &outcome, decision, jitter);
        if let Decision::Stop(why) = decision {
            self.stop.request(why);
        }
        self.settle(key, outcome, decision, sent_at).await?;
        Ok(self.landed(row, decision))
    }

    /// The permit, or a new one if writing the claim took so long that it would break the pace; `None` if the run ends.
    async fn fresh(&self, mut permit: Permit) -> Option<Permit> {
        loop {
            if self.stop.requested().is_some() {
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

    /// Writes down what the decision makes of the row. A row put back is pending, with the last answer beside it; if
    /// that was lost it is in doubt, so that the next run knows should this one end before it is sent again.
    async fn settle(
        &self,
        key: RowKey,
        outcome: Outcome,
        decision: Decision,
        sent_at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let state = match (decision, &outcome.verdict) {
            (Decision::MoveTo(state), _) => state,
            (Decision::Again(_), Verdict::Lost) => RowState::InDoubt,
            (Decision::Again(_) | Decision::Stop(_), _) => RowState::Pending,
        };
        self.ledger.settle(key, Settlement::new(state, outcome, sent_at, self.clock.unix())).await
    }

    /// What the loop has to know of it.
    fn landed(&self, row: Row, decision: Decision) -> Landed {
        let now = self.clock.now();
        match decision {
            Decision::MoveTo(state) => Landed::Done(state),
            Decision::Again(Who::ThisRow(wait)) => {
                Landed::Again { row: Row { failures: row.failures + 1, ..row }, due: now + wait }
            }
            // The gate makes it wait, and everyone else.
            Decision::Again(Who::Everyone(_)) => Landed::Again { row, due: now },
            Decision::Stop(_) => Landed::Stopped,
        }
    }
}

/// Tells the gate at once, before anything is written down: it may have to close for everyone.
fn report(departure: Departure, outcome: &Outcome, decision: Decision, jitter: Jitter) {
    match (decision, &outcome.verdict) {
        (Decision::Again(Who::Everyone(refusal)), _) => departure.refused(refusal, outcome.retry_after, jitter),
        (_, Verdict::Lost) => departure.lost(jitter),
        (Decision::MoveTo(_) | Decision::Again(Who::ThisRow(_)) | Decision::Stop(_), _) => departure.answered(),
    }
}
