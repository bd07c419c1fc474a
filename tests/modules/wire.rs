//! What a network, a gateway or a hostile server can put in the place of an answer, byte by byte.
//!
//! Every script is spoken over a socket to the real client. Whatever it is, it ends in one verdict, in time, after one
//! connection and one request.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use coverbatch::api::http::{HttpApi, HttpConfig};
use coverbatch::api::{ApiUrl, CallbackUrl, CoverApi as _, Provider};
use coverbatch::clock::Clock;
use coverbatch::domain::{MAX_MESSAGE_CHARS, MusicTaskId, Outcome, Route, Verdict};
use coverbatch::secret::ApiKey;
use tokio::task::JoinSet;

/// The music task of every submission here.
const TASK: &str = "a1";

const ACCEPTED: &str = r#"{"code":200,"msg":"success","data":{"taskId":"c1"}}"#;

/// Longest time for a request that is expected to be answered, and for one that is not.
const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(400);

/// What the server does with a connection.
#[derive(Clone)]
enum Script {
    /// Closes it at once, the request unread: the system resets it.
    Refuse,
    /// Reads the request, says this, and closes.
    Say(Vec<u8>),
    /// Says this while the request is still unread, and resets the connection.
    Reset(Vec<u8>),
    /// Reads the request, says this, and then nothing more.
    Hold(Vec<u8>),
    /// Reads the request, says the first, and then the second again and again, with a pause each time.
    Repeat(Vec<u8>, Vec<u8>, Duration),
}

use Script::{Hold, Refuse, Repeat, Reset, Say};

use crate::downloads;

/// A server that plays one script to every connection, and counts connections and requests.
struct Server {
    address: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn playing(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                // A client that has heard enough goes away.
                let _ = play(stream.unwrap(), &script, &requests);
            }
        });
        server
    }
}

fn play(mut stream: TcpStream, script: &Script, requests: &AtomicUsize) -> io::Result<()> {
    match script {
        Refuse | Reset(_) => stream.peek(&mut [0]).map(drop)?,
        Say(_) | Hold(_) | Repeat(..) => read_request(&mut stream, requests)?,
    }
    match script {
        Refuse => Ok(()),
        Say(bytes) | Reset(bytes) => stream.write_all(bytes),
        Hold(bytes) => {
            stream.write_all(bytes)?;
            // Until the client goes away; a further request would be one too many.
            read_request(&mut stream, requests)
        }
        Repeat(first, again, pause) => {
            stream.write_all(first)?;
            loop {
                stream.write_all(again)?;
                thread::sleep(*pause);
            }
        }
    }
}

/// Reads a whole request; its body is one JSON object.
fn read_request(stream: &mut TcpStream, requests: &AtomicUsize) -> io::Result<()> {
    let (mut seen, mut block) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(b"}") {
        match stream.read(&mut block)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => seen.extend_from_slice(&block[..length]),
        }
    }
    requests.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// What becomes of one submission to a server that plays this.
async fn submitted(script: Script, route: Route, timeout: Duration) -> (Outcome, [usize; 2]) {
    let server = Server::playing(script);
    let config = HttpConfig {
        api_url: ApiUrl::new(&server.address).unwrap(),
        key: ApiKey::new("canary-of-the-wire-tests").unwrap(),
        provider: Provider::Kie,
        route,
        callback: CallbackUrl::inert(),
        timeout,
        clock: Clock::start(),
        downloads: downloads(),
    };
    let api = HttpApi::new(config).unwrap();
    let task = MusicTaskId::new(TASK).unwrap();
    let answer = tokio::time::timeout(timeout + Duration::from_secs(5), api.submit(&task));
    let outcome = answer.await.expect("the timeout is for the whole request");
    (outcome, [server.connections.load(Ordering::SeqCst), server.requests.load(Ordering::SeqCst)])
}

