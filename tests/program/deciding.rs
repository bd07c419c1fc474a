//! `ignore`, `retry` and `forget`: what a person decides about single music tasks, and what comes of it.

use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::Request;

use crate::story::{Batch, Ran, Scripted, StandIn, accepted, envelope, wait_for};

/// `coverbatch` with these words, to its end.
fn says(batch: &Batch, line: &str) -> Ran {
    let words: Vec<&OsStr> = line.split(' ').map(OsStr::new).collect();
    batch.words(&words)
}

/// How often each music task was asked for, as `a b b`.
fn asked(service: &Scripted) -> String {
    let task = |request: &Request| request.body_json::<Value>().unwrap()["taskId"].as_str().unwrap().to_owned();
    let mut asked: Vec<String> = service.requests().iter().map(task).collect();
    asked.sort();
    asked.join(" ")
}

#[test]
fn an_ignored_row_is_no_failure_wherever_rows_are_told_of() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-404-a", "b", "code-404-c"]).to(&service.address).input("b\n code-404-a\n");
    batch.run(&[]).exit(4);
    let several = says(&batch, "ignore code-404").exit(2);
    several.complains(
        "error: several music tasks begin with `code-404`: code-404-a, code-404-c\n\
         hint: give more of the one that is meant\n",
    );
    says(&batch, "ignore - --reason withdrawn").exit(0).complains("").prints("b  ignored: no run sends it\n");
    says(&batch, "ignore b --undo").exit(0).prints("b  submitted again\n");
    let reason = ["ignore", "code-404-c", "--reason", "=art from\nthe label"].map(OsStr::new);
    batch.words(&reason).exit(0).complains("").prints("code-404-c  ignored: no run sends it\n");
    says(&batch, "ignore code-404-c").exit(0).prints("code-404-c  it is so already\n");

    let options = ["--metrics-file", "m.prom", "--failures", "failed.csv", "--retry", "all", "--max-failures", "1"];
    let ran = batch.run(&options).exit(0).silent();
    let table = ran.table();
    let columns = ["task_id", "cover_status", "cover_retryable", "cover_reason", "cover_code", "cover_message"];
    assert_eq!(
        table.rows(&columns)[..],
        [
            "code-404-a ignored no ignored withdrawn",
            "b submitted no accepted 200 success (sandbox)",
            "code-404-c ignored no ignored '=art from the label",
        ]
    );
    assert_eq!(table.column("cover_attempts"), ["1", "1", "1"], "neither is sent by --retry all");
    assert_eq!(fs::read_to_string(batch.path("failed.csv")).unwrap().lines().count(), 1, "there is the header");
    let metrics = fs::read_to_string(batch.path("m.prom")).unwrap();
    assert!(metrics.contains("coverbatch_rows{status=\"ignored\"} 2\n"), "{metrics}");
    let summary = batch.run(&["--only", "code-404-a", "--json"]).exit(0).json();
    assert_eq!((&summary["rows"]["total"], &summary["rows"]["ignored"]), (&json!(1), &json!(1)));
    let digest = batch.run(&["--json"]).exit(0).json()["digest"].as_str().unwrap().to_owned();
    assert!(digest.lines().next().unwrap().ends_with("; 1 row has its cover"), "{digest}");
    batch.call("status", &[]).exit(0).prints("  ignored           2\n");
    batch.run(&["-n"]).exit(0).prints("  settled        1\n  ignored        2\n");
    assert_eq!(batch.run(&["-n", "--json"]).exit(0).json()["rows"]["ignored"], 2);
    batch.call("report", &["-o", "page.html"]).exit(0);
    assert!(fs::read_to_string(batch.path("page.html")).unwrap().contains("left out by decision"));
}

#[test]
fn a_mail_tells_of_ignored_rows_by_their_number_alone() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-404-a", "code-404-b"]).to(&service.address);
    batch.run(&[]).exit(4);
    says(&batch, "ignore code-404-a").exit(0);
    let ran =
        batch.run(&[]).exit(4).says("; 1 of 2 rows have no cover yet\n").says("  rows     2: ignored 1, failed 1\n");
    assert!(!ran.stderr.contains("mended"), "{}", ran.stderr);
    says(&batch, "ignore code-404-a --undo").exit(0).prints("code-404-a  failed again\n");
    batch.run(&[]).exit(4).results(&["code-404-a failed not_found", "code-404-b failed not_found"]);
}

