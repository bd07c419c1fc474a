//! Whether what a person decides about a music task can be, by where that stands.

use thiserror::Error;

use crate::domain::{ManualKind, RowState};

/// What comes of a decision about one music task, or of taking one back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is carried out: the music task stands so from then on.
    Moved(RowState),
    /// It is so already; nothing is noted.
    Already,
    /// It cannot be. Then nothing is done about the others either that were named with it.
    Refused(Objection),
}

/// Why something cannot be decided about a music task; the words go on from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Objection {
    /// Nobody has sent it.
    #[error("the ledger does not know it")]
    Unknown,
    /// It may be a mistyped one.
    #[error("the ledger does not know it; --unseen ignores it before it is sent for the first time")]
    Unseen,
    /// Its answer comes within the minute.
    #[error("a run is sending it right now; try again once that has its answer")]
    InFlight,
    /// There is nothing left to decide.
    #[error("it has its cover ({0})")]
    HasCover(RowState),
    /// It may be paid for twice.
    #[error("it has its cover ({0}), and the next run may pay for a second one; --pay-again forgets it all the same")]
    IsPaid(RowState),
    /// What it was before says whether this can be decided.
    #[error("it is ignored; take that back first, with `coverbatch ignore --undo`")]
    IsIgnored,
    /// There is nothing to take back.
    #[error("no such decision about it is noted")]
    NothingToUndo,
    /// Decisions are taken back in the opposite order.
    #[error("the last decision about it is `{0}`; take that back first")]
    OtherDecision(ManualKind),
    /// What was known before would not be true any more.
    #[error("it has been sent since ({0}); that cannot be taken back")]
    SentSince(RowState),
}

/// Whether a music task in this state can be decided about; `None` if the ledger does not know it. Someone who `is_sure` means
/// also what might be a mistake.
#[must_use]
pub const fn judge(kind: ManualKind, is_sure: bool, state: Option<RowState>) -> Judgement {
    let Some(state) = state else {
        return match kind {
            ManualKind::Ignore if is_sure => Judgement::Moved(kind.state()),
            ManualKind::Ignore => Judgement::Refused(Objection::Unseen),
            ManualKind::Retry | ManualKind::Forget => Judgement::Refused(Objection::Unknown),
        };
    };
    match (kind, state) {
        (_, RowState::InFlight) => Judgement::Refused(Objection::InFlight),
        (ManualKind::Ignore, RowState::Ignored) | (ManualKind::Retry, RowState::Pending) => Judgement::Already,
        (ManualKind::Retry, RowState::Ignored) => Judgement::Refused(Objection::IsIgnored),
        // It may have had a cover.
        (ManualKind::Forget, RowState::Ignored) if !is_sure => Judgement::Refused(Objection::IsIgnored),
        (ManualKind::Retry, RowState::Submitted | RowState::Exists | RowState::Completed)
        | (ManualKind::Ignore, RowState::Completed) => Judgement::Refused(Objection::HasCover(state)),
        (ManualKind::Forget, RowState::Submitted | RowState::Exists | RowState::Completed) if !is_sure => {
            Judgement::Refused(Objection::IsPaid(state))
        }
        (
            ManualKind::Ignore | ManualKind::Retry | ManualKind::Forget,
            RowState::Pending
            | RowState::InDoubt
            | RowState::Submitted
            | RowState::Exists
            | RowState::Failed
            | RowState::GaveUp
            | RowState::Completed
            | RowState::GenerationFailed
            | RowState::Ignored,
        ) => Judgement::Moved(kind.state()),
    }
}

/// The last decision about a music task that is not taken back, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastDecision {
    /// Which.
    pub kind: ManualKind,
    /// Where the music task stood before; `None` if the ledger did not know it.
    pub before: Option<RowState>,
    /// Where it stands.
    pub state: RowState,
    /// Whether it was sent since, or is being sent.
    pub is_sent: bool,
}

/// Whether a decision of this kind can be taken back.
#[must_use]
pub fn judge_undo(kind: ManualKind, last: Option<LastDecision>) -> Judgement {
    let Some(last) = last else { return Judgement::Refused(Objection::NothingToUndo) };
    if last.kind != kind {
        Judgement::Refused(Objection::OtherDecision(last.kind))
    } else if last.is_sent || last.state != kind.state() {
        Judgement::Refused(Objection::SentSince(last.state))
    } else {
        // One that was not known stays known as not sent: earlier results may tell that it is ignored.
        Judgement::Moved(last.before.unwrap_or(RowState::Pending))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_decision_about_every_state() {
        let mut table = String::new();
        let states = [None].into_iter().chain(RowState::ALL.iter().copied().map(Some));
        for state in states {
            for kind in ManualKind::ALL {
                let [plain, sure] = [false, true].map(|is_sure| judge(*kind, is_sure, state));
                let name = state.map_or("unknown", RowState::word);
                let sure = if sure == plain { String::new() } else { format!("; if sure {sure:?}") };
                writeln!(table, "{name:<17} {kind:<6} {plain:?}{sure}").unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_last_decision_is_taken_back_if_nothing_came_of_it() {
        let last = |kind, state, is_sent| LastDecision { kind, before: Some(RowState::Failed), state, is_sent };
        let undone = |last| judge_undo(ManualKind::Retry, last);
        assert_eq!(undone(None), Judgement::Refused(Objection::NothingToUndo));
        let unseen = LastDecision { before: None, ..last(ManualKind::Retry, RowState::Pending, false) };
        assert_eq!(undone(Some(unseen)), Judgement::Moved(RowState::Pending));
        let ignored = last(ManualKind::Ignore, RowState::Ignored, false);
        assert_eq!(undone(Some(ignored)), Judgement::Refused(Objection::OtherDecision(ManualKind::Ignore)));
        for state in RowState::ALL {
            let refused = Judgement::Refused(Objection::SentSince(*state));
            assert_eq!(undone(Some(last(ManualKind::Retry, *state, true))), refused);
            let expected = if *state == RowState::Pending { Judgement::Moved(RowState::Failed) } else { refused };
            assert_eq!(undone(Some(last(ManualKind::Retry, *state, false))), expected);
        }
    }
}
