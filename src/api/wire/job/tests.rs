use std::fmt::Write as _;

use super::super::submission::tests::{CREDITS, FREQUENCY, envelope, ranges, shown};
use super::super::{Provider, with_successor};
use super::*;
use crate::domain::{Found, Route};

fn key() -> ApiKey {
    ApiKey::new("canary-42").unwrap()
}

fn submitted(status: u16, body: &str) -> Outcome {
    read_job_submission(RawAnswer::new(status, body.as_bytes()), &key())
}

fn record_of(status: u16, body: &str) -> Reading<CoverProgress> {
    let (cover, task) = (CoverTaskId::new("c1").unwrap(), MusicTaskId::new("m1").unwrap());
    read_job_record(RawAnswer::new(status, body.as_bytes()), &key(), &cover, &task)
}

/// A reading on one line.
fn line(reading: &Reading<CoverProgress>) -> String {
    format!("{:?} {} | {}", reading.found, reading.reason, reading.answer.message)
}

/// The music task in `param`, as the service is said to write it.
const PARAM: &str =
    r#""param":"{\"model\":\"ai-music-api/cover-generate\",\"input\":\"{\\\"task_id\\\":\\\"m1\\\"}\"}""#;

const RESULT: &str = r#","resultJson":"{\"resultUrls\":[\"https://x.example/1.png\",\"https://x.example/2.png\"]}""#;

