//! Exit codes.

use crate::domain::{Ended, Signal, Status};
use crate::results::Tally;

/// How the program ends, as the contract lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: every row is settled, or what was asked for is done.
    Success,
    /// 1: a defect of this program.
    Defect,
    /// 2: wrong usage, configuration or address; nothing was accepted.
    Usage,
    /// 3: some rows failed or are invalid, and a plain rerun will not send any of them.
    Failed,
    /// 4: rows are left that a plain rerun will send, or whose covers it goes on to wait for.
    Left,
    /// 5: the key is refused or the credits are used up.
    Account,
    /// 6: another run holds the ledger.
    Held,
    /// 7: the catalog cannot be used; nothing was sent.
    Catalog,
    /// 8: ledger or results could not be written.
    Unwritten,
    /// 130 or 143: ended by a signal.
    Signal(Signal),
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Defect => 1,
            Self::Usage => 2,
            Self::Failed => 3,
            Self::Left => 4,
            Self::Account => 5,
            Self::Held => 6,
            Self::Catalog => 7,
            Self::Unwritten => 8,
            Self::Signal(Signal::Interrupt) => 130,
            Self::Signal(Signal::Terminate) => 143,
        }
    }

    /// What the rows alone come to.
    #[must_use]
    pub fn of_rows(tally: &Tally) -> Self {
        if tally.retryable > 0 || tally.with(Status::InDoubt) > 0 || tally.awaited > 0 {
            Self::Left
        } else if tally.is_all_settled() {
            Self::Success
        } else {
            Self::Failed
        }
    }

    /// What a run comes to: how it ended wins over what its rows say.
    #[must_use]
    pub fn of_run(ended: Ended, tally: &Tally) -> Self {
        match ended {
            Ended::Unauthorized | Ended::NoCredits => Self::Account,
            Ended::Interrupted(signal) => Self::Signal(signal),
            Ended::WrongAddress => Self::Usage,
            Ended::Finished | Ended::Deadline | Ended::Outage | Ended::TooManyFailures | Ended::NotUnderstood => {
                Self::of_rows(tally)
            }
        }
    }
}
