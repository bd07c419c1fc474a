//! The words of the problem: ids, outcomes, states, reasons.
//!
//! Values only. Nothing here does I/O, reads a clock, rolls dice or knows a file format, so that everything
//! that decides (`policy`) can be tested over its whole domain.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Longest id accepted, in bytes; the ids seen so far have 32.
pub const MAX_ID_BYTES: usize = 128;

/// Longest message kept of an answer, in characters.
pub const MAX_MESSAGE_CHARS: usize = 200;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadId {
    /// Nothing but white space.
    #[error("the id is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("the id has {0} bytes; at most {MAX_ID_BYTES} are allowed")]
    TooLong(usize),
    /// A byte outside the printable ASCII characters without the space.
    #[error("the id holds a space or another character that is not printable ASCII")]
    NotPrintable,
}

/// The bytes of an id without the white space around them, if they are one.
fn checked(text: &[u8]) -> Result<&str, BadId> {
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        return Err(BadId::Empty);
    }
    if trimmed.len() > MAX_ID_BYTES {
        return Err(BadId::TooLong(trimmed.len()));
    }
    if !trimmed.iter().all(u8::is_ascii_graphic) {
        return Err(BadId::NotPrintable);
    }
    std::str::from_utf8(trimmed).map_err(|_| BadId::NotPrintable)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id in these bytes, without white space around it.
            ///
            /// # Errors
            /// [`BadId`] unless it is 1 to [`MAX_ID_BYTES`] printable ASCII characters without spaces.
            pub fn new(text: impl AsRef<[u8]>) -> Result<Self, BadId> {
                checked(text.as_ref()).map(|id| Self(id.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The id of a finished music generation, as the catalog gives it; opaque.
    MusicTaskId
}

id! {
    /// The id of a cover job, as the service gives it; opaque, and never the music task's own.
    CoverTaskId
}

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
    }
}

impl RowState {
    /// Whether the music task has its cover and is never sent again.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Submitted | Self::Exists => true,
            Self::Pending | Self::InFlight | Self::InDoubt | Self::Failed | Self::GaveUp => false,
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
        }
    }
}

words! {
    /// What the results CSV says of a row, in the order in which a summary lists them.
    Status {
        /// Accepted by the service.
        Submitted = "submitted",
        /// A cover was already there.
        Exists = "exists",
        /// Rejected by the service.
        Failed = "failed",
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
            Self::Submitted | Self::Exists => true,
            Self::Failed | Self::GaveUp | Self::InDoubt | Self::Pending | Self::Invalid => false,
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

/// `text` on one line: control characters become spaces, runs of spaces one, cut at [`MAX_MESSAGE_CHARS`].
#[must_use]
pub fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() || is_line_break(c) { ' ' } else { c });
    let mut line = String::new();
    for c in spaced {
        if c != ' ' || !(line.is_empty() || line.ends_with(' ')) {
            line.push(c);
        }
    }
    line.trim_end().chars().take(MAX_MESSAGE_CHARS).collect()
}

/// Whether Unicode ends a line or reverses its direction here, which `char::is_control` does not cover.
const fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

/// A signal that asks the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
}

/// At most `count` in any window of `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time; from 1 ms to a day.
    pub period: Duration,
}

/// Why a text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected N/PERIOD such as `20/10s`, N from 1 to {MAX_RATE_COUNT} and PERIOD from 1ms to 24h")]
pub struct BadRate;

/// Most submissions a rate may name: the send times of one window are kept in memory.
pub const MAX_RATE_COUNT: u32 = 1_000_000;

/// Longest period a rate may name.
const MAX_RATE_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (count, period) = text.split_once('/').ok_or(BadRate)?;
        let count: NonZeroU32 = count.trim().parse().map_err(|_| BadRate)?;
        let period = parse_duration(period).map_err(|_| BadRate)?;
        let fits = (Duration::from_millis(1)..=MAX_RATE_PERIOD).contains(&period);
        if fits && count.get() <= MAX_RATE_COUNT { Ok(Self { count, period }) } else { Err(BadRate) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, Brief(self.period))
    }
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a number with a unit, such as `30s`, `1m 30s` or `2h`")]
pub struct BadDuration;

/// The duration in a text such as `30s`, `1m 30s` or `250ms`.
///
/// # Errors
/// [`BadDuration`] for a number without unit, a negative duration, or anything else.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let signed: jiff::SignedDuration = text.trim().parse().map_err(|_| BadDuration)?;
    Duration::try_from(signed).map_err(|_| BadDuration)
}

/// A duration as a person would say it: `0.4s`, `12s`, `2m 05s`, `3h 07m`.
#[derive(Debug, Clone, Copy)]
pub struct Brief(
    /// What to show.
    pub Duration,
);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0) if self.0.is_zero() => f.write_str("0s"),
            (0, 0, 0) => write!(f, "{}ms", self.0.as_millis()),
            (0, 0, s) if self.0.subsec_millis() >= 50 && s < 10 => write!(f, "{:.1}s", self.0.as_secs_f64()),
            (0, 0, s) => write!(f, "{s}s"),
            (0, m, 0) => write!(f, "{m}m"),
            (0, m, s) => write!(f, "{m}m {s:02}s"),
            (h, 0, _) => write!(f, "{h}h"),
            (h, m, _) => write!(f, "{h}h {m:02}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_trimmed_and_otherwise_kept_as_it_is() {
        assert_eq!(MusicTaskId::new(" 73D6128b \t").unwrap().as_str(), "73D6128b");
        assert_eq!(MusicTaskId::new("--delimiter=/../x").unwrap().as_str(), "--delimiter=/../x");
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_its_reason() {
        let table: [(&[u8], BadId); 7] = [
            (b"", BadId::Empty),
            (b" \t ", BadId::Empty),
            (&[b'x'; 129], BadId::TooLong(129)),
            (b"two words", BadId::NotPrintable),
            (b"nul\0", BadId::NotPrintable),
            ("café".as_bytes(), BadId::NotPrintable),
            (b"caf\xe9", BadId::NotPrintable),
        ];
        for (text, reason) in table {
            assert_eq!(MusicTaskId::new(text), Err(reason), "{text:?}");
        }
        assert!(MusicTaskId::new([b'x'; 128]).is_ok());
    }

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

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(one_line(" a\r\n\tb\u{0}\u{2028}c\u{202e}d "), "a b c d");
        assert_eq!(one_line(&"é".repeat(500)).chars().count(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn a_rate_is_a_count_and_a_period_with_a_unit() {
        let rate: Rate = "20/10s".parse().unwrap();
        assert_eq!((rate.count.get(), rate.period), (20, Duration::from_secs(10)));
        assert_eq!(rate.to_string(), "20/10s");
        for wrong in ["", "20", "0/10s", "-1/10s", "20/10", "20/0s", "20/25h", "20/-10s", "1000001/1s", "x/1s"] {
            assert_eq!(wrong.parse::<Rate>(), Err(BadRate), "{wrong}");
        }
    }

    #[test]
    fn a_duration_reads_as_a_person_would_say_it() {
        let shown = |ms| Brief(Duration::from_millis(ms)).to_string();
        let all = [0, 7, 900, 1_500, 12_000, 60_000, 125_000, 3_600_000, 11_220_000].map(shown);
        assert_eq!(all, ["0s", "7ms", "900ms", "1.5s", "12s", "1m", "2m 05s", "1h", "3h 07m"]);
    }
}
