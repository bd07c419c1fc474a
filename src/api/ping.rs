//! A monitor that is told when a run starts and how it ends, in the style of healthchecks.io.
//!
//! A ping never fails a run and hardly holds it up: the first is sent beside it, the last is tried a few times.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;
use url::Url;

use super::http::USER_AGENT;
use super::names::System;

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

impl Ping {
    /// A monitor at `address`; `None` if that is no http or https URL.
    #[must_use]
    pub fn new(address: &str) -> Option<Self> {
        let address = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(System));
        Some(Self { address, client: client.build().ok()? })
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
