//! What the stand-in tells the address that came with a generate request, how it signs it, and how it is sent.
//!
//! Only programs on this machine are told, so that a trial with a real address disturbs nobody. HTTP is written by hand,
//! since one POST is all there is to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Host, Position, Url};

use super::covers::{Cover, Ending, Progress};
use super::scenario::{Callbacks, SigningKey, callback_delay};
use crate::domain::Route;

/// Within this time the target has to have answered, by the service's documentation.
const PATIENCE: Duration = Duration::from_secs(15);
/// No answer has a longer head.
const MAX_HEAD: usize = 16 * 1024;

/// One callback that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Webhook {
    /// When, since the start of the service.
    pub(super) due: Duration,
    pub(super) target: Target,
    /// How often again, once it was answered 200.
    pub(super) repeats: u32,
    cover_id: String,
    body: String,
}

impl Webhook {
    /// The callback for this cover; `None` if it never ends or nobody on this machine asked for one.
    pub(super) fn of(cover: &Cover, callbacks: &Callbacks, seed: u64, base_url: &str) -> Option<Self> {
        let target = Target::read(&cover.request.callback_url)?;
        let (end, ending) = cover.outcome()?;
        let (code, msg) = match ending {
            Ending::Images | Ending::NoImages => (200, "success (sandbox)"),
            Ending::Failure => (501, "Cover generation failed (sandbox)"),
        };
        let data = match cover.request.route {
            Route::Legacy => json!({"taskId": cover.id, "images": cover.images(base_url, ending)}),
            Route::Jobs => cover.job(Progress::Ended(end, ending), base_url),
        };
        Some(Self {
            due: end.saturating_add(callback_delay(seed, &cover.id, &callbacks.delay)),
            target,
            repeats: callbacks.repeats,
            cover_id: cover.id.clone(),
            body: json!({"code": code, "msg": msg, "data": data}).to_string(),
        })
    }

    /// Sends it at this time; whether the target answers 200 within [`PATIENCE`].
    pub(super) async fn send(&self, key: Option<&SigningKey>, unix_seconds: i64) -> bool {
        let exchange = exchange(&self.target, self.request(key, unix_seconds));
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .is_ok_and(|head| head.is_ok_and(|head| status(&head) == Some(200)))
    }

    fn request(&self, key: Option<&SigningKey>, unix_seconds: i64) -> String {
        let Target { host, path, .. } = &self.target;
        let signature =
            key.map(|key| key.signature(&self.cover_id, unix_seconds)).map_or_else(String::new, |signature| {
                format!("X-Webhook-Timestamp: {unix_seconds}\r\nX-Webhook-Signature: {signature}\r\n")
            });
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: coverbatch-sandbox/{version}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{signature}Connection: close\r\n\r\n{body}",
            version = env!("CARGO_PKG_VERSION"),
            length = self.body.len(),
            body = self.body,
        )
    }
}

/// A program on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Where it may listen.
    pub(super) addresses: Vec<SocketAddr>,
    host: String,
    path: String,
}

impl Target {
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
            path: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        })
    }
}

impl SigningKey {
    /// The `X-Webhook-Signature` for this task id and `X-Webhook-Timestamp`.
    fn signature(&self, task_id: &str, unix_seconds: i64) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        STANDARD.encode(mac.chain_update(format!("{task_id}.{unix_seconds}")).finalize().into_bytes())
    }
}

/// The answer to a request, at least to the end of its head.
async fn exchange(target: &Target, request: String) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(target.addresses.as_slice()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests;
