//! Callers who are not the service.

use coverbatch::callback::Rejection;

use super::stage::{KEY, Stage, post, signature};

const BODY: &str = r#"{"code":200,"msg":"success","data":{"taskId":"cover-1","images":["https://x.example/1.png"]}}"#;

/// An answer without the one line that changes by itself.
fn without_date(answer: &str) -> String {
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date:")).collect()
}

#[tokio::test]
async fn whatever_is_no_callback_gets_the_same_answer_to_the_byte() {
    let stage = Stage::start().await;
    let (right, other) = (stage.token("m-1"), stage.token("m-2"));
    let expected = without_date(&stage.ask(post("/", "", "")).await);
    assert!(expected.starts_with("HTTP/1.1 404 "), "{expected}");
    assert!(expected.ends_with(r#"{"code":404,"msg":"not found"}"#), "{expected}");
    let paths = [
        format!("/callback/m-1/{other}"),
        format!("/callback/m-1/{}", "0".repeat(64)),
        format!("/callback/m-1/{}", right.to_uppercase()),
        format!("/callback/m-1/{right}/"),
        format!("/callback/m-1/{right}%00"),
        format!("/callback/m-1%00/{right}"),
        format!("/callback/m-1//{right}"),
        format!("//callback/m-1/{right}"),
        format!("/x/../callback/m-1/{right}"),
        format!("/callback/../callback/m-1/{right}"),
        format!("/callback/m-1%2f{right}"),
        format!("/callback%2fm-1/{right}"),
        format!("/callback/%256D-1/{right}"),
        format!("/callback/{}/{right}", "m".repeat(8000)),
        format!("http://{}/callback/m-1/{right}", stage.address()),
        format!("http://x.example/callback/m-1/{right}"),
        "/healthz".to_owned(),
        "*".to_owned(),
    ];
    for path in &paths {
        assert_eq!(without_date(&stage.ask(post(path, "", BODY)).await), expected, "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "post", "BREW"] {
        let request = post(&stage.path("m-1"), "", BODY).replacen("POST", method, 1);
        assert_eq!(without_date(&stage.ask(request).await), expected, "{method}");
    }
    assert!(stage.noted().is_empty());
    assert_eq!(stage.rejected(Rejection::Unknown), 1 + paths.len() as u64 + 7);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_not_kept() {
    let stage = Stage::start().await;
    let path = format!("/callback/{}/{}", "m".repeat(100_000), stage.token("m-1"));
    assert!([414, 431].contains(&stage.status(post(&path, "", "")).await));
    let header = format!("X-Filler: {}\r\n", "x".repeat(100_000));
    assert_eq!(stage.status(post(&stage.path("m-1"), &header, BODY)).await, 431);
    assert_eq!(stage.status(post(&stage.path("m-1"), &"X-Filler: x\r\n".repeat(1000), BODY)).await, 431);
    assert!(stage.noted().is_empty());
}

#[tokio::test]
async fn with_a_valid_token_any_body_is_a_hint_for_the_task_of_the_path_alone() {
    let stage = Stage::start().await;
    let bodies =
        [BODY, "", "{", "null", r#"{"taskId":"m-2","data":{"taskId":"m-3"}}"#, r#"{"taskid":1}"#, &"[".repeat(60_000)];
    for body in bodies {
        assert_eq!(stage.status(post(&stage.path("m-1"), "", body)).await, 200, "{body}");
    }
    assert_eq!(stage.noted(), vec!["m-1"; bodies.len()], "repeats are hints again");
    assert_eq!(stage.stats().received, bodies.len() as u64);
}

#[tokio::test]
async fn a_key_demands_a_signature_and_nothing_happens_without() {
    let stage = Stage::signed().await;
    let now = stage.clock.unix().0 / 1000;
    let right = signature(KEY, "cover-1", now);
    let (timestamp, value) = right.split_at(right.find("X-Webhook-Signature").unwrap());
    let table = [
        (String::new(), BODY, "no headers"),
        (timestamp.to_owned(), BODY, "no signature"),
        (value.to_owned(), BODY, "no time"),
        (signature("another key", "cover-1", now), BODY, "another key"),
        (signature(KEY, "cover-2", now), BODY, "inside 300 s, of another task"),
        (signature(KEY, "m-1", now), BODY, "of the task in the path"),
        (signature(KEY, "cover-1", now - 310), BODY, "replayed later"),
        (signature(KEY, "cover-1", now + 310), BODY, "not yet"),
        (format!("X-Webhook-Timestamp: {}\r\n{value}", now - 1), BODY, "with another time"),
        (format!("{right}{timestamp}"), BODY, "two times"),
        (format!("{right}{value}"), BODY, "two signatures"),
        (right.clone(), r#"{"data":{"taskId":"cover-2"}}"#, "on another body"),
        (right.clone(), r#"{"data":{"taskid":"cover-1"}}"#, "another spelling"),
        (right.clone(), "cover-1", "no JSON"),
        (right.clone(), "", "no body"),
        (signature(KEY, "", now), r#"{"taskId":""}"#, "of nothing"),
        (signature(KEY, "", now), "", "of no body"),
    ];
    for (headers, body, what) in &table {
        assert_eq!(stage.status(post(&stage.path("m-1"), headers, body)).await, 401, "{what}");
    }
    assert!(stage.noted().is_empty());
    assert_eq!(stage.rejected(Rejection::BadSignature), table.len() as u64);
    assert_eq!(stage.status(post("/callback/m-1/x", &right, BODY)).await, 404, "the token comes first");
}

#[tokio::test]
async fn the_service_s_own_signature_is_taken_in_each_spelling() {
    let stage = Stage::signed().await;
    let now = stage.clock.unix().0 / 1000;
    let bodies = [
        BODY,
        r#"{"taskId":"cover-1","data":{"task_id":"other"}}"#,
        r#"{"data":{"task_id":"cover-1"}}"#,
        r#"{"taskId":null,"data":{"taskId":3,"task_id":"cover-1"}}"#,
    ];
    for body in bodies {
        let headers = signature(KEY, "cover-1", now - 200);
        assert_eq!(stage.status(post(&stage.path("m-1"), &headers, body)).await, 200, "{body}");
    }
    assert_eq!(stage.noted(), vec!["m-1"; bodies.len()]);
}
