//! Bytes from outside, altered at random: a catalog, an answer, a ledger. The same each time, by a fixed seed.
//!
//! `fuzz/` does the same for as long as one likes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use coverbatch::api::http::{HttpApi, HttpConfig};
use coverbatch::api::wire::{RawAnswer, read_music_record};
use coverbatch::api::{ApiUrl, CallbackUrl, CoverApi as _, Provider};
use coverbatch::catalog::{Catalog, CatalogOptions, Row};
use coverbatch::clock::Clock;
use coverbatch::domain::{
    CoverProgress, CoverTaskId, Found, MAX_IMAGES, MAX_MESSAGE_CHARS, MusicProgress, MusicTaskId, Route, Verdict,
};
use coverbatch::ledger::{ReadLedger as _, SqliteLedger};
use coverbatch::secret::ApiKey;
use fastrand::Rng;

use crate::downloads;

/// A few changes: bytes set, taken out, doubled, cut off, or put in from a list of awkward ones.
fn mutated(original: &[u8], dice: &mut Rng, awkward: &[&[u8]]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..dice.usize(1..5) {
        let at = dice.usize(..=bytes.len());
        let end = (at + dice.usize(..20)).min(bytes.len());
        match dice.u8(..6) {
            0 => bytes[at..end].fill_with(|| dice.u8(..)),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            3 if dice.u8(..4) == 0 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, awkward[dice.usize(..awkward.len())].iter().copied())),
        }
    }
    bytes
}

#[test]
fn any_catalog_is_refused_in_words_or_read_twice_alike() {
    const AWKWARD: [&[u8]; 12] =
        [b"\"", b"\"\"", b"\r", b"\n", b"\r\n", b",", b";", b"\t", b"\0", b"\xef\xbb\xbf", b"\xff", b"cover_status"];
    let original = b"\xef\xbb\xbftask_id;title;\"a;b\"\r\na1;\"x\r\ny\";1\r\nb2;\"\"\"z\"\"\";2\r\n\r\na1;;3\r\n";
    let (mut dice, folder) = (Rng::with_seed(7), tempfile::tempdir().unwrap());
    let (path, mut read) = (folder.path().join("songs.csv"), 0);
    for nth in 0..3000 {
        fs::write(&path, mutated(original, &mut dice, &AWKWARD)).unwrap();
        let id_column = (nth % 2 == 0).then(|| "1".to_owned());
        let options = CatalogOptions { id_column, ..CatalogOptions::default() };
        let Ok(catalog) = Catalog::open(&path.clone().into(), &options)
            .map_err(|error| assert!(!error.to_string().contains(char::is_control)))
        else {
            continue;
        };
        read += 1;
        let check = catalog.check();
        assert_eq!(check.rows, check.distinct + check.duplicates + check.invalid);
        let (mut rows, mut row, mut count, mut line) = (catalog.rows().unwrap(), Row::default(), 0, 0);
        while rows.next_row(&mut row).unwrap() {
            count += 1;
            assert!(row.number == count && row.line >= line, "{row:?}");
            assert!(catalog.first_row_of(row.number).is_none_or(|first| first < row.number));
            line = row.line;
        }
        assert_eq!(count, check.rows, "{}", fs::read(&path).unwrap().escape_ascii());
    }
    assert!(read > 500, "{read}");
}

/// A server that answers each connection with the next of these bodies, as HTTP 200.
fn answering(bodies: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (stream, body) in listener.incoming().zip(bodies) {
            let (mut stream, mut seen, mut block) = (stream.unwrap(), Vec::new(), [0; 4096]);
            while !seen.ends_with(b"}") {
                let length = stream.read(&mut block).unwrap();
                seen.extend_from_slice(&block[..length]);
            }
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        }
    });
    address
}

#[tokio::test]
async fn any_answer_is_one_outcome_with_harmless_words() {
    const AWKWARD: [&[u8]; 14] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b":",
        b",",
        b"null",
        b"429",
        b"\\u0000",
        b"\x1b[2J",
        b"\xff",
        b"\"code\":200,",
        b"\0",
    ];
    let original = br#"{"code":200,"msg":"success","data":{"taskId":"c1","more":[1,{"deep":null}]}}"#;
    let mut dice = Rng::with_seed(7);
    let bodies: Vec<Vec<u8>> = (0..600).map(|_| mutated(original, &mut dice, &AWKWARD)).collect();
    let config = HttpConfig {
        api_url: ApiUrl::new(&answering(bodies.clone())).unwrap(),
        key: ApiKey::new("canary-of-the-mutations").unwrap(),
        provider: Provider::Kie,
        route: Route::Legacy,
        callback: CallbackUrl::inert(),
        timeout: Duration::from_secs(20),
        clock: Clock::start(),
        downloads: downloads(),
    };
    let (api, task) = (HttpApi::new(config).unwrap(), MusicTaskId::new("a1").unwrap());
    let mut settled = 0;
    for body in bodies {
        let outcome = api.submit(&task).await;
        let (message, shown) = (&outcome.answer.message, body.escape_ascii());
        assert!(message.chars().count() <= MAX_MESSAGE_CHARS && !message.contains(char::is_control), "{shown}");
        assert!(outcome.answer.http_status.is_some(), "{shown}: {message}");
        settled += u32::from(matches!(outcome.verdict, Verdict::Accepted(_)));
    }
    assert!((20..500).contains(&settled), "{settled}");
}

