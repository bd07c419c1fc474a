//! A key that cannot be printed.
//!
//! `Debug` and `Display` do not show it, it is wiped from memory when dropped, and words that come from outside are
//! freed of it before they are kept, because a service may repeat the key it refuses.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::domain::{one_line, visible};

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadKey {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Characters that a header cannot carry.
    #[error("it holds characters other than printable ASCII without spaces")]
    NotPrintable,
}

/// No key of the service is shorter.
const REAL_KEY_BYTES: usize = 8;

/// Whether `text[start..end]` is not part of a longer word.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

/// What stands where a key stood.
const MASK: &str = "***";

/// A URL without what may be secret in it: user name and password, query and fragment. The text need not be a good URL, and
/// rather too much of it is masked than too little.
#[must_use]
pub fn masked_url(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold a slash that should have been encoded.
    let has_password = rest[..authority].contains(['@', ':']);
    let (user, rest) = rest.rfind('@').filter(|_| has_password).map_or(("", rest), |at| rest.split_at(at));
    let (path, more) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let mask = |part: &str, masked: String| if part.is_empty() { String::new() } else { masked };
    let more = mask(more, more.chars().take(1).chain(MASK.chars()).collect());
    format!("{scheme}{}{path}{more}", mask(user, MASK.to_owned()))
}

/// The key of an account.
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// The key in `text`, without white space around it.
    ///
    /// # Errors
    /// [`BadKey`] if nothing is left, or if it could not be sent in a header.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(BadKey::Empty);
        }
        if !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadKey::NotPrintable);
        }
        Ok(Self(SecretString::from(trimmed)))
    }

    /// The value of the `Authorization` header; the caller marks the header as sensitive.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0.expose_secret())
    }

    /// Whether the key stands in `text`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.masked_in(text) != text
    }

    /// Words from outside as one line without the key. It is masked after what is not seen has been taken out, which may
    /// have stood in its middle, and before the line is cut, or half of it could be left at the end.
    #[must_use]
    pub fn masked_line(&self, words: &str) -> String {
        one_line(&self.masked_in(&visible(words)))
    }

    /// `text` with the key masked wherever it stands; one too short to be a real one only where it is a word of its own,
    /// since it may be part of any.
    #[must_use]
    pub fn masked_in(&self, text: &str) -> String {
        let key = self.0.expose_secret();
        let mut masked = String::with_capacity(text.len());
        let mut rest = 0;
        for (at, _) in text.match_indices(key) {
            let is_key = key.len() >= REAL_KEY_BYTES || is_word(text, at, at + key.len());
            masked.push_str(&text[rest..at]);
            masked.push_str(if is_key { MASK } else { key });
            rest = at + key.len();
        }
        masked.push_str(&text[rest..]);
        masked
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_in_any_form() {
        let key = ApiKey::new(" canary-42\n").unwrap();
        assert_eq!(format!("{key} {key:?} {key:#?}"), "*** ApiKey(***) ApiKey(***)");
        assert_eq!(key.bearer(), "Bearer canary-42");
    }

    #[test]
    fn a_key_repeated_by_the_service_is_masked() {
        let key = ApiKey::new("canary-42").unwrap();
        assert_eq!(key.masked_in("canary-42 is not valid (canary-42)"), "*** is not valid (***)");
    }

    #[test]
    fn a_key_too_short_to_be_one_is_masked_as_a_word_only() {
        let key = ApiKey::new("any").unwrap();
        assert_eq!(key.masked_in("many say: any key, any"), "many say: *** key, ***");
        let real = ApiKey::new("canary-42").unwrap();
        assert_eq!(real.masked_in("acanary-42b"), "a***b");
    }

    #[test]
    fn a_key_is_found_with_what_is_not_seen_in_it_and_where_the_line_is_cut() {
        let key = ApiKey::new("canary-42").unwrap();
        for words in ["canary\u{200b}-42", "\u{202e}can\u{ad}ary-42", "canary-42"] {
            assert_eq!(key.masked_line(&format!("{words} is\r\nunknown")), "*** is unknown");
        }
        for pad in 150..=200 {
            let line = key.masked_line(&format!("{}canary-42", "x".repeat(pad)));
            assert!(!line.contains("can"), "{line}");
        }
        assert!(key.is_in("xcanary-42x") && !key.is_in("canary-4"));
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("https://api.kie.ai/api/v1?x=1", "https://api.kie.ai/api/v1?***"),
            ("https://user:secret@api.kie.ai:8443/x", "https://***@api.kie.ai:8443/x"),
            ("https://token@api.kie.ai", "https://***@api.kie.ai"),
            ("https://api.kie.ai/#part", "https://api.kie.ai/#***"),
            ("socks5h://user:pa%40ss@proxy:1080", "socks5h://***@proxy:1080"),
            ("http://user:pa/s?s#w@proxy:3128", "http://***@proxy:3128"),
            ("http://user:p@ss@proxy:3128", "http://***@proxy:3128"),
            ("user:secret@proxy:3128", "***@proxy:3128"),
            ("proxy:3128", "proxy:3128"),
            ("/elsewhere?token=1", "/elsewhere?***"),
            ("//host/x", "//host/x"),
            ("https://host/@someone", "https://host/@someone"),
            ("https://host/?mail=a@b", "https://host/?***"),
            ("https://host:81/?mail=a@b", "https://***@b"),
            ("", ""),
        ] {
            assert_eq!(masked_url(url), shown, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_a_header_is_refused() {
        assert_eq!(ApiKey::new(" \n").unwrap_err(), BadKey::Empty);
        assert_eq!(ApiKey::new("two words").unwrap_err(), BadKey::NotPrintable);
        assert_eq!(ApiKey::new("schlüssel").unwrap_err(), BadKey::NotPrintable);
    }
}
