//! The words of the problem: ids, outcomes, states, reasons.
//!
//! Values only. Nothing here does I/O, reads a clock, rolls dice or knows a file format, so that everything
//! that decides (`policy`) can be tested over its whole domain.

mod blank;
mod id;
mod message;
mod rate;
mod reading;

use std::fmt;
use std::time::Duration;

pub use blank::{is_blank, trimmed};
pub use id::{BadId, CoverTaskId, MAX_ID_BYTES, MusicTaskId};
pub use message::{MAX_MESSAGE_CHARS, one_line};
pub use rate::{BadDuration, BadRate, Brief, MAX_RATE_COUNT, Rate, parse_duration};
pub use reading::{
    CoverProgress, Found, Generated, ImageKind, Images, MAX_IMAGE_BYTES, MAX_IMAGES, MusicProgress, Reading,
};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The one word for this value in files and messages.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value that this word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// What the ledger holds of a music task.
    RowState {
        /// Not sent, or sent and put back to be sent again.
        Pending = "pending",
        /// A submission is announced and its answer is not recorded yet.
        InFlight = "in_flight",
        /// A submission was made and its answer is lost.
        InDoubt = "in_doubt",
        /// Accepted by the service (code 200 with a cover task id).
        Submitted = "submitted",
        /// The service had a cover already (code 400 or 409).
        Exists = "exists",
        /// Rejected by the service for what it is (404, 413, 422, 451).
        Failed = "failed",
        /// Attempts used up on trouble that may pass.
        GaveUp = "gave_up",
        /// Its cover is finished: the images are known, and on disk if that was wanted.
        Completed = "completed",
        /// The service accepted it and then could not make its cover.
        GenerationFailed = "generation_failed",
    }
}

impl RowState {
    /// Whether the music task has its cover and is never sent again.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Submitted | Self::Exists | Self::Completed => true,
            Self::Pending | Self::InFlight | Self::InDoubt | Self::Failed | Self::GaveUp | Self::GenerationFailed => {
                false
            }
        }
    }

    /// The status that the results CSV shows for it.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::InFlight | Self::InDoubt => Status::InDoubt,
            Self::Submitted => Status::Submitted,
            Self::Exists => Status::Exists,
            Self::Failed => Status::Failed,
            Self::GaveUp => Status::GaveUp,
            Self::Completed => Status::Completed,
            Self::GenerationFailed => Status::GenerationFailed,
        }
    }
}

words! {
    /// What the results CSV says of a row, in the order in which a summary lists them.
    Status {
        /// The cover is finished.
        Completed = "completed",
        /// Accepted by the service.
        Submitted = "submitted",
        /// A cover was already there.
        Exists = "exists",
        /// Rejected by the service.
        Failed = "failed",
        /// Accepted, and then the cover could not be made.
        GenerationFailed = "generation_failed",
        /// Attempts used up.
        GaveUp = "gave_up",
        /// Sent, and the answer was lost.
        InDoubt = "in_doubt",
        /// Not reached, because the run stopped early.
        Pending = "pending",
        /// The row itself is unusable.
        Invalid = "invalid",
    }
}

impl Status {
    /// Whether nothing is left to do for the row.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Completed | Self::Submitted | Self::Exists => true,
            Self::Failed | Self::GenerationFailed | Self::GaveUp | Self::InDoubt | Self::Pending | Self::Invalid => {
                false
            }
        }
    }
}

words! {
    /// Why a row has its status: one word, made for a pivot table.
    Reason {
        /// Code 200 with a cover task id.
        Accepted = "accepted",
        /// Code 400: a cover was generated before.
        AlreadyExists = "already_exists",
        /// Code 409: a cover record exists.
        Conflict = "conflict",
        /// Code 404.
        NotFound = "not_found",
        /// Code 422.
        InvalidRequest = "invalid_request",
        /// Code 413 or 451.
        Rejected = "rejected",
        /// Code 429 (frequency), 430 or 405.
        RateLimited = "rate_limited",
        /// Code 455.
        Maintenance = "maintenance",
        /// A code that speaks of trouble on the service's side.
        ServerError = "server_error",
        /// No answer within the timeout, or code 408.
        Timeout = "timeout",
        /// No connection, or one that broke.
        Connection = "connection",
        /// An answer that does not say what happened.
        BadResponse = "bad_response",
        /// Code 401 or 403: the key or the client is refused.
        Unauthorized = "unauthorized",
        /// Code 402, 433, or 429 with a message about credits.
        NoCredits = "no_credits",
        /// Not reached before `--deadline`.
        Deadline = "deadline",
        /// Not reached: the service refused everyone for `--max-outage`.
        Outage = "outage",
        /// Not reached, or answer lost: the run was ended from outside.
        Interrupted = "interrupted",
        /// Not reached: `--max-failures` stopped the run.
        TooManyFailures = "too_many_failures",
        /// The answer is lost and `--in-doubt hold` keeps the row back.
        Held = "held",
        /// The row itself is unusable.
        BadRow = "bad_row",
        /// The cover is finished.
        Generated = "generated",
        /// The service could not make the cover.
        GenerationFailed = "generation_failed",
        /// `--check-music`: the music is not finished yet.
        MusicNotReady = "music_not_ready",
        /// `--check-music`: the music could not be made.
        MusicFailed = "music_failed",
    }
}

/// What the service said, as far as it said anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; `None` if no answer came.
    pub http_status: Option<u16>,
    /// The `code` of the body; `None` if there was none.
    pub code: Option<i64>,
    /// The service's words, or what went wrong on the way: one line of at most [`MAX_MESSAGE_CHARS`].
    pub message: String,
}

/// What one answer, or the lack of one, means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Code 200 with the id of the new cover job.
    Accepted(CoverTaskId),
    /// Code 400 or 409: a cover is there, whose id the answer may give.
    Covered(Option<CoverTaskId>),
    /// Code 429 (frequency), 430 or 405: everyone sends too fast.
    Throttled,
    /// Code 455, a gateway without the service, or no connection: nobody is served.
    Unavailable,
    /// Code 402, 433, or 429 about credits: the account is empty.
    NoCredits,
    /// Code 401 or 403: the account is refused.
    Unauthorized,
    /// Code 404, 413, 422 or 451: this row is refused.
    Rejected,
    /// An answer that settles nothing (500, a broken body …): this row is to be tried again.
    Troubled,
    /// Sent, and no whole answer came: whether the service acted is unknown.
    Lost,
}

/// A verdict with everything that is worth keeping of the answer it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it means.
    pub verdict: Verdict,
    /// The word for it in the results.
    pub reason: Reason,
    /// What was said.
    pub answer: Answer,
    /// How long the service asks to be left alone.
    pub retry_after: Option<Duration>,
}

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
    /// The key is refused.
    Unauthorized,
    /// The credits are used up.
    NoCredits,
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
            Self::Unauthorized => Some(Reason::Unauthorized),
            Self::NoCredits => Some(Reason::NoCredits),
        }
    }
}

impl Ended {
    /// Whether covers are not followed any more either. Those of an empty account, or of a batch with something wrong in
    /// it, are paid for and worth having.
    #[must_use]
    pub const fn ends_following(self) -> bool {
        match self {
            Self::Interrupted(_) | Self::Deadline | Self::Outage | Self::Unauthorized => true,
            Self::Finished | Self::TooManyFailures | Self::NoCredits => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_its_value() {
        for state in RowState::ALL {
            assert_eq!(RowState::from_word(state.word()), Some(*state));
        }
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.word()), Some(*status));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.word()), Some(*reason));
        }
        assert_eq!(Reason::from_word("Accepted"), None);
    }
}
