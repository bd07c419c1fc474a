//! The HTTP edge against real sockets: what is sent, once, and how each kind of answer is taken.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use coverbatch::api::download::{DownloadConfig, Downloads};
use coverbatch::api::http::{HttpApi, HttpConfig};
use coverbatch::api::ping::Ping;
use coverbatch::api::{ApiUrl, CallbackUrl, CoverApi as _, ImageSink, Provider};
use coverbatch::clock::Clock;
use coverbatch::domain::{CoverTaskId, Found, MusicTaskId, Outcome, Reason, Verdict};
use coverbatch::secret::ApiKey;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

const KEY: &str = "canary-of-the-http-tests";

/// Longest time for a request in these tests.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A client of kie.ai, where no 429 is unclear without words.
fn api(address: &str, timeout: Duration) -> HttpApi {
    api_of(Provider::Kie, address, timeout)
}

/// A client for images, which nobody asks for any here.
fn downloads() -> Downloads {
    let config = DownloadConfig {
        hosts: Vec::new(),
        loopback_allowed: true,
        timeout: Duration::from_secs(1),
        clock: Clock::start(),
    };
    Downloads::new(&config).unwrap()
}

fn api_of(provider: Provider, address: &str, timeout: Duration) -> HttpApi {
    HttpApi::new(HttpConfig {
        api_url: ApiUrl::new(address).unwrap(),
        key: ApiKey::new(KEY).unwrap(),
        provider,
        callback: CallbackUrl::new("https://hooks.example/cover/{task_id}").unwrap(),
        timeout,
        clock: Clock::start(),
        downloads: downloads(),
    })
    .unwrap()
}

/// Submits `a/1` there, once.
async fn submit(address: &str, timeout: Duration) -> Outcome {
    api(address, timeout).submit(&MusicTaskId::new("a/1").unwrap()).await
}

async fn server(script: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(script).mount(&server).await;
    server
}

/// What becomes of one submission that is answered so; it is one request.
async fn outcome(script: impl Respond + 'static) -> Outcome {
    let server = server(script).await;
    let outcome = submit(&server.uri(), Duration::from_secs(10)).await;
    assert_eq!(server.received_requests().await.unwrap().len(), 1, "one submission is one request: {outcome:?}");
    outcome
}

/// A server that does this to each connection, and counts them.
fn raw_server(handle: impl Fn(TcpStream) + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let connections = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            connections.fetch_add(1, Ordering::SeqCst);
            handle(stream.unwrap());
        }
    });
    (address, count)
}

/// Reads a whole request.
fn read_request(stream: &mut TcpStream) {
    let (mut seen, mut block) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(b"}") {
        let count = stream.read(&mut block).unwrap();
        assert!(count > 0, "the request ended early");
        seen.extend_from_slice(&block[..count]);
    }
}

