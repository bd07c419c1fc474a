//! Runs over some of the rows: those that are named, or as many as are asked for, or until a time.

use std::ffi::OsStr;
use std::fs;

use serde_json::{Value, json};

use crate::story::{Batch, PROGRAM, Scripted, StandIn};

/// The music tasks that were asked for, in order.
fn asked(service: &Scripted) -> Vec<String> {
    let task =
        |request: &wiremock::Request| request.body_json::<Value>().unwrap()["taskId"].as_str().unwrap().to_owned();
    service.requests().iter().map(task).collect()
}

#[test]
fn a_limit_sends_the_first_rows_and_then_the_next_ones() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(5).to(&service.address());
    let plan = batch.run(&["-n", "--limit", "2", "--json"]).exit(0).json();
    assert_eq!((&plan["rows"]["to_send"], &plan["rows"]["over_limit"]), (&json!(2), &json!(3)));
    batch.run(&["-n", "--limit", "2"]).exit(0).prints("  to send        2\n  over --limit   3\n");
    let ran = batch.run(&["--limit", "2", "--concurrency", "1"]).exit(4);
    let ran = ran.says("coverbatch: stopped, as --limit asked; 2 new covers; 3 of 5 rows have no cover yet\n");
    let ran = ran.says("  3 rows pending: limit, lines 4, 5, 6\n").results(&[
        "track1 submitted accepted",
        "track2 submitted accepted",
        "track3 pending limit",
        "track4 pending limit",
        "track5 pending limit",
    ]);
    assert_eq!(asked(&service), ["track1", "track2"]);
    batch.call("results", &[]).exit(4).silent();
    assert_eq!(ran.table().column("cover_reason")[2..], ["limit"; 3], "`results` says so too");
    batch.shell(ran.next()).exit(4).says("1 of 5 rows have no cover yet");
    batch.run(&["--limit", "1"]).exit(0).silent();
    assert_eq!(asked(&service).len(), 5);
}

#[test]
fn a_limit_counts_rows_in_doubt_last() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["cutx1-a", "b"]).to(&service.address);
    batch.run(&["--in-doubt", "hold"]).exit(4).results(&["cutx1-a in_doubt held", "b submitted accepted"]);
    fs::write(batch.catalog(), "task_id\ncutx1-a\nb\nc\nd\n").unwrap();
    let plan = batch.run(&["-n", "--limit", "2", "--json"]).exit(0).json();
    assert_eq!(plan["rows"]["to_send_in_doubt"], 0);
    let plan = batch.run(&["-n", "--limit", "3", "--json"]).exit(0).json();
    assert_eq!((&plan["rows"]["to_send_in_doubt"], &plan["rows"]["over_limit"]), (&json!(1), &json!(0)));
    batch.run(&["--limit", "2"]).exit(4).results(&[
        "cutx1-a in_doubt connection",
        "b submitted accepted",
        "c submitted accepted",
        "d submitted accepted",
    ]);
}

#[test]
fn named_rows_alone_are_taken_up_and_the_exit_code_speaks_of_them() {
    let service = Scripted::accepting();
    let batch = Batch::of("task_id\na\nb\né\nc\n").to(&service.address());
    batch.run(&["--only", "c", "--only", "a"]).exit(0).silent().results(&[
        "a submitted accepted",
        "b pending",
        "é invalid bad_row",
        "c submitted accepted",
    ]);
    let mut sent = asked(&service);
    sent.sort();
    assert_eq!(sent, ["a", "c"]);
    let summary = batch.run(&["--only", "b", "--json"]).exit(0).json();
    assert_eq!((&summary["rows"]["total"], &summary["rows"]["others"]), (&json!(1), &json!(3)));
    assert_eq!(summary["rows"]["submitted"], 1);
    batch.run(&["--only", "a"]).exit(0).silent();
    assert_eq!(asked(&service).len(), 3);
}

#[test]
fn rows_that_are_not_named_stay_as_they_are() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-404-a", "b", "code-500x1-c"]).to(&service.address);
    batch.run(&["--only", "code-404-a"]).exit(4);
    let ran = batch.run(&["--only", "code-500x1-c", "--max-attempts", "1"]).exit(4);
    let ran = ran.says("coverbatch: 1 newly failed; 1 of 1 row has no cover yet\n");
    let ran = ran.says("; 2 others are left as they are, as --only asked\n");
    ran.results(&["code-404-a failed not_found", "b pending", "code-500x1-c gave_up server_error"]);
}

