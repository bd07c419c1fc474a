//! The commands besides `run`, and the ways to run without sending.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;
use wiremock::Request;

use crate::story::{Batch, PROGRAM, Scripted, StandIn, accepted, wait_for};

#[test]
fn status_and_results_read_a_run_that_is_going_on() {
    let service = Scripted::by(|request: &Request| {
        let is_last = request.body_json::<serde_json::Value>().unwrap()["taskId"] == "last";
        accepted(request).set_delay(Duration::from_millis(if is_last { 3000 } else { 0 }))
    });
    let batch = Batch::ids(["a", "b", "last"]).to(&service.address());
    let run = batch.start(&["-o", "final.csv"]);
    wait_for("two answers", || {
        batch.call("status", &["--json"]).code == Some(4)
            && batch.call("status", &["--json"]).json()["rows"]["submitted"] == 2
    });
    let status = batch.call("status", &[]).exit(4).complains("");
    status
        .prints("rows                3\n  completed         0\n  submitted         2\n")
        .prints("  in_doubt          1\n")
        .prints("a rerun             sends 1, which takes");
    let rows = ["a submitted accepted", "b submitted accepted", "last in_doubt interrupted"];
    batch.call("results", &[]).exit(4).silent().results(&rows);
    run.finish().exit(0).silent();
    let rows = ["a submitted accepted", "b submitted accepted", "last submitted accepted"];
    batch.call("results", &[]).exit(0).silent().results(&rows);
    assert_eq!(fs::read(batch.path("final.csv")).unwrap(), fs::read(batch.results_path()).unwrap());
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn status_tells_text_and_json_before_and_after_a_run() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of("task_id\na\na\ncode-404-b\nNULL\n").to(&service.address);
    fs::write(batch.path("other.csv"), "task_id\nc\n").unwrap();
    batch.words(&["run", "other.csv"].map(OsStr::new)).exit(0).silent();
    batch.words(&["status", "other.csv"].map(OsStr::new)).exit(0).prints("a rerun             sends nothing\n");
    let names = batch.listing();
    let before = batch.call("status", &["--rate", "20/10s"]).exit(4).complains("");
    before
        .prints("rows                4\n  completed         0\n")
        .prints("duplicates          1\na rerun             sends 2, which takes about")
        .prints("songs.db\n\nneeds a person:\n  1 row invalid: bad_row: the id is a word or sign for a missing value\n    line 5\n")
        .prints("\nleft to the next run:\n  3 rows pending\n    line 2: a\n    line 3: a\n    line 4: code-404-b\n");
    assert_eq!(batch.listing(), names);
    batch.run(&["-q"]).exit(4);
    let after = batch.call("status", &["--json"]).exit(4).json();
    let rows = json!({"total": 4, "completed": 0, "generation_failed": 0, "submitted": 2, "exists": 0, "failed": 1, "gave_up": 0, "in_doubt": 0, "pending": 0, "ignored": 0,
        "invalid": 1, "duplicates": 1, "retryable": 1, "others": 0});
    assert_eq!((&after["rows"], &after["rerun_sends"]), (&rows, &json!(1)));
    let causes = json!([
        {"status": "failed", "reason": "not_found", "code": 404, "message": after["causes"][0]["message"], "mends_by_itself": false,
         "rows": 1, "first": [{"line": 4, "id": "code-404-b", "labels": []}]},
        {"status": "invalid", "reason": "bad_row", "code": null, "message": "the id is a word or sign for a missing value",
         "mends_by_itself": false, "rows": 1, "first": [{"line": 5, "labels": []}]},
    ]);
    assert_eq!(after["causes"], causes);
}

#[test]
fn status_names_the_rows_without_a_cover_and_tells_of_the_last_runs() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of("task_id,title,isrc\ncode-404-b,So What,US1\na,Naima,US2\n").to(&service.address);
    batch.run(&[]).exit(4);
    fs::write(batch.catalog(), "task_id,title,isrc\ncode-404-b,So What,US1\na,Naima,US2\nc,Blue,US3\n").unwrap();
    // The first run has used up the window, so this one can send nothing before its time is over.
    batch.run(&["--rate", "1/10s", "--deadline", "1ns"]).exit(4);
    batch.run(&[]).exit(4);
    let status = batch.call("status", &["--label-column", "isrc,title"]).exit(4).complains("");
    let status =
        status.prints("  1 row failed: not_found (code 404): ").prints("\n    line 2: code-404-b (US1, So What)\n");
    let runs: Vec<Vec<&str>> = status
        .stdout
        .split("last runs")
        .nth(1)
        .unwrap()
        .lines()
        .skip(1)
        .map(|l| l.split_whitespace().skip(4).collect())
        .collect();
    assert_eq!(
        runs,
        [vec!["2", "1", "1", "4"], vec!["0", "0", "1", "4", "stopped", "early:", "deadline"], vec!["2", "1", "1", "4"]]
    );
    let document = batch.call("status", &["--json"]).exit(4).json();
    assert_eq!(document["runs"][1]["stopped_early"], "deadline");
    assert_eq!(document["runs"][2]["new_covers"], 1);
}

