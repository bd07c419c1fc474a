//! HTTP as it is spoken well, badly, and by halves.

use std::time::Duration;

use coverbatch::callback::{MAX_BODY_BYTES, Rejection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::stage::{PATIENCE, Stage, hear, hear_out, post, status};

#[tokio::test]
async fn a_callback_is_noted_and_then_answered_as_the_service_expects() {
    let stage = Stage::start().await;
    let answer = stage.ask(stage.callback("m-1")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"code\":200,\"msg\":\"success\"}"), "{answer}");
    assert_eq!(stage.noted(), ["m-1"]);
}

#[tokio::test]
async fn no_answer_comes_before_the_hint_is_durable() {
    let stage = Stage::start().await;
    stage.hold_hints().await;
    let mut stream = stage.connect().await;
    stream.write_all(stage.callback("m-1").as_bytes()).await.unwrap();
    stage.hint_begun().await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(300), stream.read(&mut byte)).await.is_err(), "answered too early");
    stage.let_hints_pass();
    assert_eq!(status(&hear_out(&mut stream).await), 200);
}

#[tokio::test]
async fn a_hint_that_fails_is_503_so_that_the_service_calls_again() {
    let stage = Stage::start().await;
    stage.break_notes(true);
    assert_eq!(stage.status(stage.callback("m-1")).await, 503);
    assert_eq!(stage.status("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await, 503);
    assert_eq!((stage.rejected(Rejection::NotNoted), stage.stats().received), (1, 0));
    stage.break_notes(false);
    assert_eq!(stage.status(stage.callback("m-1")).await, 200);
    assert_eq!(stage.status("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await, 200);
    assert_eq!(stage.noted(), ["m-1"]);
}

#[tokio::test]
async fn a_monitor_that_asks_by_head_is_told_the_same_without_a_body() {
    let stage = Stage::start().await;
    for is_broken in [false, true] {
        stage.break_notes(is_broken);
        let ask = async |method| stage.ask(format!("{method} /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")).await;
        let (head, get) = (ask("HEAD").await, ask("GET").await);
        assert_eq!(status(&head), if is_broken { 503 } else { 200 });
        let without_date = |answer: &str| answer.lines().filter(|line| !line.starts_with("date:")).collect::<String>();
        assert!(without_date(&get).starts_with(&without_date(&head)) && head.ends_with("\r\n\r\n"), "{head}{get}");
    }
}

#[tokio::test]
async fn a_body_of_the_longest_length_is_taken_and_one_byte_more_is_not() {
    let stage = Stage::start().await;
    let (path, longest) = (stage.path("m-1"), "x".repeat(MAX_BODY_BYTES));
    assert_eq!(stage.status(post(&path, "", &longest)).await, 200);
    assert_eq!(stage.status(post(&path, "", &format!("{longest}x"))).await, 413);
    let chunked = |body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        )
    };
    assert_eq!(stage.status(chunked(&longest)).await, 200);
    assert_eq!(stage.status(chunked(&format!("{longest}x"))).await, 413);
    assert_eq!(stage.noted().len(), 2);
}

#[tokio::test]
async fn a_huge_body_is_refused_by_its_length_before_it_is_sent() {
    let stage = Stage::start().await;
    let head = |path: &str| format!("POST {path} HTTP/1.1\r\nContent-Length: 10000000000\r\n\r\n");
    assert_eq!(stage.status(head(&stage.path("m-1"))).await, 413);
    assert_eq!(stage.status(head("/callback/m-1/wrong")).await, 404, "the token comes before the body");
    let expecting = head(&stage.path("m-1")).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let answer = stage.ask(expecting).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "nobody is asked to go on: {answer}");
}

#[tokio::test]
async fn a_huge_body_without_a_length_is_refused_when_it_is_too_much_and_the_answer_arrives() {
    let stage = Stage::start().await;
    let mut stream = stage.connect().await;
    let beginning = format!("POST {} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", stage.path("m-1"));
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let mut sent = 0;
    while sent < 500 && stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += 1;
    }
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(status(&String::from_utf8(heard).unwrap()), 413);
    assert_eq!((stage.rejected(Rejection::TooLarge), stage.stats().received), (1, 0));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_hint() {
    let stage = Stage::start().await;
    for reset in [false, true] {
        let mut stream = stage.connect().await;
        let request = post(&stage.path("m-1"), "", "{\"whole\":1}");
        stream.write_all(&request.as_bytes()[..request.len() - 3]).await.unwrap();
        if reset {
            stream.set_zero_linger().unwrap();
        } else {
            stream.shutdown().await.unwrap();
            assert_eq!(status(&hear_out(&mut stream).await), 400);
        }
    }
    let are_gone = async {
        while stage.stats().connections > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, are_gone).await.expect("nothing is waited for");
    assert!(stage.noted().is_empty());
}

#[tokio::test]
async fn a_connection_is_kept_for_further_callbacks_and_a_pipeline_is_answered_in_order() {
    let stage = Stage::start().await;
    let keep = |id: &str| stage.callback(id).replace("Connection: close\r\n", "");
    let mut stream = stage.connect().await;
    for id in ["m-1", "m-2"] {
        stream.write_all(keep(id).as_bytes()).await.unwrap();
        assert_eq!(status(&hear(&mut stream).await), 200);
    }
    let pipeline = format!("{}{}{}", keep("m-3"), keep("m-4"), stage.callback("m-5"));
    stream.write_all(pipeline.as_bytes()).await.unwrap();
    let answers = hear_out(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
    assert_eq!(stage.noted(), ["m-1", "m-2", "m-3", "m-4", "m-5"]);
    assert_eq!(stage.stats().most_connections, 1);
}

#[tokio::test]
async fn what_follows_a_refused_request_is_not_read_as_a_request() {
    let stage = Stage::start().await;
    let inside = stage.callback("m-1");
    let smuggled = format!("POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{inside}", inside.len());
    let after = format!("POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n{inside}");
    let both = format!(
        "POST /x HTTP/1.1\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inside}",
        inside.len() + 5
    );
    for request in [smuggled, after, both] {
        let answers = stage.ask(request).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
    assert!(stage.noted().is_empty());
}

#[tokio::test]
async fn http_1_0_is_understood_and_what_is_no_http_is_turned_away() {
    let stage = Stage::start().await;
    let path = stage.path("m-1");
    let old = format!("POST {path} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}");
    assert_eq!(stage.status(old).await, 200, "and the connection ends");
    assert_eq!(stage.noted(), ["m-1"]);
    let nonsense: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"POST /callback/m-1/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ];
    for bytes in nonsense {
        let answer = stage.ask([bytes, &[b'\n'; 64]].concat()).await;
        assert!([0, 400].contains(&status(&answer)), "{answer}");
    }
    assert_eq!(stage.noted(), ["m-1"]);
}

#[tokio::test]
async fn stopped_it_finishes_what_is_under_way_and_takes_no_more() {
    let stage = Stage::start().await;
    stage.hold_hints().await;
    let address = stage.address();
    let mut busy = stage.connect().await;
    busy.write_all(stage.callback("m-1").as_bytes()).await.unwrap();
    let mut silent = stage.connect().await;
    stage.hint_begun().await;
    let notes = stage.notes();
    let stopping = tokio::spawn(stage.stop(PATIENCE));
    assert_eq!(hear_out(&mut silent).await, "");
    assert!(TcpStream::connect(address).await.is_err(), "it still accepts");
    assert!(!stopping.is_finished());
    notes.let_hints_pass();
    assert_eq!(status(&hear_out(&mut busy).await), 200);
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert_eq!(notes.noted(), ["m-1"]);
}

#[tokio::test]
async fn stopped_it_cuts_off_what_is_not_done_after_the_grace() {
    let stage = Stage::start().await;
    stage.hold_hints().await;
    let mut busy = stage.connect().await;
    busy.write_all(stage.callback("m-1").as_bytes()).await.unwrap();
    stage.hint_begun().await;
    let notes = stage.notes();
    timeout(Duration::from_secs(3), stage.stop(Duration::from_millis(100))).await.expect("it stops");
    assert_eq!(hear_out(&mut busy).await, "", "no answer, so the service calls again");
    assert!(notes.noted().is_empty());
}
