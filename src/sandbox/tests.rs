//! The stand-in as a client sees it, through real sockets.
//!
//! Where a test waits for the stand-in, its clock is paused: time stands still while a request is under way, since that
//! blocks a thread, and has passed at once where it is slept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::clock::{Clock, UnixMillis};
use crate::domain::MusicTaskId;

use super::*;

const GENERATE: &str = "/api/v1/suno/cover/generate";
/// No answer is waited for longer, so that a stand-in that is broken fails a test instead of holding it up.
const PATIENCE: Duration = Duration::from_secs(10);
const NO_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::ZERO;

pub(super) fn quick() -> Scenario {
    Scenario { latency: NO_TIME, limit: "1000/10s".parse().unwrap(), ..Scenario::default() }
}

/// A stand-in on a free port.
pub(super) async fn stand_in(scenario: Scenario) -> Sandbox {
    Sandbox::start("127.0.0.1:0".parse().unwrap(), scenario, Clock::start()).await.unwrap()
}

/// What came back on the wire.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) location: String,
    pub(super) content_encoding: String,
    pub(super) body: String,
    /// The body as it came.
    pub(super) bytes: Vec<u8>,
    /// Whether the body has the length that was announced.
    pub(super) is_whole: bool,
}

impl Said {
    /// Of the bytes of one answer; all zero if there are none.
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 4..]));
        let head = String::from_utf8_lossy(head);
        let header = |name| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        Self {
            status: head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap()),
            content_type: header("content-type: "),
            location: header("location: "),
            content_encoding: header("content-encoding: "),
            is_whole: header("content-length: ").parse() == Ok(body.len()),
            body: String::from_utf8_lossy(body).into_owned(),
            bytes: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn code(&self) -> u64 {
        self.json()["code"].as_u64().unwrap()
    }
}

/// What one request on a connection of its own gets, as soon as it has got it.
pub(super) fn ask(sandbox: &Sandbox, method: &str, path: &str, key: Option<&str>, body: &str) -> JoinHandle<Said> {
    let address = address_of(sandbox);
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A reset is one way for an answer to end.
        let _ = connection.read_to_end(&mut bytes);
        Said::read(&bytes)
    })
}

fn address_of(sandbox: &Sandbox) -> SocketAddr {
    sandbox.base_url().strip_prefix("http://").unwrap().parse().unwrap()
}

pub(super) async fn exchange(sandbox: &Sandbox, method: &str, path: &str, key: Option<&str>, body: &str) -> Said {
    ask(sandbox, method, path, key, body).await.unwrap()
}

fn start_generating(sandbox: &Sandbox, music: &str) -> JoinHandle<Said> {
    let body = json!({"taskId": music, "callBackUrl": "http://callback.invalid/"}).to_string();
    ask(sandbox, "POST", GENERATE, Some("key"), &body)
}

pub(super) async fn generate(sandbox: &Sandbox, music: &str) -> Said {
    start_generating(sandbox, music).await.unwrap()
}

async fn until_accepted(sandbox: &Sandbox) {
    let accepted = async {
        while sandbox.stats().accepted == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, accepted).await.unwrap();
}

async fn get(sandbox: &Sandbox, path: &str) -> Said {
    exchange(sandbox, "GET", path, Some("key"), "").await
}

pub(super) async fn read_cover(sandbox: &Sandbox, id: &str) -> Value {
    get(sandbox, &format!("/api/v1/suno/cover/record-info?taskId={id}")).await.json()
}

pub(super) fn id_of(music: &str) -> String {
    cover_id_for(0, &MusicTaskId::new(music).unwrap())
}

fn accepted(music: &str) -> Value {
    json!({"code": 200, "msg": "success (sandbox)", "data": {"taskId": id_of(music)}})
}

fn duplicate(music: &str) -> Value {
    let msg = "A cover was already generated for this task (sandbox)";
    json!({"code": 400, "msg": msg, "data": {"taskId": id_of(music)}})
}

