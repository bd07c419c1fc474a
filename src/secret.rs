//! Keys and secrets that cannot be printed, and what they prove.
//!
//! `Debug` does not show them, they are wiped from memory when dropped, and words that come from outside are
//! freed of the API key before they are kept, because a service may repeat the key it refuses.
//!
//! That a callback is meant for us is proved by the token in its path, and the signature in its headers. Both are
//! HMAC-SHA256 and compared in constant time, so that neither can be guessed piece by piece. The token names a music task,
//! the signature a moment; neither covers the body, which is why nothing here vouches for one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, one_line, visible};

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
#[derive(Debug, Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// The key in `text`, without white space around it.
    ///
    /// # Errors
    /// [`BadSecret`] if nothing is left, or if it could not be sent in a header.
    pub fn new(text: &str) -> Result<Self, BadSecret> {
        let key = trimmed(text)?;
        let is_printable = key.bytes().all(|byte| byte.is_ascii_graphic());
        if is_printable { Ok(Self(SecretString::from(key))) } else { Err(BadSecret::NotPrintable) }
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
    fn masked_in(&self, text: &str) -> String {
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

/// Fewest bytes of a secret that stands alone between a stranger and a valid token.
pub const MIN_SECRET_BYTES: usize = 16;

/// How far the time of a signature may be from now, before or after.
pub const SIGNATURE_AGE: Duration = Duration::from_secs(300);

/// What is signed for a token begins with this, so that the secret's other uses can never yield one.
const TOKEN_DOMAIN: &[u8] = b"coverbatch callback v1\0";

/// Bytes of a token before they are written as hex.
const TOKEN_BYTES: usize = 32;

/// Why a text is not a key or a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadSecret {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// So short that it can be guessed.
    #[error("it has {0} bytes; a secret of fewer than {MIN_SECRET_BYTES} can be guessed")]
    TooShort(usize),
    /// Characters that a header cannot carry.
    #[error("it holds characters other than printable ASCII without spaces")]
    NotPrintable,
}

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadSignature {
    /// A header is missing, or there are several.
    #[error("a signature header is missing")]
    Missing,
    /// The time is not a number of seconds.
    #[error("the time of the signature cannot be read")]
    Unreadable,
    /// Signed more than [`SIGNATURE_AGE`] ago.
    #[error("the signature is old")]
    Old,
    /// Signed more than [`SIGNATURE_AGE`] ahead.
    #[error("the signature is from the future")]
    Early,
    /// Made with another key, or for another task or time.
    #[error("the signature is wrong")]
    Wrong,
}

/// What the tokens in callback addresses are made with.
#[derive(Debug, Clone)]
pub struct CallbackSecret(SecretString);

impl CallbackSecret {
    /// The secret in `text`, without white space around it.
    ///
    /// # Errors
    /// [`BadSecret`] if fewer than [`MIN_SECRET_BYTES`] are left.
    pub fn new(text: &str) -> Result<Self, BadSecret> {
        let secret = trimmed(text)?;
        if secret.len() < MIN_SECRET_BYTES {
            return Err(BadSecret::TooShort(secret.len()));
        }
        Ok(Self(SecretString::from(secret)))
    }

    /// The token for one music task: 64 characters of lower-case hex.
    #[must_use]
    pub fn token_for(&self, task: &MusicTaskId) -> String {
        let token = self.mac(task).finalize().into_bytes();
        token.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// Whether `token` is the one for `task`.
    #[must_use]
    pub fn admits(&self, task: &MusicTaskId, token: &str) -> bool {
        from_lower_hex(token).is_some_and(|token| self.mac(task).verify_slice(&token).is_ok())
    }

    fn mac(&self, task: &MusicTaskId) -> Hmac<Sha256> {
        keyed(&self.0).chain_update(TOKEN_DOMAIN).chain_update(task.as_str())
    }
}

/// What the service signs its callbacks with.
#[derive(Debug, Clone)]
pub struct WebhookKey(SecretString);

impl WebhookKey {
    /// The key in `text`, without white space around it; how long it is, the service decides.
    ///
    /// # Errors
    /// [`BadSecret`] if nothing is left.
    pub fn new(text: &str) -> Result<Self, BadSecret> {
        trimmed(text).map(|key| Self(SecretString::from(key)))
    }

    /// Whether the service signed `task_id` near `now`, by the headers `X-Webhook-Timestamp` (seconds) and
    /// `X-Webhook-Signature`: base64 of the HMAC-SHA256 of `taskId.timestamp` (docs.kie.ai, webhook verification).
    ///
    /// `task_id` is the one in the body, in the service's own spelling.
    ///
    /// # Errors
    /// [`BadSignature`] unless it did, at most [`SIGNATURE_AGE`] from `now`.
    pub fn verify(
        &self,
        task_id: &str,
        timestamp: Option<&str>,
        signature: Option<&str>,
        now: UnixMillis,
    ) -> Result<(), BadSignature> {
        let (Some(timestamp), Some(signature)) = (timestamp, signature) else { return Err(BadSignature::Missing) };
        let signed_at = seconds(timestamp).ok_or(BadSignature::Unreadable)?;
        if signed_at.until(now) > SIGNATURE_AGE {
            return Err(BadSignature::Old);
        }
        if now.until(signed_at) > SIGNATURE_AGE {
            return Err(BadSignature::Early);
        }
        let signature = STANDARD.decode(signature).map_err(|_| BadSignature::Wrong)?;
        let mac = keyed(&self.0).chain_update(task_id).chain_update(".").chain_update(timestamp);
        mac.verify_slice(&signature).map_err(|_| BadSignature::Wrong)
    }
}

fn trimmed(text: &str) -> Result<&str, BadSecret> {
    Some(text.trim()).filter(|secret| !secret.is_empty()).ok_or(BadSecret::Empty)
}

fn keyed(secret: &SecretString) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes keys of any length")
}

/// Digits only: no sign, no fraction, no white space.
fn seconds(text: &str) -> Option<UnixMillis> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<i64>().ok()?.checked_mul(1000).map(UnixMillis))?
}

