//! Any bytes as an answer of the service: one outcome, and harmless words.

#![no_main]

use coverbatch::api::Provider;
use coverbatch::api::wire::{RawAnswer, is_unclear, read_is_empty, read_retry_after, read_submission};
use coverbatch::clock::UnixMillis;
use coverbatch::domain::{MAX_MESSAGE_CHARS, Verdict};
use coverbatch::secret::ApiKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (status, body) = input;
    let Ok(key) = ApiKey::new("key-of-the-fuzzer") else { return };
    let outcome = read_submission(RawAnswer { status, body, retry_after: None }, &key);
    let message = &outcome.answer.message;
    assert!(message.chars().count() <= MAX_MESSAGE_CHARS && !message.chars().any(char::is_control));
    if let Verdict::Accepted(cover) = &outcome.verdict {
        assert!((200..300).contains(&status) && cover.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let _ = (is_unclear(&outcome, Provider::Sunoapi), read_is_empty(body));
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = read_retry_after(text, UnixMillis(1_700_000_000_000));
    }
});
