//! Ledgers that are damaged, or none, or another's: refused in words, never a crash, and never written over.
//!
//! SQLite keeps no checksums of its pages, so damage inside a cell that still makes sense cannot be noticed; a run may
//! then succeed. What can be noticed must be, before anything is sent if it shows on opening or in the catalog's rows.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use super::counting::Counting;
use super::known::LEDGER;
use crate::story::{Batch, PROGRAM, Ran};

const ROWS: usize = 300;

/// Bytes of a page of a ledger.
const PAGE: usize = 4096;

const OPTIONS: [&str; 4] = ["--concurrency", "1", "--rate", "5000/1s"];

/// A batch that is settled, its ledger closed, and a service that sees whatever is sent after that.
fn settled() -> (Batch, Counting) {
    let first = Counting::answering_within(0..=0);
    let batch = Batch::tracks(ROWS).to(&first.address());
    batch.run(&["--rate", "5000/1s"]).exit(0).silent();
    (batch, first)
}

/// Refused before anything was sent, with path, cause and hint; the file is as it was.
#[track_caller]
fn refused(ran: Ran, code: i32, path: &Path, before: &[u8]) -> Ran {
    let name = path.file_name().unwrap().to_str().unwrap();
    let ran = ran.exit(code).says(&format!("{name}`")).says("caused by: ").says("hint: ");
    assert_eq!(fs::read(path).unwrap(), before, "the refused file was changed");
    ran
}

/// Breaks a file in one of several ways.
fn damaged(whole: &[u8], way: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let page = fastrand::usize(0..bytes.len() / PAGE) * PAGE;
    match way % 6 {
        0 => fastrand::fill(&mut bytes[..100]),
        1 => fastrand::fill(&mut bytes[16..100]),
        2 => bytes.truncate(fastrand::usize(1..whole.len())),
        3 => fastrand::fill(&mut bytes[page..page + PAGE]),
        4 => bytes[page.max(100)..page + PAGE].fill(0),
        _ => (0..40).for_each(|_| bytes[fastrand::usize(..whole.len())] ^= 1 << fastrand::u8(0..8)),
    }
    bytes
}

#[test]
fn whatever_is_broken_in_a_ledger_it_is_refused_or_harmless_and_never_a_crash() {
    let (batch, service) = settled();
    let (path, results) = (batch.path(LEDGER), fs::read(batch.results_path()).unwrap());
    let whole = fs::read(&path).unwrap();
    let mut refusals = 0;
    for way in 0..36 {
        let dice = fastrand::u64(..);
        fastrand::seed(dice);
        let broken = damaged(&whole, way);
        fs::write(&path, &broken).unwrap();
        let seen = service.total();
        let ran = batch.run(&OPTIONS);
        let case = format!("way {} with seed {dice}: {ran:?}", way % 6);
        match ran.code {
            Some(0 | 3 | 4) => {}
            Some(2 | 8) => {
                refusals += 1;
                assert!(ran.stderr.contains(LEDGER) && ran.stderr.contains("caused by: "), "{case}");
                assert!(ran.stderr.contains("hint: ") && !ran.stderr.contains("panicked"), "{case}");
                assert_eq!(fs::read(batch.results_path()).unwrap(), results, "{case}");
                if ran.stderr.contains("cannot open") {
                    assert_eq!(service.total(), seen, "{case}");
                    assert!(fs::read(&path).unwrap() == broken, "the refused file was changed; {case}");
                }
            }
            _ => panic!("{case}"),
        }
        for command in [["status", "songs.csv"], ["results", "songs.csv"], ["why", "track7"]] {
            let asked = batch.shell(&format!("{PROGRAM} {} --ledger {LEDGER}", command.join(" ")));
            assert!(matches!(asked.code, Some(0 | 2 | 3 | 4 | 8)), "{command:?}, {case}: {asked:?}");
            assert!(!asked.stderr.contains("panicked"), "{command:?}, {case}: {asked:?}");
        }
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(batch.path(format!("{LEDGER}{end}")));
        }
        fs::write(batch.results_path(), &results).unwrap();
    }
    assert!(refusals >= 10, "only {refusals} refusals");
}

#[test]
fn a_ledger_of_a_newer_version_or_of_another_program_stays_as_it_is() {
    let (batch, service) = settled();
    let path = batch.path(LEDGER);
    let whole = fs::read(&path).unwrap();
    let table = [
        (
            "PRAGMA user_version = 2",
            "written by another version of coverbatch (schema 2, this one knows 1)\nhint: nothing was sent; use the",
        ),
        ("PRAGMA application_id = 7", "it is a database of another program"),
        ("UPDATE account SET api_url = 'https://api.kie.ai'", "it belongs to the API at https://api.kie.ai, not to"),
        ("DROP TABLE account", "no such table: account"),
        ("DELETE FROM account", "Query returned no rows"),
    ];
    for (change, words) in table {
        fs::write(&path, &whole).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&format!("PRAGMA journal_mode = delete; {change}")).unwrap();
        drop(connection);
        let before = fs::read(&path).unwrap();
        let ran = batch.run(&OPTIONS);
        let code = ran.code.unwrap();
        assert!(matches!(code, 2 | 8), "{ran:?}");
        refused(ran, code, &path, &before).says(words);
    }
    assert_eq!(service.total(), ROWS);
}

#[test]
fn an_empty_database_of_another_program_stays_as_it_is() {
    let service = Counting::answering_within(0..=0);
    let batch = Batch::tracks(1).to(&service.address());
    let path = batch.path(LEDGER);
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 7; PRAGMA user_version = 3").unwrap();
    let before = fs::read(&path).unwrap();
    refused(batch.run(&OPTIONS), 2, &path, &before).says("it is a database of another program");
    assert_eq!(service.total(), 0);
}

