//! What people decide about single music tasks, as the ledger keeps it.

use crate::clock::UnixMillis;
use crate::domain::{CoverTaskId, ManualKind, MusicTaskId, RowState};
use crate::policy::Judgement;

/// A decision that is to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualDecision {
    /// Which.
    pub kind: ManualKind,
    /// Whether also what might be a mistake is meant, as [`judge`](crate::policy::judge) says.
    pub is_sure: bool,
    /// Why, in one line; may be empty.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
}

/// A decision as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDecision {
    /// Which.
    pub kind: ManualKind,
    /// Why, in one line; may be empty.
    pub reason: String,
    /// On which machine.
    pub host: String,
    /// When.
    pub at: UnixMillis,
    /// Where the music task stood before; `None` if the ledger did not know it.
    pub before: Option<RowState>,
    /// Its cover then, if that was known.
    pub cover: Option<CoverTaskId>,
    /// When it was taken back, if it was.
    pub undone_at: Option<UnixMillis>,
}

/// The music tasks that a decision moves: none, if it is refused for one.
pub(super) fn moved<'a>(tasks: &'a [MusicTaskId], judgements: &[Judgement]) -> impl Iterator<Item = &'a MusicTaskId> {
    let is_refused = judgements.iter().any(|judgement| matches!(judgement, Judgement::Refused(_)));
    let is_moved = move |judgement: &Judgement| !is_refused && matches!(judgement, Judgement::Moved(_));
    tasks.iter().zip(judgements).filter(move |(_, judgement)| is_moved(judgement)).map(|(task, _)| task)
}
