//! The address that the service is told to call when a cover is done.
//!
//! The service demands one even from those who only read records (`code` 422 "Please enter callBackUrl."), so there
//! is always one: the user's, or an inert one under the reserved `.invalid` domain (RFC 2606).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use thiserror::Error;
use url::Url;

use crate::domain::MusicTaskId;

/// Where in the template the music task id goes.
const PLACEHOLDER: &str = "{task_id}";

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
}

/// A callback address for each music task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    template: String,
}

impl CallbackUrl {
    /// The address `template`, in which `{task_id}` stands for the music task id.
    ///
    /// # Errors
    /// [`BadCallback`] unless it is an absolute http or https URL.
    pub fn new(template: &str) -> Result<Self, BadCallback> {
        let example = Url::parse(&template.replace(PLACEHOLDER, "x"))?;
        match example.scheme() {
            "http" | "https" => Ok(Self { template: template.to_owned() }),
            other => Err(BadCallback::Scheme(other.to_owned())),
        }
    }

    /// An address that reaches nobody.
    #[must_use]
    pub fn inert() -> Self {
        Self { template: INERT.to_owned() }
    }

    /// The address for one music task, its id percent-encoded.
    #[must_use]
    pub fn for_task(&self, task: &MusicTaskId) -> String {
        self.template.replace(PLACEHOLDER, &percent_encoded(task.as_str()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(CallbackUrl::new("ftp://x.example/"), Err(BadCallback::Scheme("ftp".to_owned())));
        assert!(CallbackUrl::new(INERT).is_ok());
    }
}
