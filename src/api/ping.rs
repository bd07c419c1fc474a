//! A monitor that is told when a run starts and how it ends, in the style of healthchecks.io.
//!
//! A ping never fails a run and hardly holds it up: the first is sent beside it, the last is tried a few times.

use std::time::Duration;

use reqwest::Client;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;
use url::Url;

use super::address::is_loopback;
use super::client::{ClientError, builder};

/// Longest time for one ping.
const TIMEOUT: Duration = Duration::from_secs(5);

/// From one try to tell of the end to the next.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

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
        tokio::spawn(async move { ping.tell("start", String::new(), &[]).await })
    }

    /// Tells how a run ended; takes half a minute at most, and as a rule a moment.
    ///
    /// Tried again for a while, because a monitor that does not hear of the end raises an alarm.
    pub async fn end(&self, exit_code: u8, digest: String) {
        self.tell(&exit_code.to_string(), digest, &PAUSES).await;
    }

    async fn tell(&self, what: &str, body: String, pauses: &[Duration]) {
        let mut pauses = pauses.iter();
        while let Err(error) = self.send(what, body.clone()).await {
            match pauses.next().filter(|_| may_pass(&error)) {
                Some(pause) => sleep(*pause).await,
                None => return warn!(what, error = %error.without_url(), "the monitor could not be told"),
            }
        }
    }

    async fn send(&self, what: &str, body: String) -> reqwest::Result<()> {
        let mut address = self.address.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().push(what);
        }
        self.client.post(address).body(body).send().await?.error_for_status().map(drop)
    }
}

/// Whether the next try may succeed: the monitor did not answer, or said that it is not its day.
fn may_pass(error: &reqwest::Error) -> bool {
    error.status().is_none_or(|status| status.is_server_error() || matches!(status.as_u16(), 408 | 429))
}
