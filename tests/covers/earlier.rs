//! A ledger of schema 1, from before covers were followed, is brought up with nothing lost, also if that is killed.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::stage::{DOWNLOAD, LEDGER, Seeing, assert_images, images, ledger};
use crate::story::{Batch, Ran};

/// Marks a file as a ledger.
const APPLICATION_ID: i32 = 0;

/// The schema as it was.
const SCHEMA: &str = include_str!("../../src/ledger/sqlite/migrate/schema_1.sql");

/// What the ledger holds of every music task and of every submission before the last, as both schemas have it.
const HELD: &str = "
SELECT group_concat(line, char(10)) FROM (
    SELECT concat_ws(' ', id, state, state_before, reason, http_status, code, message, cover_id, submissions, failed_runs,
                     run, first_sent_at, sent_at, answered_at) AS line FROM task
    UNION ALL
    SELECT concat_ws(' ', task, run, sent_at, answered_at, reason, http_status, code, message) FROM attempt
    UNION ALL
    SELECT concat_ws(' ', run, catalog, pid, started_at, ended_at, ended) FROM run WHERE run <= 2
    ORDER BY line)";

/// The tables of a ledger as an earlier version left it: two rows settled, and one each in doubt, in flight when its
/// run was killed, failed, given up and pending.
fn fill(connection: &Connection, api_url: &str, padding: usize) {
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute("INSERT INTO account VALUES (?1)", [api_url]).unwrap();
    connection
        .execute_batch(
            "INSERT INTO run VALUES (1, 'songs.csv', 77, 1700000000000, 1700000009000, 'finished'),
                                    (2, 'songs.csv', 78, 1700000100000, NULL, NULL);
             INSERT INTO task VALUES
                (1, 'covered-settled', 'submitted', NULL, 'accepted', 200, 200, 'success', 'COVER', 2, 0, 1,
                 1700000001000, 1700000002000, 1700000003000),
                (2, 'there', 'exists', NULL, 'conflict', 200, 409, 'conflict', NULL, 1, 0, 1,
                 1700000001000, 1700000001000, 1700000001500),
                (3, 'doubt', 'in_doubt', NULL, 'timeout', NULL, NULL, 'no answer', NULL, 1, 0, 1,
                 1700000001000, 1700000001000, 1700000001500),
                (4, 'flight', 'in_flight', 'pending', NULL, NULL, NULL, NULL, NULL, 1, 0, 2,
                 1700000101000, 1700000101000, NULL),
                (5, 'code-422-failed', 'failed', NULL, 'invalid_request', 200, 422, 'no such music', NULL, 3, 3, 1,
                 1700000001000, 1700000001000, 1700000001500),
                (6, 'tired', 'gave_up', NULL, 'server_error', 200, 500, 'sorry', NULL, 6, 0, 1,
                 1700000001000, 1700000005000, 1700000005500),
                (7, 'never', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL);
             INSERT INTO attempt VALUES
                (1, 1, 1, 1700000001000, 1700000001200, 'server_error', 200, 500, 'sorry'),
                (2, 6, 1, 1700000001000, 1700000001200, 'timeout', NULL, NULL, NULL);",
        )
        .unwrap();
    let cover = coverbatch::sandbox::cover_id_for(0, &coverbatch::domain::MusicTaskId::new("covered-settled").unwrap());
    connection.execute("UPDATE task SET cover_id = ?1 WHERE seq = 1", [cover]).unwrap();
    let mut more = connection
        .prepare(
            "INSERT INTO task (id, state, reason, cover_id, submissions, message, answered_at)
             VALUES (?1, 'exists', 'already_exists', ?2, 1, ?3, 1700000003000)",
        )
        .unwrap();
    for number in 0..padding {
        more.execute(params![format!("old{number}"), format!("cover{number}"), "x".repeat(100)]).unwrap();
    }
}

/// A batch whose ledger is of schema 1; its service has the settled cover already.
fn batch(address: &str, padding: usize) -> Batch {
    let ids = ["covered-settled", "there", "doubt", "flight", "code-422-failed", "tired", "never"];
    let batch = Batch::ids(ids).to(address);
    // What a ledger is marked with, as the program itself does it.
    let other = Batch::ids(["covered-settled"]).to(address);
    other.run(&[]).exit(0);
    let new = ledger(&other);
    let number: i32 = new.query_row("PRAGMA application_id", (), |row| row.get(0)).unwrap();
    let api_url: String = new.query_row("SELECT api_url FROM account", (), |row| row.get(0)).unwrap();
    assert_ne!(number, APPLICATION_ID);
    let old = Connection::open(batch.path(LEDGER)).unwrap();
    old.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    old.execute_batch("BEGIN").unwrap();
    fill(&old, &api_url, padding);
    old.execute_batch(&format!("PRAGMA application_id = {number}; PRAGMA user_version = 1; COMMIT")).unwrap();
    batch
}