/// The record of the cover of `m1` with these fields more.
fn with(fields: &str) -> Reading<CoverProgress> {
    record_of(200, &format!(r#"{{"code":200,"msg":"success","data":{{"taskId":"c1",{PARAM}{fields}}}}}"#))
}

#[test]
fn every_code_in_both_forms_with_every_message_that_changes_its_meaning() {
    let mut table = String::new();
    let messages = [
        ("frequency", FREQUENCY),
        ("credits", CREDITS),
        ("no words", ""),
        ("maintenance", "The server is currently being maintained, please try again later~"),
        ("an address", "The page does not exist"),
        ("that it is there", "A cover was already generated"),
        ("that it is not", "Original music record does not exist"),
    ];
    for (name, message) in messages {
        for with_id in [true, false] {
            let id = if with_id { "with id" } else { "without id" };
            let body = ranges(|code| shown(&submitted(200, &envelope(code, message, with_id))));
            let http = ranges(|code| shown(&submitted(code, &envelope(code, message, with_id))));
            writeln!(table, "== HTTP 200 with the code in the body, {name}, {id}\n{body}").unwrap();
            writeln!(table, "== the code as HTTP status too, {name}, {id}\n{http}").unwrap();
        }
    }
    for (name, body) in [
        ("an empty body", ""),
        ("a page", "<html>oops</html>"),
        ("the JSON of a framework", r#"{"status":404,"error":"Not Found","path":"/api"}"#),
        ("a page that says that it is there", "<h1>It already exists</h1>"),
    ] {
        writeln!(table, "== HTTP status with {name}\n{}", ranges(|code| shown(&submitted(code, body)))).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn words_that_say_the_opposite_cover_no_row() {
    let verdict = |words: &str| submitted(200, &envelope(422, words, false)).verdict;
    for words in [
        "no existing task",
        "No such task exists",
        "the music task does not exist",
        "it doesn’t exist",
        "a nonexistent task",
        "no cover record exists, generate music first",
        "could not find an existing task",
        "the record no longer exists",
    ] {
        assert_eq!(verdict(words), Verdict::Rejected, "{words}");
        let covered = submitted(200, &envelope(409, words, false));
        assert_eq!((covered.verdict, covered.reason), (Verdict::Rejected, Reason::NotFound), "{words}");
    }
    for words in [
        "a cover already exists",
        "it exists, no need to make another",
        "not allowed: it exists",
        "this cannot be made again because a cover already exists",
        "duplicate request",
        "任务已存在",
    ] {
        assert_eq!(verdict(words), Verdict::Covered(None), "{words}");
    }
}

#[test]
fn words_that_leave_it_open_change_no_meaning() {
    for words in [
        "No task with this id exists",
        "task not found, please check that it exists",
        "invalid id: make sure the task exists",
        "please verify whether the music exists",
    ] {
        let verdict = |code| submitted(200, &envelope(code, words, false)).verdict;
        assert_eq!((verdict(422), verdict(409)), (Verdict::Rejected, Verdict::Covered(None)), "{words}");
    }
    let told = submitted(200, &envelope(422, "no credits were used since a cover already exists", false));
    assert_eq!(told.verdict, Verdict::Covered(None));
}

#[test]
fn every_state_and_flag_with_and_without_images() {
    let states = ["waiting", "queuing", "generating", "success", "fail", "SUCCESS", "failed", ""];
    let states = states.map(|state| format!(r#","state":"{state}""#));
    let odd = ["null", "7", "[\"success\"]"].map(|state| format!(r#","state":{state}"#));
    let flags = (0..=4).map(|flag| format!(r#","successFlag":{flag}"#));
    let both = [r#","state":"generating","successFlag":1"#, r#","state":"fail","successFlag":1"#, ""];
    let mut table = String::new();
    for fields in states.into_iter().chain(odd).chain(flags).chain(both.map(str::to_owned)) {
        writeln!(table, "{}", fields.trim_start_matches(',')).unwrap();
        for images in [RESULT, r#","resultJson":null"#, ""] {
            writeln!(table, "    {}", line(&with(&format!("{fields}{images}")))).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_record_is_believed_only_if_it_is_that_of_the_cover_and_names_its_music() {
    let mut table = String::new();
    let deep = format!(r#""param":{:?}"#, "[".repeat(50_000));
    for ids in [
        r#""taskId":"c1","param":"{\"input\":\"{\\\"task_id\\\":\\\"m1\\\"}\"}""#,
        r#""taskId":"c1","param":"{\"input\":{\"task_id\":\"m1\"}}""#,
        r#""taskId":"c1","param":{"input":{"task_id":"m1"}}"#,
        r#""taskId":"c1","param":{"input":{"taskId":"m1"}}"#,
        r#""taskId":"c1","param":{"input":"{\"task_id\":\"m1\"}"}"#,
        r#""param":{"input":{"task_id":"m1"}}"#,
        r#""taskId":null,"param":{"input":{"task_id":"m1"}}"#,
        r#""taskId":"c2","param":{"input":{"task_id":"m1"}}"#,
        r#""taskId":["c1"],"param":{"input":{"task_id":"m1"}}"#,
        r#""taskId":"c1","param":{"input":{"task_id":"m2"}}"#,
        r#""taskId":"c1","param":{"input":{"task_id":"M1"}}"#,
        r#""taskId":"c1","param":{"input":{"task_id":null}}"#,
        r#""taskId":"c1","param":{"input":{}}"#,
        r#""taskId":"c1","param":{"input":"m1"}"#,
        r#""taskId":"c1","param":{"task_id":"m1"}"#,
        r#""taskId":"c1","param":"m1""#,
        r#""taskId":"c1","param":"{\"input\":""#,
        r#""taskId":"c1","param":null"#,
        r#""taskId":"c1","parentTaskId":"m1""#,
        &deep,
    ] {
        let body = format!(r#"{{"code":200,"data":{{{ids},"state":"success"{RESULT}}}}}"#);
        let name: String = ids.chars().take(90).collect();
        writeln!(table, "{name}\n    {}", line(&record_of(200, &body))).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn images_are_found_in_either_form_of_the_result() {
    let url = r#"["https://x.example/1.png"]"#;
    let text = |json: &str| format!("{json:?}");
    let mut table = String::new();
    for fields in [
        format!(r#","resultJson":{}"#, text(&format!(r#"{{"resultUrls":{url}}}"#))),
        format!(r#","resultJson":{{"resultUrls":{url}}}"#),
        format!(r#","response":{{"resultUrls":{url}}}"#),
        format!(r#","resultJson":null,"response":{}"#, text(&format!(r#"{{"resultUrls":{url}}}"#))),
        format!(r#","resultJson":"","response":{{"resultUrls":{url}}}"#),
        format!(r#","resultJson":{},"response":{{"resultUrls":{url}}}"#, text(r#"{"resultUrls":[]}"#)),
        format!(r#","resultJson":{}"#, text(url)),
        format!(r#","resultJson":{}"#, text(r#"{"resultUrls":"https://x.example/1.png"}"#)),
        format!(r#","resultJson":{}"#, text(r#"{"resultUrls":["javascript:alert(1)",7,null]}"#)),
        format!(r#","resultJson":{}"#, text(r#"{"resultUrls":["https://x.example/?k=canary-42"]}"#)),
        format!(r#","response":{{"images":{url}}}"#),
        r#","resultJson":"{""#.to_owned(),
    ] {
        let reading = with(&format!(r#","state":"success"{fields}"#));
        writeln!(table, "{}\n    {}", fields.trim_start_matches(','), line(&reading)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_a_job_cost_and_why_it_failed_are_kept() {
    let mut table = String::new();
    for fields in [
        r#""creditsConsumed":0"#,
        r#""creditsConsumed":0.4"#,
        r#""creditsConsumed":"12""#,
        r#""creditsConsumed":-1"#,
        r#""creditsConsumed":1e300"#,
        r#""creditsConsumed":"free""#,
        r#""creditsConsumed":null"#,
        r#""failCode":"400","failMsg":"no luck""#,
        r#""failCode":400,"failMsg":"no luck","creditsConsumed":0"#,
        r#""failCode":"500","failMsg":"""#,
        r#""failCode":"","failMsg":"no luck""#,
        r#""failCode":null,"failMsg":null"#,
        r#""failMsg":"a\u001b[2J\r\nb canary-42""#,
    ] {
        let [failed, done] = ["fail", "success"].map(|state| with(&format!(r#","state":"{state}",{fields}{RESULT}"#)));
        writeln!(table, "{fields}\n    {}\n    {}", line(&failed), line(&done)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn times_are_in_milliseconds() {
    let times = r#","createTime":1795313400000,"completeTime":1795313546500"#;
    let Found::Known(CoverProgress::Generated(cover)) = with(&format!(r#","state":"success"{RESULT}{times}"#)).found
    else {
        panic!("it is generated");
    };
    assert_eq!(cover.completed_at.unwrap().0, 1_795_313_546_500);
    assert_eq!(cover.took.unwrap().as_millis(), 146_500);
}

#[test]
fn a_record_that_is_not_there_is_not_there_yet() {
    let words = r#"{"code":422,"msg":"recordInfo is null","data":null}"#;
    for body in [words, r#"{"code":200,"msg":"success","data":null}"#, r#"{"code":200,"msg":"success"}"#] {
        assert_eq!(record_of(200, body).found, Found::Known(CoverProgress::Unfinished), "{body}");
    }
    assert_eq!(record_of(422, words).found, Found::Known(CoverProgress::Unfinished));
    for body in [r#"{"code":422,"msg":"taskId is null"}"#, r#"{"code":500,"msg":"recordInfo is null"}"#] {
        assert_eq!(record_of(200, body).found, Found::Troubled, "{body}");
    }
}

#[test]
fn an_old_path_that_is_gone_is_told_with_what_to_do() {
    let gone = r#"{"status":404,"error":"Not Found","path":"/api/v1/suno/cover/generate"}"#;
    let told = |status, body: &str, provider, route: Route| {
        let outcome = route.read_submission(RawAnswer::new(status, body.as_bytes()), &key());
        with_successor(outcome, provider, route).answer.message
    };
    let message = told(404, gone, Provider::Kie, Route::Legacy);
    assert!(message.starts_with("kie.ai may have retired it, then give --kie-api jobs; `"), "{message}");
    assert!(told(410, "", Provider::Kie, Route::Legacy).contains("--kie-api jobs"));
    let elsewhere = [
        told(404, gone, Provider::Sunoapi, Route::Legacy),
        told(404, gone, Provider::Kie, Route::Jobs),
        told(302, "", Provider::Kie, Route::Legacy),
        told(200, r#"{"code":404,"msg":"not found"}"#, Provider::Kie, Route::Legacy),
        told(200, r#"{"code":500,"msg":"The page does not exist"}"#, Provider::Kie, Route::Legacy),
    ];
    assert!(elsewhere.iter().all(|message| !message.contains("--kie-api")), "{elsewhere:?}");
}
