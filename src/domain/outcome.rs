//! One call of the service: the way that it goes, and what it came to, a submission or one that only reads a record or an
//! image.
//!
//! Reading is harmless, so unlike a submission it leaves nothing in doubt: a call without an answer is made again.

use std::time::Duration;

use super::credits::Credits;
use super::id::CoverTaskId;
use super::status::Reason;
use super::words::words;
use crate::clock::UnixMillis;

words! {
    /// A way to ask for a cover and to read its record: other paths, other bodies, other words for the same.
    Route {
        /// The endpoints for covers alone, which both providers have.
        Legacy = "legacy",
        /// kie.ai's endpoints for jobs of all models.
        Jobs = "jobs",
    }
}

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

/// Images kept of a cover; the service makes 2.
pub const MAX_IMAGES: usize = 2;

/// Largest image saved, in bytes: 50 MiB.
pub const MAX_IMAGE_BYTES: u64 = 50 * 1024 * 1024;

/// What one reading call found, with everything that is worth keeping of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// What it found.
    pub found: Found<T>,
    /// The word for it in the results.
    pub reason: Reason,
    /// What was said.
    pub answer: Answer,
    /// How long the service asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// What was asked for.
    Known(T),
    /// Code 429 (frequency), 430 or 405: everyone reads too fast.
    Throttled,
    /// Maintenance, an empty account, a gateway without the service, or no connection: nobody is served.
    Unavailable,
    /// Code 401 or 403: the account is refused.
    Unauthorized,
    /// The service is not to be reached like this: see [`Verdict::WrongAddress`].
    WrongAddress,
    /// Nothing that can be relied on: this row alone is to be read again.
    Troubled,
}

/// How far the record of a cover says it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoverProgress {
    /// It waits or is being made, or there is no record yet.
    Unfinished,
    /// It is made, with images.
    Generated(Generated),
    /// It could not be made.
    Failed {
        /// What that cost; `None` if the record does not say.
        credits: Option<Credits>,
    },
}

/// How far the record of a music task says it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MusicProgress {
    /// `SUCCESS`: a cover may be asked for.
    Finished,
    /// Not yet.
    Unfinished,
    /// The service knows no such music task.
    Unknown,
    /// It will never be.
    Failed,
}

/// A finished cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Where its images are.
    pub images: Images,
    /// When it was finished, by the service's clock; `None` if the record does not say.
    pub completed_at: Option<UnixMillis>,
    /// How long that took, by the service's clock; `None` if the record does not say.
    pub took: Option<Duration>,
    /// What it cost; `None` if the record does not say.
    pub credits: Option<Credits>,
}

/// How long the service promises to keep the images of a cover.
pub const IMAGES_LAST: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Within so long of its end a cover's images appear at their host, if late.
pub const IMAGES_APPEAR: Duration = Duration::from_secs(24 * 60 * 60);

/// The addresses of a cover's images, 1 to [`MAX_IMAGES`], in the service's order: http or https, without white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images(Vec<String>);

impl Images {
    /// The first [`MAX_IMAGES`] usable of these addresses; `None` if none is.
    #[must_use]
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Option<Self> {
        let usable: Vec<String> =
            urls.into_iter().map(Into::into).filter(|url| is_usable(url)).take(MAX_IMAGES).collect();
        (!usable.is_empty()).then_some(Self(usable))
    }

    /// The addresses.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.0
    }
}

/// Longest address kept, in bytes.
const MAX_URL_BYTES: usize = 2_000;

/// Whether an address can be fetched and stands in a cell or a page without harm.
fn is_usable(url: &str) -> bool {
    let is_http = ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    is_http && url.len() <= MAX_URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_addresses_of_a_record_the_first_two_usable_ones_are_kept() {
        let long = format!("https://x.example/{}", "a".repeat(MAX_URL_BYTES));
        let urls = [
            "ftp://x.example/1",
            "https://",
            "javascript:alert(1)",
            "https://x/a b",
            &long,
            "https://x/1",
            "http://x/2",
            "https://x/3",
        ];
        assert_eq!(Images::new(urls).unwrap().urls(), ["https://x/1", "http://x/2"]);
        assert_eq!(Images::new(&urls[..5].iter().map(ToString::to_string).collect::<Vec<_>>()[..]), None);
    }
}