#[test]
fn a_folder_or_a_pipe_is_no_ledger() {
    let service = Counting::answering_within(0..=0);
    let batch = Batch::tracks(1).to(&service.address());
    fs::create_dir(batch.path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(batch.path("pipe")).status().unwrap().success());
    for name in ["folder", "pipe"] {
        let ran = batch.run(&["--ledger", name]).exit(8);
        ran.says(&format!("cannot open the ledger `{name}`")).says("caused by: ").says("hint: nothing was sent");
        for command in ["status", "results"] {
            let ran = batch.call(command, &["--ledger", name]);
            assert!(matches!(ran.code, Some(2 | 8)), "{command} {name}: {ran:?}");
        }
    }
    assert_eq!(service.total(), 0);
}

#[test]
fn a_ledger_that_may_only_be_read_is_refused_and_can_be_asked() {
    let mount = |file: &Path| format!("mount --bind {0} {0} && mount -o remount,bind,ro {0}", file.display());
    let (batch, service) = settled();
    let path = batch.path(LEDGER);
    let inside = |command: &str| {
        format!("unshare --mount --map-root-user sh -c '{{ {} || exit 77; }} && {} {command}'", mount(&path), PROGRAM)
    };
    if batch.shell(&inside("--version")).code == Some(77) {
        println!("not tested: files cannot be mounted here");
        return;
    }
    let before = fs::read(&path).unwrap();
    // The results would forbid a catalog of so few rows.
    fs::remove_file(batch.results_path()).unwrap();
    fs::write(batch.catalog(), "task_id\ntrack1\nnew\n").unwrap();
    let ran = batch.shell(&inside("run songs.csv"));
    refused(ran, 8, &path, &before);
    batch.shell(&inside("status songs.csv")).exit(4).prints("  submitted         1\n");
    assert_eq!(service.total(), ROWS);
}

/// Writes garbage over the root page of a table.
fn corrupt(path: &Path, table: &str) {
    let connection = Connection::open(path).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: u32 = connection.query_row(root, [table], |row| row.get(0)).unwrap();
    let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; page as usize], u64::from(root - 1) * u64::from(page)).unwrap();
}

/// A catalog of as many rows, which the ledger does not know.
fn new_rows() -> String {
    (0..ROWS).fold("task_id\n".to_owned(), |rows, number| rows + &format!("new{number}\n"))
}

#[test]
fn damage_anywhere_in_a_ledger_is_met_before_anything_is_sent() {
    for what in ["task_due_poll", "attempt", "run"] {
        let (batch, service) = settled();
        fs::write(batch.catalog(), new_rows()).unwrap();
        let path = batch.path(LEDGER);
        corrupt(&path, what);
        let before = fs::read(&path).unwrap();
        refused(batch.run(&OPTIONS), 8, &path, &before).says("put back a copy of the ledger");
        refused(batch.call("follow", &[]), 8, &path, &before);
        let receive = batch.shell(&format!(
            "COVERBATCH_CALLBACK_SECRET=a-secret-of-the-tests exec {PROGRAM} receive --ledger {LEDGER} --listen 127.0.0.1:0"
        ));
        refused(receive, 8, &path, &before);
        assert_eq!(service.total(), ROWS);
    }
}

#[test]
fn a_row_that_contradicts_itself_is_named_before_anything_is_sent() {
    let (batch, service) = settled();
    let path = batch.path(LEDGER);
    Connection::open(&path).unwrap().execute("UPDATE task SET answered_at = NULL WHERE id = 'track7'", []).unwrap();
    let before = fs::read(&path).unwrap();
    fs::write(batch.catalog(), new_rows()).unwrap();
    for ran in [batch.run(&OPTIONS), batch.call("follow", &[])] {
        refused(ran, 8, &path, &before)
            .says("music task `track7` contradicts itself: it has come to an end without an answer");
    }
    assert_eq!(service.total(), ROWS);
}

/// Such damage is met when it is in the way, and not before.
#[test]
fn damage_in_a_ledger_too_large_to_be_looked_at_stops_the_run_where_it_is_met() {
    let service = Counting::answering_within(0..=0);
    let batch = Batch::tracks(6).to(&service.address());
    batch.run(&OPTIONS).exit(0);
    let path = batch.path(LEDGER);
    let large =
        "PRAGMA journal_mode = delete; UPDATE task SET message = printf('%.*c', 68000000, 'x') WHERE id = 'track6'";
    Connection::open(&path).unwrap().execute_batch(large).unwrap();
    // When a cover is due is written with the answer that gives its id, so the first of these meets the damage.
    corrupt(&path, "task_due_poll");
    fs::write(batch.catalog(), "task_id\ntrack1\nnew1\nnew2\nnew3\n").unwrap();
    let ran = batch.run(&OPTIONS).exit(8).says("cannot write to the ledger").says("is malformed");
    ran.says("hint: nothing more was sent");
    assert_eq!(service.after(6), ["new1"]);
}

#[test]
fn damage_in_the_rows_of_the_catalog_is_met_before_anything_is_sent() {
    let (batch, service) = settled();
    // The results would forbid a catalog of so few rows.
    fs::remove_file(batch.results_path()).unwrap();
    fs::write(batch.catalog(), "task_id\nnew1\ntrack7\n").unwrap();
    corrupt(&batch.path(LEDGER), "sqlite_autoindex_task_1");
    let ran = batch.run(&OPTIONS).exit(8).says(LEDGER).says("is malformed");
    ran.says("hint: ");
    assert_eq!(service.total(), ROWS);
}
