//! A monitor that is told when a run starts and how it ends, in the style of healthchecks.io.
//!
//! A ping never fails a run and never holds it up: it is sent beside it, with a short timeout, and forgotten.

use std::time::Duration;

use reqwest::{Client, Response};
use thiserror::Error;
use tokio::task::JoinHandle;
use tracing::warn;
use url::Url;

use super::address::is_loopback;
use super::client::{ClientError, builder};

/// Longest time for one ping.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a monitor listens: `<url>/start` when a run starts, `<url>/<exit code>` when it ends.
#[derive(Debug, Clone)]
pub struct Ping {
    address: Url,
    client: Client,
}

/// Why a monitor cannot be told.
#[derive(Debug, Error)]
pub enum PingError {
    /// The address leads nowhere.
    #[error("it is not an http or https URL")]
    NotHttp,
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Ping {
    /// A monitor at `address`.
    ///
    /// # Errors
    /// [`PingError`]
    pub fn new(address: &str) -> Result<Self, PingError> {
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https");
        let address = Url::parse(address).ok().filter(is_http).ok_or(PingError::NotHttp)?;
        let builder = builder(address.scheme() == "https", is_loopback(&address))?;
        let client = builder.timeout(TIMEOUT).build().map_err(ClientError::Build)?;
        Ok(Self { address, client })
    }

    /// Tells that a run starts, beside it.
    #[must_use]
    pub fn start(&self) -> JoinHandle<()> {
        let ping = self.clone();
        tokio::spawn(async move { ping.send("start", String::new()).await })
    }

    /// Tells how a run ended; takes at most a few seconds.
    pub async fn end(&self, exit_code: u8, digest: String) {
        self.send(&exit_code.to_string(), digest).await;
    }

    async fn send(&self, what: &str, body: String) {
        let mut address = self.address.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().push(what);
        }
        let sent = self.client.post(address).body(body).send().await;
        if let Err(error) = sent.and_then(Response::error_for_status) {
            warn!(what, error = %error.without_url(), "the monitor could not be told");
        }
    }
}
