//! An answer as it came, or how it did not come.

use std::borrow::Cow;
use std::time::Duration;

/// Largest body read of an answer, in bytes, packed or not.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// An answer as it came, whole.
#[derive(Debug, Clone, Copy)]
pub struct RawAnswer<'a> {
    /// The address that was asked, without a query.
    pub address: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Where the `Location` header points to.
    pub location: Option<&'a str>,
    /// The body, unpacked, at most [`MAX_BODY_BYTES`].
    pub body: &'a [u8],
    /// What the `Content-Encoding` header says of it.
    pub encoding: Option<&'a str>,
    /// What its headers ask for.
    pub wait: Wait,
}

/// How long the headers of an answer ask to be left alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wait {
    /// By `Retry-After` or `retry-after-ms`, whatever the answer means.
    pub retry_after: Option<Duration>,
    /// Until the limit of calls begins anew: counts if that was reached.
    pub reset: Option<Duration>,
}

impl Wait {
    /// What is asked for: the limit counts only if it was reached.
    pub(super) fn asked(self, is_throttled: bool) -> Option<Duration> {
        self.retry_after.or(self.reset.filter(|_| is_throttled))
    }
}

impl<'a> RawAnswer<'a> {
    /// An answer with nothing but a status and a body.
    #[must_use]
    pub fn new(status: u16, body: &'a [u8]) -> Self {
        Self { address: "", status, location: None, body, encoding: None, wait: Wait::default() }
    }

    /// Whether the HTTP status says that all went well.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, without byte order marks: UTF-16 if it begins with one of those, else UTF-8, with a mark in the
    /// place of what is not.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self.body {
            [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes).into(),
            [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes).into(),
            body => match String::from_utf8_lossy(body) {
                Cow::Borrowed(text) => text.trim_start_matches('\u{feff}').into(),
                Cow::Owned(text) => text.trim_start_matches('\u{feff}').to_owned().into(),
            },
        }
    }
}

/// How a submission ended without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection: nothing was sent. Says why.
    NotSent(String),
    /// No connection, as long as nobody changes something: nothing was sent. Says what.
    NoWay(String),
    /// No whole answer within the timeout.
    TimedOut(Duration),
    /// The connection broke after the request may have left. Says how.
    Broken(String),
    /// A body of more than [`MAX_BODY_BYTES`] came with this HTTP status.
    TooLarge(u16),
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks().0.iter().map(|pair| unit(*pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