#[test]
fn why_tells_what_was_decided_when_and_why() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    batch.run(&[]).exit(0);
    says(&batch, "forget a --pay-again --reason mistyped").exit(0);
    says(&batch, "forget a --undo").exit(0).prints("a  submitted again\n");
    says(&batch, "ignore a").exit(0);
    let told = says(&batch, "why a").exit(0).prints("status       ignored (ignored)\n");
    let decided: Vec<&str> = told.stdout.lines().filter(|line| line.starts_with("decided ")).collect();
    assert!(
        decided[0].contains(" forget on ") && decided[0].contains(", was submitted with the cover "),
        "{decided:?}"
    );
    assert!(decided[0].contains(": mistyped; taken back 20"), "{decided:?}");
    assert!(decided[1].contains(" ignore on ") && !decided[1].contains("taken back"), "{decided:?}");
    let document = says(&batch, "why a --json").exit(0).json();
    let [first, second] = document["decisions"].as_array().unwrap().as_slice() else { panic!("{document}") };
    assert_eq!((&first["decision"], &first["reason"]), (&json!("forget"), &json!("mistyped")));
    assert_eq!(first["cover_task_id_before"], document["cover_task_id"]);
    assert!(first["at"].is_string() && first["undone_at"].is_string() && first["host"].is_string(), "{first}");
    assert_eq!((&second["status_before"], &second["undone_at"]), (&json!("submitted"), &json!(null)));
}

#[test]
fn a_row_that_no_run_has_sent_is_ignored_if_it_is_said_to_be_new() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address());
    let before = batch.listing();
    says(&batch, "ignore a --unseen").exit(2).says("no ledger at ");
    assert_eq!(batch.listing(), before, "only a run makes one");
    batch.run(&[]).exit(0);
    let refused = says(&batch, "ignore new").exit(2);
    refused.says("because of `new`: the ledger does not know it; --unseen ignores it before it is sent");
    says(&batch, "ignore new --unseen").exit(0).prints("new  ignored: no run sends it\n");
    fs::write(batch.catalog(), "task_id\na\nnew\n").unwrap();
    batch.run(&[]).exit(0).silent().results(&["a submitted accepted", "new ignored ignored"]);
    says(&batch, "ignore new --undo").exit(0).prints("new  pending again\n");
    batch.run(&[]).exit(0).results(&["a submitted accepted", "new submitted accepted"]);
    assert_eq!(asked(&service), "a new");
}

#[test]
fn a_list_names_whole_ids_since_what_one_begins_may_be_another() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["song-10"]).to(&service.address()).input("song-1\n");
    batch.run(&[]).exit(0);
    says(&batch, "forget - --pay-again").exit(2).says("because of `song-1`: the ledger does not know it");
    let typed = says(&batch, "forget song-1 --pay-again").exit(0);
    typed.prints("song-10  forgotten: the next run sends it as if it were new\n");
}

#[test]
fn what_is_retried_is_sent_by_the_next_run_whatever_became_of_it() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-404-a", "cutx1-b", "c"]).to(&service.address);
    let hold = ["--in-doubt", "hold"];
    for code in [4, 4, 4] {
        batch.run(&hold).exit(code);
    }
    batch.run(&hold).exit(4).says("in_doubt").results(&[
        "code-404-a failed not_found",
        "cutx1-b in_doubt held",
        "c submitted accepted",
    ]);
    let refused = says(&batch, "retry c code-404-a nowhere").exit(2);
    let refused =
        refused.says("error: nothing is changed, because of 2 music tasks:\n  `c`: it has its cover (submitted)\n");
    refused
        .says("  `nowhere`: the ledger does not know it\n")
        .says("hint: leave these out, and the others can be decided about\n");
    says(&batch, "retry code-404 cutx1 --reason mended").exit(0).prints("code-404-a  the next run sends it\n");
    says(&batch, "retry code-404-a").exit(0).prints("code-404-a  the next run sends it anyway\n");
    batch.call("results", &[]).exit(4).results(&[
        "code-404-a pending not_found",
        "cutx1-b pending connection",
        "c submitted accepted",
    ]);
    let ran = batch.run(&hold).exit(4);
    assert_eq!(ran.table().column("cover_attempts"), ["4", "2", "1"]);
    ran.results(&["code-404-a failed not_found", "cutx1-b exists already_exists", "c submitted accepted"]);
    says(&batch, "retry code-404-a --undo").exit(2).says("it has been sent since (failed); that cannot be taken back");
}

