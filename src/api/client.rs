//! What the HTTP clients have in common: who they say they are, how long they wait, and how they find hosts.
//!
//! None repeats a request or follows a redirect by itself: a second request would pass the rate limit unseen and could
//! carry the key to another host.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io, thread};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, redirect, retry};
use thiserror::Error;
use tokio::sync::oneshot;

use super::proxy::{BadProxy, proxies};
use super::wire::{Wait, read_wait};
use crate::clock::Clock;

/// A missing User-Agent is blocked by the CDN before the API ("error code: 1010").
pub const USER_AGENT: &str = concat!("coverbatch/", env!("CARGO_PKG_VERSION"));

/// Longest wait for a connection; nine tenths of the timeout if that is shorter, so that it always ends first and it is
/// known that nothing was sent.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are dropped before a server is likely to have closed them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest silence that a client is asked to bear: a year, since `reqwest` adds it to the time of day and no clock shows
/// the end of time.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The certificates of authorities: the variable of the environment that names them, and the file or folder.
    #[error("{0} names no certificates that can be used: `{path}`", path = .1.display())]
    Certificates(&'static str, PathBuf, #[source] io::Error),
    /// A proxy that the environment names.
    #[error(transparent)]
    Proxy(#[from] BadProxy),
    /// The client itself.
    #[error("cannot set up the HTTPS client")]
    Build(#[source] reqwest::Error),
}

/// A client as all of them are. One that never speaks TLS needs nobody's certificate, and a machine may have none; one that
/// stays on this machine needs no proxy, which could not reach it.
pub(super) fn builder(speaks_tls: bool, is_local: bool) -> Result<ClientBuilder, ClientError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .dns_resolver(Arc::new(System))
        .no_proxy();
    for proxy in if is_local { Vec::new() } else { proxies()? } {
        builder = builder.proxy(proxy.proxy()?);
    }
    if !speaks_tls {
        return Ok(builder.tls_certs_only([]));
    }
    check_certificates(|name| env::var_os(name))?;
    Ok(builder)
}

/// Checks that there are certificates where the environment names some, since those of the system do not count then. What
/// reads them passes over what it cannot read, and each connection would fail without a word of it.
fn check_certificates(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), ClientError> {
    if let Some(path) = variable("SSL_CERT_FILE").map(PathBuf::from) {
        let has_one = |text: Vec<u8>| text.windows(PEM_MARK.len()).any(|window| window == PEM_MARK);
        let none = || io::Error::other("it holds no certificate in PEM form");
        let read = fs::read(&path).and_then(|text| if has_one(text) { Ok(()) } else { Err(none()) });
        read.map_err(|cause| ClientError::Certificates("SSL_CERT_FILE", path, cause))?;
    }
    for path in variable("SSL_CERT_DIR").iter().flat_map(env::split_paths) {
        let read = fs::read_dir(&path);
        read.map_err(|cause| ClientError::Certificates("SSL_CERT_DIR", path, cause))?;
    }
    Ok(())
}

/// What a certificate begins with in a file.
const PEM_MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What the headers of an answer ask for.
pub(super) fn wait(headers: &HeaderMap, clock: Clock) -> Wait {
    read_wait(|name| header(headers, name), clock.unix())
}

/// The first header of a name, if it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
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
///
/// # Errors
/// If it has none, or the system cannot tell.
pub async fn addresses(host: &str) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    let (tell, told) = oneshot::channel();
    let look_up = move || (host.as_str(), 0).to_socket_addrs().map(Iterator::collect);
    // Whoever gave up waiting needs no answer.
    thread::Builder::new().name("resolver".to_owned()).spawn(move || drop(tell.send(look_up())))?;
    told.await.map_err(io::Error::other)?
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

    #[test]
    fn certificates_that_are_named_and_not_there_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        fs::write(path("good.pem"), "a comment\n-----BEGIN CERTIFICATE-----\n").unwrap();
        fs::write(path("empty.pem"), "").unwrap();
        fs::write(path("key.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let checked = |name: &'static str, value: OsString| {
            check_certificates(|asked| (asked == name).then(|| value.clone())).map_err(|error| error.to_string())
        };
        assert_eq!(checked("SSL_CERT_FILE", path("good.pem")), Ok(()));
        assert_eq!(checked("SSL_CERT_DIR", folder.path().into()), Ok(()));
        assert_eq!(check_certificates(|_| None).ok(), Some(()));
        for name in ["empty.pem", "key.pem", "missing.pem", ""] {
            let error = checked("SSL_CERT_FILE", path(name)).unwrap_err();
            assert!(error.starts_with("SSL_CERT_FILE names no certificates") && error.contains(name), "{error}");
        }
        let folders = env::join_paths([folder.path(), &folder.path().join("missing")]).unwrap();
        let error = checked("SSL_CERT_DIR", folders).unwrap_err();
        assert!(error.starts_with("SSL_CERT_DIR names") && error.ends_with("missing`"), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_an_error() {
        assert!(addresses("no host").await.is_err());
    }
}
