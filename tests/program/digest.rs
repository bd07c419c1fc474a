//! What a run tells: nothing after a clean one, and otherwise everything needed on one screen.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;
use wiremock::Request;

use crate::story::{Batch, PROGRAM, Scripted, StandIn, Table, envelope};

#[test]
fn a_clean_run_is_silent_and_a_clean_rerun_too() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(40).to(&service.address());
    batch.run(&[]).exit(0).silent();
    batch.run(&[]).exit(0).silent();
    assert_eq!(service.requests().len(), 40);
    let files = ["songs.csv", "songs.db", "songs.results.csv"];
    assert_eq!(batch.listing(), files);
}

#[test]
fn the_digest_names_counts_causes_lines_files_and_the_next_command() {
    let service = StandIn::quick(&[]);
    let text = "task_id,title,artist\na,A,Z\na,A,Z\ncode-404-1,So What,Miles\ncode-404-2,\"All\nBlues\",\n\ncode-404-3,,\ncode-404-4,,\n\
                covered-1,,\n\"two\nlines\",Naima,John\n";
    let batch = Batch::of(text).to(&service.address);
    let ran = batch.run(&["--failures", "left.csv"]).exit(4);
    let folder = batch.folder().display().to_string();
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| !line.starts_with("  began ")).collect();
    let expected = [
        "coverbatch: 2 new covers, 5 newly failed; 5 of 8 rows have no cover yet",
        "",
        "needs a person:",
        "  4 rows failed: not_found (code 404), lines 4 (So What, Miles), 5 (All Blues), 8 …: Resource not found",
        "  1 row invalid: bad_row, line 11 (Naima, John): the id holds U+000A; only printable ASCII without spaces is allowed",
        "",
        "  rows     8: submitted 2, exists 1, failed 4, invalid 1; 1 repeats an earlier row, sent once",
        "  sent     6 requests, at most 6 in any 1s (limit 500)",
        &format!("  results  {folder}/songs.results.csv"),
        &format!("  failures {folder}/left.csv"),
        &format!("  ledger   {folder}/songs.db, new"),
        "",
        "next: correct these rows in the catalog, then",
        &format!(
            "  cd {folder} && COVERBATCH_API_URL={} COVERBATCH_ACCOUNT=songs COVERBATCH_NO_CALLBACK=1 COVERBATCH_RATE=500/1s {PROGRAM} run songs.csv \
             --failures left.csv --ledger {folder}/songs.db",
            service.address
        ),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_digest_of_the_worst_night_has_25_lines() {
    let service = Scripted::by(|request: &Request| {
        let body: Value = request.body_json().unwrap();
        let number = body["taskId"].as_str().unwrap().trim_start_matches("track").parse::<usize>().unwrap();
        let long = "The parameters of this request are beyond all understanding ".repeat(9);
        envelope([404, 413, 422, 451, 500, 501, 502, 503, 504, 408, 531][number % 11], &long, &Value::Null)
    });
    let catalog = |from: usize, to: usize| {
        let mut text = "task_id,note\n".to_owned();
        for number in from..to {
            let _ = writeln!(text, "track{number},x\ntrack{number},once more");
        }
        text + ",no id\n1.2E+30,lost\nNULL,none\nx y,two\nx,1,2,more\n"
    };
    let batch = Batch::of(catalog(0, 60)).to(&service.address());
    let options = ["--max-attempts", "1", "--failures", "left.csv", "--wait", "--max-failures", "100%"];
    for from in [0, 20, 22] {
        fs::write(batch.catalog(), catalog(from, from + 60)).unwrap();
        let ran = batch.run(&options).exit(4);
        let lines: Vec<&str> = ran.stderr.lines().skip_while(|line| !line.starts_with("coverbatch: ")).collect();
        assert!((18..=25).contains(&lines.len()), "{}", ran.stderr);
        for words in ["needs a person:", "left to the next run:", "\nnext: correct the rows that need"] {
            assert!(ran.stderr.contains(words), "`{words}` is not in:\n{}", ran.stderr);
        }
    }
}

#[test]
fn the_next_command_goes_on() {
    let service = StandIn::quick(&[]);
    let batch = Batch::named("it's a $HOME `x` list.csv", "task_id\na\ncode-500x1-b\n").to(&service.address);
    let ran = batch.run(&["--max-attempts", "1", "-o", "an other.csv"]).exit(4);
    batch.shell(ran.next()).exit(0).silent();
    assert_eq!(Table::read(&batch.path("an other.csv"), b',').with("submitted"), 2);
}

#[test]
fn the_next_command_for_failed_rows_sends_them_though_the_first_said_otherwise() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-422-a"]).to(&service.address);
    for _ in 0..3 {
        batch.run(&[]);
    }
    let ran = batch.run(&["--retry", "none"]).exit(3).says("next: correct these rows in the catalog; to send all");
    let again = batch.shell(ran.next()).exit(3);
    again.says("sent     1 request,").says("known before: 1 for a person (invalid_request)");
}

