//! A key that cannot be printed.
//!
//! `Debug` and `Display` do not show it, it is wiped from memory when dropped, and words that come from outside are
//! freed of it before they are kept, because a service may repeat the key it refuses.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

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
    fn what_cannot_be_a_header_is_refused() {
        assert_eq!(ApiKey::new(" \n").unwrap_err(), BadKey::Empty);
        assert_eq!(ApiKey::new("two words").unwrap_err(), BadKey::NotPrintable);
        assert_eq!(ApiKey::new("schlüssel").unwrap_err(), BadKey::NotPrintable);
    }
}
