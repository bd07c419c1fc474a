//! Addresses: where the API is, such that it is safe to send the key there, and what the service is told to call when a
//! cover is done.
//!
//! The service demands a callback address even from those who only read records (`code` 422 "Please enter callBackUrl."),
//! so there is always one: the user's, or an inert one under the reserved `.invalid` domain (RFC 2606).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use thiserror::Error;
use url::{Host, Url};

use crate::domain::MusicTaskId;
use crate::secret::CallbackSecret;

/// The path of the record of a music task.
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

    /// The address of an endpoint, by its path.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// The same, read once for all requests to it.
    pub(super) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
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

    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

/// The name of an account at the API at `api_url` that nobody names: its host, with its port if the address names one, as the
/// name of a file.
#[must_use]
pub fn account_name(api_url: &str) -> String {
    let (_, rest) = api_url.split_once("://").unwrap_or_default();
    rest.split('/').next().unwrap_or_default().replace([':', '[', ']'], "-")
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

/// Where in the template the music task id goes.
const TASK_ID: &str = "{task_id}";

/// Where in the template the token of the music task goes.
const TOKEN: &str = "{token}";

/// Nobody is called here: `.invalid` never resolves.
const INERT: &str = "https://no-callback.invalid/";

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An id as part of an address.
pub(super) fn percent_encoded(id: &str) -> PercentEncode<'_> {
    utf8_percent_encode(id, RESERVED)
}

/// Why a text is not a callback URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadCallback {
    /// It cannot be read as a URL.
    #[error("it is not an absolute URL: {0}")]
    NotAUrl(#[from] url::ParseError),
    /// It is not http or https.
    #[error("its scheme is `{0}`; only http and https are called")]
    Scheme(String),
    /// It holds something else in braces that looks as if it were filled in.
    #[error("`{0}` is not filled in; only `{TASK_ID}` and `{TOKEN}` are")]
    Placeholder(String),
    /// It holds `{token}` and there is nothing to make tokens with.
    #[error("it holds `{TOKEN}`, and there is no callback secret to make tokens with")]
    NoSecret,
}

/// The first word in braces.
fn placeholder(text: &str) -> Option<&str> {
    let from = text.find('{')?;
    let to = from + text[from..].find('}')?;
    Some(&text[from..=to])
}

/// A callback address for each music task.
#[derive(Debug, Clone)]
pub struct CallbackUrl {
    template: String,
    /// There whenever the template holds [`TOKEN`].
    secret: Option<CallbackSecret>,
}

impl CallbackUrl {
    /// The address `template`, in which `{task_id}` stands for the music task id.
    ///
    /// # Errors
    /// [`BadCallback`] unless it is an absolute http or https URL without `{token}`.
    pub fn new(template: &str) -> Result<Self, BadCallback> {
        Self::with_secret(template, None)
    }

    /// The address `template`, in which `{task_id}` stands for the music task id and `{token}` for the token that
    /// `secret` makes for it.
    ///
    /// # Errors
    /// [`BadCallback`] unless it is an absolute http or https URL, and if it holds `{token}` without a secret.
    pub fn with_secret(template: &str, secret: Option<CallbackSecret>) -> Result<Self, BadCallback> {
        let example = Url::parse(&template.replace(TASK_ID, "x").replace(TOKEN, "x"))?;
        if !matches!(example.scheme(), "http" | "https") {
            return Err(BadCallback::Scheme(example.scheme().to_owned()));
        }
        if let Some(unknown) = placeholder(&template.replace(TASK_ID, "").replace(TOKEN, "")) {
            return Err(BadCallback::Placeholder(unknown.to_owned()));
        }
        if secret.is_none() && template.contains(TOKEN) {
            return Err(BadCallback::NoSecret);
        }
        Ok(Self { template: template.to_owned(), secret })
    }

    /// Whether it leads to the machine that calls it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.template.replace(TASK_ID, "x").replace(TOKEN, "x")).is_ok_and(|url| is_loopback(&url))
    }

    /// The host that is called; `None` if nobody is.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let url = Url::parse(&self.template.replace(TASK_ID, "x").replace(TOKEN, "x")).ok()?;
        url.host_str().filter(|_| self.template != INERT).map(str::to_owned)
    }

    /// An address that reaches nobody.
    #[must_use]
    pub fn inert() -> Self {
        Self { template: INERT.to_owned(), secret: None }
    }

    /// The address for one music task, its id percent-encoded.
    #[must_use]
    pub fn for_task(&self, task: &MusicTaskId) -> String {
        // An encoded id holds no brace, so what it brings cannot be taken for a placeholder.
        let address = self.template.replace(TASK_ID, &percent_encoded(task.as_str()).to_string());
        match &self.secret {
            Some(secret) => address.replace(TOKEN, &secret.token_for(task)),
            None => address,
        }
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
        let expected = "https://gate.example/suno/api/v1/jobs/createTask";
        assert_eq!(ApiUrl::new("https://gate.example/suno").unwrap().at("/api/v1/jobs/createTask"), expected);
        assert_eq!(ApiUrl::new("https://gate.example/suno//").unwrap().at("/api/v1/jobs/createTask"), expected);
    }

    #[test]
    fn the_id_is_filled_in_percent_encoded() {
        let callback = CallbackUrl::new("https://label.example/hook/{task_id}?t={task_id}").unwrap();
        let task = MusicTaskId::new("a/b?c&d=%e-f_1.~").unwrap();
        let encoded = "a%2Fb%3Fc%26d%3D%25e-f_1.~";
        assert_eq!(callback.for_task(&task), format!("https://label.example/hook/{encoded}?t={encoded}"));
    }

    #[test]
    fn only_absolute_http_addresses_are_taken() {
        assert!(CallbackUrl::new("http://10.0.0.7:8080/x").is_ok());
        assert!(matches!(CallbackUrl::new("/hook"), Err(BadCallback::NotAUrl(_))));
        assert!(matches!(CallbackUrl::new("label.example/hook"), Err(BadCallback::NotAUrl(_))));
        assert_eq!(CallbackUrl::new("ftp://x.example/").unwrap_err(), BadCallback::Scheme("ftp".to_owned()));
        assert!(CallbackUrl::new(INERT).is_ok());
    }

    #[test]
    fn the_token_of_the_task_is_filled_in() {
        let secret = CallbackSecret::new("canary-canary-42").unwrap();
        let template = "https://label.example/callback/{task_id}/{token}";
        let callback = CallbackUrl::with_secret(template, Some(secret.clone())).unwrap();
        for id in ["m-1", "{token}"] {
            let task = MusicTaskId::new(id).unwrap();
            let encoded = id.replace('{', "%7B").replace('}', "%7D");
            let expected = format!("https://label.example/callback/{encoded}/{}", secret.token_for(&task));
            assert_eq!(callback.for_task(&task), expected);
        }
        assert!(!format!("{callback:?}").contains("canary"));
    }

    #[test]
    fn a_token_without_a_secret_is_refused() {
        let template = "https://label.example/{token}";
        assert_eq!(CallbackUrl::new(template).unwrap_err(), BadCallback::NoSecret);
        assert!(BadCallback::NoSecret.to_string().contains("`{token}`"));
        let secret = CallbackSecret::new("canary-canary-42").unwrap();
        assert!(CallbackUrl::with_secret("https://label.example/{task_id}", Some(secret)).is_ok());
    }
}
