//! Any bytes as an answer of the service, by either route: one outcome or reading, and harmless words.

#![no_main]

use coverbatch::api::Provider;
use coverbatch::api::wire::{RawAnswer, is_unclear, read_balance, read_music_record, read_wait, unpacked};
use coverbatch::clock::UnixMillis;
use coverbatch::domain::{CoverProgress, CoverTaskId, Found, MAX_MESSAGE_CHARS, MusicTaskId, Route, Verdict};
use coverbatch::secret::ApiKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (status, body) = input;
    let Ok(key) = ApiKey::new("key-of-the-fuzzer") else { return };
    let (Ok(cover), Ok(task)) = (CoverTaskId::new("c1"), MusicTaskId::new("m1")) else { return };
    let raw = RawAnswer::new(status, body);
    let (music, balance) = (read_music_record(raw, &key), read_balance(raw, &key));
    for route in Route::ALL {
        let (outcome, record) = (route.read_submission(raw, &key), route.read_record(raw, &key, &cover, &task));
        for answer in [&outcome.answer, &record.answer, &music.answer, &balance.answer] {
            let message = &answer.message;
            assert!(message.chars().count() <= MAX_MESSAGE_CHARS && !message.chars().any(char::is_control));
        }
        if let Found::Known(CoverProgress::Generated(cover)) = &record.found {
            assert!(cover.images.urls().iter().all(|url| url.bytes().all(|byte| byte.is_ascii_graphic())));
        }
        if let Verdict::Accepted(cover) = &outcome.verdict {
            assert!((200..300).contains(&status) && cover.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        let _ = is_unclear(&outcome, Provider::Sunoapi);
    }
    let _ = unpacked(body.to_vec(), None);
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = read_wait(|_| Some(text), UnixMillis(1_700_000_000_000));
    }
});
