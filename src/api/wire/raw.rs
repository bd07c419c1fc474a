//! An answer as it came, or how it did not come.

use std::time::Duration;

/// Largest body read of an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// An answer as it came, whole.
#[derive(Debug, Clone, Copy)]
pub struct RawAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`MAX_BODY_BYTES`].
    pub body: &'a [u8],
    /// What the `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
}

/// How a submission ended without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection: nothing was sent. Says why.
    NotSent(String),
    /// No whole answer within the timeout.
    TimedOut(Duration),
    /// The connection broke after the request may have left. Says how.
    Broken(String),
    /// A body of more than [`MAX_BODY_BYTES`] came with this HTTP status.
    TooLarge(u16),
}
