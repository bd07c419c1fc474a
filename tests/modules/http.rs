//! The HTTP edge against real sockets: what is sent, once, and how each kind of answer is taken.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use coverbatch::api::download::{DownloadConfig, Downloads};
use coverbatch::api::http::{HttpApi, HttpConfig};
use coverbatch::api::ping::Ping;
use coverbatch::api::{ApiUrl, CallbackUrl, CoverApi as _, ImageSink, Provider};
use coverbatch::clock::Clock;
use coverbatch::domain::{CoverTaskId, Found, MusicTaskId, Outcome, Reason, Route, Verdict};
use coverbatch::secret::ApiKey;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

use crate::downloads;

const KEY: &str = "canary-of-the-http-tests";

/// Longest time for a request in these tests.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A client of kie.ai, where no 429 is unclear without words.
fn api(address: &str, timeout: Duration) -> HttpApi {
    api_of(Provider::Kie, address, timeout)
}

fn api_of(provider: Provider, address: &str, timeout: Duration) -> HttpApi {
    HttpApi::new(HttpConfig {
        api_url: ApiUrl::new(address).unwrap(),
        key: ApiKey::new(KEY).unwrap(),
        provider,
        route: Route::Legacy,
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
        (200, Verdict::Lost),
        (400, Verdict::Troubled),
        (403, Verdict::Unauthorized),
        (404, Verdict::WrongAddress),
        (409, Verdict::Troubled),
        (413, Verdict::Troubled),
        (422, Verdict::Troubled),
        (429, Verdict::Throttled),
        (502, Verdict::Unavailable),
        (521, Verdict::Unavailable),
    ] {
        assert_eq!(outcome(page(status)).await.verdict, verdict, "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_the_key_nowhere() {
    let elsewhere = server(ResponseTemplate::new(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let there = elsewhere.uri() + "/api/v1/suno/cover/generate";
        let location = format!("{there}?session=secret");
        let outcome = outcome(ResponseTemplate::new(status).insert_header("location", location.as_str())).await;
        assert_eq!((outcome.verdict, outcome.reason), (Verdict::WrongAddress, Reason::BadResponse), "{status}");
        let message = outcome.answer.message;
        let words = format!("/api/v1/suno/cover/generate` answers HTTP {status} and points to `{there}?***`");
        assert!(message.starts_with("`http://127.0.0.1:") && message.ends_with(&words), "{message}");
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
    assert_eq!((large.verdict, large.reason), (Verdict::Lost, Reason::BadResponse));
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
        Ping::new(&address).unwrap().start().await.unwrap();
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
async fn what_the_headers_of_an_answer_ask_for_is_read() {
    let asked = |status, headers: &[(&'static str, &'static str)]| {
        let answer = headers
            .iter()
            .fold(ResponseTemplate::new(status), |answer, (name, value)| answer.insert_header(*name, *value));
        async move { outcome(answer).await.retry_after }
    };
    // Their clocks differ: what counts is the service's own.
    let date = ("date", "Fri, 31 Dec 1999 23:59:54 GMT");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(asked(503, &[("retry-after", "7")]).await, seconds(7));
    assert_eq!(asked(503, &[date, ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]).await, seconds(5));
    assert_eq!(asked(429, &[("x-ratelimit-reset", "9")]).await, seconds(9));
    assert_eq!(asked(503, &[("x-ratelimit-reset", "9")]).await, None, "no limit was reached");
    assert_eq!(asked(503, &[("retry-after", "soon")]).await, None);
    assert_eq!(asked(503, &[]).await, None);
}

#[tokio::test]
async fn a_packed_answer_that_nobody_asked_for_is_understood() {
    use flate2::{Compression, write::GzEncoder};
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(br#"{"code":200,"data":{"taskId":"c1"}}"#).unwrap();
    let body = packed.finish().unwrap();
    let server =
        server(ResponseTemplate::new(200).set_body_bytes(body).insert_header("content-encoding", "gzip")).await;
    assert_eq!(submit(&server.uri(), TIMEOUT).await.verdict, Verdict::Accepted(CoverTaskId::new("c1").unwrap()));
    let request = &server.received_requests().await.unwrap()[0];
    assert!(!request.headers.contains_key("accept-encoding"), "it is not asked for");
}

/// A gateway that answers the first request twice: from then on each answer is that to the request before.
#[tokio::test]
async fn connections_whose_answers_are_out_of_step_are_not_used_again() {
    let (address, connections) = raw_server(|mut stream| {
        thread::spawn(move || {
            let mut late = Vec::new();
            for number in 1.. {
                read_request(&mut stream);
                let body = format!(r#"{{"code":200,"data":{{"taskId":"c{number}"}}}}"#);
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let sent = if late.is_empty() { answer.clone() } else { std::mem::take(&mut late).pop().unwrap() };
                late.push(answer);
                if stream.write_all(sent.as_bytes()).is_err() {
                    return;
                }
            }
        });
    });
    let api = api(&address, Duration::from_secs(10));
    let cover = async |task: &str| {
        let Verdict::Accepted(cover) = api.submit(&MusicTaskId::new(task).unwrap()).await.verdict else { panic!() };
        cover.to_string()
    };
    assert_eq!([cover("a").await, cover("b").await, cover("c").await], ["c1", "c1", "c2"]);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    api.drop_connections();
    for opened in 2..5 {
        assert_eq!(cover("d").await, "c1");
        assert_eq!(connections.load(Ordering::SeqCst), opened);
    }
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
