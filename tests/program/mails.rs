//! The mails of several nights over one catalog: each begins with what is new.

use std::fs;

use wiremock::ResponseTemplate;

use crate::story::{Batch, Ran, Scripted, StandIn, wait_for};

/// Gives up at once what is in trouble.
const ONCE: [&str; 2] = ["--max-attempts", "1"];

/// A mail up to its facts.
fn news(ran: &Ran) -> Vec<&str> {
    let lines = ran.stderr.lines().take_while(|line| !line.starts_with("  rows "));
    lines.filter(|line| !line.is_empty()).collect()
}

/// The first line of a mail, which says since when nothing is new.
fn first_line(ran: &Ran) -> String {
    let line = ran.stderr.lines().next().unwrap_or_default();
    match (line.find(" since "), line.find(" UTC")) {
        (Some(since), Some(end)) => format!("{}{}", &line[..since], &line[end + 4..]),
        _ => line.to_owned(),
    }
}

const CATALOG: &str = "task_id,title,artist\n\
    a,Blue Train,Coltrane\n\
    code-404-b,Naima,Coltrane\n\
    code-500x1-c,So What,Davis\n\
    code-500-d,All Blues,Davis\n\
    ,Freddie,Davis\n";

#[test]
fn each_mail_begins_with_what_has_changed_since_the_one_before() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of(CATALOG).to(&service.address);
    let first = batch.run(&ONCE).exit(4);
    let expected = [
        "coverbatch: 1 new cover, 4 newly failed; 4 of 5 rows have no cover yet",
        "needs a person:",
        "  1 row failed: not_found (code 404), line 3 (Naima, Coltrane): Resource not found",
        "  1 row invalid: bad_row, line 6 (Freddie, Davis): the id is empty",
        "left to the next run:",
        "  2 rows gave_up: server_error (code 500), lines 4 (So What, Davis), 5 (All Blues, Davis): Unexpected server error",
    ];
    assert_eq!(news(&first), expected);

    let second = batch.run(&ONCE).exit(4);
    let expected = [
        "coverbatch: 1 mended, 1 row before its last try; 3 of 5 rows have no cover yet",
        "  mended         1: line 4 (So What, Davis)",
        "  last try       1: line 3 (Naima, Coltrane): the next run is the last that sends them by itself",
        "known before: 2 for a person (1 not_found, 1 bad_row), 1 for the next run (server_error); `coverbatch status` names them",
    ];
    assert_eq!(news(&second), expected);

    // A row more at the beginning, one less at the end.
    let moved = CATALOG.replace("a,Blue", "e,Stella,Evans\na,Blue").replace(",Freddie,Davis\n", "");
    fs::write(batch.catalog(), moved).unwrap();
    let third = batch.run(&[&ONCE[..], &["--label-column", "artist,1"]].concat()).exit(4);
    let expected = [
        "coverbatch: 1 new cover, 1 row tried no more, 1 new row, 1 row gone; 2 of 5 rows have no cover yet",
        "  new covers     1: line 2 (Evans, e)",
        "  tried no more  1: line 4 (Coltrane, code-404-b): refused in 3 runs",
        "  new rows       1: line 2 (Evans, e)",
        "  gone rows      1: a row without an id (Davis)",
        "needs a person:",
        "  1 row failed: not_found (code 404), line 4 (Coltrane, code-404-b): Resource not found",
        "known before: 1 for the next run (server_error); `coverbatch status` names them",
    ];
    assert_eq!(news(&third), expected);
}

#[test]
fn a_trial_with_a_few_rows_makes_no_mail_of_the_night_say_less_or_more() {
    let service = StandIn::quick(&[]);
    let all = [CATALOG, "e,Stella,Evans\n"].concat();
    let tried = Batch::of(&all).to(&service.address);
    tried.run(&["--limit", "1"]).exit(4);
    // Of a first night all is new, and no list of it says more.
    let first = tried.run(&ONCE).exit(4);
    assert_eq!(
        first.stderr.lines().next(),
        Some("coverbatch: 2 new covers, 4 newly failed; 4 of 6 rows have no cover yet")
    );
    assert!(!first.stderr.contains("\n  new covers "), "{}", first.stderr);

    let grown = [&all, "code-422-f,Nardis,Evans\ng,Peri,Evans\n"].concat();
    fs::write(tried.catalog(), &grown).unwrap();
    tried.run(&["--only", "code-422-f", "--only", "g"]).exit(4);
    let second = tried.run(&ONCE).exit(4);
    for told in [
        "1 row failed: invalid_request (code 422), line 8 (Nardis, Evans)",
        "\n  new covers     1: line 9 (Peri, Evans)\n",
    ] {
        assert!(second.stderr.contains(told), "`{told}` is not in:\n{}", second.stderr);
    }
    let nothing = tried.run(&["--only", "a"]).exit(0);
    assert!(nothing.stderr.is_empty(), "{}", nothing.stderr);
    tried.run(&ONCE);
    let silent = tried.run(&[&ONCE[..], &["--mail-unchanged=no"]].concat());
    silent.silent();
    let status = tried.call("status", &[]);
    assert_eq!(status.stdout.matches("  some rows").count(), 3, "{}", status.stdout);
}