/// Verdict and reason in words.
fn shown(outcome: &Outcome) -> String {
    let verdict = match &outcome.verdict {
        Verdict::Accepted(cover) => format!("accepted({cover})"),
        Verdict::Covered(Some(cover)) => format!("covered({cover})"),
        Verdict::Covered(None) => "covered".to_owned(),
        Verdict::Throttled => "throttled".to_owned(),
        Verdict::Unavailable => "unavailable".to_owned(),
        Verdict::NoCredits => "no credits".to_owned(),
        Verdict::Unauthorized => "unauthorized".to_owned(),
        Verdict::WrongAddress => "wrong address".to_owned(),
        Verdict::Rejected => "rejected".to_owned(),
        Verdict::Troubled => "troubled".to_owned(),
        Verdict::Lost => "lost".to_owned(),
    };
    format!("{verdict}: {}", outcome.reason)
}

/// An answer of this status line and these headers, each with its line break, and this body.
fn answer(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\n").as_bytes(), body.as_ref()].concat()
}

/// A whole answer with HTTP 200 and this body.
fn ok(body: impl AsRef<[u8]>) -> Script {
    let body = body.as_ref();
    Say(answer(&format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len()), body))
}

/// A whole answer whose `data` is this.
fn data(code: u16, data: &str) -> Script {
    ok(format!(r#"{{"code":{code},"msg":"success","data":{data}}}"#))
}

/// An answer with HTTP 200 and a chunked body.
fn chunked(chunks: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK\r\ntransfer-encoding: chunked\r\n", chunks)
}

/// An answer with this status line and the headers it brings along, around a body that claims success.
fn claimed(head: &str) -> Script {
    Say(answer(&format!("{head}content-length: {}\r\n", ACCEPTED.len()), ACCEPTED))
}

/// What is done, what comes of it, and what the message says of it.
type Case = (&'static str, Script, &'static str, &'static str);

/// Plays every case on both routes, several at a time.
async fn check(cases: Vec<Case>) {
    for route in Route::ALL {
        check_on(*route, cases.clone()).await;
    }
}

async fn check_on(route: Route, cases: Vec<Case>) {
    let mut playing = JoinSet::new();
    let mut wrong = Vec::new();
    let mut take = |done: Option<Result<Option<String>, _>>| {
        let done: Option<Result<Option<String>, tokio::task::JoinError>> = done;
        wrong.extend(done.and_then(|done| done.unwrap()));
    };
    for (name, script, expected, words) in cases {
        if playing.len() >= 8 {
            take(playing.join_next().await);
        }
        playing.spawn(async move {
            let read = !matches!(script, Refuse | Reset(_));
            let timeout = if expected.ends_with("timeout") { HASTY } else { PATIENT };
            let (outcome, counts) = submitted(script, route, timeout).await;
            let message = &outcome.answer.message;
            let is_clean = !message.chars().any(char::is_control) && message.chars().count() <= MAX_MESSAGE_CHARS;
            let as_expected = shown(&outcome) == expected && message.contains(words) && is_clean;
            (!as_expected || counts != [1, usize::from(read)]).then(|| {
                format!(
                    "{name} ({route}): {} | {message:?} {counts:?}, expected {expected} | {words:?}",
                    shown(&outcome)
                )
            })
        });
    }
    while !playing.is_empty() {
        take(playing.join_next().await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn connections_that_break_leave_the_row_in_doubt() {
    let whole = answer(&format!("200 OK\r\ncontent-length: {}\r\n", ACCEPTED.len()), ACCEPTED);
    let part = |length: usize| whole[..length].to_vec();
    let lost = "lost: connection";
    check(vec![
        ("reset before the request is read", Refuse, lost, ""),
        ("reset within the status line", Reset(part(9)), lost, ""),
        ("reset within the headers", Reset(part(25)), lost, ""),
        ("reset within the body", Reset(part(whole.len() - 4)), lost, ""),
        ("closed without an answer", Say(Vec::new()), lost, "connection closed before message completed"),
        ("closed within the status line", Say(part(9)), lost, ""),
        ("closed after the status line", Say(part(17)), lost, ""),
        ("closed within a header", Say(part(25)), lost, ""),
        ("closed after the headers", Say(part(whole.len() - ACCEPTED.len())), lost, "end of file before message"),
        ("closed within the body", Say(part(whole.len() - 1)), lost, "end of file before message"),
        ("silence", Hold(Vec::new()), "lost: timeout", "no answer within 400ms"),
        ("silence within the headers", Hold(part(25)), "lost: timeout", "no answer within 400ms"),
        ("silence within the body", Hold(part(whole.len() - 1)), "lost: timeout", "no answer within 400ms"),
        ("a whole answer, and the connection stays", Hold(whole.clone()), "accepted(c1): accepted", "success"),
        (
            "a whole answer, and more behind it",
            Say([&whole[..], b"HTTP/1.1 500 no\r\n\r\n"].concat()),
            "accepted(c1): accepted",
            "success",
        ),
    ])
    .await;
}

#[tokio::test]
async fn framing_that_lies_settles_nothing() {
    let (lost, bad, timeout) = ("lost: connection", "lost: bad_response", "lost: timeout");
    let with = |headers: &str| Say(answer(&format!("200 OK\r\n{headers}"), ACCEPTED));
    let mib = vec![b' '; 1 << 20];
    let now = Duration::ZERO;
    check(vec![
        ("length too short", with("content-length: 10\r\n"), bad, r#"not JSON: {"code":20"#),
        ("length 0", with("content-length: 0\r\n"), bad, "an empty answer (HTTP 200)"),
        ("length too long", with("content-length: 52\r\n"), lost, ""),
        ("length of 2^64 - 1", with("content-length: 18446744073709551615\r\n"), lost, ""),
        ("length of 2^64", with("content-length: 18446744073709551616\r\n"), lost, "content-length"),
        ("negative length", with("content-length: -1\r\n"), lost, "content-length"),
        ("length in words", with("content-length: many\r\n"), lost, "content-length"),
        ("two lengths", with("content-length: 51\r\ncontent-length: 12\r\n"), lost, "content-length"),
        ("no length, until the end", with(""), "accepted(c1): accepted", "success"),
        ("chunks that are none", Say(chunked(ACCEPTED)), lost, ""),
        ("a chunk of 2^64 - 1 bytes", Say(chunked("FFFFFFFFFFFFFFFF\r\n{")), lost, ""),
        ("a chunk of 2^64 bytes", Say(chunked("10000000000000000\r\n{")), lost, ""),
        ("a negative chunk", Say(chunked("-5\r\n{\"cod")), lost, ""),
        ("chunks without an end", Say(chunked(format!("33\r\n{ACCEPTED}\r\n"))), lost, ""),
        ("a chunk without its line break", Say(chunked(format!("33\r\n{ACCEPTED}0\r\n\r\n"))), lost, ""),
        ("a whole chunk", Say(chunked(format!("33\r\n{ACCEPTED}\r\n0\r\n\r\n"))), "accepted(c1): accepted", "success"),
        ("chunk extensions without end", Repeat(chunked("1;"), vec![b'x'; 4096], now), lost, ""),
        ("trailers without end", Repeat(chunked("0\r\n"), b"x-more: trailer\r\n".repeat(64), now), lost, ""),
        ("a body without end", Repeat(answer("200 OK\r\n", "{"), mib.clone(), now), bad, "larger than 1 MiB"),
        ("chunks without end", Repeat(chunked(""), b"4\r\n    \r\n".repeat(999), now), bad, "larger than 1 MiB"),
        (
            "a body of 2^63 bytes",
            Repeat(answer("200 OK\r\ncontent-length: 9223372036854775808\r\n", ""), mib, now),
            bad,
            "larger than 1 MiB",
        ),
        ("headers without end", Repeat(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: x\r\n".repeat(99), now), lost, ""),
        ("one header without end", Repeat(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 4096], now), lost, ""),
        ("a header that drips", Repeat(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), b"x".to_vec(), HASTY / 10), timeout, ""),
        ("a body that drips", Repeat(answer("200 OK\r\n", ""), b" ".to_vec(), HASTY / 10), timeout, ""),
        ("chunks that drip", Repeat(chunked(""), b"1\r\n \r\n".to_vec(), HASTY / 10), timeout, ""),
        ("100 Continue that drips", Repeat(Vec::new(), answer("100 Continue\r\n", ""), HASTY / 10), timeout, ""),
        (
            "a flood of 102 Processing",
            Repeat(Vec::new(), answer("102 Processing\r\n", "").repeat(99), now),
            timeout,
            "",
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_hardly_http_is_no_answer() {
    let (lost, bad) = ("lost: connection", "lost: bad_response");
    let accepted = "accepted(c1): accepted";
    let length = format!("content-length: {}\r\n", ACCEPTED.len());
    let after = |first: &[u8]| Say([first, &answer(&format!("200 OK\r\n{length}"), ACCEPTED)].concat());
    let raw = |line: &str| Say(format!("{line}\r\n{length}\r\n{ACCEPTED}").into_bytes());
    check(vec![
        ("100 Continue, and then the answer", after(&answer("100 Continue\r\n", "")), accepted, "success"),
        ("103 Early Hints, and then the answer", after(&answer("103 Early Hints\r\nlink: </x>\r\n", "")), accepted, ""),
        ("100 Continue with a body", after(&answer("100 Continue\r\n", "{}")), lost, ""),
        (
            "switching to another protocol",
            Say(answer("101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n", "")),
            "troubled: bad_response",
            "an empty answer (HTTP 101)",
        ),
        ("another protocol offered", claimed("200 OK\r\nupgrade: h2c\r\nconnection: upgrade\r\n"), accepted, "success"),
        ("the body alone, as HTTP/0.9 did", Say(ACCEPTED.as_bytes().to_vec()), lost, ""),
        ("a page alone", Say(b"<html>hello</html>\r\n\r\n".to_vec()), lost, ""),
        ("garbage before the status line", after(b"\x00\xff\x7fgarbage\r\n"), lost, ""),
        ("line breaks before the status line", after(b"\r\n\r\n"), accepted, "success"),
        ("TLS", Say(b"\x15\x03\x01\x00\x02\x02\x46".to_vec()), lost, ""),
        ("HTTP/2", Say(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec()), lost, ""),
        ("another program's greeting", Say(b"220 mail.example ESMTP\r\n".to_vec()), lost, ""),
        ("HTTP/1.0", raw("HTTP/1.0 200 OK"), accepted, "success"),
        ("HTTP/2.0 in words", raw("HTTP/2.0 200 OK"), lost, ""),
        ("status 000", raw("HTTP/1.1 000 Zero"), lost, ""),
        ("status 99", raw("HTTP/1.1 99 Short"), lost, ""),
        ("status 999", raw("HTTP/1.1 999 Odd"), bad, ""),
        ("status 2000", raw("HTTP/1.1 2000 Long"), lost, ""),
        ("a negative status", raw("HTTP/1.1 -200 OK"), lost, ""),
        ("no reason phrase", raw("HTTP/1.1 200"), accepted, "success"),
        ("a reason phrase with escapes", raw("HTTP/1.1 200 \x1b[31mOK"), lost, ""),
        ("lines that end with LF", Say(format!("HTTP/1.1 200 OK\n{length}\n{ACCEPTED}").into_bytes()), accepted, ""),
        ("a header without a colon", claimed("200 OK\r\nnothing\r\n"), lost, ""),
        ("a header with a NUL", claimed("200 OK\r\nx: a\0b\r\n"), lost, ""),
        ("a header that goes on in the next line", claimed("200 OK\r\nx: a\r\n b\r\n"), lost, ""),
        ("101 headers", claimed(&format!("200 OK\r\n{}", "x: y\r\n".repeat(101))), lost, "too large"),
        ("204", claimed("204 No Content\r\n"), bad, "an empty answer (HTTP 204)"),
        ("205", claimed("205 Reset Content\r\n"), accepted, ""),
        ("206, a part", claimed("206 Partial Content\r\ncontent-range: bytes 0-50/99\r\n"), accepted, ""),
        ("304", claimed("304 Not Modified\r\n"), "wrong address: bad_response", "answers HTTP 304"),
        ("as text", claimed("200 OK\r\ncontent-type: text/plain\r\n"), accepted, "success"),
        (
            "as a picture in UTF-16",
            claimed("200 OK\r\ncontent-type: image/png; charset=utf-16\r\n"),
            accepted,
            "success",
        ),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_lie_settle_nothing() {
    let (accepted, bad) = ("accepted(c1): accepted", "lost: bad_response");
    let odd = "troubled: bad_response";
    let no_id = "code 200 without the id of a cover";
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0";
    let zipped = answer(&format!("200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n", gzip.len()), gzip);
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    check(vec![
        ("compressed and cut off", Say(zipped), bad, "not JSON, and packed as `gzip` unasked: bytes that are no text"),
        ("not compressed, though said to be", claimed("200 OK\r\ncontent-encoding: gzip\r\n"), accepted, "success"),
        ("empty", ok(""), bad, "an empty answer (HTTP 200)"),
        ("spaces", ok("  \r\n"), bad, "not JSON"),
        ("a page", ok("<!doctype html><title>Just a moment...</title>"), bad, "not JSON: Just a moment..."),
        ("a byte order mark", ok(format!("\u{feff}{ACCEPTED}")), accepted, "success"),
        ("two byte order marks", ok(format!("\u{feff}\u{feff}{ACCEPTED}")), accepted, "success"),
        ("UTF-16 without a byte order mark", ok(utf16(ACCEPTED)), bad, "not JSON: bytes that are no text"),
        ("UTF-16", ok(utf16(&format!("\u{feff}{ACCEPTED}"))), accepted, "success"),
        ("NULs", ok([0; 500]), bad, "not JSON: bytes that are no text"),
        ("NULs behind it", ok(format!("{ACCEPTED}\0\0")), bad, "not JSON"),
        ("two objects", ok(format!("{ACCEPTED}{ACCEPTED}")), bad, "not JSON"),
        ("a list", ok(format!("[{ACCEPTED}]")), bad, "not JSON"),
        ("a text", ok(format!("{ACCEPTED:?}")), bad, "not JSON"),
        ("no JSON number", ok(r#"{"code":NaN}"#), bad, "not JSON"),
        ("single quotes", ok("{'code':200}"), bad, "not JSON"),
        ("nested lists in data", data(200, &deep("[", "]")), bad, no_id),
        ("nested objects in data", data(200, &deep(r#"{"taskId":"#, "}").replace(":}", ":1}")), bad, no_id),
        (
            "nested in an unknown field",
            ok(format!(r#"{{"x":{},"code":455}}"#, deep("[", "]"))),
            "unavailable: maintenance",
            "",
        ),
        ("nested and not closed", ok("[{\"a\":".repeat(100_000)), bad, "not JSON"),
        ("code twice", ok(r#"{"code":200,"code":500,"data":{"taskId":"c1"}}"#), bad, "not JSON"),
        ("data twice", ok(r#"{"code":200,"data":{"taskId":"c1"},"data":null}"#), bad, "not JSON"),
        ("taskId twice", data(200, r#"{"taskId":"c1","taskId":"c2"}"#), bad, no_id),
        ("an id in other letters", data(200, r#"{"taskid":"c1","TASKID":"c1"}"#), bad, no_id),
        ("task_id", data(200, r#"{"task_id":"c1"}"#), accepted, "success"),
        ("taskId and task_id", data(200, r#"{"task_id":"c2","taskId":"c1"}"#), accepted, "success"),
        ("code in other letters", ok(r#"{"Code":200,"data":{"taskId":"c1"}}"#), bad, "JSON without a code"),
        ("code as text", ok(r#"{"code":"200","data":{"taskId":"c1"}}"#), accepted, ""),
        ("code as text with spaces", ok(r#"{"code":" 429 "}"#), "throttled: rate_limited", ""),
        ("code 200.0", ok(r#"{"code":200.0,"data":{"taskId":"c1"}}"#), accepted, ""),
        ("code 2e2", ok(r#"{"code":2e2,"data":{"taskId":"c1"}}"#), accepted, ""),
        ("code true", ok(r#"{"code":true,"data":{"taskId":"c1"}}"#), bad, "JSON without a code"),
        ("code in a list", ok(r#"{"code":[200],"data":{"taskId":"c1"}}"#), bad, "JSON without a code"),
        ("code of 400 digits", ok(format!(r#"{{"code":{}}}"#, "9".repeat(400))), bad, "JSON without a code"),
        ("code 1e400", ok(r#"{"code":1e400}"#), bad, "JSON without a code"),
        ("code -200", ok(r#"{"code":-200}"#), odd, "code -200 is not documented"),
        ("code 2^63 - 1", ok(r#"{"code":9223372036854775807}"#), odd, "code 9223372036854775807 is not documented"),
        ("code 200 + 2^32", ok(r#"{"code":4294967496,"data":{"taskId":"c1"}}"#), odd, "code 4294967496 is not"),
        ("no data", ok(r#"{"code":200,"msg":"success"}"#), bad, no_id),
        ("data null", data(200, "null"), bad, no_id),
        ("data a text", data(200, r#""c1""#), bad, no_id),
        ("data a list", data(200, r#"[{"taskId":"c1"}]"#), bad, no_id),
        ("data JSON in a text", data(200, r#""{\"taskId\":\"c1\"}""#), bad, no_id),
        ("id null", data(200, r#"{"taskId":null}"#), bad, no_id),
        ("id a number", data(200, r#"{"taskId":17}"#), "accepted(17): accepted", "success"),
        ("id a fraction", data(200, r#"{"taskId":1.5}"#), bad, no_id),
        ("id a formula", data(200, r#"{"taskId":"=1+1"}"#), bad, no_id),
        ("id the key", data(200, r#"{"taskId":"x-canary-of-the-wire-tests"}"#), bad, "***"),
        ("id with something unseen in it", data(200, "{\"taskId\":\"c\u{200b}1\"}"), bad, no_id),
        ("id empty", data(200, r#"{"taskId":""}"#), bad, no_id),
        (
            "id of 128 bytes",
            data(200, &format!(r#"{{"taskId":"{}"}}"#, "c".repeat(128))),
            &*format!("accepted({}): accepted", "c".repeat(128)).leak(),
            "success",
        ),
        ("id of 129 bytes", data(200, &format!(r#"{{"taskId":"{}"}}"#, "c".repeat(129))), bad, no_id),
        ("id with a line break", data(200, r#"{"taskId":"c1\nc2"}"#), bad, no_id),
        ("id with an escape", data(200, r#"{"taskId":"c1\u001b[2J"}"#), bad, no_id),
        ("id with a NUL", data(200, r#"{"taskId":"c1\u0000"}"#), bad, no_id),
        ("id in other letters than ASCII", data(200, r#"{"taskId":"с1"}"#), bad, no_id),
        ("id in half a pair", data(200, r#"{"taskId":"\ud800"}"#), bad, no_id),
        ("the music task's own id as the cover's", data(200, r#"{"taskId":"a1"}"#), bad, "without the id of a cover"),
        ("the same for a cover that is there", data(400, r#"{"taskId":"a1"}"#), "covered: already_exists", "success"),
        ("the same for a conflict", data(409, r#"{"taskId":" a1 "}"#), "covered: conflict", "success"),
        (
            "a cover that is there, with a bad id",
            data(400, r#"{"taskId":"c1\u001b[2J"}"#),
            "covered: already_exists",
            "success",
        ),
        (
            "a cover that is there, with an id",
            data(400, r#"{"taskId":"c1"}"#),
            "covered(c1): already_exists",
            "success",
        ),
        ("a page with HTTP 400", Say(answer("400 Bad Request\r\n", "<html>")), odd, "HTTP 400 without a code"),
        (
            "a page behind a byte order mark with HTTP 400",
            Say(answer("400 Bad Request\r\n", "\u{feff}<html>")),
            odd,
            "",
        ),
        ("an empty answer with HTTP 400", Say(answer("400 Bad Request\r\n", "")), odd, "an empty answer"),
        ("success with HTTP 500", claimed("500 Oops\r\n"), bad, "success"),
    ])
    .await;
}

/// What a job answers whose music task has its cover already is documented nowhere.
#[tokio::test]
async fn a_job_that_is_not_to_be_made_twice_is_told_by_any_word() {
    let said = |code: u16, words: &str| ok(format!(r#"{{"code":{code},"msg":"{words}","data":null}}"#));
    let page = |status: &str| Say(answer(&format!("{status}\r\n"), "<html>sorry</html>"));
    let (covered, missing, lost) = ("covered: already_exists", "rejected: not_found", "lost: timeout");
    check_on(
        Route::Jobs,
        vec![
            ("400", said(400, "Bad request"), covered, "Bad request"),
            ("409", said(409, "Conflict"), "covered: conflict", "Conflict"),
            ("422 in words", said(422, "A cover was already generated for this task"), covered, "already"),
            ("500 in words", said(500, "Cover record already exists"), covered, "exists"),
            ("501 in words", said(501, "Duplicate request"), covered, "Duplicate"),
            ("200 in words, without an id", said(200, "the task exists already"), covered, ""),
            ("in Chinese", said(500, "任务已存在"), covered, ""),
            ("an unknown code in words", said(999, "ALREADY EXISTS"), covered, ""),
            ("with an id", data(422, r#"{"taskId":"c1"}"#), "rejected: invalid_request", "success"),
            (
                "with an id and words",
                ok(r#"{"code":422,"msg":"it exists","data":{"taskId":"c1"}}"#),
                "covered(c1): already_exists",
                "it exists",
            ),
            ("what is not there", said(422, "Original music record does not exist"), "rejected: invalid_request", ""),
            ("the same with 400", said(400, "Original music record does not exist"), missing, ""),
            ("the same with 409", said(409, "the task doesn't exist"), missing, ""),
            ("a page that is not there", said(500, "The page does not exist"), "wrong address: bad_response", ""),
            (
                "haste in such words",
                said(429, "you have already sent too many requests"),
                "throttled: rate_limited",
                "",
            ),
            ("an empty account in such words", said(402, "already used up"), "no credits: no_credits", ""),
            ("maintenance in such words", said(500, "already in maintenance"), "unavailable: maintenance", ""),
            ("such words without a code", page("400 It already exists"), "troubled: bad_response", ""),
            ("a page in such words", Say(answer("409 Conflict\r\n", "already exists")), "troubled: bad_response", ""),
            ("no upstream in time", said(408, "timed out"), lost, "timed out"),
            ("the same in HTTP", page("408 Request Timeout"), lost, ""),
            ("a gateway that waited in vain", page("504 Gateway Timeout"), lost, ""),
            ("the same at Cloudflare", page("524 A Timeout Occurred"), lost, ""),
            ("the same as a code", said(504, "timed out"), lost, ""),
            ("a gateway in maintenance", Say(answer("504 x\r\n", "under maintenance")), "unavailable: maintenance", ""),
            ("a gateway without the service", page("503 Busy"), "unavailable: server_error", ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn words_of_any_kind_are_one_short_harmless_line() {
    let bad = "troubled: server_error";
    let said = |words: &str| ok(format!(r#"{{"code":500,"msg":{words}}}"#));
    let x200 = &*"x".repeat(200).leak();
    check(vec![
        ("control characters", said(r#""a\u0000\u0007\u007f\u0085b""#), bad, "a b"),
        ("escapes of a terminal", said(r#""\u001b[31mred\u001b]0;title\u0007""#), bad, "[31mred ]0;title"),
        ("line breaks of every kind", said(r#""a\r\nb\u2028c\u2029d\u000be""#), bad, "a b c d e"),
        ("raw line breaks", said("\"a\r\nb\""), "lost: bad_response", "not JSON"),
        ("directions", said(r#""a\u202egnp.exe\u2066b""#), bad, "agnp.exeb"),
        ("what is not seen", said(r#""a\u200b\u00ad\ufeffb\u3164""#), bad, "ab"),
        ("a key with something unseen in it", said(r#""canary-of-\u200bthe-wire-tests""#), bad, "***"),
        ("10,000 characters", said(&format!("\"{}\"", "x".repeat(10_000))), bad, x200),
        ("10,000 wide characters", said(&format!("\"{}\"", "曲".repeat(10_000))), bad, "曲曲曲"),
        ("a formula", said(r#""=HYPERLINK(\"http://x.example\")""#), bad, "=HYPERLINK"),
        ("half a pair", said(r#""\ud800""#), bad, ""),
        ("invalid UTF-8", ok(b"{\"code\":500,\"msg\":\"caf\xe9\"}"), bad, "caf\u{fffd}"),
        ("another encoding", ok(GBK), "accepted(c1): accepted", ""),
        ("a number", said("17"), bad, ""),
        ("null", said("null"), bad, ""),
        ("an object", said(r#"{"text":"no"}"#), bad, ""),
        ("1 MiB of spaces", said(&format!("\"{}\"", " ".repeat((1 << 20) - 30))), bad, ""),
        ("the format of a log line", said(r#""{} {0} %s %n $(id) `id`""#), bad, "{} {0} %s %n $(id) `id`"),
    ])
    .await;
}

/// `success` in Chinese, as a service in that country may encode it.
const GBK: &[u8] = b"{\"code\":200,\"msg\":\"\xb3\xc9\xb9\xa6\",\"data\":{\"taskId\":\"c1\"}}";

/// Little-endian UTF-16.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A redirect is about the address, and is not followed: nobody else learns the key.
#[tokio::test]
async fn redirects_lead_nowhere() {
    let elsewhere = Server::playing(ok(ACCEPTED));
    let there = format!("{}/api/v1/suno/cover/generate", elsewhere.address);
    let port = there.split(':').nth(2).unwrap().to_owned();
    let misled = "wrong address: bad_response";
    let headers = [
        format!("location: {there}\r\n"),
        format!("location: http://localhost:{port}\r\n"),
        format!("location: //127.0.0.1:{port}\r\n"),
        format!("location: {there}\r\nrefresh: 0; url={there}\r\ncontent-location: {there}\r\n"),
        "location: /elsewhere\r\n".to_owned(),
        "location: file:///etc/passwd\r\n".to_owned(),
        "location: \u{1}\r\n".to_owned(),
        String::new(),
    ];
    let mut cases = Vec::new();
    for status in [300, 301, 302, 303, 305, 306, 307, 308] {
        for headers in &headers[..if status == 302 { headers.len() } else { 1 }] {
            let expected = if headers.contains('\u{1}') { "lost: connection" } else { misled };
            let page = format!(r#"<meta http-equiv="refresh" content="0; url={there}">"#);
            let script =
                Say(answer(&format!("{status} Elsewhere\r\n{headers}content-length: {}\r\n", page.len()), page));
            cases.push(("a redirect", script, expected, if expected == misled { "` answers HTTP 3" } else { "" }));
        }
    }
    cases.push((
        "an alternative service",
        claimed(&format!("200 OK\r\nalt-svc: h2=\"127.0.0.1:{port}\"\r\n")),
        "accepted(c1): accepted",
        "success",
    ));
    cases.push((
        "a proxy to be used",
        claimed(&format!("305 Use Proxy\r\nlocation: {there}\r\n")),
        "lost: bad_response",
        "code 200 with HTTP 305",
    ));
    check(cases).await;
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_read_if_it_can_be() {
    let seconds = |header: &'static str| async move {
        let script = Say(answer(&format!("503 Busy\r\ncontent-length: 0\r\nretry-after: {header}\r\n"), ""));
        let (outcome, _) = submitted(script, Route::Legacy, PATIENT).await;
        assert_eq!(shown(&outcome), "unavailable: server_error", "{header}");
        outcome.retry_after.map(|wait| wait.as_secs())
    };
    for (header, expected) in [
        ("0", Some(0)),
        ("  7  ", Some(7)),
        ("007", Some(7)),
        ("999999999", Some(999_999_999)),
        ("-1", None),
        ("1.5", Some(1)),
        ("1e3", None),
        ("0x10", None),
        ("soon", None),
        ("", None),
        ("7, 8", None),
        ("7\r\nretry-after: 9", Some(7)),
        ("\u{ff17}", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", Some(0)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Mon, 01 Jan 0001 00:00:00 GMT", None),
        ("Fri, 32 Foo 2026 25:61:61 GMT", None),
    ] {
        assert_eq!(seconds(header).await, expected, "{header:?}");
    }
}
