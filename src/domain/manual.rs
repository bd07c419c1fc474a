//! What a person decides about a single music task.

use super::status::RowState;
use super::words::words;

words! {
    /// What a person decides about a single music task.
    ManualKind {
        /// It is never sent, nor is its cover followed, and that is no failure.
        Ignore = "ignore",
        /// The next run sends it, whatever became of it before.
        Retry = "retry",
        /// What is known of it is set aside, so that the next run sends it like one that is new.
        Forget = "forget",
    }
}

impl ManualKind {
    /// Where a music task stands once it is decided so.
    #[must_use]
    pub const fn state(self) -> RowState {
        match self {
            Self::Ignore => RowState::Ignored,
            Self::Retry | Self::Forget => RowState::Pending,
        }
    }
}