/// The bytes of a token, if it is as long as one and in lower case.
fn from_lower_hex(text: &str) -> Option<Vec<u8>> {
    let is_token = text.len() == 2 * TOKEN_BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    is_token.then(|| (0..text.len()).step_by(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_in_any_form() {
        let key = ApiKey::new(" canary-42\n").unwrap();
        let shown = format!("{key:?} {key:#?}");
        assert!(shown.contains("REDACTED") && !shown.contains("canary"), "{shown}");
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
        assert_eq!(ApiKey::new(" \n").unwrap_err(), BadSecret::Empty);
        assert_eq!(ApiKey::new("two words").unwrap_err(), BadSecret::NotPrintable);
        assert_eq!(ApiKey::new("schlüssel").unwrap_err(), BadSecret::NotPrintable);
    }

    /// A signature computed apart from this program.
    const KEY: &str = "test-webhook-hmac-key";
    const TASK: &str = "21aee3c3c2a01fa5e030b3799fa4dd56";
    const TIME: &str = "1769670760";
    const SIGNATURE: &str = "RzT9hcGcvO0vUlca4+kTewzkO4SN6LV6WW4Fs0WxBlM=";

    fn secret() -> CallbackSecret {
        CallbackSecret::new("canary-canary-42").unwrap()
    }

    fn task(id: &str) -> MusicTaskId {
        MusicTaskId::new(id).unwrap()
    }

    #[test]
    fn a_secret_is_not_shown_and_not_short() {
        let shown = format!("{:?} {:#?}", secret(), WebhookKey::new(KEY).unwrap());
        assert!(shown.contains("REDACTED") && !shown.contains("canary") && !shown.contains(KEY), "{shown}");
        assert_eq!(CallbackSecret::new(" canary-canary-4\n").unwrap_err(), BadSecret::TooShort(15));
        assert_eq!(CallbackSecret::new(" \n").unwrap_err(), BadSecret::Empty);
        assert_eq!(WebhookKey::new("\n").unwrap_err(), BadSecret::Empty);
        assert!(BadSecret::TooShort(15).to_string().contains("can be guessed"));
    }

    /// Computed with `printf 'coverbatch callback v1\0m-1' | openssl dgst -sha256 -hmac canary-canary-42`. It must never
    /// change: addresses that hold it are already with the service.
    #[test]
    fn the_token_of_a_task_stays_what_it_is() {
        let token = "6288756fccbe77fc6fb955f29c781254a598592910c2a0d431fb4ddb8070ddfe";
        assert_eq!(secret().token_for(&task("m-1")), token);
        assert!(secret().admits(&task("m-1"), token));
    }

    #[test]
    fn a_token_is_for_one_task_one_secret_and_in_one_spelling() {
        let token = secret().token_for(&task("m-1"));
        let other = CallbackSecret::new("canary-canary-43").unwrap();
        assert!(!secret().admits(&task("m-2"), &token));
        assert!(!other.admits(&task("m-1"), &token));
        let first_changed = format!("{}{}", if token.starts_with('0') { '1' } else { '0' }, &token[1..]);
        let last_changed = format!("{}{}", &token[..63], if token.ends_with('0') { '1' } else { '0' });
        let multibyte = "é".repeat(32);
        for wrong in
            ["", &token[..63], &format!("{token}0"), &token.to_uppercase(), &first_changed, &last_changed, &multibyte]
        {
            assert!(!secret().admits(&task("m-1"), wrong), "{wrong}");
        }
    }

    fn verified(task_id: &str, timestamp: &str, signature: &str, now: i64) -> Result<(), BadSignature> {
        let now = UnixMillis(now * 1000);
        WebhookKey::new(KEY).unwrap().verify(task_id, Some(timestamp), Some(signature), now)
    }

    #[test]
    fn a_signature_holds_for_its_task_and_its_time_only() {
        let other_time = "1769670761";
        let table = [
            (TASK, TIME, SIGNATURE, Ok(())),
            ("21aee3c3c2a01fa5e030b3799fa4dd57", TIME, SIGNATURE, Err(BadSignature::Wrong)),
            ("", TIME, SIGNATURE, Err(BadSignature::Wrong)),
            (TASK, other_time, SIGNATURE, Err(BadSignature::Wrong)),
            (TASK, "01769670760", SIGNATURE, Err(BadSignature::Wrong)),
            (TASK, TIME, "", Err(BadSignature::Wrong)),
            (TASK, TIME, "RzT9hcGcvO0vUlca4+kTewzkO4SN6LV6WW4Fs0WxBlM", Err(BadSignature::Wrong)),
            (TASK, TIME, &SIGNATURE[..40], Err(BadSignature::Wrong)),
            (TASK, TIME, "not base64!", Err(BadSignature::Wrong)),
            (TASK, "", SIGNATURE, Err(BadSignature::Unreadable)),
            (TASK, "+1769670760", SIGNATURE, Err(BadSignature::Unreadable)),
            (TASK, "1769670760.0", SIGNATURE, Err(BadSignature::Unreadable)),
            (TASK, "9223372036854775807", SIGNATURE, Err(BadSignature::Unreadable)),
        ];
        for (task_id, timestamp, signature, expected) in table {
            assert_eq!(
                verified(task_id, timestamp, signature, 1_769_670_760),
                expected,
                "{task_id} {timestamp} {signature}"
            );
        }
        assert_eq!(
            WebhookKey::new("other").unwrap().verify(TASK, Some(TIME), Some(SIGNATURE), UnixMillis(1_769_670_760_000)),
            Err(BadSignature::Wrong)
        );
    }

    #[test]
    fn a_signature_lasts_300_seconds_either_way() {
        let table = [
            (-300_001, Err(BadSignature::Early)),
            (-300_000, Ok(())),
            (300_000, Ok(())),
            (300_001, Err(BadSignature::Old)),
        ];
        for (past, expected) in table {
            let now = UnixMillis(1_769_670_760_000 + past);
            assert_eq!(
                WebhookKey::new(KEY).unwrap().verify(TASK, Some(TIME), Some(SIGNATURE), now),
                expected,
                "{past}"
            );
        }
    }

    #[test]
    fn without_both_headers_there_is_no_signature() {
        let key = WebhookKey::new(KEY).unwrap();
        let now = UnixMillis(1_769_670_760_000);
        for (timestamp, signature) in [(None, None), (Some(TIME), None), (None, Some(SIGNATURE))] {
            assert_eq!(key.verify(TASK, timestamp, signature, now), Err(BadSignature::Missing));
        }
    }
}
