//! Where the API is: an address that is safe to send the key to.

use thiserror::Error;
use url::{Host, Url};

/// The path of the one endpoint that is paid for.
pub const GENERATE_PATH: &str = "/api/v1/suno/cover/generate";

/// The path of a cover's record.
pub(super) const COVER_RECORD_PATH: &str = "/api/v1/suno/cover/record-info";

/// The path of a music task's record.
pub(super) const MUSIC_RECORD_PATH: &str = "/api/v1/generate/record-info";

/// Why a text is not an address of the API.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadApiUrl {
    /// It cannot be read as a URL.
    #[error("it is not an absolute URL: {0}")]
    NotAUrl(#[from] url::ParseError),
    /// It is not http or https, or has no host.
    #[error("it is not an http or https address")]
    NotHttp,
    /// Plain http to another machine: the key would travel in clear.
    #[error("it is plain http to another machine, so the key would travel in clear; use https")]
    Clear,
    /// It holds a password, a query or a fragment.
    #[error("it holds a password, a query or a fragment; only scheme, host, port and path are used")]
    Extra,
}

/// The base address of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl(Url);

impl ApiUrl {
    /// The address in `text`; plain http only to this machine itself.
    ///
    /// # Errors
    /// [`BadApiUrl`], one for each way to be wrong.
    pub fn new(text: &str) -> Result<Self, BadApiUrl> {
        let url = Url::parse(text.trim_end_matches('/'))?;
        let extra = url.password().is_some() || !url.username().is_empty();
        let address = Self(url);
        let url = &address.0;
        match url.scheme() {
            "https" | "http" if extra || url.query().is_some() || url.fragment().is_some() => Err(BadApiUrl::Extra),
            "https" => Ok(address),
            "http" if address.is_loopback() => Ok(address),
            "http" => Err(BadApiUrl::Clear),
            _ => Err(BadApiUrl::NotHttp),
        }
    }

    /// The address as it identifies an account's service, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The address of the submission endpoint.
    #[must_use]
    pub fn generate(&self) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{GENERATE_PATH}", self.0.path().trim_end_matches('/')));
        url
    }

    /// The address of an endpoint.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// Whether it is reached over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it leads to this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Its host.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

/// Whether a URL leads to this machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_travels_in_clear_only_within_this_machine() {
        for good in ["https://api.kie.ai", "http://127.0.0.1:8080/", "http://localhost:1/base", "http://[::1]:3"] {
            assert!(ApiUrl::new(good).is_ok(), "{good}");
        }
        let table = [
            ("http://api.kie.ai", BadApiUrl::Clear),
            ("http://10.0.0.7", BadApiUrl::Clear),
            ("http://localhost.example", BadApiUrl::Clear),
            ("ftp://api.kie.ai", BadApiUrl::NotHttp),
            ("https://user:pass@api.kie.ai", BadApiUrl::Extra),
            ("https://api.kie.ai?x=1", BadApiUrl::Extra),
        ];
        for (text, reason) in table {
            assert_eq!(ApiUrl::new(text), Err(reason), "{text}");
        }
        assert!(matches!(ApiUrl::new("api.kie.ai"), Err(BadApiUrl::NotAUrl(_))));
    }

    #[test]
    fn the_endpoint_is_found_below_the_base_whatever_its_end() {
        let expected = "https://gate.example/suno/api/v1/suno/cover/generate";
        assert_eq!(ApiUrl::new("https://gate.example/suno").unwrap().generate().as_str(), expected);
        assert_eq!(ApiUrl::new("https://gate.example/suno//").unwrap().generate().as_str(), expected);
    }
}