#[test]
fn a_night_with_nothing_new_says_so_first_or_is_silent() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-500-a", "b"]).to(&service.address);
    assert_eq!(
        first_line(&batch.run(&ONCE).exit(4)),
        "coverbatch: 1 new cover, 1 newly failed; 1 of 2 rows have no cover yet"
    );
    let silent = [&ONCE[..], &["--mail-unchanged=no"]].concat();
    for _ in 0..2 {
        assert_eq!(first_line(&batch.run(&ONCE).exit(4)), "coverbatch: nothing new; 1 of 2 rows have no cover yet");
        batch.run(&silent).exit(4).silent();
    }
    fs::write(batch.catalog(), "task_id\ncode-500-a\n").unwrap();
    let shorter = batch.run(&silent).exit(4);
    assert_eq!(first_line(&shorter), "coverbatch: 1 row gone; 1 of 1 row has no cover yet");
    batch.run(&silent).exit(4).silent();
}

#[test]
fn what_a_first_run_did_that_was_killed_is_told_though_the_results_were_written_since() {
    let service = StandIn::quick(&["--latency", "300ms"]);
    let batch = Batch::tracks(8).to(&service.address);
    let killed = batch.start(&["--rate", "2/200ms", "--concurrency", "1"]);
    wait_for("a cover", || batch.call("status", &[]).stdout.contains("  submitted         2\n"));
    drop(killed);
    batch.call("results", &[]).exit(4);
    let told = batch.run(&["--json"]).exit(0).json();
    assert_eq!(told["changes"]["new_covers"]["rows"], 8);
}

#[test]
fn why_a_run_stopped_is_told_every_night() {
    let service = Scripted::by(|_: &wiremock::Request| ResponseTemplate::new(402));
    let batch = Batch::ids(["a", "b"]).to(&service.address()).env("COVERBATCH_MAIL_UNCHANGED", "no");
    for changes in ["", "nothing new; "] {
        let ran = batch.run(&["--concurrency", "1"]).exit(5);
        let expected =
            format!("coverbatch: stopped, the account has no credits left; {changes}2 of 2 rows have no cover yet");
        assert_eq!(first_line(&ran), expected);
        ran.says("\nleft to the next run:\n  2 rows pending: no_credits, lines 2, 3\n");
    }
}

#[test]
fn a_ledger_that_was_lost_is_told_though_no_row_has_changed() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-422-a", "b"]).to(&service.address);
    for _ in 0..3 {
        batch.run(&[]);
    }
    batch.run(&["--mail-unchanged", "no"]).exit(3).silent();
    fs::remove_file(batch.path("songs.db")).unwrap();
    batch.run(&["--mail-unchanged", "no"]).exit(3).says("songs.db, new; 1 music task was taken over");
}

#[test]
fn a_column_that_is_not_there_is_no_label() {
    let batch = Batch::of("task_id,title\na,x\n");
    let ran = batch.run(&["--sandbox", "--label-column", "title", "--label-column", "album"]).exit(2);
    ran.complains("error: the catalog has no column `album`\nhint: name one of its columns by --label-column\n");
}

#[test]
fn the_json_tells_what_has_changed_too() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of(CATALOG).to(&service.address);
    let json = |ran: Ran| ran.json();
    let options = [&ONCE[..], &["--json"]].concat();
    let first = json(batch.run(&options));
    assert_eq!((&first["is_first_run"], &first["changes"]["since"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(first["changes"]["newly_failed"]["rows"], 4);
    let second = json(batch.run(&options));
    let named = serde_json::json!({ "rows": 1, "first": [{ "line": 4, "id": "code-500x1-c", "labels": ["So What", "Davis"] }] });
    assert_eq!(second["changes"]["mended"], named);
    assert_eq!(second["is_first_run"], false);
    assert!(second["changes"]["since"].is_string());
    let by_itself: Vec<bool> =
        second["causes"].as_array().unwrap().iter().map(|cause| cause["mends_by_itself"].as_bool().unwrap()).collect();
    assert_eq!(by_itself.iter().filter(|mends| **mends).count(), 1);
}

#[test]
fn the_page_tells_the_same_next_command_as_the_mail() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of(CATALOG).to(&service.address);
    let told = batch.run(&ONCE).exit(4);
    batch.call("report", &["-o", "page.html"]).exit(4);
    let page = fs::read_to_string(batch.path("page.html")).unwrap();
    let command = page.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next()).unwrap();
    assert_eq!(command.replace("&#38;", "&").replace("&#39;", "'"), told.next());
    assert!(page.contains("correct the rows that need a person; what else is left goes on with:</p>"));
}
