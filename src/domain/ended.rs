//! How a run ended.

use super::status::Reason;

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every row that was to be sent has been dealt with.
    Finished,
    /// SIGINT or SIGTERM.
    Interrupted(Signal),
    /// `--deadline` passed.
    Deadline,
    /// The service refused everyone for `--max-outage`.
    Outage,
    /// `--max-failures` was reached.
    TooManyFailures,
    /// As many rows as `--limit` allows were sent.
    Limit,
    /// One more cover would have cost more than `--max-credits` allows.
    Budget,
    /// The balance, without which `--max-credits` cannot be kept, could not be read.
    BalanceUnknown,
    /// The key is refused.
    Unauthorized,
    /// The credits are used up.
    NoCredits,
    /// What answers is not the service: see [`Verdict::WrongAddress`](super::outcome::Verdict::WrongAddress).
    WrongAddress,
    /// None of the first answers could be understood.
    NotUnderstood,
}

impl Ended {
    /// Why rows that were not reached were not; `None` after a finished run.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Finished => None,
            Self::Interrupted(_) => Some(Reason::Interrupted),
            Self::Deadline => Some(Reason::Deadline),
            Self::Outage => Some(Reason::Outage),
            Self::TooManyFailures => Some(Reason::TooManyFailures),
            Self::Limit => Some(Reason::Limit),
            Self::Budget | Self::BalanceUnknown => Some(Reason::Budget),
            Self::Unauthorized => Some(Reason::Unauthorized),
            Self::NoCredits => Some(Reason::NoCredits),
            Self::WrongAddress | Self::NotUnderstood => Some(Reason::BadResponse),
        }
    }

    /// Whether covers are not followed any more either. Those of an empty account, or of a batch with something wrong in
    /// it, are paid for and worth having.
    #[must_use]
    pub const fn ends_following(self) -> bool {
        match self {
            Self::Interrupted(_)
            | Self::Deadline
            | Self::Outage
            | Self::Unauthorized
            | Self::WrongAddress
            | Self::NotUnderstood => true,
            Self::Finished
            | Self::TooManyFailures
            | Self::Limit
            | Self::Budget
            | Self::BalanceUnknown
            | Self::NoCredits => false,
        }
    }
}

/// A signal that asks the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
}