#[test]
fn results_come_as_json_objects_on_standard_output_alone() {
    let service = StandIn::quick(&[]);
    let batch = Batch::of("task_id,title,title\na,\"So \"\"What\"\"\",1\ncode-404-b,,2\na,,\n").to(&service.address);
    batch.run(&[]).exit(4);
    let csv = fs::read(batch.results_path()).unwrap();
    let ran = batch.call("results", &["--format", "json"]).exit(4).complains("");
    let rows: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert!(ran.stdout.starts_with(
        "{\"task_id\":\"a\",\"title\":\"So \\\"What\\\"\",\"title_3\":\"1\",\"cover_status\":\"submitted\","
    ));
    assert_eq!(
        (&rows[1]["cover_code"], &rows[1]["cover_retryable"], &rows[1]["cover_task_id"]),
        (&json!(404), &json!(true), &json!(null))
    );
    assert_eq!((&rows[2]["cover_duplicate_of_row"], &rows[2]["cover_attempts"]), (&json!(1), &json!(1)));
    let refused = batch.call("results", &["--format", "json", "-o", "rows.json"]).exit(2);
    refused.says("--format json goes to standard output").says("> FILE");
    let batch = batch.env("COVERBATCH_RESULTS", "songs.results.csv");
    batch.call("results", &["--format", "json"]).exit(4).prints("{");
    assert_eq!(fs::read(batch.results_path()).unwrap(), csv);
}

