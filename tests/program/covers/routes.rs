//! kie.ai's endpoint for jobs, from submission to images, and covers of both routes in one ledger.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::stage::{DOWNLOAD, LEDGER, Seeing, assert_images, download, images, learned, ledger, quick, receive};
use crate::story::{Batch, Ran, Scripted, Signal, envelope, wait_for};

/// Options that ask for covers as jobs.
const JOBS: [&str; 4] = ["--provider", "kie", "--kie-api", "jobs"];

/// Statuses, reasons, routes and credits of the rows, one after the other.
fn ends(ran: &Ran) -> Vec<String> {
    ran.table().rows(&["cover_status", "cover_reason", "cover_route", "cover_credits"])
}

#[test]
fn covers_are_asked_for_as_jobs_and_followed_to_their_images() {
    let service = Seeing::quick();
    let batch = learned(["a1", "genfail-b2", "conflict-c3", "covered-d4", "code-422-e5"], &service.address());
    let ran = batch.run(&download(&JOBS)).exit(4);
    let expected = [
        "completed generated jobs 1",
        "generation_failed generation_failed jobs 1",
        "exists conflict",
        "exists already_exists",
        "failed invalid_request",
    ];
    assert_eq!(ends(&ran), expected);
    assert_eq!(images(&batch), ["a1-1.png", "a1-2.png"]);
    assert_images(&batch, &ran);
    assert_eq!(service.stats().keys_at_images, 0);
    let told = batch.call("why", &[]);
    assert_eq!(told.code, Some(2), "it asks for an id: {told:?}");
    let told = batch.start_words(&["why", "a1", "--ledger", LEDGER]).finish().exit(0);
    told.prints(" (a job of kie.ai)\n").prints("credits      1\n");
}

#[test]
fn the_stand_in_of_a_run_takes_jobs_too() {
    let batch = Batch::ids(["a1", "b2"]);
    let ran = batch.run(&[&["--sandbox", "--wait"], &JOBS[..]].concat()).exit(0);
    assert_eq!(ends(&ran), ["completed generated jobs 1"; 2]);
    let ran = batch.run(&[&["--sandbox", "--dry-run"], &JOBS[..]].concat()).exit(0);
    ran.prints("settled        2");
}

#[test]
fn a_dry_run_shows_the_request_of_its_route() {
    let batch = Batch::ids(["a1"]).to("http://127.0.0.1:9");
    let ran = batch.run(&[&["--dry-run"], &JOBS[..]].concat()).exit(0);
    let body = r#"{"model":"ai-music-api/cover-generate","callBackUrl":"https://no-callback.invalid/","input":{"task_id":"a1"}}"#;
    ran.prints("POST http://127.0.0.1:9/api/v1/jobs/createTask\n").prints(body);
}

#[test]
fn jobs_are_a_way_of_kie_alone() {
    for command in ["run", "follow", "status"] {
        let ran = Batch::ids(["a1"]).to("http://127.0.0.1:9").call(command, &["--kie-api", "jobs"]).exit(2);
        assert!(command == "status" || ran.stderr.contains("--provider kie"), "{ran:?}");
    }
}

#[test]
fn each_record_is_read_by_the_route_its_cover_was_asked_for() {
    for is_ledger_lost in [false, true] {
        let service = quick(&["--generation", "1ms"]);
        let batch = learned(["a1", "b2"], &service.address);
        batch.run(&[]).exit(0);
        fs::write(batch.catalog(), "task_id\na1\nb2\nc3\nd4\n").unwrap();
        let ran = batch.run(&JOBS).exit(0);
        assert_eq!(ran.table().column("cover_route"), ["legacy", "legacy", "jobs", "jobs"]);
        let ran = if is_ledger_lost {
            fs::remove_file(batch.path(LEDGER)).unwrap();
            // Without the word by which results of the stand-in are known, and not believed.
            let results = fs::read_to_string(&ran.results).unwrap();
            fs::write(&ran.results, results.replace(" (sandbox)", "")).unwrap();
            batch.run(&DOWNLOAD)
        } else {
            batch.call("follow", &DOWNLOAD).exit(0).silent()
        };
        let (legacy, jobs) = ("completed generated legacy", "completed generated jobs 1");
        assert_eq!(ends(&ran.exit(0)), [legacy, legacy, jobs, jobs], "{is_ledger_lost}");
        assert_images(&batch, &batch.call("results", &[]).exit(0));
        assert_eq!(images(&batch).len(), 8);
    }
}