#[test]
fn what_is_forgotten_is_sent_again_and_not_taken_over_from_earlier_results() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a", "b"]).to(&service.address());
    batch.run(&[]).exit(0);
    let refused = says(&batch, "forget a").exit(2);
    refused
        .says("because of `a`: it has its cover (submitted), and the next run may pay for a second one; --pay-again");
    says(&batch, "forget a --pay-again").exit(0).prints("a  forgotten: the next run sends it as if it were new\n");
    batch.call("results", &[]).exit(4).results(&["a pending", "b submitted accepted"]);
    says(&batch, "forget a --undo").exit(0).prints("a  submitted again\n");
    batch.run(&[]).exit(0).silent();
    assert_eq!(asked(&service), "a b");
    says(&batch, "forget a --pay-again").exit(0);
    batch.run(&[]).exit(0).silent().results(&["a submitted accepted", "b submitted accepted"]);
    assert_eq!(asked(&service), "a a b");
    says(&batch, "forget a --undo").exit(2).says("it has been sent since (submitted)");
    says(&batch, "ledger check").exit(0);
}

#[test]
fn a_results_file_without_its_ledger_still_tells_what_is_ignored() {
    let service = Scripted::by(|request: &Request| {
        let is_missing = request.body_json::<Value>().unwrap()["taskId"] == "code-404-a";
        if is_missing { envelope(404, "not found", &Value::Null) } else { accepted(request) }
    });
    let batch = Batch::ids(["code-404-a", "b"]).to(&service.address());
    batch.run(&[]).exit(4);
    says(&batch, "ignore code-404-a --reason withdrawn").exit(0);
    batch.run(&[]).exit(0);
    fs::remove_file(batch.path("songs.db")).unwrap();
    let ran = batch.run(&[]).exit(0).says("taken over music_tasks=2");
    assert_eq!(ran.table().column("cover_message")[0], "withdrawn");
    ran.results(&["code-404-a ignored ignored", "b submitted accepted"]);
    says(&batch, "ignore code-404-a --undo").exit(2).says("no such decision about it is noted");
    says(&batch, "forget code-404-a").exit(2).says("it is ignored; take that back first");
    says(&batch, "forget code-404-a --pay-again").exit(0);
    batch.run(&[]).exit(4).results(&["code-404-a failed not_found", "b submitted accepted"]);
}

#[test]
fn a_run_that_is_going_on_heeds_a_decision_about_what_it_has_not_sent_yet() {
    let service = Scripted::by(|request: &Request| {
        let is_first = request.body_json::<Value>().unwrap()["taskId"] == "first";
        accepted(request).set_delay(Duration::from_millis(if is_first { 3000 } else { 0 }))
    });
    let batch = Batch::ids(["first", "b", "c"]).to(&service.address());
    let run = batch.start(&["--concurrency", "1"]);
    wait_for("the first request", || asked(&service) == "first");
    says(&batch, "ignore first").exit(2).says("because of `first`: a run is sending it right now; try again once");
    says(&batch, "ignore b --unseen").exit(0);
    let ran = run.finish().exit(0).silent();
    ran.results(&["first submitted accepted", "b ignored ignored", "c submitted accepted"]);
    assert_eq!(asked(&service), "c first");
}

#[test]
fn what_cannot_be_an_id_or_names_nothing_is_refused() {
    let batch = Batch::ids(["a"]);
    batch.run(&["--sandbox"]).exit(0);
    let ledger = "--ledger songs.sandbox.db";
    says(&batch, &format!("ignore a,\u{e9} {ledger}"))
        .exit(2)
        .says("is no music task id: ")
        .says("hint: nothing is changed");
    says(&batch, &format!("ignore - {ledger}"))
        .exit(2)
        .says("no music task is named: the list on standard input is empty");
    says(&batch, "ignore").exit(2).says("<ID>...");
    says(&batch, &format!("forget a --undo --pay-again {ledger}")).exit(2).says("cannot be used with");
    says(&batch, &format!("ignore a {ledger}")).exit(0);
}
