//! One submission of a music task: claimed, sent, and settled; and the rule by which each music task goes to one of several
//! runs, whichever engine keeps them.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, MusicTaskId, Outcome, Reason, Route, RowState, Verdict};
use crate::ledger::cover_job::Waiter;
use crate::ledger::run::{AttemptKey, RunId};
use crate::ratelimit::{Asking, NotYet, PauseChange, Reported};

/// What a run asks for before it sends a music task.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRequest {
    /// Which run.
    pub run: RunId,
    /// Which music task.
    pub task: MusicTaskId,
    /// The last submission that was known when it was decided to send it: what another run has sent since is left to that.
    pub seen: AttemptKey,
    /// How the run paces itself.
    pub asking: Asking,
    /// When it asks.
    pub at: UnixMillis,
}

/// Whether a music task may be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim {
    /// It may, once.
    Granted(AttemptKey),
    /// It is settled, or was sent by another run since it was decided to send it.
    Refused,
    /// It is in flight, in another run.
    InFlight,
    /// It may be asked for again in a while: other runs of the account leave no room now.
    NotYet(NotYet),
}

/// The last submission of a music task.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastSubmission {
    /// Which.
    pub(super) attempt: AttemptKey,
    /// By which run.
    pub(super) run: RunId,
    /// What its answer meant; `Interrupted` if its run died before there was one, `None` while it is in flight.
    pub(super) reason: Option<Reason>,
}

/// Why a run may not claim a music task that stands so, if it may not; `in_flight` is what was in flight when the run began.
///
/// It may not if another run has sent it, or had an answer for it, since it was decided to send it. That is so if the last
/// submission is a later one than were known then, or if it was in flight when the run began and has its answer: an answer is
/// no new submission. One whose run died has none, and is to be sent again.
pub(super) fn refusal(
    request: &ClaimRequest,
    state: RowState,
    last: Option<LastSubmission>,
    in_flight: &[AttemptKey],
) -> Option<Claim> {
    if state == RowState::InFlight {
        return Some(Claim::InFlight);
    }
    let was_answered_since =
        |last: &LastSubmission| last.reason != Some(Reason::Interrupted) && in_flight.contains(&last.attempt);
    let is_news = last
        .filter(|last| last.run != request.run)
        .is_some_and(|last| last.attempt > request.seen || was_answered_since(&last));
    (state.is_settled() || is_news).then_some(Claim::Refused)
}

/// Whether the answer to a submission is what its music task stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Recorded,
    /// Its run was believed dead, and the music task was sent again since; or it is ignored, and the answer does not settle it.
    Overtaken,
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
    /// The route by which it was sent.
    pub route: Route,
    /// When it was sent: some time after it was claimed if the disk was slow or the gate closed meanwhile.
    pub sent_at: UnixMillis,
    /// When the answer came.
    pub at: UnixMillis,
    /// When to poll the cover, if its id is known.
    pub poll_at: UnixMillis,
    /// The run that waits for the cover, if one does.
    pub waiter: Option<Waiter>,
    /// How long before the answer the rate limit begins to count it.
    pub age: Duration,
    /// What the answer does to the pause of all runs.
    pub pause: PauseChange,
}

impl Settlement {
    /// The settlement of a row that was sent by `route` at a time and that `outcome` moves to `state` at another.
    #[must_use]
    pub fn new(state: RowState, outcome: Outcome, route: Route, (sent_at, at): (UnixMillis, UnixMillis)) -> Self {
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
        Self {
            state,
            reason: outcome.reason,
            answer: outcome.answer,
            cover,
            route,
            sent_at,
            at,
            poll_at: at,
            waiter: None,
            age: Duration::ZERO,
            pause: PauseChange::Keep,
        }
    }

    /// The same, with what the gate says of it.
    #[must_use]
    pub fn reported(self, Reported { age, pause }: Reported) -> Self {
        Self { age, pause, ..self }
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

/// Submissions of one stretch of time that came to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sends {
    /// When the stretch begins.
    pub at: UnixMillis,
    /// What their answers meant; `None` if there were none.
    pub reason: Option<Reason>,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::domain::MusicTaskId;
    use crate::ratelimit::Asking;

    /// Why run 1 may not, which knew of 7 submissions when it decided, of which the fifth was in flight when it began.
    fn refused(state: RowState, last: Option<LastSubmission>) -> Option<Claim> {
        let asking = Asking { rate: "1/1s".parse().unwrap(), is_probe: false, promised: None };
        let (task, seen) = (MusicTaskId::new("a").unwrap(), AttemptKey(7));
        refusal(&ClaimRequest { run: RunId(1), task, seen, asking, at: UnixMillis(0) }, state, last, &[AttemptKey(5)])
    }

    #[test]
    fn what_is_in_flight_or_settled_is_nobody_s_and_all_else_that_nobody_has_sent_is_anybody_s() {
        for state in [RowState::Pending, RowState::InDoubt, RowState::Failed, RowState::GaveUp] {
            assert_eq!(refused(state, None), None, "{state:?}");
        }
        assert_eq!(refused(RowState::GenerationFailed, None), None);
        assert_eq!(refused(RowState::InFlight, None), Some(Claim::InFlight));
        for state in [RowState::Submitted, RowState::Exists, RowState::Completed, RowState::Ignored] {
            assert_eq!(refused(state, None), Some(Claim::Refused), "{state:?}");
        }
    }

    #[test]
    fn what_another_run_has_sent_or_had_an_answer_for_since_is_refused() {
        let (failed, died) = (Some(Reason::NotFound), Some(Reason::Interrupted));
        for (run, attempt, reason, is_refused) in [
            (2, 7, failed, false),
            (2, 8, failed, true),
            (2, 8, died, true),
            (1, 8, failed, false),
            (2, 5, failed, true),
            (2, 5, died, false),
            (1, 5, failed, false),
            (2, 6, failed, false),
        ] {
            let last = LastSubmission { attempt: AttemptKey(attempt), run: RunId(run), reason };
            let expected = is_refused.then_some(Claim::Refused);
            assert_eq!(refused(RowState::Failed, Some(last)), expected, "run {run}, submission {attempt}, {reason:?}");
        }
    }
}