#[test]
fn any_record_is_one_reading_with_harmless_words() {
    const AWKWARD: [&[u8]; 12] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b",",
        b"null",
        b"3",
        b"\\u0000",
        b"\xff",
        b"\"https://x.example/\",",
        b"\"status\":\"SUCCESS\",",
    ];
    let cover_record = br#"{"code":200,"msg":"success","data":{"taskId":"c1","parentTaskId":"m1","successFlag":1,"createTime":"2026-11-22T02:10:00.000Z","completeTime":1795313546500,"response":{"images":["https://x.example/1","https://x.example/2"]},"errorCode":200,"errorMessage":""}}"#;
    let music_record =
        br#"{"code":200,"msg":"success","data":{"status":"SUCCESS","errorCode":200,"errorMessage":"w"}}"#;
    let job_record = br#"{"code":200,"msg":"success","data":{"taskId":"c1","state":"success","param":"{\"input\":\"{\\\"task_id\\\":\\\"m1\\\"}\"}","resultJson":"{\"resultUrls\":[\"https://x.example/1\",\"https://x.example/2\"]}","successFlag":1,"createTime":1795313400000,"completeTime":1795313546500,"creditsConsumed":0.4,"failCode":"","failMsg":"w"}}"#;
    let key = ApiKey::new("canary-of-the-mutations").unwrap();
    let (cover, task) = (CoverTaskId::new("c1").unwrap(), MusicTaskId::new("m1").unwrap());
    let (mut dice, mut generated, mut finished) = (Rng::with_seed(7), 0, 0);
    for nth in 0..10_000 {
        let (route, record) =
            if nth % 2 == 0 { (Route::Legacy, &cover_record[..]) } else { (Route::Jobs, &job_record[..]) };
        let body = mutated(record, &mut dice, &AWKWARD);
        let reading = route.read_record(RawAnswer::new(200, &body), &key, &cover, &task);
        let mut messages = vec![reading.answer.message];
        if let Found::Known(CoverProgress::Generated(cover)) = &reading.found {
            generated += 1;
            let urls = cover.images.urls();
            assert!((1..=MAX_IMAGES).contains(&urls.len()), "{urls:?}");
            assert!(urls.iter().all(|url| url.starts_with("http") && url.bytes().all(|b| b.is_ascii_graphic())));
        }
        let body = mutated(music_record, &mut dice, &AWKWARD);
        let reading = read_music_record(RawAnswer::new(200, &body), &key);
        finished += u32::from(reading.found == Found::Known(MusicProgress::Finished));
        messages.push(reading.answer.message);
        for message in messages {
            assert!(message.chars().count() <= MAX_MESSAGE_CHARS && !message.contains(char::is_control), "{message}");
        }
    }
    assert!((400..9600).contains(&generated) && (400..9600).contains(&finished), "{generated} {finished}");
}

const API: &str = "https://api.kie.ai";

async fn opened(path: &Path) -> bool {
    if let Ok(Some(ledger)) = SqliteLedger::open_to_read(path, None) {
        let _ = ledger.look_up(vec![MusicTaskId::new("a1").unwrap()]).await;
        ledger.close().await;
    }
    let Ok(ledger) = SqliteLedger::open(path, API) else { return false };
    let _ = ledger.look_up(vec![MusicTaskId::new("a1").unwrap()]).await;
    ledger.close().await;
    true
}

#[tokio::test]
async fn any_ledger_is_opened_or_refused() {
    const AWKWARD: [&[u8]; 5] = [b"\0", b"\xff\xff\xff\xff", b"Cvbt", b"CREATE TABLE", b"SQLite format 3\0"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.db");
    SqliteLedger::open(&path, API).unwrap().close().await;
    let sound = fs::read(&path).unwrap();
    let (mut dice, mut good) = (Rng::with_seed(7), 0);
    for nth in 0..300 {
        let path = folder.path().join(format!("{nth}.db"));
        // The first page holds the header and the schema.
        let page = mutated(&sound[..4096.min(sound.len())], &mut dice, &AWKWARD);
        let rest = if page.len() >= 4096 { &sound[4096.min(sound.len())..] } else { &[] };
        fs::write(&path, [&page[..4096.min(page.len())], rest].concat()).unwrap();
        good += u32::from(opened(&path).await);
    }
    assert!(good < 300, "{good}");
}
