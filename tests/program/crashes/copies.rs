//! Copies of a ledger that is written to, and ledgers that are looked at.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::counting::Counting;
use super::known::{Known, LEDGER, finishes, strays};
use crate::story::{Batch, Ran, wait_for};

const ROWS: usize = 1500;

fn ledger(batch: &Batch, words: &[&str]) -> Ran {
    batch.start_words(&[&["ledger"], words].concat()).finish()
}

/// A copy of the file alone lacks what is in the log.
#[test]
fn a_copy_that_is_made_while_a_run_goes_on_is_whole_and_a_run_goes_on_from_it() {
    let service = Counting::answering_within(5..=10);
    let batch = Batch::tracks(ROWS).to(&service.address());
    let mut run = batch.start(&["--rate", "5000/1s"]);
    let mut copies = Vec::new();
    wait_for("some answers", || service.answered().len() > 20);
    while !run.is_over() && copies.len() < 5 {
        let (name, answered) = (format!("copy{}.db", copies.len()), service.answered());
        ledger(&batch, &["copy", LEDGER, &name]).exit(0).silent();
        copies.push((name, answered, service.asked()));
    }
    assert!(copies.len() > 1, "the run was too fast");
    run.finish().exit(0).silent();
    for (name, answered, asked) in &copies {
        ledger(&batch, &["check", name]).exit(0).prints("is in order: ").prints(" 1 run\n");
        let folder = tempfile::tempdir().unwrap();
        fs::copy(batch.path(name), folder.path().join(LEDGER)).unwrap();
        let known = Known::at(&batch, folder.path());
        // Those on their way from the service to the disk at that moment.
        assert!(known.settled.len() + 200 >= answered.len(), "{} of {}", known.settled.len(), answered.len());
        assert!(known.settled.is_subset(&asked.iter().cloned().collect()), "{name}");
    }
    assert_eq!(strays(batch.folder()), Vec::<std::path::PathBuf>::new());
    // Put back without results, it goes on; what it knew is not sent again.
    let (name, ..) = &copies[0];
    let known = Known::at(&batch, &put_back(&batch, name)).settled.len();
    let before = service.total();
    finishes(&batch, &[], ROWS);
    assert_eq!(service.total() - before, ROWS - known);
}

/// Puts a copy in the place of the ledger, and takes the results away; returns the folder.
fn put_back(batch: &Batch, name: &str) -> std::path::PathBuf {
    for file in [LEDGER.to_owned(), format!("{LEDGER}-wal"), format!("{LEDGER}-shm")] {
        let _ = fs::remove_file(batch.path(file));
    }
    fs::remove_file(batch.results_path()).unwrap();
    fs::copy(batch.path(name), batch.path(LEDGER)).unwrap();
    batch.folder().to_owned()
}

fn settled() -> (Batch, Counting) {
    let service = Counting::answering_within(0..=1);
    let batch = Batch::tracks(60).to(&service.address());
    batch.run(&["--rate", "5000/1s"]).exit(0).silent();
    (batch, service)
}

#[test]
fn a_copy_replaces_nothing_and_is_there_whole_or_not_at_all() {
    let (batch, _service) = settled();
    for there in ["copy.db", "copy.db-wal", "copy.db-journal"] {
        fs::write(batch.path(there), "somebody's").unwrap();
        ledger(&batch, &["copy", LEDGER, "copy.db"]).exit(2).says(&format!("`{there}` is there already"));
        assert_eq!(fs::read(batch.path(there)).unwrap(), b"somebody's");
        fs::remove_file(batch.path(there)).unwrap();
    }
    let names = batch.listing();
    ledger(&batch, &["copy", LEDGER, "none/copy.db"]).exit(8).says("cannot make the ledger `none/copy.db`");
    ledger(&batch, &["copy", "none.db", "copy.db"]).exit(2).says("no ledger at `none.db`");
    let line = format!("ulimit -f 8; {} ledger copy {LEDGER} copy.db", crate::story::PROGRAM);
    batch.shell(&line).exit(8).says("cannot make the ledger `copy.db`");
    assert_eq!(batch.listing(), names);
}

#[test]
fn a_check_tells_what_a_ledger_holds_or_what_is_wrong_with_it() {
    let (batch, _service) = settled();
    let holds = "is in order: 60 music tasks, 60 submissions, 1 run\n";
    ledger(&batch, &["check"]).exit(0).complains("").prints(holds);
    ledger(&batch, &["copy", LEDGER, "copy.db"]).exit(0).silent();
    ledger(&batch, &["check", "copy.db"]).exit(0).prints(&format!("the ledger `copy.db` {holds}"));
    let change = |sql: &str| {
        fs::copy(batch.path("copy.db"), batch.path("wrong.db")).unwrap();
        let connection = Connection::open(batch.path("wrong.db")).unwrap();
        connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
        connection.execute_batch(&format!("PRAGMA journal_mode = delete; {sql}")).unwrap();
    };
    change("UPDATE task SET state = 'in_flight' WHERE id = 'track7'");
    ledger(&batch, &["check", "wrong.db"]).exit(8).says("music task `track7` contradicts itself");
    // An index that lacks a row: only a look at the whole of it tells.
    change(
        "PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = 'CREATE INDEX attempt_task ON attempt (run)' WHERE name = 'attempt_task'",
    );
    ledger(&batch, &["check", "wrong.db"]).exit(8).says("it is malformed: ");
    fs::write(batch.path("wrong.db"), "no database at all, but long enough for one\n".repeat(99)).unwrap();
    ledger(&batch, &["check", "wrong.db"]).exit(8);
}

#[test]
fn the_schema_that_is_printed_makes_the_tables_of_a_ledger() {
    let (batch, _service) = settled();
    let tables = |connection: &Connection| -> Vec<String> {
        let mut query =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        query.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let made = Connection::open_in_memory().unwrap();
    made.execute_batch(&ledger(&batch, &["schema"]).exit(0).stdout).unwrap();
    let own = Connection::open(Path::new(&batch.path(LEDGER))).unwrap();
    assert_eq!(tables(&made), tables(&own));
}
