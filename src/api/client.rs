//! What the HTTP clients have in common: who they say they are, how long they wait, how they find hosts, and
//! what their errors mean, in words for an operator.
//!
//! None repeats a request or follows a redirect by itself: a second request would pass the rate limit unseen and could
//! carry the key to another host.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::iter::successors;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io, thread};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::{CertificateError, Error as TlsError};
use thiserror::Error;
use tokio::sync::oneshot;

use super::proxy::{BadProxy, proxies};
use super::wire::{Wait, read_wait};
use crate::clock::{Clock, UnixMillis};

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

/// What the library says of its own layers, which tells an operator nothing.
const LAYERS: [&str; 3] = ["client error (", "request or response body error", "error resolving DNS"];

/// What it says where a proxy is the trouble.
const PROXIED: [&str; 3] = ["proxy", "socks", "tunnel"];

/// What it says of a proxy that answers 407.
const PROXY_WANTS_PASSWORD: &str = "proxy authorization required";

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

/// The innermost causes of an error in one sentence; the outer ones only name the URL and the libraries' layers.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = chain(error).map(ToString::to_string).collect();
    words.retain(|word| !LAYERS.iter().any(|layer| word.starts_with(layer)));
    words.dedup();
    if words.is_empty() {
        return "the request could not be sent".to_owned();
    }
    let words = words.join(": ");
    if PROXIED.iter().any(|word| words.to_lowercase().contains(word)) { words + &by_proxies() } else { words }
}

/// Which proxies the environment names, since the library does not say which of them failed.
fn by_proxies() -> String {
    proxies().unwrap_or_default().iter().fold(String::new(), |words, proxy| format!("{words}; {proxy}"))
}

/// Why no connection to `host` will stand before somebody changes something, in a sentence; `None` if one may.
pub(super) fn lasting(error: &reqwest::Error, host: &str) -> Option<String> {
    if let Some(bad) = chain(error).find_map(bad_certificate) {
        return Some(format!("the certificate of `{host}` cannot be trusted: {}", in_words(bad)));
    }
    let wants_password = chain(error).any(|cause| cause.to_string().contains(PROXY_WANTS_PASSWORD));
    wants_password.then(|| {
        format!(
            "the proxy before `{host}` wants a user name and a password (HTTP 407): `http://user:password@proxy:port`"
        )
    })
}

/// The causes of an error, the outermost first.
pub(super) fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source())
}

/// What is wrong with a certificate, if that is the cause; the runtime wraps it into errors of input and output.
fn bad_certificate<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a CertificateError> {
    if let Some(outer) = cause.downcast_ref::<io::Error>() {
        return bad_certificate(outer.get_ref()?);
    }
    if let TlsError::InvalidCertificate(bad) = cause.downcast_ref::<TlsError>()? { Some(bad) } else { None }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library has good words for the others, and may add some")]
fn in_words(bad: &CertificateError) -> String {
    let day = |seconds: u64| {
        let time = UnixMillis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)).to_string();
        time.split('T').next().unwrap_or_default().to_owned()
    };
    match bad {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("it expired on {} (if not, this machine's clock is wrong)", day(not_after.as_secs()))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it begins on {} (if not, this machine's clock is wrong)", day(not_before.as_secs()))
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // Each as `DnsName("x.example")`.
            let names = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name));
            format!("it is for {}", names.collect::<Vec<_>>().join(", "))
        }
        CertificateError::UnknownIssuer => {
            "this machine does not know its issuer, whose certificate SSL_CERT_FILE may name".to_owned()
        }
        other => other.to_string(),
    }
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
