//! The sample batches do what their column `expected` says.

use std::fs;

use crate::story::{Batch, Ran, StandIn, Table};

/// Runs a sample against a quick stand-in.
fn run(batch: Batch) -> (Batch, Ran) {
    let service = StandIn::quick(&[]);
    let batch = batch.to(&service.address);
    let ran = batch.run(&["--max-attempts", "2"]);
    (batch, ran)
}

/// Every row has the status and the reason that it expects.
#[track_caller]
fn assert_as_expected(table: &Table) {
    let expected: Vec<String> = table.rows(&["expected"]);
    assert_eq!(table.rows(&["cover_status", "cover_reason"]), expected);
}

/// Every record of the results begins with the bytes of one record of the catalog, in the catalog's order.
#[track_caller]
fn assert_own_bytes(batch: &Batch, surplus: &[u8]) {
    let (catalog, results) = (fs::read(batch.catalog()).unwrap(), fs::read(batch.results_path()).unwrap());
    let mut rest = results.as_slice();
    for record in catalog.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        let record = record.strip_suffix(surplus).filter(|_| !surplus.is_empty()).unwrap_or(record);
        let at = rest.windows(record.len().max(1)).position(|window| window == record);
        assert!(record.is_empty() || at.is_some(), "`{}` is not there, or not in its place", record.escape_ascii());
        rest = &rest[at.unwrap_or(0) + record.len()..];
    }
}

#[test]
fn the_first_run_ends_well_and_in_silence_in_the_sandbox() {
    let service = StandIn::quick(&[]);
    let batch = Batch::sample("first-run.csv").to(&service.address);
    let ran = batch.run(&[]).exit(0).silent();
    let table = ran.table();
    assert_eq!((table.len(), table.with("submitted"), table.with("exists")), (30, 27, 3));
    assert_own_bytes(&batch, b"");
}

#[test]
fn every_outcome_is_as_expected() {
    let (batch, ran) = run(Batch::sample("every-outcome.csv"));
    let ran = ran.exit(4);
    assert_as_expected(&ran.table());
    assert_own_bytes(&batch, b"");
    assert!(ran.stderr.lines().count() <= 25, "{}", ran.stderr);
}

#[test]
fn a_messy_catalog_keeps_its_bytes_and_its_rows() {
    let (batch, ran) = run(Batch::sample("messy.csv"));
    let ran = ran.exit(3);
    let table = Table::read(&ran.results, b';');
    assert_as_expected(&table);
    assert_eq!(table.rows(&["cover_duplicate_of_row"]).join(" ").trim(), "1       5");
    let results = fs::read(&ran.results).unwrap();
    assert!(results.starts_with(b"\xef\xbb\xbfexpected;Artist;task_id;Title;cover_status"));
    let lone_breaks = results.windows(2).filter(|pair| pair[1] == b'\n' && pair[0] != b'\r').count();
    assert_eq!(lone_breaks, 1, "the only bare line break is the one within the quotes");
    for own in [&b"Bj\xf6rk & S\xf8n;7f02"[..], b"Caf\xe9 Noir", b"\"Harbour\nLights\"", b";=HYPERLINK(1);"] {
        assert!(results.windows(own.len()).any(|window| window == own), "{}", own.escape_ascii());
    }
    assert_own_bytes(&batch, b";Too Many");
    for line in [
        "line 9 (One Cell, Ikeda Trio): the row goes on after the last column (1 more)",
        "line 10 (No Id Yet, Ikeda Trio): the id is empty",
        "line 11 (A Space in the Id, Ikeda Trio): the id holds a space",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
}

#[test]
fn an_interrupted_night_goes_on_where_it_stood() {
    let batch = Batch::sample("rerun/interrupted-night.csv");
    let ran = batch.run(&["--sandbox", "--rate", "20/1s"]).exit(4).says("sent     8 requests");
    let table = ran.table();
    assert_as_expected(&table);
    assert_eq!(table.column("cover_attempts"), ["1", "2", "1", "1", "2", "3", "7", "2", "3", "1", "1", "1"]);
    assert_eq!(table.column("cover_first_sent_at")[0], "2026-11-21T02:00:00.412Z");
}

#[test]
fn what_the_stand_in_said_is_not_believed_of_a_real_account() {
    let service = StandIn::quick(&[]);
    let batch = Batch::sample("rerun/interrupted-night.csv").to(&service.address);
    batch.run(&[]).exit(4).says("sent     12 requests");
}

#[test]
fn a_results_csv_is_a_catalog_that_has_nothing_left_to_send() {
    let service = StandIn::quick(&[]);
    let batch = Batch::sample("first-run.csv").to(&service.address);
    batch.run(&[]).exit(0);
    let results = fs::read(batch.results_path()).unwrap();
    // The ledger stays behind, and the messages are the stand-in's: only a real service's are believed.
    let real = String::from_utf8(results).unwrap().replace(" (sandbox)", "");
    let again = Batch::named("again.csv", &real).to("http://127.0.0.1:1");
    again.run(&[]).exit(0).silent();
    assert_eq!(fs::read_to_string(again.results_path()).unwrap(), real);
}