#[test]
fn the_next_command_for_rows_held_back_sends_them() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["cutx1-a", "b"]).to(&service.address);
    let ran = batch.run(&["--in-doubt", "hold"]).exit(4).says("next: these rows may have been paid for");
    let ran = ran.results(&["cutx1-a in_doubt held", "b submitted accepted"]);
    batch.run(&["--in-doubt", "hold"]).exit(4).says("sent     0 requests");
    batch.shell(ran.next()).exit(0).silent().results(&["cutx1-a exists already_exists", "b submitted accepted"]);
}

#[test]
fn the_next_command_sends_what_was_left_when_credits_ran_out() {
    let broke = StandIn::quick(&["--credits", "2"]);
    let batch = Batch::tracks(5).to(&broke.address);
    let ran = batch.run(&["--concurrency", "1"]).exit(5).says("submitted 2, pending 3");
    batch.shell(ran.next()).exit(5).says("submitted 2, pending 3").says("sent     1 request,");
}

#[test]
fn a_file_name_that_is_not_utf_8_ends_in_no_panic() {
    let batch = Batch::ids(["code-404-a"]);
    let odd = OsStr::from_bytes(b"r\xff.csv");
    let words = [OsStr::new("run"), OsStr::new("songs.csv"), OsStr::new("--sandbox"), OsStr::new("-o"), odd];
    let ran = batch.words(&words).exit(4).says("next: correct these rows in the catalog, then");
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(batch.path(odd).exists());
}

#[test]
fn the_json_summary_agrees_with_the_results() {
    let service = StandIn::quick(&[]);
    let batch = Batch::sample("every-outcome.csv").to(&service.address);
    let ran = batch.run(&["--json", "--max-attempts", "1", "--rate", "30/500ms"]).exit(4);
    let (summary, table) = (ran.json(), ran.table());
    assert_eq!(summary["exit_code"], 4);
    assert_eq!(summary["ended"], "finished");
    assert_eq!(summary["rows"]["total"], table.len());
    for status in ["submitted", "exists", "failed", "gave_up", "in_doubt", "pending", "invalid"] {
        assert_eq!(summary["rows"][status], table.with(status), "{status}");
    }
    let retryable = table.column("cover_retryable").iter().filter(|cell| **cell == "yes").count();
    assert_eq!(summary["rows"]["retryable"], retryable);
    let sent: u64 = table.column("cover_attempts").iter().filter_map(|cell| cell.parse::<u64>().ok()).sum();
    assert_eq!(summary["requests"]["sent"], sent);
    assert_eq!(summary["requests"]["limit"], "30/500ms");
    let most = summary["requests"]["most_in_any_window"].as_u64().unwrap();
    assert!((1..=30).contains(&most), "{most}");
    let rows_with_causes: u64 =
        summary["causes"].as_array().unwrap().iter().map(|cause| cause["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows_with_causes, table.len() as u64 - table.with("submitted") - table.with("exists"));
    assert_eq!(summary["results"], batch.results_path().display().to_string());
    assert_eq!(summary["next"]["command"], ran.next());
}

#[test]
fn the_json_of_a_clean_run_is_all_that_is_printed() {
    let service = StandIn::quick(&[]);
    let ran = Batch::tracks(3).to(&service.address).run(&["--json"]).exit(0).complains("");
    let summary = ran.json();
    assert_eq!((&summary["exit_code"], &summary["next"]), (&Value::from(0), &Value::Null));
    assert_eq!(summary["rows"]["submitted"], 3);
}

#[test]
fn the_failures_csv_holds_what_is_left_and_is_a_catalog() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of("title,task_id\nA,a\nB,code-500x1-b\nC,covered-c\n").to(&service.address);
    batch.run(&["--max-attempts", "1", "--failures", "left.csv"]).exit(4);
    let left = fs::read(batch.path("left.csv")).unwrap();
    assert!(left.starts_with(b"title,task_id,cover_status,"), "{}", left.escape_ascii());
    assert_eq!(Table::read(&batch.path("left.csv"), b',').rows(&["title", "cover_status"]), ["B gave_up"]);
    let again = Batch::of(left).to(&service.address);
    again.run(&[]).exit(0).silent().results(&["code-500x1-b submitted accepted"]);
}
