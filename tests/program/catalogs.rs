//! What a run says of its catalog, and what it does not do because of it.

use std::fs;

use serde_json::json;
use wiremock::{Request, ResponseTemplate};

use crate::story::{Batch, Scripted};

const REFUSED: &str = "if that is meant, say --allow-shrink";

#[test]
fn a_catalog_that_lost_most_of_its_rows_changes_nothing_unless_that_is_meant() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(5).to(&service.address());
    batch.run(&[]).exit(0).silent();
    let results = fs::read(batch.path("songs.results.csv")).unwrap();
    let commands: [(&str, &[&str]); 4] = [("run", &[]), ("run", &["-n"]), ("results", &[]), ("follow", &[])];
    for (rows, words) in [
        ("", "error: `songs.csv` has no data rows"),
        ("\n ,\n", "error: `songs.csv` has no data rows"),
        ("a\nb\n", "error: `songs.csv` has fewer data rows (2) than half of those in `songs.results.csv`"),
    ] {
        fs::write(batch.catalog(), format!("task_id\n{rows}")).unwrap();
        for (command, options) in commands {
            batch.call(command, options).exit(7).says(words).says(REFUSED);
        }
        assert_eq!(fs::read(batch.path("songs.results.csv")).unwrap(), results);
        assert_eq!(service.requests().len(), 5);
        batch.call("status", &[]);
    }
    let meant =
        batch.run(&["--allow-shrink"]).exit(0).says("coverbatch: 2 new covers, 2 new rows, 5 rows gone; 2 rows have");
    let gone = "  gone rows      5: track1, track2, track3 …: most of those before, as --allow-shrink lets them\n";
    meant.says(gone).results(&["a submitted accepted", "b submitted accepted"]);
    batch.run(&["--allow-shrink"]).exit(0).silent();
}

#[test]
fn half_of_the_rows_may_go_and_all_of_them_if_that_is_meant() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(4).to(&service.address());
    batch.run(&[]).exit(0).silent();
    fs::write(batch.catalog(), "task_id\ntrack1\ntrack2\n").unwrap();
    batch.run(&[]).exit(0).silent();
    fs::write(batch.catalog(), "task_id\n").unwrap();
    fs::remove_file(batch.path("songs.results.csv")).unwrap();
    batch.run(&[]).exit(7).says("has no data rows");
    let allowed = Batch::of("task_id\n").to(&service.address()).env("COVERBATCH_ALLOW_SHRINK", "1");
    allowed.run(&[]).exit(0).silent().results(&[]);
}

#[test]
fn lines_before_the_header_are_skipped_by_an_option() {
    let service = Scripted::accepting();
    let batch = Batch::of("Our songs\n\ntask_id,title\na,x\n").to(&service.address());
    batch.run(&[]).exit(7).says("line 3 looks like the header; skip the lines before it with --skip-lines 2");
    batch.run(&["--skip-lines", "2"]).exit(0).silent().results(&["a submitted accepted"]);
    let batch = batch.env("COVERBATCH_SKIP_LINES", "2");
    batch.call("status", &[]).exit(0).prints("  submitted         1\n");
}

#[test]
fn what_is_no_id_is_told_with_its_line_and_not_sent() {
    let service = Scripted::accepting();
    let batch = Batch::of("task_id\na1\n#N/A\nb\u{a0}2\n1.5E+31\n'c3\n").to(&service.address());
    let ran = batch.run(&[]).exit(3);
    let ran = ran
        .says("line 3: the id is an error value of a spreadsheet\n")
        .says("line 4: the id holds U+00A0; only printable ASCII without spaces is allowed\n")
        .says("line 5: the id is a number as spreadsheets show it, whose digits are lost; format the column as text\n");
    assert_eq!(ran.table().column("cover_message")[1], "the id is an error value of a spreadsheet");
    let sent: Vec<String> =
        service.requests().iter().map(|request| String::from_utf8(request.body.clone()).unwrap()).collect();
    assert!(sent.len() == 2 && sent[0].contains("\"a1\"") && sent[1].contains("\"c3\""), "{sent:?}");
}

#[test]
fn ids_unlike_the_others_are_named_in_the_dry_run_and_the_summary_but_a_clean_night_is_silent() {
    let service = Scripted::accepting();
    let ids = |more: &str| (0..20).fold("task_id\n".to_owned(), |text, n| text + &format!("{n:032x}\n")) + more;
    let batch = Batch::of(ids("sunset\n")).to(&service.address());
    batch.run(&["-n"]).exit(0).complains("line 22: the id `sunset` does not look like the other 20; is it one?\n");
    let monitor = Scripted::by(|_: &Request| ResponseTemplate::new(200));
    batch.run(&["--ping-url", &monitor.address()]).exit(0).silent();
    let digest = String::from_utf8(monitor.requests().last().unwrap().body.clone()).unwrap();
    assert!(digest.contains("\n  1 id does not look like the other 20: line 22 `sunset`\n"), "{digest}");
    let document = batch.run(&["--json"]).exit(0).json();
    let expected = json!({ "count": 1, "others": 20, "first": [{ "line": 22, "id": "sunset" }] });
    assert_eq!(document["unlike_ids"], expected);
    batch.call("status", &[]).exit(0).prints("line 22: the id `sunset` does not look like the other 20; is it one?\n");
    fs::write(batch.catalog(), ids("sunset\ntwo words\n")).unwrap();
    batch.run(&[]).exit(3).says("\n  1 id does not look like the other 20: line 22 `sunset`\n");
}