fn held(batch: &Batch) -> String {
    ledger(batch).query_row(HELD, (), |row| row.get(0)).unwrap()
}

fn version(batch: &Batch) -> i32 {
    ledger(batch).query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap()
}

/// A command that opens a ledger.
type Opens = fn(&Batch) -> Ran;

#[test]
fn whichever_command_opens_it_first_nothing_is_lost() {
    let service = Seeing::quick();
    let address = service.address();
    let commands: [(&str, Opens); 4] = [
        ("status", |batch| batch.call("status", &["--json"])),
        ("results", |batch| batch.call("results", &[])),
        ("why", |batch| batch.start_words(&["why", "covered-settled", "--ledger", LEDGER]).finish()),
        ("follow", |batch| batch.call("follow", &DOWNLOAD)),
    ];
    for (name, opens) in commands {
        let batch = batch(&address, 0);
        let before = held(&batch);
        let submissions = service.submissions();
        let ran = opens(&batch);
        assert!(matches!(ran.code, Some(0 | 4)), "{name}: {ran:?}");
        assert_eq!(version(&batch), 3, "{name}");
        assert_eq!(service.submissions(), submissions, "{name}");
        if name == "follow" {
            assert_eq!(images(&batch), ["covered-settled-1.png", "covered-settled-2.png"]);
        } else {
            assert_eq!(held(&batch), before, "{name}");
        }
        let check: String = ledger(&batch).query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let broken: Option<i64> =
            ledger(&batch).query_row("SELECT count(*) FROM pragma_foreign_key_check", (), |row| row.get(0)).unwrap();
        assert_eq!(broken, Some(0));
    }
}

#[test]
fn a_run_goes_on_where_the_earlier_version_stood_and_sends_nothing_settled() {
    let service = Seeing::quick();
    let batch = batch(&service.address(), 0);
    crate::stage::learns(&batch);
    let before = service.submissions();
    let ran = batch.run(&DOWNLOAD).exit(3);
    let expected = [
        "covered-settled completed generated 2",
        "there exists conflict 1",
        "doubt completed generated 2",
        "flight completed generated 2",
        "code-422-failed failed invalid_request 3",
        "tired completed generated 7",
        "never completed generated 1",
    ];
    assert_eq!(ran.table().rows(&["task_id", "cover_status", "cover_reason", "cover_attempts"]), expected);
    assert_eq!(service.submissions(), before + 4);
    assert_images(&batch, &ran);
}

#[test]
fn killed_while_it_is_brought_up_it_is_either_old_or_new() {
    let service = Seeing::quick();
    let original = batch(&service.address(), 60_000);
    let before = held(&original);
    ledger(&original).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = fs::read(original.path(LEDGER)).unwrap();
    let (mut old, mut new) = (0, 0);
    for step in 0..12 {
        let batch = Batch::ids(["covered-settled"]).to(&service.address());
        fs::write(batch.path(LEDGER), &bytes).unwrap();
        let process = batch.start_words(&["status", "songs.csv"]);
        sleep(Duration::from_millis(20 + 60 * step));
        drop(process);
        if version(&batch) == 1 {
            old += 1;
        } else {
            new += 1;
        }
        assert!(held(&batch) == before, "killed at step {step}");
        batch.call("status", &[]).exit(0);
        assert_eq!(version(&batch), 3);
        assert!(held(&batch) == before, "after step {step}");
    }
    println!("killed while it was brought up: {old} times old, {new} times new");
    assert!(old > 0, "every kill came too late");
}

#[test]
fn a_run_that_has_to_bring_up_many_rows_says_so() {
    let service = Seeing::quick();
    for (padding, tells) in [(49_990, false), (50_000, true)] {
        let batch = batch(&service.address(), padding);
        let [first, second] = [batch.run(&[]), batch.run(&[])];
        let told = |ran: &Ran| ran.stderr.contains("this ledger of an earlier version is brought up to date");
        assert_eq!((told(&first), told(&second)), (tells, false), "{first:?}");
    }
}
