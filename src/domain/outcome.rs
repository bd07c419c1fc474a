//! What one answer to a submission, or the lack of one, means.

use std::time::Duration;

use super::id::CoverTaskId;
use super::status::Reason;

/// What the service said, as far as it said anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; `None` if no answer came.
    pub http_status: Option<u16>,
    /// The `code` of the body; `None` if there was none.
    pub code: Option<i64>,
    /// The service's words, or what went wrong on the way: one line of at most [`MAX_MESSAGE_CHARS`](super::MAX_MESSAGE_CHARS).
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
    /// Maintenance, a gateway without the service, or no connection: nobody is served.
    Unavailable,
    /// Code 402, 433, or 429 about credits: the account is empty.
    NoCredits,
    /// Code 401 or 403: the account is refused.
    Unauthorized,
    /// HTTP 404, 410 or 3xx without a code, code 505, a certificate that cannot be trusted, a proxy that wants a password:
    /// the service is not to be reached like this, and no row is judged by it.
    WrongAddress,
    /// Code 404, 413, 422 or 451: this row is refused.
    Rejected,
    /// An answer that settles nothing (500, a gateway's error …): this row is to be tried again.
    Troubled,
    /// Sent, and no answer that can be understood came: whether the service acted is unknown.
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
