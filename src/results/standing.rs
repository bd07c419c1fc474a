//! Where a row stands for the person who has to see to it.

use super::line::{Cover, View};
use crate::domain::{RowState, Status};
use crate::ledger::Record;
use crate::policy::is_retryable;

/// Where a row stands, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is not known yet.
    New,
    /// It has come as far as is wanted.
    Covered,
    /// A person wants nothing of it.
    Ignored,
    /// It is on its way: not sent yet, or its cover or its answer is waited for.
    Open,
    /// It has failed for what may pass, and the next run tries it again.
    Retried,
    /// The service refuses it, and the next run tries it again.
    Refused,
    /// No run tries it again by itself.
    Left,
}

/// Who sees to a row that has no cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// Somebody has to: the row is wrong, or nothing tries it again.
    Person,
    /// The next run does.
    NextRun,
}

impl Standing {
    /// Where a row stands by its verdict.
    #[must_use]
    pub fn of(status: Status, retryable: bool, cover: Cover) -> Self {
        let again = |retried| if retryable { retried } else { Self::Left };
        match (status, cover) {
            (Status::Completed | Status::Submitted | Status::Exists, Cover::Done | Cover::Unknown) => Self::Covered,
            (Status::Completed | Status::Submitted | Status::Exists, Cover::Awaited) => Self::Open,
            (Status::Completed | Status::Submitted | Status::Exists, Cover::Forgotten) => Self::Left,
            (Status::Ignored, _) => Self::Ignored,
            (Status::Pending | Status::InDoubt, _) => again(Self::Open),
            (Status::GaveUp | Status::GenerationFailed, _) => again(Self::Retried),
            (Status::Failed, _) => again(Self::Refused),
            (Status::Invalid, _) => Self::Left,
        }
    }

    /// Where a valid row stands by what is known of its music task.
    pub(super) fn of_record(record: Option<&Record>, view: View) -> Self {
        let state = record.map_or(RowState::Pending, |record| record.state);
        let retryable = is_retryable(state, record.map_or(0, |record| record.failed_runs), view.in_doubt);
        Self::of(state.status(), retryable, Cover::of(record, view))
    }

    /// Whether it has failed, for now or for good.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        match self {
            Self::New | Self::Covered | Self::Ignored | Self::Open => false,
            Self::Retried | Self::Refused | Self::Left => true,
        }
    }

    /// Who sees to it. A row that the service refuses is tried again, but hardly ever mends by itself.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::New | Self::Covered | Self::Ignored | Self::Open | Self::Retried => Remedy::NextRun,
            Self::Refused | Self::Left => Remedy::Person,
        }
    }
}