#[test]
fn a_dry_run_prints_the_plan_and_the_first_request_and_leaves_no_trace() {
    let service = Scripted::accepting();
    let batch = Batch::of("task_id,x\na\nb\na\n,y\n").to(&service.address());
    let ran = batch.run(&["--dry-run", "--rate", "20/10s"]).exit(0);
    let folder = batch.listing();
    assert_eq!(folder, ["songs.csv"]);
    let ran = ran.says("line 5: the id is empty; the row is not sent");
    let ran = ran.prints("dry run: nothing is sent or written\n\nrows             4\n  duplicates     1\n");
    let ran = ran.prints("  invalid        1\n  settled        0\n  left as is     0\n  to send        2\n");
    let ran = ran.prints("songs.db (not there yet)\n").prints("\nfirst request, and 1 more like it:\n");
    let ran = ran.prints(&format!("  POST {}/api/v1/suno/cover/generate\n", service.address()));
    let ran = ran.prints("  authorization: Bearer ***\n").prints(r#"{"taskId":"a","callBackUrl":"https://no-callback"#);
    assert!(!ran.stdout.contains("a-key-for-the-tests"));
    batch.run(&[]).exit(3);
    let (names, times) = (batch.listing(), modified(&batch));
    let plan = batch.run(&["-n", "--json"]).exit(0).json();
    assert_eq!((&plan["rows"]["settled"], &plan["rows"]["to_send"]), (&json!(2), &json!(0)));
    assert_eq!((batch.listing(), modified(&batch)), (names, times));
    assert_eq!(service.requests().len(), 2);
}

fn modified(batch: &Batch) -> Vec<SystemTime> {
    batch.listing().iter().map(|name| fs::metadata(batch.path(name)).unwrap().modified().unwrap()).collect()
}

#[test]
fn a_dry_run_in_the_sandbox_says_where_it_would_send() {
    let ran = Batch::ids(["a"]).run(&["--sandbox", "-n"]).exit(0).complains("");
    ran.prints("  POST http://127.0.0.1:<any free port>/api/v1/suno/cover/generate\n");
}

#[test]
fn the_commands_that_read_leave_no_file_behind() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    batch.run(&[]).exit(0);
    let names = batch.listing();
    for _ in 0..10 {
        batch.call("status", &[]).exit(0);
        batch.call("results", &[]).exit(0).silent();
        batch.run(&["-n"]).exit(0);
        assert_eq!(batch.listing(), names);
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    let batch = Batch::ids(["a"]);
    for (shell, words) in [("bash", "_coverbatch"), ("zsh", "#compdef coverbatch"), ("fish", "complete -c coverbatch")]
    {
        let ran = batch.words(&["completions", shell].map(OsStr::new)).exit(0).complains("").prints(words);
        assert!(ran.stdout.contains("max-outage"));
    }
}

/// What `--help` says of every command, the whole program first.
fn helps(batch: &Batch, command: &[&str]) -> Vec<(String, String)> {
    let help = batch.start_words(&[command, &["--help"]].concat()).finish().exit(0).stdout;
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    let inner: Vec<_> =
        names.filter(|name| *name != "help").flat_map(|name| helps(batch, &[command, &[name]].concat())).collect();
    [vec![([&["coverbatch"], command].concat().join("-"), help)], inner].concat()
}

#[test]
fn every_command_has_a_manual_page_with_all_of_its_options() {
    let batch = Batch::ids(["a"]);
    batch.start_words(&["man", "share/man1"]).finish().exit(0).silent();
    let helps = helps(&batch, &[]);
    assert!(helps.iter().any(|(title, _)| title == "coverbatch-ledger-copy"), "{helps:?}");
    assert_eq!(fs::read_dir(batch.path("share/man1")).unwrap().count(), helps.len());
    for (title, help) in helps {
        let page = fs::read_to_string(batch.path(format!("share/man1/{title}.1"))).unwrap().replace("\\-", "-");
        assert!(page.contains(&format!("\n.TH {title} 1  \"coverbatch ")), "{page}");
        let example = help.lines().next().unwrap().strip_prefix("Example: ").unwrap();
        assert!(page.contains(&format!("\n{example}\n")), "{example}: {page}");
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        assert!(page.replace("\\fB", "").replace("\\fR", "").contains(&format!("\n{usage}\n")), "{usage}: {page}");
        let words = help.split_whitespace().filter(|word| word.starts_with("--"));
        for option in words.map(|word| word.trim_end_matches(|c: char| !c.is_ascii_lowercase())) {
            assert!(page.contains(option), "{option}: {page}");
        }
    }
    let page = fs::read_to_string(batch.path("share/man1/coverbatch.1")).unwrap();
    assert!(page.contains("\nExit codes: 0 every row is settled;"), "not on a line of its own: {page}");
    batch.start_words(&["man", "songs.csv"]).finish().exit(8).says("songs.csv");
}

#[test]
fn every_help_begins_with_an_example() {
    let batch = Batch::ids(["a"]);
    for command in ["", "run", "results", "status", "sandbox", "completions", "man"] {
        let words = [OsStr::new(command), OsStr::new("--help")];
        let ran = batch.words(if command.is_empty() { &words[1..] } else { &words }).exit(0).complains("");
        assert!(ran.stdout.starts_with("Example: coverbatch "), "{command}: {}", ran.stdout);
    }
}

#[test]
fn the_examples_of_the_help_can_be_run() {
    let batch = Batch::named("catalog.csv", "task_id\na\n").env("PATH", Path::new(PROGRAM).parent().unwrap());
    let help = batch.words(&["run", "--help"].map(OsStr::new)).stdout;
    let example = help.lines().next().unwrap().strip_prefix("Example: ").unwrap();
    fs::write(batch.path("key"), "some-key-or-other\n").unwrap();
    let line = example.replace("/etc/coverbatch/key", "key") + " --dry-run";
    batch.shell(&line).exit(0).prints("  to send        1\n");
}

#[test]
fn a_catalog_may_come_from_standard_input() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["unused"]).to(&service.address).input("id;x\ncovered-a;1\nb;2\n");
    batch.words(&["run", "-"].map(OsStr::new)).exit(0).silent();
    let results = fs::read_to_string(batch.path("stdin.results.csv")).unwrap();
    assert!(results.starts_with("id;x;cover_status;"), "{results}");
    assert!(results.contains("\ncovered-a;1;exists;no;") && results.contains("\nb;2;submitted;no;"), "{results}");
    let names = ["songs.csv", "songs.db", "stdin.results.csv"];
    assert_eq!(batch.listing(), names);
    batch.words(&["status", "-"].map(OsStr::new)).exit(0).prints("  submitted         1\n  exists            1\n");
}

#[test]
fn why_tells_a_machine_the_same() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-404-b"]).to(&service.address);
    batch.run(&[]).exit(4);
    let told = batch.words(&["why", "code-404", "--json"].map(OsStr::new)).exit(0).complains("").json();
    let verdict = (&told["music_task_id"], &told["status"], &told["code"], &told["cover_task_id"]);
    assert_eq!(verdict, (&json!("code-404-b"), &json!("failed"), &json!(404), &json!(null)));
    assert_eq!((&told["submissions"], &told["rejected_in_runs"], &told["files"]), (&json!(1), &json!(1), &json!([])));
    assert_eq!((&told["history"][0]["run"], &told["history"][0]["reason"]), (&json!(1), &json!("not_found")));
}
