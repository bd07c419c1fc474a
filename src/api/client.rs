//! What the HTTP clients have in common: who they say they are, how long they wait, and how they find hosts.
//!
//! None repeats a request or follows a redirect by itself: a second request would pass the rate limit unseen and could
//! carry the key to another host.

use std::error::Error as StdError;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, ClientBuilder, Response, redirect, retry};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::api::wire::read_retry_after;
use crate::clock::Clock;

/// A missing User-Agent is blocked by the CDN before the API ("error code: 1010").
pub const USER_AGENT: &str = concat!("coverbatch/", env!("CARGO_PKG_VERSION"));

/// Longest wait for a connection; nine tenths of the timeout if that is shorter, so that it always ends first and it is
/// known that nothing was sent.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are dropped before a server is likely to have closed them.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest silence that a client is asked to bear: a year, since `reqwest` adds it to the time of day and no clock shows
/// the end of time.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why there is no client.
#[derive(Debug, Error)]
#[error("cannot set up the HTTPS client")]
pub struct ClientError(#[source] pub(super) reqwest::Error);

/// A client as all of them are. One that never speaks TLS needs nobody's certificate, and a machine may have none.
pub(super) fn builder(speaks_tls: bool) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .dns_resolver(Arc::new(System));
    if speaks_tls { builder } else { builder.tls_certs_only([]) }
}

/// What the `Retry-After` header asks for.
pub(super) fn retry_after(response: &Response, clock: Clock) -> Option<Duration> {
    read_retry_after(response.headers().get(RETRY_AFTER)?.to_str().ok()?, clock.unix())
}

/// Resolves names by the system.
///
/// A name server that does not answer can hold a look-up for half a minute. So each has a thread of its own, and never
/// one of the few that serve the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(Box::new(addresses(name.as_str()).await?.into_iter()) as Addrs) })
    }
}

/// The addresses of a host, with port 0.
pub(super) async fn addresses(host: &str) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    let (tell, told) = oneshot::channel();
    let look_up = move || (host.as_str(), 0).to_socket_addrs().map(Iterator::collect);
    // Whoever gave up waiting needs no answer.
    thread::Builder::new().name("resolver".to_owned()).spawn(move || drop(tell.send(look_up())))?;
    told.await.map_err(io::Error::other)?
}

/// What an HTTP library says of its own layers, which tells an operator nothing.
const LAYERS: [&str; 3] = ["client error (", "request or response body error", "error resolving DNS"];

/// The innermost causes of an error in one sentence; the outer ones only name the URL and the libraries' layers.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push(inner.to_string());
        cause = inner.source();
    }
    words.retain(|word| !LAYERS.iter().any(|layer| word.starts_with(layer)));
    words.dedup();
    if words.is_empty() { "the request could not be sent".to_owned() } else { in_words(&words.join(": ")) }
}

/// The TLS library's names for what is wrong with a certificate, where they are no words.
fn in_words(text: &str) -> String {
    text.replace("UnknownIssuer", "its issuer is not trusted on this machine")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::task::spawn_blocking;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_look_up_needs_none_of_the_threads_that_serve_the_ledger() {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, released) = channel::<()>();
            let only = spawn_blocking(move || released.recv());
            let found = timeout(Duration::from_secs(10), addresses("localhost")).await.expect("it waits").unwrap();
            assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
            release.send(()).unwrap();
            only.await.unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_an_error() {
        assert!(addresses("no host").await.is_err());
    }
}
