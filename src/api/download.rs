//! Images over HTTP: one GET, redirects included, written as it comes.
//!
//! The client is one of its own and never knows the key: what the service stores its images with is not the service.
//! Redirects are followed here and not by `reqwest`, so that every address passes the one check that the first passed,
//! in the very form in which it is then asked for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Client, ClientBuilder, Response};
use thiserror::Error;
use url::Url;

use super::client::{self, CONNECT_TIMEOUT, ClientError, MAX_SILENCE, causes, chain, lasting, wait};
use super::proxy::proxies;
use super::reach::{Forbidden, Reach, Resolver};
use crate::api::ImageSink;
use crate::clock::Clock;
use crate::domain::{Answer, Brief, Found, MAX_IMAGE_BYTES, Reading, Reason, one_line};

/// Most redirects followed for one image.
const MAX_REDIRECTS: usize = 5;

/// Longest time for one image, as a multiple of the longest silence.
const TOTAL_TIMEOUTS: u32 = 4;

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// What the client needs to know.
#[derive(Debug, Clone)]
pub struct DownloadConfig {
    /// Hosts that may be reached wherever they are, without scheme and port.
    pub hosts: Vec<String>,
    /// Whether this machine itself may be reached, as for the sandbox; a proxy could not, so none is used then.
    pub loopback_allowed: bool,
    /// Longest silence; an image may take four times as long.
    pub timeout: Duration,
    /// For dates in `Retry-After`.
    pub clock: Clock,
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum DownloadsError {
    /// A host that is none.
    #[error("`{0}` is not the name of a host; it stands without scheme, port and path")]
    BadHost(String),
    /// The client itself.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A client for images.
#[derive(Debug, Clone)]
pub struct Downloads {
    client: Client,
    reach: Arc<Reach>,
    timeout: Duration,
    clock: Clock,
}

impl Downloads {
    /// A client that has not connected yet. A proxy named by the environment is used, wherever it is; it resolves names
    /// itself, so that which of them it may reach is its own rule.
    ///
    /// # Errors
    /// [`DownloadsError`]
    pub fn new(config: &DownloadConfig) -> Result<Self, DownloadsError> {
        let reach = Reach::new(&config.hosts, config.loopback_allowed).map_err(DownloadsError::BadHost)?;
        let direct = config.loopback_allowed;
        let reach = if direct { reach } else { reach.with_proxies(&proxies().map_err(ClientError::from)?) };
        let reach = Arc::new(reach);
        let build = |speaks_tls| builder(speaks_tls, &reach, config)?.build().map_err(ClientError::Build);
        let client = match build(true) {
            // Without TLS nobody's certificate is needed, and a machine may have none.
            Err(_) if direct => build(false),
            client => client,
        }?;
        Ok(Self { client, reach, timeout: config.timeout, clock: config.clock })
    }

    /// Longest time for one image, if `timeout` is the longest silence.
    #[must_use]
    pub fn longest(timeout: Duration) -> Duration {
        timeout.saturating_mul(TOTAL_TIMEOUTS)
    }

    /// Writes the image at `url` to `sink`: [`Found::Known`] with the number of its bytes, or [`Found::Troubled`].
    ///
    /// What was written is worth something only if it is known, and nothing is said of its being an image.
    ///
    /// # Errors
    /// If `sink` cannot be written to.
    pub async fn fetch<S: ImageSink>(&self, url: &str, sink: &mut S) -> io::Result<Reading<u64>> {
        let total = Self::longest(self.timeout);
        let fetched = tokio::time::timeout(total, self.follow(url, sink)).await;
        let late = || trouble(Reason::Timeout, None, &format!("{} took longer than {}", host_of(url), Brief(total)));
        match fetched.unwrap_or_else(|_| Err(late().into())) {
            Ok(count) => Ok(reading(Found::Known(count), Reason::Generated, Some(200), "")),
            Err(Halt::Trouble(trouble)) => Ok(trouble),
            Err(Halt::Sink(cause)) => Err(cause),
        }
    }

    /// Goes where the address leads and writes what is there.
    async fn follow<S: ImageSink>(&self, address: &str, sink: &mut S) -> Result<u64, Halt> {
        let unreadable = |error| trouble(Reason::BadResponse, None, &format!("the address is not a URL: {error}"));
        let mut url = Url::parse(address).map_err(unreadable)?;
        self.reach.check(&url).map_err(|forbidden| not_fetched(None, &forbidden))?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.get(url.clone()).send().await.map_err(|error| self.fault(&url, None, &error))?;
            let Some(next) = target(&url, &response)? else { return self.receive(&url, response, sink).await };
            let redirected = |forbidden| {
                let message = format!("{} redirects to an address that is not fetched: {forbidden}", host(&url));
                trouble(Reason::Rejected, response.status().as_u16(), &message)
            };
            self.reach.check(&next).map_err(redirected)?;
            url = next;
        }
        let message = format!("{} is behind more than {MAX_REDIRECTS} redirects", host_of(address));
        Err(trouble(Reason::BadResponse, None, &message).into())
    }

    /// Writes the body of an answer.
    async fn receive<S: ImageSink>(&self, url: &Url, mut response: Response, sink: &mut S) -> Result<u64, Halt> {
        if response.status().as_u16() != 200 {
            return Err(self.refusal(url, &response).into());
        }
        let bad = |what: &str| trouble(Reason::BadResponse, 200, &format!("{} sent {what}", host(url)));
        let length = response.content_length();
        let (mut count, mut piece) = (0, Vec::new());
        if length.is_some_and(|length| length > MAX_IMAGE_BYTES) {
            return Err(bad("an image larger than 50 MiB").into());
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(url, Some(200), &error))? {
            count += chunk.len() as u64;
            if count > MAX_IMAGE_BYTES {
                return Err(bad("an image larger than 50 MiB").into());
            }
            piece.extend_from_slice(&chunk);
            if piece.len() >= PIECE_BYTES {
                sink.write(std::mem::take(&mut piece)).await.map_err(Halt::Sink)?;
            }
        }
        sink.write(piece).await.map_err(Halt::Sink)?;
        match length {
            _ if count == 0 => Err(bad("no bytes").into()),
            Some(length) if length != count => Err(bad(&format!("{count} bytes of {length}")).into()),
            _ => Ok(count),
        }
    }

    /// What an HTTP status other than 200 means.
    fn refusal(&self, url: &Url, response: &Response) -> Reading<u64> {
        let status = response.status().as_u16();
        let reason = match status {
            404 | 410 => Reason::NotFound,
            408 => Reason::Timeout,
            429 | 500..=599 => Reason::ServerError,
            _ => Reason::BadResponse,
        };
        let retry_after = wait(response.headers(), self.clock).retry_after;
        Reading { retry_after, ..trouble(reason, status, &format!("{} answers HTTP {status}", host(url))) }
    }

    /// Where in the exchange it broke, after an answer with this status or before any.
    fn fault(&self, url: &Url, http_status: Option<u16>, error: &reqwest::Error) -> Reading<u64> {
        // The reason of our own resolver.
        if let Some(forbidden) = chain(error).find_map(|cause| cause.downcast_ref::<Forbidden>()) {
            return not_fetched(http_status, forbidden);
        }
        let host = host(url);
        if error.is_timeout() && !error.is_connect() {
            return trouble(Reason::Timeout, http_status, &format!("{host} was silent for {}", Brief(self.timeout)));
        }
        let words = lasting(error, url.host_str().unwrap_or_default());
        trouble(Reason::Connection, http_status, &words.unwrap_or_else(|| format!("{host}: {}", causes(error))))
    }
}

/// A client that goes nowhere but within `reach`.
fn builder(speaks_tls: bool, reach: &Arc<Reach>, config: &DownloadConfig) -> Result<ClientBuilder, ClientError> {
    let builder = client::builder(speaks_tls, config.loopback_allowed)?;
    Ok(builder
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
        .read_timeout(config.timeout.min(MAX_SILENCE))
        .dns_resolver(Arc::new(Resolver(Arc::clone(reach)))))
}

/// Where a redirect leads; `None` if the answer is none.
fn target(url: &Url, response: &Response) -> Result<Option<Url>, Reading<u64>> {
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION).filter(|_| matches!(status, 301..=303 | 307 | 308));
    let Some(location) = location else { return Ok(None) };
    let text = String::from_utf8_lossy(location.as_bytes());
    let unreadable =
        |error| trouble(Reason::BadResponse, status, &format!("{} redirects to what is not a URL: {error}", host(url)));
    url.join(&text).map(Some).map_err(unreadable)
}

