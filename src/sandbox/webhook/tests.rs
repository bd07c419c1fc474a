//! Callbacks as a program on this machine receives them, through real sockets; addresses and signatures as tables.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::clock::{Clock, UnixMillis};
use crate::domain::{MusicTaskId, Route};
use crate::sandbox::request::CoverRequest;
use crate::sandbox::server::{PAUSE, RETRIES};
use crate::sandbox::tests::{ask, id_of, quick, stand_in};
use crate::sandbox::{Sandbox, Scenario};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &str = "test-webhook-hmac-key";

/// Covers are done at once.
fn instant(callbacks: Option<Callbacks>) -> Scenario {
    Scenario { generation: Duration::ZERO..=Duration::ZERO, callbacks, ..quick() }
}

/// A program that takes callbacks and answers the first with the first status, and so on; the last status stays.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn answering(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/cover/hook?of=a%20b", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                while text.split_once("\r\n\r\n").is_none_or(|(_, body)| !body.ends_with('}')) {
                    let mut bytes = [0; 4096];
                    let length = connection.read(&mut bytes).await.unwrap();
                    text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
                }
                let at = seen.lock().unwrap().len().min(statuses.len() - 1);
                let answer = format!("HTTP/1.1 {} Whatever\r\nContent-Length: 0\r\n\r\n", statuses[at]);
                connection.write_all(answer.as_bytes()).await.unwrap();
                seen.lock().unwrap().push(text);
            }
        });
        Self { url, received }
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    async fn has_received(&self, many: usize) -> Vec<String> {
        let enough = async {
            while self.received().len() < many {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.unwrap();
        self.received()
    }
}

async fn generate(sandbox: &Sandbox, music: &str, callback_url: &str) {
    let body = json!({"taskId": music, "callBackUrl": callback_url}).to_string();
    assert_eq!(ask(sandbox, "POST", "/api/v1/suno/cover/generate", Some("key"), &body).await.unwrap().status, 200);
}

fn header(request: &str, name: &str) -> Option<String> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Two counters of the statistics, as soon as they are so.
async fn until_counted(sandbox: &Sandbox, callbacks: u64, taken: u64) {
    let counted = async {
        while (sandbox.stats().callbacks, sandbox.stats().callbacks_answered_200) != (callbacks, taken) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{:?}", sandbox.stats()));
}

#[test]
fn only_plain_http_to_this_machine_is_called() {
    let table = [
        ("http://127.0.0.1:8787/callback/a?b=c#d", Some((vec!["127.0.0.1:8787"], "127.0.0.1:8787", "/callback/a?b=c"))),
        ("http://user:word@127.9.9.9", Some((vec!["127.9.9.9:80"], "127.9.9.9", "/"))),
        ("http://[::1]:1/", Some((vec!["[::1]:1"], "[::1]:1", "/"))),
        ("http://LOCALHOST:5/x", Some((vec!["127.0.0.1:5", "[::1]:5"], "localhost:5", "/x"))),
        ("https://127.0.0.1/", None),
        ("http://callback.invalid/", None),
        ("http://localhost.example/", None),
        ("http://127.0.0.1.example/", None),
        ("http://10.0.0.1/", None),
        ("http://0.0.0.0/", None),
        ("http://169.254.169.254/", None),
        ("http://[::ffff:10.0.0.1]/", None),
        ("ftp://127.0.0.1/", None),
        ("u", None),
        ("", None),
    ];
    for (url, expected) in table {
        let expected = expected.map(|(addresses, host, path): (Vec<&str>, &str, &str)| Target {
            addresses: addresses.into_iter().map(|address| address.parse().unwrap()).collect(),
            host: host.to_owned(),
            path: path.to_owned(),
        });
        assert_eq!(Target::read(url), expected, "{url}");
    }
}

#[test]
fn a_signature_is_that_of_the_test_vector() {
    let key: SigningKey = KEY.parse().unwrap();
    let signature = key.signature("21aee3c3c2a01fa5e030b3799fa4dd56", 1_769_670_760);
    assert_eq!(signature, "RzT9hcGcvO0vUlca4+kTewzkO4SN6LV6WW4Fs0WxBlM=");
}

#[test]
fn a_callback_is_due_when_its_cover_has_ended_and_the_delay_has_passed() {
    let second = Duration::from_secs(1);
    let due = |music: &str, delay: RangeInclusive<Duration>| {
        let scenario = Scenario { generation: second * 3..=second * 3, ..quick() };
        let music = MusicTaskId::new(music).unwrap();
        let request = CoverRequest { music, callback_url: "http://127.0.0.1/".to_owned(), route: Route::Legacy };
        let cover = Cover::begun(&scenario, second, 0, request);
        Webhook::of(&cover, &Callbacks { delay, ..Callbacks::default() }, 0, "").map(|webhook| webhook.due)
    };
    assert_eq!(due("a", Duration::ZERO..=Duration::ZERO), Some(second * 4));
    assert_eq!(due("genfail-1", second * 2..=second * 2), Some(second * 6));
    assert_eq!(due("stuck-1", second..=second), None);
    let drawn: Vec<_> = (0..50).filter_map(|n| due(&n.to_string(), second..=second * 9)).collect();
    assert!(
        drawn.iter().all(|due| (second * 5..=second * 13).contains(due)) && drawn.iter().min() < drawn.iter().max()
    );
}

#[test]
fn the_status_is_the_second_word_of_an_http_answer() {
    let table: [(&[u8], _); 6] = [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", Some(200)),
        (b"HTTP/1.0 204\r\n\r\n", Some(204)),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(503)),
        (b"SSH-2.0 200 x\r\n\r\n", None),
        (b"HTTP/1.1\r\n\r\n", None),
        (b"\xff\r\n\r\n", None),
    ];
    for (head, expected) in table {
        assert_eq!(status(head), expected, "{}", head.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_cover_is_told_in_the_words_of_the_service() {
    let receiver = Receiver::answering(&[200]).await;
    let sandbox = stand_in(instant(Some(Callbacks::default()))).await;
    let images = [1, 2].map(|number| format!("{}/images/{}-{number}.png", sandbox.base_url(), id_of("a")));
    let success = |music: &str, images: Value| json!({"code": 200, "msg": "success (sandbox)", "data": {"taskId": id_of(music), "images": images}});
    let failure = json!({"taskId": id_of("genfail-1"), "images": null});
    let table = [
        ("a", success("a", json!(images))),
        ("noimages-1", success("noimages-1", json!([]))),
        ("genfail-1", json!({"code": 501, "msg": "Cover generation failed (sandbox)", "data": failure})),
    ];
    for (at, (music, expected)) in table.into_iter().enumerate() {
        generate(&sandbox, music, &receiver.url).await;
        let request = receiver.has_received(at + 1).await.pop().unwrap();
        assert!(request.starts_with("POST /cover/hook?of=a%20b HTTP/1.1\r\n"), "{request}");
        assert_eq!(header(&request, "Content-Type").as_deref(), Some("application/json"));
        assert_eq!((body(&request), header(&request, "X-Webhook-Signature")), (expected, None), "{music}");
    }
    until_counted(&sandbox, 3, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_job_is_told_in_its_own_words() {
    let receiver = Receiver::answering(&[200]).await;
    let sandbox = stand_in(instant(Some(Callbacks::default()))).await;
    for (at, (music, code, state)) in [("a", 200, "success"), ("genfail-1", 501, "fail")].into_iter().enumerate() {
        let job = json!({
            "model": "ai-music-api/cover-generate", "callBackUrl": receiver.url, "input": {"task_id": music},
        });
        ask(&sandbox, "POST", "/api/v1/jobs/createTask", Some("key"), &job.to_string()).await.unwrap();
        let told = body(&receiver.has_received(at + 1).await.pop().unwrap());
        assert_eq!((&told["code"], &told["data"]["taskId"]), (&json!(code), &json!(id_of(music))));
        assert_eq!(told["data"]["state"], state);
        assert!(told["data"]["param"].as_str().unwrap().contains(music), "{told}");
        assert_eq!(told["data"]["resultJson"].is_null(), state == "fail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_signed_at_its_time_and_repeated_as_asked() {
    let receiver = Receiver::answering(&[200]).await;
    let key: SigningKey = KEY.parse().unwrap();
    let callbacks = Callbacks { repeats: 2, signing_key: Some(key.clone()), ..Callbacks::default() };
    let sandbox = stand_in(instant(Some(callbacks))).await;
    generate(&sandbox, "a", &receiver.url).await;
    let requests = receiver.has_received(3).await;
    for request in &requests {
        let timestamp: i64 = header(request, "X-Webhook-Timestamp").unwrap().parse().unwrap();
        assert!(UnixMillis(timestamp * 1000).until(Clock::start().unix()) < PATIENCE, "{timestamp}");
        assert_eq!(header(request, "X-Webhook-Signature"), Some(key.signature(&id_of("a"), timestamp)));
        assert_eq!(body(request), body(&requests[0]));
    }
    until_counted(&sandbox, 3, 3).await;
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_not_answered_200_is_tried_again() {
    let receiver = Receiver::answering(&[500, 202, 200]).await;
    let sandbox = stand_in(instant(Some(Callbacks::default()))).await;
    generate(&sandbox, "a", &receiver.url).await;
    until_counted(&sandbox, 3, 1).await;
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_failed_retries_nothing_more_is_sent_not_even_repeats() {
    let receiver = Receiver::answering(&[500]).await;
    let sandbox = stand_in(instant(Some(Callbacks { repeats: 5, ..Callbacks::default() }))).await;
    generate(&sandbox, "a", &receiver.url).await;
    until_counted(&sandbox, u64::from(1 + RETRIES), 0).await;
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(receiver.received().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_who_is_elsewhere_or_if_callbacks_are_off() {
    let receiver = Receiver::answering(&[200]).await;
    let off = stand_in(instant(None)).await;
    generate(&off, "a", &receiver.url).await;
    let on = stand_in(instant(Some(Callbacks::default()))).await;
    generate(&on, "a", "http://callback.invalid/").await;
    generate(&on, "b", "u").await;
    generate(&on, "stuck-1", &receiver.url).await;
    generate(&on, "covered-1", &receiver.url).await;
    tokio::time::sleep(PAUSE).await;
    assert_eq!((off.stats().callbacks, on.stats().callbacks, receiver.received().len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_waits_for_its_delay_and_does_not_keep_the_stand_in_from_stopping() {
    let receiver = Receiver::answering(&[200]).await;
    let delay = PAUSE..=PAUSE;
    let sandbox = stand_in(instant(Some(Callbacks { delay, ..Callbacks::default() }))).await;
    let clock = Clock::start();
    generate(&sandbox, "a", &receiver.url).await;
    receiver.has_received(1).await;
    assert!(clock.elapsed() >= PAUSE, "{:?}", clock.elapsed());
    generate(&sandbox, "b", &receiver.url).await;
    sandbox.stop().await;
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(receiver.received().len(), 1);
}
