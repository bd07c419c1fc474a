//! What the errors of the HTTP clients mean, in words for an operator.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use rustls::{CertificateError, Error as TlsError};

use super::proxy::proxies;
use crate::clock::UnixMillis;

/// What the library says of its own layers, which tells an operator nothing.
const LAYERS: [&str; 3] = ["client error (", "request or response body error", "error resolving DNS"];

/// What it says where a proxy is the trouble.
const PROXIED: [&str; 3] = ["proxy", "socks", "tunnel"];

/// What it says of a proxy that answers 407.
const PROXY_WANTS_PASSWORD: &str = "proxy authorization required";

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