/// The host of a URL for a message; the rest of it may be a secret.
fn host(url: &Url) -> String {
    format!("`{}`", url.host_str().unwrap_or_default())
}

/// The host of an address for a message.
fn host_of(address: &str) -> String {
    Url::parse(address).map_or_else(|_| "the image".to_owned(), |url| host(&url))
}

/// Why a download ends early.
enum Halt {
    /// There is no image.
    Trouble(Reading<u64>),
    Sink(io::Error),
}

impl From<Reading<u64>> for Halt {
    fn from(trouble: Reading<u64>) -> Self {
        Self::Trouble(trouble)
    }
}

/// What was read, with the HTTP status of the answer if one came.
fn reading(found: Found<u64>, reason: Reason, http_status: Option<u16>, message: &str) -> Reading<u64> {
    let answer = Answer { http_status, code: None, message: one_line(message) };
    Reading { found, reason, answer, retry_after: None }
}

fn trouble(reason: Reason, http_status: impl Into<Option<u16>>, message: &str) -> Reading<u64> {
    reading(Found::Troubled, reason, http_status.into(), message)
}

fn not_fetched(http_status: Option<u16>, forbidden: &Forbidden) -> Reading<u64> {
    trouble(Reason::Rejected, http_status, &format!("not fetched: {forbidden}"))
}
