//! Which run may claim a music task: the rule by which each goes to one of several runs, whichever engine keeps them.

use crate::domain::{Reason, RowState};
use crate::ledger::keys::{AttemptKey, RunId};
use crate::ledger::submission::{Claim, ClaimRequest};

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