fn bare(code: u64, msg: &str) -> Value {
    json!({"code": code, "msg": msg, "data": null})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_is_accepted_once_and_then_a_duplicate_with_the_same_id() {
    let sandbox = stand_in(quick()).await;
    assert_eq!(generate(&sandbox, "a").await.json(), accepted("a"));
    assert_eq!(generate(&sandbox, "a").await.json(), duplicate("a"));
    assert_eq!(generate(&sandbox, "b").await.json(), accepted("b"));
    let expected = Stats { requests: 3, accepted: 2, most_in_a_window: 3, ..Stats::default() };
    assert_eq!(sandbox.stats(), expected);
}

/// A music task's cover asked for as a job.
async fn create_job(sandbox: &Sandbox, music: &str) -> Said {
    let body = json!({"model": "ai-music-api/cover-generate", "input": {"task_id": music}}).to_string();
    exchange(sandbox, "POST", "/api/v1/jobs/createTask", Some("key"), &body).await
}

async fn read_job(sandbox: &Sandbox, id: &str) -> Value {
    get(sandbox, &format!("/api/v1/jobs/recordInfo?taskId={id}")).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_once_and_has_its_record_where_jobs_have_theirs() {
    let sandbox = stand_in(Scenario { generation: NO_TIME, ..quick() }).await;
    let id = id_of("a");
    let created = json!({"code": 200, "msg": "success (sandbox)", "data": {"taskId": id, "recordId": id}});
    assert_eq!(create_job(&sandbox, "a").await.json(), created);
    let told = bare(422, "A cover was already generated for this task (sandbox)");
    assert_eq!(create_job(&sandbox, "a").await.json(), told);
    assert_eq!(generate(&sandbox, "a").await.json(), duplicate("a"), "one cover for each music task, on any route");
    assert_eq!(read_job(&sandbox, &id).await["data"]["state"], "success");
    assert_eq!(read_cover(&sandbox, &id).await["data"], Value::Null);
    generate(&sandbox, "b").await;
    let unknown = bare(422, "recordInfo is null");
    assert_eq!((read_job(&sandbox, &id_of("b")).await, read_job(&sandbox, "x").await), (unknown.clone(), unknown));
    assert_eq!(sandbox.stats().accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_meet_the_same_behaviors_and_share_limits_and_credits() {
    let scenario = Scenario { limit: "8/100s".parse().unwrap(), credits: Some(1), ..quick() };
    let sandbox = stand_in(Scenario { read_limit: "2/100s".parse().unwrap(), ..scenario }).await;
    let table =
        [("code-455-1", 455), ("conflict-1", 409), ("covered-noid-1", 400), ("broke-1", 429), ("a", 200), ("b", 402)];
    for (music, code) in table {
        assert_eq!(create_job(&sandbox, music).await.code(), code, "{music}");
    }
    assert_eq!(create_job(&sandbox, "nowhere-1").await.status, 404);
    assert_eq!([generate(&sandbox, "c").await, create_job(&sandbox, "c").await].map(|said| said.code()), [402, 429]);
    assert_eq!(read_job(&sandbox, &id_of("a")).await["code"], 200);
    assert_eq!(read_cover(&sandbox, "x").await["code"], 200);
    assert_eq!(read_job(&sandbox, &id_of("a")).await["code"], 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_behavior_has_its_answer() {
    let sandbox = stand_in(quick()).await;
    let table = [
        ("covered-1", 200, duplicate("covered-1")),
        ("covered-noid-1", 200, bare(400, "A cover was already generated for this task (sandbox)")),
        ("conflict-1", 200, bare(409, "Cover record already exists (sandbox)")),
        ("code-401-1", 200, json!({"code": 401, "msg": "You do not have access permissions"})),
        ("code-422-1", 200, bare(422, "Original music record does not exist")),
        ("code-455-1", 200, bare(455, "System maintenance")),
        ("http-402-1", 402, bare(402, "Insufficient credits")),
        ("http-200-1", 200, bare(200, "success (sandbox)")),
        ("http-599-1", 599, bare(599, "Something without words happened (sandbox)")),
        ("http-455-1", 455, bare(455, "System maintenance")),
        ("broke-1", 200, bare(429, "The current credits are insufficient. Please top up.")),
        ("nocode-1", 200, json!({"status": "ok (sandbox)"})),
        ("noid-1", 200, bare(200, "success (sandbox)")),
        ("maint-1", 200, bare(500, "The server is currently being maintained, please try again later~")),
        ("nopage-1", 200, bare(500, "The page does not exist")),
        ("nowhere-1", 404, json!({"status": 404, "error": "Not Found", "path": GENERATE})),
    ];
    for (music, status, expected) in table {
        for _ in 0..2 {
            let said = generate(&sandbox, music).await;
            assert_eq!((said.status, said.json()), (status, expected.clone()), "{music}");
            assert_eq!((said.content_type.as_str(), said.is_whole), ("application/json", true), "{music}");
        }
    }
    assert_eq!(sandbox.stats().accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_sent_as_the_gateway_sends_it() {
    let sandbox = stand_in(quick()).await;
    let page = "<html><body>bad gateway</body></html>";
    let table = [
        ("http-403-1", 403, "text/plain", "error code: 1010"),
        ("http-502-1", 502, "text/html", page),
        ("http-504-1", 504, "text/html", page),
        ("html-1", 200, "text/html", page),
        ("page-404-1", 404, "text/html", page),
        ("page-530-1", 530, "text/html", page),
        ("http-301-1", 301, "text/html", page),
        ("empty-1", 200, "application/json", ""),
    ];
    for (music, status, content_type, body) in table {
        let said = generate(&sandbox, music).await;
        assert_eq!((said.status, said.content_type.as_str(), said.is_whole), (status, content_type, true), "{music}");
        assert_eq!(said.body, body, "{music}");
    }
    assert_eq!(generate(&sandbox, "page-308-1").await.location, "https://moved.invalid/");
    // HTTP allows these no body.
    for (music, status) in [("http-204-1", 204), ("http-304-1", 304)] {
        let said = generate(&sandbox, music).await;
        assert_eq!((said.status, said.body.as_str()), (status, ""), "{music}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_with_a_number_passes() {
    let sandbox = stand_in(quick()).await;
    for music in ["code-500x2-1", "http-500x2-1", "code-500x2-2"] {
        let codes = [generate(&sandbox, music).await, generate(&sandbox, music).await].map(|said| said.code());
        assert_eq!(codes, [500, 500], "{music}");
        assert_eq!(generate(&sandbox, music).await.json(), accepted(music));
        assert_eq!(generate(&sandbox, music).await.json(), duplicate(music));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_delivery_fails_the_cover_is_made() {
    let sandbox = stand_in(quick()).await;
    let cut = generate(&sandbox, "cutx1-1").await;
    assert_eq!((cut.status, cut.is_whole), (200, false));
    assert!(accepted("cutx1-1").to_string().starts_with(&cut.body) && !cut.body.is_empty(), "{cut:?}");

    let garbled = generate(&sandbox, "garbledx1-1").await;
    assert!(garbled.is_whole && accepted("garbledx1-1").to_string().starts_with(&garbled.body), "{garbled:?}");
    assert!(serde_json::from_str::<Value>(&garbled.body).is_err());

    let huge = generate(&sandbox, "hugex1-1").await;
    assert!(huge.body.len() > 1024 * 1024 && huge.body.contains(&accepted("hugex1-1").to_string()));

    for music in ["cutx1-1", "garbledx1-1", "hugex1-1"] {
        assert_eq!(generate(&sandbox, music).await.json(), duplicate(music));
    }
    assert_eq!(sandbox.stats().accepted, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_compressed_although_nobody_asked_for_it() {
    let sandbox = stand_in(quick()).await;
    let table = [("gzipx1-1", "gzip", true), ("gzipunsaidx1-1", "", true), ("deflatex1-1", "deflate", false)];
    for (music, encoding, is_gzip) in table {
        let said = generate(&sandbox, music).await;
        assert_eq!((said.status, said.content_encoding.as_str(), said.is_whole), (200, encoding, true), "{music}");
        assert_eq!(said.bytes.starts_with(b"\x1f\x8b"), is_gzip, "{music}");
        let mut text = String::new();
        if is_gzip {
            flate2::read::GzDecoder::new(&*said.bytes).read_to_string(&mut text).unwrap();
        } else {
            flate2::read::ZlibDecoder::new(&*said.bytes).read_to_string(&mut text).unwrap();
        }
        assert_eq!(text, accepted(music).to_string());
        assert_eq!(generate(&sandbox, music).await.json(), duplicate(music));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_many_shifts_those_that_follow_on_its_connection_and_no_other() {
    let sandbox = stand_in(quick()).await;
    let address = address_of(&sandbox);
    let seen = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        ["a", "surplus-1", "b", "c"].map(|music| {
            let body = json!({"taskId": music, "callBackUrl": "u"}).to_string();
            let length = body.len();
            let head = format!("POST {GENERATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n");
            connection.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
            let mut bytes = vec![0; 4096];
            let length = connection.read(&mut bytes).unwrap();
            Said::read(&bytes[..length]).json()
        })
    });
    assert_eq!(seen.await.unwrap(), ["a", "surplus-1", "surplus-1", "b"].map(accepted));
    assert_eq!(generate(&sandbox, "c").await.json(), duplicate("c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_two_seconds_late() {
    let sandbox = stand_in(quick()).await;
    let clock = Clock::start();
    assert_eq!(generate(&sandbox, "slow-1").await.json(), accepted("slow-1"));
    assert!(clock.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_has_made_its_cover_and_does_not_keep_the_stand_in_from_stopping() {
    let sandbox = stand_in(quick()).await;
    let clock = Clock::start();
    let hanging = start_generating(&sandbox, "hangx1-1");
    until_accepted(&sandbox).await;
    assert_eq!(generate(&sandbox, "hangx1-1").await.json(), duplicate("hangx1-1"));
    assert!(!hanging.is_finished());
    sandbox.stop().await;
    assert!(!hanging.await.unwrap().is_whole);
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_per_key_and_refused_requests_are_not_made() {
    let sandbox = stand_in(Scenario { latency: NO_TIME, ..Scenario::default() }).await;
    for n in 0..20 {
        assert_eq!(generate(&sandbox, &format!("t{n}")).await.code(), 200, "{n}");
    }
    let refused = bare(429, "Your call frequency is too high. Please try again later.");
    assert_eq!(generate(&sandbox, "t20").await.json(), refused);
    assert_eq!(read_cover(&sandbox, &id_of("t0")).await["code"], 200);
    let body = r#"{"taskId":"t20","callBackUrl":"u"}"#;
    assert_eq!(exchange(&sandbox, "POST", GENERATE, Some("other"), body).await.json(), accepted("t20"));
    let expected =
        Stats { requests: 23, accepted: 21, refused_for_pace: 1, most_in_a_window: 22, reads: 1, ..Stats::default() };
    assert_eq!(sandbox.stats(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_too_fast_uses_up_no_fault() {
    let limit = "1/300ms".parse().unwrap();
    let sandbox = stand_in(Scenario { limit, ..quick() }).await;
    let mut codes = Vec::new();
    while codes.last() != Some(&200) && codes.len() < 100 {
        codes.push(generate(&sandbox, "code-500x2-1").await.code());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(codes.iter().filter(|code| **code == 500).count(), 2, "{codes:?}");
    assert!(codes.contains(&429), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cover_costs_a_credit_until_none_is_left() {
    let sandbox = stand_in(Scenario { credits: Some(2), ..quick() }).await;
    let codes = [
        generate(&sandbox, "a").await,
        generate(&sandbox, "a").await,
        generate(&sandbox, "covered-1").await,
        generate(&sandbox, "b").await,
    ];
    assert_eq!(codes.map(|said| said.code()), [200, 400, 400, 200]);
    assert_eq!(generate(&sandbox, "c").await.json(), bare(402, "Insufficient credits"));
    assert_eq!(generate(&sandbox, "b").await.json(), duplicate("b"));
    for path in ["/api/v1/generate/credit", "/api/v1/chat/credit"] {
        assert_eq!(get(&sandbox, path).await.json(), json!({"code": 200, "msg": "success (sandbox)", "data": 0}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_credits_have_a_balance_too() {
    let sandbox = stand_in(quick()).await;
    assert!(get(&sandbox, "/api/v1/chat/credit").await.json()["data"].as_u64() > Some(0));
}

#[tokio::test(start_paused = true)]
async fn maintenance_refuses_everything_and_passes() {
    let window = MaintenanceWindow { from: Duration::ZERO, lasts: Duration::from_millis(1500) };
    let sandbox = stand_in(Scenario { maintenance: vec![window], ..quick() }).await;
    assert_eq!(generate(&sandbox, "a").await.json(), bare(455, "System maintenance"));
    assert_eq!(read_cover(&sandbox, "x").await, bare(455, "System maintenance"));
    tokio::time::sleep(window.lasts).await;
    assert_eq!(generate(&sandbox, "a").await.json(), accepted("a"));

    let spoken = stand_in(Scenario { maintenance: vec![window], spoken_maintenance: true, ..quick() }).await;
    let words = "The server is currently being maintained, please try again later~";
    assert_eq!(generate(&spoken, "a").await.json(), bare(500, words));
    assert_eq!(read_cover(&spoken, "x").await, bare(500, words));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_is_served() {
    let sandbox = stand_in(quick()).await;
    let refused = json!({"code": 401, "msg": "You do not have access permissions"});
    assert_eq!(exchange(&sandbox, "POST", GENERATE, None, "{}").await.json(), refused);
    assert_eq!(exchange(&sandbox, "GET", "/api/v1/chat/credit", None, "").await.json(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_lacks_something_is_told_so_in_the_vendors_words() {
    let sandbox = stand_in(quick()).await;
    let table = [
        (r#"{"taskId":"a"}"#, "Please enter callBackUrl."),
        (r#"{"callBackUrl":"u"}"#, "taskId is required"),
        ("not json", "taskId is required"),
        (r#"{"taskId":"a b","callBackUrl":"u"}"#, "Original music record does not exist"),
    ];
    for (body, msg) in table {
        let said = exchange(&sandbox, "POST", GENERATE, Some("key"), body).await;
        assert_eq!((said.status, said.json()), (200, bare(422, msg)), "{body}");
    }
    let said = get(&sandbox, "/api/v1/suno/cover/record-info").await;
    assert_eq!(said.json(), bare(422, "taskId is required"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_path_or_method_is_a_real_404_without_code() {
    let sandbox = stand_in(quick()).await;
    for path in ["/api/v1/suno/cover/generat", GENERATE] {
        let said = get(&sandbox, path).await;
        assert_eq!((said.status, said.json()), (404, json!({"status": 404, "error": "Not Found", "path": path})));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cover_is_waiting_and_running_until_its_images_are_there() {
    let generation = Duration::from_secs(2);
    let sandbox = stand_in(Scenario { generation: generation..=generation, ..quick() }).await;
    generate(&sandbox, "a").await;
    let id = id_of("a");
    assert_eq!(read_cover(&sandbox, &id).await["data"]["successFlag"], 0);
    tokio::time::sleep(generation / 4).await;
    let running = read_cover(&sandbox, &id).await;
    let created = running["data"]["createTime"].clone();
    let expected = json!({
        "taskId": id, "parentTaskId": "a", "callbackUrl": "http://callback.invalid/", "createTime": created,
        "completeTime": null, "response": null, "successFlag": 2, "errorCode": null, "errorMessage": null,
    });
    assert_eq!(running, json!({"code": 200, "msg": "success (sandbox)", "data": expected}));

    tokio::time::sleep(generation).await;
    let done = read_cover(&sandbox, &id).await["data"].take();
    let images = [1, 2].map(|number| format!("{}/images/{id}-{number}.png", sandbox.base_url()));
    assert_eq!((&done["successFlag"], &done["response"]), (&json!(1), &json!({"images": images})));
    assert_eq!((&done["errorCode"], &done["errorMessage"]), (&json!(200), &json!("")));
    let time = |value: &Value| UnixMillis::from_rfc3339(value.as_str().unwrap()).unwrap();
    assert_eq!(time(&done["createTime"]).until(time(&done["completeTime"])), generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cover_that_was_there_before_is_finished_and_an_unknown_one_is_null() {
    let sandbox = stand_in(quick()).await;
    let unknown = bare(200, "success (sandbox)");
    assert_eq!(read_cover(&sandbox, &id_of("covered-1")).await, unknown);
    generate(&sandbox, "covered-1").await;
    assert_eq!(read_cover(&sandbox, &id_of("covered-1")).await["data"]["successFlag"], 1);
    assert_eq!(read_cover(&sandbox, "covered-1").await, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn music_is_finished_unless_its_id_says_that_it_is_unknown() {
    let sandbox = stand_in(quick()).await;
    let status = async |id: &str| {
        let said = get(&sandbox, &format!("/api/v1/generate/record-info?taskId={id}")).await.json();
        assert_eq!(said["code"], 200);
        said["data"]["status"].clone()
    };
    assert_eq!((status("a").await, status("code-422-1").await), (json!("SUCCESS"), Value::Null));
    assert_eq!((status("code-500-1").await, status("a%20b").await), (json!("SUCCESS"), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn music_may_be_unfinished_or_failed_and_its_cover_is_made_all_the_same() {
    let sandbox = stand_in(quick()).await;
    let record = async |id: &str| {
        let mut said = get(&sandbox, &format!("/api/v1/generate/record-info?taskId={id}")).await.json();
        ["status", "errorCode", "errorMessage"].map(|name| said["data"][name].take())
    };
    let (success, pending) =
        (["SUCCESS".into(), Value::Null, Value::Null], ["PENDING".into(), Value::Null, Value::Null]);
    let failed = [json!("GENERATE_AUDIO_FAILED"), json!(500), json!("Audio generation failed (sandbox)")];
    for (id, expected) in [
        ("unfinished-1", [&pending, &pending, &pending]),
        ("unfinishedx2-1", [&pending, &pending, &success]),
        ("musicfail-1", [&failed, &failed, &failed]),
    ] {
        for expected in expected {
            assert_eq!(record(id).await, *expected, "{id}");
        }
        assert_eq!(generate(&sandbox, id).await.json(), accepted(id));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_cover_may_be_asked_for_again_and_then_has_another_id() {
    let generation = Duration::from_secs(1);
    let sandbox = stand_in(Scenario { generation: generation..=generation, ..quick() }).await;
    let music = "genfailx1-1";
    let failing = id_of(music);
    assert_eq!(generate(&sandbox, music).await.json(), accepted(music));
    assert_eq!(generate(&sandbox, music).await.json(), duplicate(music), "it is not known yet that it fails");
    tokio::time::sleep(generation).await;
    assert_eq!(read_cover(&sandbox, &failing).await["data"]["successFlag"], 3);

    let again = generate(&sandbox, music).await.json();
    let id = again["data"]["taskId"].as_str().unwrap().to_owned();
    assert_eq!((&again["code"], id.len(), id == failing), (&json!(200), 32, false));
    tokio::time::sleep(generation).await;
    assert_eq!(read_cover(&sandbox, &id).await["data"]["successFlag"], 1);
    assert_eq!(read_cover(&sandbox, &failing).await["data"]["successFlag"], 3);
    assert_eq!(generate(&sandbox, music).await.json()["data"], json!({"taskId": id}));
    assert_eq!(sandbox.stats().accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_have_a_limit_of_their_own() {
    let sandbox = stand_in(Scenario { read_limit: "2/10s".parse().unwrap(), ..quick() }).await;
    let refused = bare(429, "Your call frequency is too high. Please try again later.");
    assert_ne!(read_cover(&sandbox, "x").await, refused);
    assert_ne!(get(&sandbox, "/api/v1/generate/record-info?taskId=x").await.json(), refused);
    assert_eq!(read_cover(&sandbox, "x").await, refused);
    assert_eq!(generate(&sandbox, "a").await.json(), accepted("a"));
    assert_eq!(get(&sandbox, "/api/v1/chat/credit").await.code(), 200);
    let stats = sandbox.stats();
    assert_eq!((stats.reads, stats.refused_reads, stats.refused_for_pace), (3, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_carried_as_the_scenario_says() {
    let statuses = async |form| {
        let sandbox = stand_in(Scenario { form, credits: Some(0), ..quick() }).await;
        let mut statuses = Vec::new();
        for n in 0..30 {
            let said = generate(&sandbox, &format!("t{n}")).await;
            assert_eq!(said.code(), 402);
            statuses.push(said.status);
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    };
    assert_eq!(statuses(Form::Body).await, [200]);
    assert_eq!(statuses(Form::Http).await, [402]);
    assert_eq!(statuses(Form::Mixed).await, [200, 402]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_gives_the_same_ids_and_faults_in_whatever_order_the_tracks_come() {
    let scenario = || Scenario { seed: 7, fault_percent: 50, form: Form::Mixed, ..quick() };
    let (one, other) = (stand_in(scenario()).await, stand_in(scenario()).await);
    let tracks: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    let mut said_by_one = Vec::new();
    for track in &tracks {
        said_by_one.push([generate(&one, track).await, generate(&one, track).await]);
    }
    let mut said_by_other = Vec::new();
    for track in tracks.iter().rev() {
        said_by_other.insert(0, [generate(&other, track).await, generate(&other, track).await]);
    }
    assert_eq!(said_by_one, said_by_other);
    let first: Vec<_> = said_by_one.iter().map(|[first, _]| (first.status, first.is_whole)).collect();
    for kind in [(200, true), (200, false), (502, true), (500, true)] {
        assert!(first.contains(&kind), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_waited_for_but_not_when_stopping() {
    let slow = Duration::from_millis(300);
    let sandbox = stand_in(Scenario { latency: slow..=slow, ..quick() }).await;
    let clock = Clock::start();
    assert_eq!(generate(&sandbox, "a").await.json(), accepted("a"));
    assert!(clock.elapsed() >= slow);
    sandbox.stop().await;

    let long = Duration::from_secs(60);
    let sandbox = stand_in(Scenario { latency: long..=long, ..quick() }).await;
    let waiting = start_generating(&sandbox, "a");
    until_accepted(&sandbox).await;
    sandbox.stop().await;
    assert_eq!(waiting.await.unwrap().json(), accepted("a"));
    assert!(clock.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_request_does_not_keep_the_stand_in_from_stopping() {
    let sandbox = stand_in(quick()).await;
    let address = address_of(&sandbox);
    let mut endless = TcpStream::connect(address).unwrap();
    endless.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    generate(&sandbox, "a").await;
    let clock = Clock::start();
    sandbox.stop().await;
    assert!(clock.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_an_error() {
    let sandbox = stand_in(quick()).await;
    assert!(Sandbox::start(address_of(&sandbox), quick(), Clock::start()).await.is_err());
}
