//! What proves that a callback is meant for us: the token in its path, and the signature in its headers.
//!
//! Both are HMAC-SHA256 and compared in constant time, so that neither can be guessed piece by piece. The token names
//! a music task, the signature a moment; neither covers the body, which is why nothing here vouches for one.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::domain::MusicTaskId;

/// Fewest bytes of a secret that stands alone between a stranger and a valid token.
pub const MIN_SECRET_BYTES: usize = 16;

/// How far the time of a signature may be from now, before or after.
pub const SIGNATURE_AGE: Duration = Duration::from_secs(300);

/// What is signed for a token begins with this, so that the secret's other uses can never yield one.
const TOKEN_DOMAIN: &[u8] = b"coverbatch callback v1\0";

/// Bytes of a token before they are written as hex.
const TOKEN_BYTES: usize = 32;

/// Why a text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadSecret {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// So short that it can be guessed.
    #[error("it has {0} bytes; a secret of fewer than {MIN_SECRET_BYTES} can be guessed")]
    TooShort(usize),
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
#[derive(Clone)]
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
        lower_hex(&self.mac(task).finalize().into_bytes())
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
#[derive(Clone)]
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

fn lower_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of a token, if it is as long as one and in lower case.
fn from_lower_hex(text: &str) -> Option<[u8; TOKEN_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * TOKEN_BYTES {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Debug for CallbackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackSecret(***)")
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            format!("{:?} {:#?}", secret(), WebhookKey::new(KEY).unwrap()),
            "CallbackSecret(***) WebhookKey(***)"
        );
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
