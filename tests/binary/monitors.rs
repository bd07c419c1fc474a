//! What unattended jobs are expected to offer: metrics, a monitor that is told, and the story of one row.

use std::ffi::OsStr;
use std::fs;

use wiremock::{Request, ResponseTemplate};

use crate::story::{Batch, Scripted, StandIn};

/// The value of a metric in the text format.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_metrics_tell_of_the_last_run_and_of_the_last_success() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a", "b", "covered-c"]).to(&service.address);
    let read = || fs::read_to_string(batch.path("covers.prom")).unwrap();
    batch.run(&["--metrics-file", "covers.prom"]).exit(0).silent();
    let good = read();
    assert_eq!(metric(&good, "coverbatch_rows{status=\"submitted\"}"), Some(2.0));
    assert_eq!(metric(&good, "coverbatch_requests{outcome=\"already_exists\"}"), Some(1.0));
    assert_eq!(metric(&good, "coverbatch_exit_code"), Some(0.0));
    assert_eq!(metric(&good, "coverbatch_limit_requests_in_any_window"), Some(500.0));
    assert_eq!(good.matches("# TYPE ").count(), good.matches("# HELP ").count());
    let success = metric(&good, "coverbatch_last_success_timestamp_seconds");
    assert_eq!(success, metric(&good, "coverbatch_last_run_timestamp_seconds"));

    fs::write(batch.catalog(), "task_id\ncode-404-x\na\n").unwrap();
    batch.run(&["--metrics-file", "covers.prom"]).exit(4);
    let bad = read();
    assert_eq!(metric(&bad, "coverbatch_last_success_timestamp_seconds"), success);
    assert_eq!(metric(&bad, "coverbatch_rows{status=\"failed\"}"), Some(1.0));
    assert_eq!(metric(&bad, "coverbatch_exit_code"), Some(4.0));
}

#[test]
fn metrics_that_cannot_be_written_do_not_fail_the_run() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    let ran = batch.run(&["--metrics-file", "no/such/folder/x.prom"]).exit(0);
    assert!(ran.stderr.contains("the metrics could not be written"), "{}", ran.stderr);
}

#[test]
fn a_monitor_is_told_of_the_start_and_of_the_end_with_the_digest() {
    let service = StandIn::quick(&[]);
    let monitor = Scripted::by(|_: &Request| ResponseTemplate::new(200));
    let batch = Batch::ids(["a", "code-404-b"]).to(&service.address);
    let address = format!("{}/hook", monitor.address());
    let ran = batch.run(&["--ping-url", &address]).exit(4);
    let told: Vec<_> = monitor.requests().iter().map(|request| request.url.path().to_owned()).collect();
    assert_eq!(told, ["/hook/start", "/hook/4"]);
    let digest = String::from_utf8(monitor.requests()[1].body.clone()).unwrap();
    assert_eq!(digest, ran.stderr);

    batch.run(&["--ping-url", &address, "--api-key-file", "missing"]).exit(2);
    let last = monitor.requests().pop().unwrap();
    assert_eq!(last.url.path(), "/hook/2");
    assert!(String::from_utf8(last.body).unwrap().contains("cannot read the API key file"));
}

#[test]
fn a_monitor_that_is_not_there_does_not_fail_the_run() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    let ran = batch.run(&["--ping-url", "http://127.0.0.1:9/hook"]).exit(0);
    assert!(ran.stderr.contains("the monitor could not be told"), "{}", ran.stderr);
    batch.run(&["--ping-url", "ftp://example.org"]).exit(2);
}

#[test]
fn a_pause_is_told_with_its_reason_and_its_time() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-455x1-a", "b"]).to(&service.address);
    let ran = batch.run(&["--json"]).exit(0);
    let pauses = &ran.json()["pauses"];
    assert_eq!(pauses[0]["reason"], "maintenance");
    assert!(pauses[0]["from"].as_str() < pauses[0]["until"].as_str());
}

#[test]
fn why_tells_every_submission_of_one_music_task() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-500x1-a", "b"]).to(&service.address);
    batch.run(&[]).exit(0);
    let why = |id: &str| batch.words(&[OsStr::new("why"), OsStr::new(id)]);
    why("code-500x1-a")
        .exit(0)
        .prints("music task   code-500x1-a\nstatus       submitted (accepted)\ncover task   ")
        .prints("submissions  2\n")
        .prints("  run 1  server_error, HTTP 200, code 500, after ")
        .prints("  run 1  accepted, HTTP 200, code 200, after ");
    let unknown = why("never-sent").exit(2);
    assert!(unknown.stderr.contains("knows nothing of `never-sent`"), "{}", unknown.stderr);
}
