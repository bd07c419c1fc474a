//! What the stand-in tells the address that came with a generate request, and how it signs it. Pure.
//!
//! Only programs on this machine are told, so that a trial with a real address disturbs nobody.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use thiserror::Error;
use url::{Host, Position, Url};

use super::covers::{Cover, Ending};
use super::dice;

/// How the stand-in calls back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callbacks {
    /// From the end of a cover to its callback, drawn for each cover.
    pub delay: RangeInclusive<Duration>,
    /// How often a callback that was answered 200 is delivered again.
    pub repeats: u32,
    /// Signs each delivery.
    pub webhook_key: Option<WebhookKey>,
}

/// At once, without repeats, unsigned.
impl Default for Callbacks {
    fn default() -> Self {
        Self { delay: Duration::ZERO..=Duration::ZERO, repeats: 0, webhook_key: None }
    }
}

/// A key that callbacks are signed with; it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookKey(Box<str>);

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key is empty")]
pub struct BadWebhookKey;

impl FromStr for WebhookKey {
    type Err = BadWebhookKey;

    fn from_str(text: &str) -> Result<Self, BadWebhookKey> {
        if text.is_empty() { Err(BadWebhookKey) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(***)")
    }
}

impl WebhookKey {
    /// The `X-Webhook-Signature` for this task id and `X-Webhook-Timestamp`; `None` only if HMAC takes no such key.
    fn signature(&self, task_id: &str, unix_seconds: i64) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok()?;
        mac.update(format!("{task_id}.{unix_seconds}").as_bytes());
        Some(STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// One callback that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// When, since the start of the service.
    pub(super) due: Duration,
    /// To whom.
    pub(super) recipient: Recipient,
    /// How often again, once it was answered 200.
    pub(super) repeats: u32,
    cover_id: String,
    body: String,
}

impl Notice {
    /// The callback for this cover; `None` if it never ends or nobody on this machine asked for one.
    pub(super) fn of(cover: &Cover, callbacks: &Callbacks, seed: u64, base_url: &str) -> Option<Self> {
        let recipient = Recipient::read(&cover.request.callback_url)?;
        let (end, ending) = cover.outcome()?;
        let (code, msg) = match ending {
            Ending::Images | Ending::NoImages => (200, "success (sandbox)"),
            Ending::Failure => (501, "Cover generation failed (sandbox)"),
        };
        let images = cover.images(base_url, ending);
        Some(Self {
            due: end.saturating_add(dice::callback_delay(seed, &cover.id, &callbacks.delay)),
            recipient,
            repeats: callbacks.repeats,
            cover_id: cover.id.clone(),
            body: json!({"code": code, "msg": msg, "data": {"taskId": cover.id, "images": images}}).to_string(),
        })
    }

    /// The whole request, sent at this time.
    pub(super) fn request(&self, key: Option<&WebhookKey>, unix_seconds: i64) -> String {
        let Recipient { host, target, .. } = &self.recipient;
        let signature = key.and_then(|key| key.signature(&self.cover_id, unix_seconds)).map_or_else(String::new, |s| {
            format!("X-Webhook-Timestamp: {unix_seconds}\r\nX-Webhook-Signature: {s}\r\n")
        });
        format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: coverbatch-sandbox/{version}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{signature}Connection: close\r\n\r\n{body}",
            version = env!("CARGO_PKG_VERSION"),
            length = self.body.len(),
            body = self.body,
        )
    }
}

/// A program on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipient {
    /// Where it may listen.
    pub(super) addresses: Vec<SocketAddr>,
    host: String,
    target: String,
}

impl Recipient {
    /// The program at this address; `None` unless it is plain http on a loopback address.
    fn read(callback_url: &str) -> Option<Self> {
        let url = Url::parse(callback_url).ok().filter(|url| url.scheme() == "http")?;
        let hosts: Vec<IpAddr> = match url.host()? {
            Host::Ipv4(host) => vec![host.into()],
            Host::Ipv6(host) => vec![host.into()],
            // Not looked up, so that it is this machine whatever a resolver says.
            Host::Domain("localhost") => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Host::Domain(_) => Vec::new(),
        };
        let port = url.port_or_known_default()?;
        let are_here = !hosts.is_empty() && hosts.iter().all(IpAddr::is_loopback);
        are_here.then(|| Self {
            addresses: hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect(),
            host: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            target: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
