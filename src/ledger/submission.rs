//! One submission of a music task: claimed, sent, and settled.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Outcome, Reason, RowState, Verdict};
use crate::ledger::cover_job::Waiter;
use crate::ledger::keys::{AttemptKey, RunId};

/// Whether a music task may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It may, once.
    Granted(AttemptKey),
    /// It is settled, or in flight already.
    Refused,
}

/// What became of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Where the music task stands now; [`RowState::Pending`] puts it back, in doubt if it was so before.
    pub state: RowState,
    /// Why.
    pub reason: Reason,
    /// What the service said.
    pub answer: Answer,
    /// The cover, if the answer gave its id.
    pub cover: Option<CoverTaskId>,
    /// When it was sent: some time after it was claimed if the disk was slow or the gate closed meanwhile.
    pub sent_at: UnixMillis,
    /// When the answer came.
    pub at: UnixMillis,
    /// When to poll the cover, if its id is known.
    pub poll_at: UnixMillis,
    /// The run that waits for the cover, if one does.
    pub waiter: Option<Waiter>,
}

impl Settlement {
    /// The settlement of a row that was sent at a time and that `outcome` moves to `state` at another.
    #[must_use]
    pub fn new(state: RowState, outcome: Outcome, sent_at: UnixMillis, at: UnixMillis) -> Self {
        let cover = match outcome.verdict {
            Verdict::Accepted(cover) => Some(cover),
            Verdict::Covered(cover) => cover,
            Verdict::Throttled
            | Verdict::Unavailable
            | Verdict::NoCredits
            | Verdict::Unauthorized
            | Verdict::WrongAddress
            | Verdict::Rejected
            | Verdict::Troubled
            | Verdict::Lost => None,
        };
        Self { state, reason: outcome.reason, answer: outcome.answer, cover, sent_at, at, poll_at: at, waiter: None }
    }

    /// The same, with its cover polled after the usual time of generation and waited for by a run.
    #[must_use]
    pub fn watched_by(self, usual: Duration, waiter: Option<Waiter>) -> Self {
        // A cover that was there before may well be finished.
        let wait = if self.state == RowState::Submitted { usual } else { Duration::ZERO };
        Self { poll_at: self.at.after(wait), waiter, ..self }
    }
}

/// One submission of a music task, as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// In which run.
    pub run: RunId,
    /// When it was sent; as long as that is not known, when it was claimed.
    pub sent_at: UnixMillis,
    /// When its answer came; `None` if none was recorded.
    pub answered_at: Option<UnixMillis>,
    /// What the answer meant; [`Reason::Interrupted`] if the run died before it was recorded, `None` while it is in flight.
    pub reason: Option<Reason>,
    /// What was said.
    pub answer: Answer,
}