#[test]
fn a_limit_of_named_rows_is_no_reason_for_others() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a", "b", "c"]).to(&service.address());
    let ran = batch.run(&["--only", "a b", "--limit", "1"]).exit(4);
    ran.results(&["a submitted accepted", "b pending limit", "c pending"]);
}

#[test]
fn a_list_of_named_rows_comes_from_standard_input() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a", "b", "c"]).to(&service.address()).input("c\r\n\n b\n");
    batch.run(&["--only", "-"]).exit(0).silent();
    assert_eq!(asked(&service).len(), 2);
    let nobody = Batch::ids(["a"]).to(&service.address()).input("\n");
    nobody.run(&["--only", "-"]).exit(2).says("--only names no row: the list on standard input is empty");
    let both = Batch::ids(["a"]).to(&service.address()).input("a\n");
    both.words(&["run", "-", "--only", "-"].map(OsStr::new)).exit(2).says("both come from standard input");
    assert_eq!(asked(&service).len(), 2);
}

#[test]
fn names_that_no_row_has_are_2_and_nothing_is_sent() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a", "b"]).to(&service.address());
    let ran = batch.run(&["--only", "a", "--only", "B"]).exit(2);
    ran.says("error: no row of `songs.csv` has the id `B`\nhint: nothing was sent");
    let many: Vec<String> = (1..=8).map(|number| format!("x{number}")).collect();
    let ran = batch.run(&["--only", &many.join(" ")]).exit(2);
    ran.says("no row of `songs.csv` has the ids `x1`, `x2`, `x3`, `x4`, `x5` and 3 more");
    batch.run(&["--only", "ä"]).exit(2).says("--only `ä` is no music task id");
    batch.run(&["--only", ""]).exit(2).says("the id is empty");
    assert_eq!(batch.listing(), ["songs.csv"]);
    assert!(service.requests().is_empty());
}

#[test]
fn a_run_over_named_rows_tells_no_monitor_and_leaves_the_metrics_alone() {
    let (service, monitor) = (Scripted::accepting(), Scripted::always(200, "ok"));
    let batch = Batch::ids(["a", "b"]).to(&service.address());
    let batch = batch.env("COVERBATCH_METRICS_FILE", "m.prom").env("COVERBATCH_PING_URL", monitor.address());
    batch.run(&["--only", "a"]).exit(0).silent();
    assert!(monitor.requests().is_empty() && !batch.path("m.prom").exists());
    batch.run(&[]).exit(0).silent();
    assert!(!monitor.requests().is_empty() && batch.path("m.prom").exists());
}

#[test]
fn a_deadline_may_be_a_time_of_day() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1).to(&service.address()).env("TZ", "XYZ-3");
    batch.run(&["--deadline", "06:00"]).exit(0).silent();
    let wrong = batch.run(&["--deadline", "24:00"]).exit(2);
    wrong.says("invalid value '24:00' for '--deadline <DUR|HH:MM>'").says("such as `06:00`");
}

#[test]
fn a_deadline_counts_from_the_beginning_of_the_command() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1).to(&service.address());
    let ran = batch.shell(&format!("(sleep 1; cat songs.csv) | {PROGRAM} run - -o late.csv --deadline 500ms"));
    ran.exit(4).says("stopped, --deadline passed");
    assert!(service.requests().is_empty());
}

#[test]
fn a_variable_with_a_mistake_in_its_name_is_told() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address()).env("COVERBATCH_MAX_FAILURE", "3");
    let told =
        "the variable COVERBATCH_MAX_FAILURE means nothing to coverbatch; did you mean COVERBATCH_MAX_FAILURES?\n";
    batch.run(&[]).exit(0).complains(told);
    let quiet = Batch::ids(["a"]).to(&service.address());
    let secrets = "COVERBATCH_CALLBACK_SECRET=0123456789abcdef COVERBATCH_WEBHOOK_KEY=0123456789abcdef";
    quiet.shell(&format!("{secrets} {PROGRAM} run songs.csv")).exit(0).silent();
}