#[tokio::test]
async fn a_submission_is_one_post_as_the_service_documents_it() {
    let success = json!({"code": 200, "msg": "success", "data": {"taskId": "c1"}});
    let server = server(ResponseTemplate::new(200).set_body_json(success)).await;
    let outcome = submit(&format!("{}/base/", server.uri()), TIMEOUT).await;
    assert_eq!(outcome.verdict, Verdict::Accepted(CoverTaskId::new("c1").unwrap()));
    let requests = server.received_requests().await.unwrap();
    let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!((request.method.as_str(), request.url.path()), ("POST", "/base/api/v1/suno/cover/generate"));
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.headers["user-agent"], format!("coverbatch/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.headers["content-type"], "application/json");
    let body: Value = request.body_json().unwrap();
    assert_eq!(body, json!({"taskId": "a/1", "callBackUrl": "https://hooks.example/cover/a%2F1"}));
}

#[tokio::test]
async fn a_code_means_the_same_in_the_body_and_as_http_status() {
    let table = [
        (400, Verdict::Covered(None), Reason::AlreadyExists),
        (409, Verdict::Covered(None), Reason::Conflict),
        (401, Verdict::Unauthorized, Reason::Unauthorized),
        (402, Verdict::NoCredits, Reason::NoCredits),
        (404, Verdict::Rejected, Reason::NotFound),
        (422, Verdict::Rejected, Reason::InvalidRequest),
        (429, Verdict::Throttled, Reason::RateLimited),
        (455, Verdict::Unavailable, Reason::Maintenance),
        (500, Verdict::Troubled, Reason::ServerError),
    ];
    for (code, verdict, reason) in table {
        let body = json!({"code": code, "msg": "as the service says", "data": null});
        for status in [200, code] {
            let outcome = outcome(ResponseTemplate::new(status).set_body_json(&body)).await;
            assert_eq!((&outcome.verdict, outcome.reason), (&verdict, reason), "{code} by HTTP {status}");
            assert_eq!((outcome.answer.http_status, outcome.answer.code), (Some(status), Some(i64::from(code))));
            assert_eq!(outcome.answer.message, "as the service says");
        }
    }
}

#[tokio::test]
async fn a_page_of_a_gateway_is_no_answer_of_the_service() {
    let page = |status| ResponseTemplate::new(status).set_body_raw("<html>nginx</html>", "text/html");
    for (status, verdict) in [
        (200, Verdict::Troubled),
        (400, Verdict::Troubled),
        (403, Verdict::Unauthorized),
        (404, Verdict::Rejected),
        (502, Verdict::Unavailable),
        (503, Verdict::Unavailable),
        (504, Verdict::Unavailable),
    ] {
        assert_eq!(outcome(page(status)).await.verdict, verdict, "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_the_key_nowhere() {
    let elsewhere = server(ResponseTemplate::new(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let there = elsewhere.uri() + "/api/v1/suno/cover/generate";
        let outcome = outcome(ResponseTemplate::new(status).insert_header("location", there.as_str())).await;
        assert_eq!((outcome.verdict, outcome.reason), (Verdict::Troubled, Reason::BadResponse), "{status}");
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_of_more_than_1_mib_is_given_up() {
    let padded = |spaces: usize| {
        let answer = r#"{"code":200,"msg":"","data":{"taskId":"c1"}}"#.to_owned() + &" ".repeat(spaces);
        ResponseTemplate::new(200).set_body_raw(answer, "application/json")
    };
    assert!(matches!(outcome(padded((1 << 20) - 44)).await.verdict, Verdict::Accepted(_)));
    let large = outcome(padded((1 << 20) - 43)).await;
    assert_eq!((large.verdict, large.reason), (Verdict::Troubled, Reason::BadResponse));
    assert_eq!((large.answer.http_status, &*large.answer.message), (Some(200), "the answer is larger than 1 MiB"));
}

#[tokio::test]
async fn no_answer_in_time_is_lost() {
    let server = server(ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let outcome = submit(&server.uri(), TIMEOUT).await;
    assert_eq!((outcome.verdict, outcome.reason), (Verdict::Lost, Reason::Timeout));
    assert_eq!(outcome.answer.message, "no answer within 500ms");
}

#[tokio::test]
async fn an_answer_that_trickles_is_cut_off_by_the_same_timeout() {
    let (address, connections) = raw_server(|mut stream| {
        thread::spawn(move || {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{");
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
    });
    let outcome = submit(&address, TIMEOUT).await;
    assert_eq!((outcome.verdict, outcome.reason), (Verdict::Lost, Reason::Timeout));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = submit(&format!("http://{free}"), TIMEOUT).await;
    assert_eq!((outcome.verdict, outcome.reason), (Verdict::Unavailable, Reason::Connection));
    assert_eq!((outcome.answer.http_status, outcome.answer.code), (None, None));
    let message = outcome.answer.message;
    assert_eq!(message, "tcp connect error: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_host_that_does_not_exist_means_that_nothing_was_sent() {
    let outcome = submit("https://no-such-host.invalid", Duration::from_secs(10)).await;
    assert_eq!((outcome.verdict, outcome.reason), (Verdict::Unavailable, Reason::Connection), "{:?}", outcome.answer);
}

#[test]
fn a_name_is_looked_up_while_every_thread_that_blocks_is_busy() {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (release, released) = channel::<()>();
        let only = spawn_blocking(move || released.recv());
        let (address, connections) = raw_server(drop);
        let address = address.replace("127.0.0.1", "localhost");
        submit(&address, Duration::from_secs(10)).await;
        assert_eq!(connections.load(Ordering::SeqCst), 1, "the client of the service waits");
        Ping::new(&address).unwrap().end(0, String::new()).await;
        assert_eq!(connections.load(Ordering::SeqCst), 2, "the client of the monitor waits");
        drop(release);
        only.await.unwrap().unwrap_err();
    });
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_lost_and_not_tried_again() {
    let endings: [fn(TcpStream); 4] = [
        // Unread bytes make the system answer with a reset.
        |stream| drop(stream.peek(&mut [0]).map(|_| stream)),
        |mut stream| read_request(&mut stream),
        |mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le");
        },
        |mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"code\":200");
            let _ = stream.shutdown(Shutdown::Both);
        },
    ];
    for (number, ending) in endings.into_iter().enumerate() {
        let (address, connections) = raw_server(ending);
        let outcome = submit(&address, Duration::from_secs(10)).await;
        assert_eq!((outcome.verdict, outcome.reason), (Verdict::Lost, Reason::Connection), "ending {number}");
        assert!(!outcome.answer.message.is_empty() && !outcome.answer.message.contains("client error"));
        assert_eq!(connections.load(Ordering::SeqCst), 1, "ending {number}");
    }
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_as_a_date() {
    let asking = |value: &str| ResponseTemplate::new(503).insert_header("retry-after", value);
    assert_eq!(outcome(asking("7")).await.retry_after, Some(Duration::from_secs(7)));
    let now = u64::try_from(Clock::start().unix().0).unwrap();
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now) + Duration::from_secs(60));
    let asked = outcome(asking(&date)).await.retry_after.unwrap();
    assert!((Duration::from_secs(50)..=Duration::from_secs(60)).contains(&asked), "{asked:?}");
    assert_eq!(outcome(asking("Fri, 31 Dec 1999 23:59:59 GMT")).await.retry_after, Some(Duration::ZERO));
    assert_eq!(outcome(asking("soon")).await.retry_after, None);
    assert_eq!(outcome(ResponseTemplate::new(503)).await.retry_after, None);
}

#[tokio::test]
async fn the_key_is_masked_in_what_the_service_says_and_in_what_is_printed_of_the_client() {
    let body = json!({"code": 401, "msg": format!("{KEY} is unknown, Bearer {KEY}")});
    let outcome = outcome(ResponseTemplate::new(200).set_body_json(body)).await;
    assert_eq!(outcome.answer.message, "*** is unknown, Bearer ***");
    assert!(!format!("{:#?}", api("http://127.0.0.1:1", TIMEOUT)).contains(KEY));
}

/// A server whose submissions are answered with a wordless 429, and whose balance endpoint says this.
async fn unclear(balance: Value) -> MockServer {
    let server = MockServer::start().await;
    let answers =
        [("POST", "/api/v1/suno/cover/generate", json!({"code": 429})), ("GET", "/api/v1/generate/credit", balance)];
    for (verb, address, body) in answers {
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(method(verb)).and(path(address)).respond_with(answer).mount(&server).await;
    }
    server
}

#[tokio::test]
async fn a_429_that_may_mean_either_is_decided_by_the_balance_which_is_asked_once_for_all() {
    let empty = json!({"code": 200, "data": 0});
    let full = json!({"code": 200, "data": 12.5});
    let unreadable = json!({"code": 500});
    for (balance, verdict) in
        [(empty, Verdict::NoCredits), (full, Verdict::Throttled), (unreadable, Verdict::Throttled)]
    {
        let server = unclear(balance).await;
        let api = api_of(Provider::Sunoapi, &server.uri(), Duration::from_secs(10));
        let task = MusicTaskId::new("a").unwrap();
        let outcomes = tokio::join!(api.submit(&task), api.submit(&task), api.submit(&task));
        for outcome in [outcomes.0, outcomes.1, outcomes.2] {
            assert_eq!(outcome.verdict, verdict);
        }
        let requests = server.received_requests().await.unwrap();
        assert_eq!(requests.iter().filter(|request| request.method.as_str() == "GET").count(), 1);
        assert_eq!(requests.len(), 4);
    }
}

#[tokio::test]
async fn the_balance_is_read_within_the_time_of_the_submission() {
    let server = MockServer::start().await;
    let answers = [("POST", json!({"code": 429}), 800), ("GET", json!({"code": 200, "data": 0}), 30_000)];
    for (verb, body, delay) in answers {
        let answer = ResponseTemplate::new(200).set_body_json(body).set_delay(Duration::from_millis(delay));
        Mock::given(method(verb)).respond_with(answer).mount(&server).await;
    }
    let api = api_of(Provider::Sunoapi, &server.uri(), Duration::from_secs(1));
    let began = Clock::start();
    let outcome = api.submit(&MusicTaskId::new("a").unwrap()).await;
    assert_eq!(outcome.verdict, Verdict::Throttled);
    assert!(began.elapsed() < Duration::from_millis(1_400), "took {:?}", began.elapsed());
    api.submit(&MusicTaskId::new("b").unwrap()).await;
    let requests = server.received_requests().await.unwrap();
    let reads = requests.iter().filter(|request| request.method.as_str() == "GET").count();
    assert_eq!(reads, 1, "an account that cannot be read is taken for a full one for a while");
}

#[tokio::test]
async fn the_longest_time_there_is_may_be_waited() {
    let server = server(ResponseTemplate::new(200).set_body_json(json!({"code": 455}))).await;
    assert_eq!(submit(&server.uri(), Duration::MAX).await.verdict, Verdict::Unavailable);
    let config =
        DownloadConfig { hosts: Vec::new(), loopback_allowed: true, timeout: Duration::MAX, clock: Clock::start() };
    let downloads = Downloads::new(&config).unwrap();
    let reading = downloads.fetch(&server.uri(), &mut Nowhere).await.unwrap();
    assert!(matches!(reading.found, Found::Known(_)), "{reading:?}");
}

/// Takes whatever comes.
struct Nowhere;

impl ImageSink for Nowhere {
    async fn write(&mut self, _: Vec<u8>) -> std::io::Result<()> {
        Ok(())
    }
}