#[test]
fn a_lost_answer_to_a_job_is_held_unless_it_is_to_be_sent_again() {
    let service = Seeing::quick();
    let batch = learned(["cutx1-a", "b"], &service.address());
    let held = ["cutx1-a in_doubt held", "b submitted accepted"];
    let ran = batch.run(&JOBS).exit(4).says("next: these rows may have been paid for").results(&held);
    assert_eq!(ran.table().column("cover_retryable"), ["no", "no"]);
    let submitted = service.submissions();
    batch.run(&JOBS).exit(4).results(&held);
    batch.call("results", &JOBS).exit(4).results(&held);
    batch.call("status", &JOBS).exit(4).prints("a rerun             sends nothing");
    assert_eq!(service.submissions(), submitted);
    let command = ran.next().to_owned();
    assert!(command.contains("--kie-api jobs") && command.ends_with("--in-doubt resend"), "{command}");
    let ran = batch.shell(&command).exit(0);
    assert_eq!(ends(&ran), ["exists already_exists", "submitted accepted jobs"]);
}

/// A service whose old path is there until it is retired, and which takes jobs.
fn retiring(is_retired: &Arc<AtomicBool>) -> Scripted {
    let is_retired = Arc::clone(is_retired);
    Scripted::by(move |request: &Request| {
        let (path, id) = (request.url.path(), request.url.query_pairs().next().map(|(_, id)| id.into_owned()));
        if path.starts_with("/api/v1/suno/") && is_retired.load(Ordering::SeqCst) {
            let gone = json!({"status": 404, "error": "Not Found", "path": path});
            return ResponseTemplate::new(404).set_body_json(gone);
        }
        let body: Value = request.body_json().unwrap_or_default();
        match path {
            "/api/v1/jobs/createTask" => envelope(
                200,
                "success",
                &json!({"taskId": body["input"]["task_id"].as_str().unwrap().replace('m', "c")}),
            ),
            "/api/v1/suno/cover/generate" => {
                envelope(200, "success", &json!({"taskId": body["taskId"].as_str().unwrap().replace('m', "c")}))
            }
            "/api/v1/jobs/recordInfo" => {
                let music = id.unwrap().replace('c', "m");
                let param = json!({"input": json!({"task_id": music}).to_string()}).to_string();
                let result = json!({"resultUrls": ["https://images.invalid/1.png"]}).to_string();
                envelope(200, "success", &json!({"state": "success", "param": param, "resultJson": result}))
            }
            _ => envelope(200, "success", &Value::Null),
        }
    })
}

#[test]
fn when_the_old_path_is_gone_the_message_names_the_new_one_which_goes_on_without_it() {
    let is_retired = Arc::new(AtomicBool::new(false));
    let service = retiring(&is_retired);
    let batch = Batch::ids(["m1"]).to(&service.address());
    batch.run(&["--provider", "kie"]).exit(0);
    is_retired.store(true, Ordering::SeqCst);
    fs::write(batch.catalog(), "task_id\nm1\nm2\nm3\n").unwrap();
    let ran = batch.run(&["--provider", "kie"]).exit(2).says("give --kie-api jobs");
    assert_eq!(ends(&ran), ["submitted accepted legacy", "pending bad_response", "pending bad_response"]);
    // What was asked for by the old path cannot be read any more, and holds up nobody else.
    let quick = ["--wait", "--max-attempts", "1", "--wait-timeout", "2s", "--poll-rate", "1000/1s"];
    let ran = batch.run(&[&quick[..], &JOBS].concat()).exit(4);
    let ends = ends(&ran);
    assert!(ends[0].starts_with("submitted ") && ends[0].ends_with(" legacy"), "{ends:?}");
    assert_eq!(ends[1..], ["completed generated jobs"; 2]);
}

#[test]
fn the_callback_of_a_job_is_a_hint_like_any_other() {
    let service = Seeing::with(|scenario| {
        scenario.callbacks.as_mut().unwrap().signing_key = Some("the-right-key".parse().unwrap());
    });
    let batch = Batch::tracks(3)
        .to(&service.address())
        .env("COVERBATCH_CALLBACK_SECRET", "a-secret-for-the-tests")
        .env("COVERBATCH_WEBHOOK_KEY", "the-right-key");
    let (receiver, address) = receive(&batch, &[]);
    let template = format!("{address}/callback/{{task_id}}/{{token}}");
    // Nothing has taught this ledger how long covers take: without hints nothing is looked at for a minute.
    batch.run(&[&["--callback-url", template.as_str()], &JOBS[..]].concat()).exit(0).silent();
    let text = "SELECT count(*) FROM task WHERE state = 'completed' AND file_2 IS NOT NULL";
    wait_for("all images", || ledger(&batch).query_row(text, (), |row| row.get::<_, u32>(0)) == Ok(3));
    receiver.signal(Signal::Term);
    receiver.finish().exit(0);
    assert_eq!(service.stats().callbacks_answered_200, 3);
    assert_eq!(ends(&batch.call("results", &[]).exit(0)), ["completed generated jobs 1"; 3]);
}
