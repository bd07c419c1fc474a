//! A monitor that is told when a run starts and how it ends, in the style of healthchecks.io.
//!
//! A ping never fails a run and never holds it up: it is sent beside it, with a short timeout, and forgotten.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::task::JoinHandle;
use tracing::warn;
use url::Url;

use super::http::USER_AGENT;
use super::names::System;

/// Longest time for one ping.
const TIMEOUT: Duration = Duration::from_secs(5);

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
        if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
            warn!(what, error = %error.without_url(), "the monitor could not be told");
        }
    }
}
