//! What is SQLite's own: files, their settings, transactions and plans. The promises of the traits are tested in
//! `tests/modules/ledger`.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;

use super::write_queue::{JOIN_UNTIL, Operation};
use super::*;
use crate::domain::{CoverTaskId, Route};
use crate::ledger::error::LedgerErrorKind;
use crate::ratelimit::{Asking, PauseChange};

const API: &str = "https://api.example";

fn task(id: &str) -> MusicTaskId {
    MusicTaskId::new(id).unwrap()
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    (folder, path)
}

fn request(id: &str, ms: i64) -> ClaimRequest {
    let asking = Asking { rate: "100000/1s".parse().unwrap(), is_probe: false, promised: None };
    ClaimRequest { run: RunId(1), task: task(id), seen: AttemptKey(i64::MAX), asking, at: UnixMillis(ms) }
}

fn settlement(state: RowState, reason: Reason, ms: i64) -> Settlement {
    let (at, answer) = (UnixMillis(ms), Answer::default());
    Settlement {
        state,
        reason,
        answer,
        cover: None,
        route: Route::Legacy,
        sent_at: at,
        at,
        poll_at: at,
        waiter: None,
        age: Duration::ZERO,
        pause: PauseChange::Keep,
    }
}

async fn claim(ledger: &SqliteLedger, id: &str) -> Result<Claim, LedgerError> {
    ledger.claim(request(id, 10)).await
}

async fn begin_run(ledger: &SqliteLedger) -> Result<Begin, LedgerError> {
    ledger
        .begin_run(NewRun {
            is_partial: false,
            catalog: "/c.csv".to_owned(),
            results: None,
            command: "again".to_owned(),
            at: UnixMillis(1),
        })
        .await
}

#[tokio::test]
async fn once_a_write_has_failed_nothing_is_written_any_more() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    claim(&ledger, "a").await.unwrap();
    ledger
        .call(|connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        })
        .await
        .unwrap();
    let mut failure = None;
    for n in 0..10_000 {
        if let Err(error) = claim(&ledger, &format!("{n:0>120}")).await {
            failure = Some(error);
            break;
        }
    }
    let failure = failure.unwrap();
    assert_eq!(failure.to_string(), "cannot write to the ledger `:memory:`");
    assert_eq!(
        (failure.kind, failure.cause.to_string().as_str()),
        (LedgerErrorKind::Unavailable, "database or disk is full")
    );
    assert!(ledger.look_up(vec![task("a")]).await.is_err());
}

/// How many commits the write-ahead log holds: the last frame of each says how large the database is after it.
fn commits_in(log: &Path) -> usize {
    let (header, frame) = (32, 24 + 4096);
    std::fs::read(log).unwrap()[header..].chunks_exact(frame).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn many_callers_share_few_commits_and_each_finds_its_own_row() {
    let (_folder, path) = place();
    let log = path.with_extension("db-wal");
    let ledger = Arc::new(SqliteLedger::open(&path, API).unwrap());
    claim(&ledger, "first").await.unwrap();
    let before = commits_in(&log);
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..500 {
        let ledger = Arc::clone(&ledger);
        callers.spawn(async move {
            let id = format!("t{n}");
            ledger.claim(request(&id, n)).await.unwrap();
            let found = ledger.look_up(vec![task(&id)]).await.unwrap().remove(0).unwrap();
            assert_eq!(found.first_sent_at, Some(UnixMillis(n)));
        });
    }
    callers.join_all().await;
    let commits = commits_in(&log) - before;
    assert!((1..50).contains(&commits), "{commits} commits for 500 claims");
}

/// An operation that notes the number of its transaction, and meanwhile hands over the next one, so many times.
fn chain(queue: &Arc<WriteQueue>, seen: &Arc<Mutex<Vec<u64>>>, links: usize) -> Operation {
    let (queue, seen) = (Arc::clone(queue), Arc::clone(seen));
    Box::new(move |_, number| {
        seen.lock().unwrap().push(number);
        if links > 1 {
            queue.submit(chain(&queue, &seen, links - 1));
        }
        Ok(Box::new(|| ()))
    })
}

#[tokio::test]
async fn what_comes_meanwhile_joins_a_transaction_that_is_still_small() {
    let (ledger, seen) = (SqliteLedger::in_memory(API).unwrap(), Arc::default());
    ledger.queue.submit(chain(&ledger.queue, &seen, 2 * JOIN_UNTIL));
    ledger.queue.clone().close().await;
    assert_eq!(*seen.lock().unwrap(), [[1; JOIN_UNTIL], [2; JOIN_UNTIL]].concat());
}

#[tokio::test]
async fn what_waits_together_happens_together() {
    let (_folder, path) = place();
    let ledger = SqliteLedger::open(&path, API).unwrap();
    // Both are handed over before the thread that commits can be done with the first one.
    let (claimed, released) = tokio::join!(biased; claim(&ledger, "a"), ledger.release(AttemptKey(7)));
    assert!(claimed.is_err() && released.is_err());
    ledger.close().await;
    let ledger = SqliteLedger::open(&path, API).unwrap();
    assert_eq!(ledger.look_up(vec![task("a")]).await.unwrap(), [None]);
}

#[tokio::test]
async fn a_defect_in_a_transaction_ends_the_ledger_and_keeps_nobody_waiting() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let broken = ledger.call::<(), Failure>(|_| panic!("on purpose")).await.unwrap_err();
    assert_eq!(broken.kind, LedgerErrorKind::Defect);
    assert_eq!(broken.cause.to_string(), "a defect of this program ended the transaction");
    assert!(begin_run(&ledger).await.is_err());
    assert!(!ledger.is_healthy());
}

/// Of 300 pairs of processes that opened a new ledger at once, 118 had one that gave up.
#[test]
fn whoever_opens_a_new_ledger_at_the_same_moment_has_it() {
    const RIVALS: usize = 4;
    for _ in 0..40 {
        let (_folder, path) = place();
        let together = Barrier::new(RIVALS);
        thread::scope(|threads| {
            let open = || {
                together.wait();
                SqliteLedger::open(&path, API).map(drop)
            };
            let rivals: Vec<_> = (0..RIVALS).map(|_| threads.spawn(open)).collect();
            for rival in rivals {
                rival.join().unwrap().unwrap();
            }
        });
    }
}

fn refusal(path: &Path) -> (LedgerErrorKind, String) {
    let error = SqliteLedger::open(path, API).unwrap_err();
    (error.kind, error.cause.to_string())
}

/// Changes a ledger from outside, and holds that opening it is refused and changes nothing.
#[track_caller]
fn is_refused(path: &Path, change: &str, kind: LedgerErrorKind, words: &str) {
    Connection::open(path).unwrap().execute_batch(change).unwrap();
    let before = std::fs::read(path).unwrap();
    for _ in 0..2 {
        assert_eq!(refusal(path), (kind, words.to_owned()), "{change}");
        let read = SqliteLedger::open_to_read(path, Some(API)).unwrap_err();
        assert_eq!((read.kind, read.cause.to_string()), (kind, words.to_owned()), "{change}");
    }
    assert!(std::fs::read(path).unwrap() == before, "{change}: the refused file was changed");
}

#[tokio::test]
async fn a_file_that_is_not_a_ledger_of_this_version_and_api_is_refused_and_left_alone() {
    let (_folder, path) = place();
    std::fs::write(&path, "title,artist\n".repeat(100)).unwrap();
    assert_eq!(refusal(&path), (LedgerErrorKind::Damaged, "file is not a database".to_owned()));
    assert_eq!(std::fs::read(&path).unwrap().len(), 1300);
    std::fs::remove_file(&path).unwrap();
    let foreign = "it is a database of another program";
    is_refused(&path, "CREATE TABLE mine (x)", LedgerErrorKind::Foreign, foreign);

    for (change, kind, words) in [
        (
            "UPDATE account SET api_url = 'https://other.example'",
            LedgerErrorKind::OtherApi,
            "it belongs to the API at https://other.example, not to https://api.example",
        ),
        (
            "PRAGMA user_version = 2",
            LedgerErrorKind::OtherVersion,
            "it was written by another version of coverbatch (schema 2, this one knows 1)",
        ),
        (
            "PRAGMA user_version = 0",
            LedgerErrorKind::OtherVersion,
            "it was written by another version of coverbatch (schema 0, this one knows 1)",
        ),
        ("PRAGMA application_id = 7", LedgerErrorKind::Foreign, foreign),
        ("DROP TABLE account", LedgerErrorKind::Damaged, "no such table: account"),
    ] {
        let (_folder, path) = place();
        SqliteLedger::open(&path, API).unwrap().close().await;
        is_refused(&path, change, kind, words);
    }
}

#[tokio::test]
async fn a_ledger_that_another_process_keeps_locked_is_busy() {
    let (_folder, path) = place();
    let ledger = SqliteLedger::open(&path, API).unwrap();
    ledger.call(|connection| connection.busy_timeout(Duration::from_millis(1))).await.unwrap();
    let rival = Connection::open(&path).unwrap();
    rival.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = claim(&ledger, "a").await.unwrap_err();
    assert_eq!((error.kind, error.cause.to_string().as_str()), (LedgerErrorKind::Busy, "database is locked"));
}

#[tokio::test]
async fn a_ledger_on_disk_is_durable_by_full_synchronisation_and_can_be_read_meanwhile() {
    let (_folder, path) = place();
    assert!(SqliteLedger::open_to_read(&path, Some(API)).unwrap().is_none());
    let ledger = SqliteLedger::open(&path, API).unwrap();
    let settings = ledger
        .call(|connection| {
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            let synchronous: i32 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
            Ok::<_, Failure>((mode, synchronous))
        })
        .await
        .unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2));
    claim(&ledger, "a").await.unwrap();
    let reader = SqliteLedger::open_to_read(&path, Some(API)).unwrap().unwrap();
    assert_eq!(reader.look_up(vec![task("a")]).await.unwrap().remove(0).unwrap().state, RowState::InFlight);
    assert!(claim(&reader, "b").await.is_err());
    ledger.close().await;
}

#[tokio::test]
async fn what_is_written_to_under_a_reader_that_holds_no_lock_is_not_believed() {
    let (_folder, path) = place();
    let ledger = SqliteLedger::open(&path, API).unwrap();
    claim(&ledger, "a").await.unwrap();
    ledger.close().await;
    let reader = SqliteLedger::open_to_read(&path, Some(API)).unwrap().unwrap();
    let seen = reader.look_up(vec![task("a"), task("b")]).await.unwrap();
    assert_eq!(seen.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    let ledger = SqliteLedger::open(&path, API).unwrap();
    claim(&ledger, "b").await.unwrap();
    assert_eq!(reader.look_up(vec![task("a"), task("b")]).await.unwrap(), seen, "it is still as it was");
    ledger.close().await;
    let error = reader.look_up(vec![task("b")]).await.unwrap_err();
    assert_eq!(error.kind, LedgerErrorKind::Unreadable);
    assert!(error.cause.to_string().contains("was written to while it was read"), "{}", error.cause);
}

#[tokio::test]
async fn an_older_journal_that_is_not_rolled_back_is_heeded_by_a_reader() {
    let (folder, path) = place();
    SqliteLedger::open(&path, API).unwrap().close().await;
    let writer = Connection::open(&path).unwrap();
    let fill = "INSERT INTO task (id, state, submissions)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                SELECT 'n' || i, 'pending', 0 FROM n";
    writer.execute_batch(&format!("PRAGMA journal_mode = delete; {fill}")).unwrap();
    // With so small a cache changed pages are written before the commit, which never comes.
    writer.execute_batch("PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE task SET state = 'failed'").unwrap();
    let killed = folder.path().join("killed.db");
    for end in ["", files::JOURNAL] {
        std::fs::copy(files::companion(&path, end), files::companion(&killed, end)).unwrap();
    }
    let reader = SqliteLedger::open_to_read(&killed, Some(API)).unwrap().unwrap();
    let found = reader.look_up((1..=5000).map(|n| task(&format!("n{n}"))).collect()).await.unwrap();
    assert!(found.iter().all(|found| found.as_ref().unwrap().state == RowState::Pending));
}

/// A log whose index is gone, and one whose index cannot be used.
#[tokio::test]
async fn a_log_without_an_index_is_read_and_none_is_made() {
    let (folder, path) = place();
    let ledger = SqliteLedger::open(&path, API).unwrap();
    claim(&ledger, "a").await.unwrap();
    let killed = folder.path().join("killed.db");
    for end in ["", files::LOG] {
        std::fs::copy(files::companion(&path, end), files::companion(&killed, end)).unwrap();
    }
    let index = files::companion(&killed, files::INDEX);
    for is_unusable in [false, true] {
        if is_unusable {
            std::fs::create_dir(&index).unwrap();
        }
        let reader = SqliteLedger::open_to_read(&killed, Some(API)).unwrap().unwrap();
        assert_eq!(reader.look_up(vec![task("a")]).await.unwrap().remove(0).unwrap().state, RowState::InFlight);
        reader.close().await;
        assert_eq!(index.exists(), is_unusable);
    }
}

/// A claim at a rate of two in ten seconds: its number, or for how many milliseconds it has to wait.
async fn ask(ledger: &SqliteLedger, id: &str, ms: i64, is_probe: bool) -> Result<AttemptKey, u128> {
    let asking = Asking { rate: "2/10s".parse().unwrap(), is_probe, promised: None };
    match ledger.claim(ClaimRequest { asking, ..request(id, ms) }).await.unwrap() {
        Claim::Granted(attempt) => Ok(attempt),
        Claim::NotYet(not_yet) => Err(not_yet.wait.as_millis()),
        claim @ (Claim::Refused | Claim::InFlight) => panic!("{id}: {claim:?}"),
    }
}

/// Not only at the beginning of the next run: those that are there would stand still for as long as the step.
#[tokio::test]
async fn when_the_clock_is_set_back_runs_that_are_there_wait_for_no_longer_than_a_window() {
    // One that is alone asks only as a probe, after an outage.
    for is_alone in [false, true] {
        let (_folder, path) = place();
        let (ledger, other) = (SqliteLedger::open(&path, API).unwrap(), SqliteLedger::open(&path, API).unwrap());
        begin_run(&ledger).await.unwrap();
        if !is_alone {
            begin_run(&other).await.unwrap();
        }
        for (id, ms) in [("a", 7_200_000), ("b", 7_206_000)] {
            let attempt = ask(&ledger, id, ms, is_alone).await.unwrap();
            ledger.settle(attempt, settlement(RowState::Failed, Reason::NotFound, ms)).await.unwrap();
        }
        assert_eq!(ask(&ledger, "c", 3_600_000, is_alone).await, Err(10_250), "alone: {is_alone}");
        ask(&ledger, "c", 3_610_250, is_alone).await.unwrap();
    }
}

/// What SQLite does to find what a statement asks for.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    plan.query_map([1], |row| row.get(3)).unwrap().collect::<rusqlite::Result<Vec<String>>>().unwrap().join("; ")
}

#[test]
fn what_is_due_is_found_by_index_among_100_000_old_rows() {
    let connection = open::in_memory(API).unwrap();
    connection
        .execute_batch(
            "INSERT INTO task (id, state, submissions, cover_id, image_1, completed_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             SELECT 'old' || i, 'completed', 1, 'c' || i, 'https://x/' || i, i FROM n;
             INSERT INTO attempt (task, run, sent_at, paced_at, reason)
             SELECT seq, 1, seq, seq, 'accepted' FROM task",
        )
        .unwrap();
    for analysed in [false, true] {
        for (scope, kind, index) in [
            (CoverScope::OfRun(RunId(1)), JobKind::Poll, "task_awaited_poll (waiter=? AND due_at>?)"),
            (CoverScope::OfRun(RunId(1)), JobKind::Download, "task_awaited_download (waiter=? AND due_at>?)"),
            (CoverScope::All, JobKind::Poll, "task_due_poll (due_at>?)"),
            (CoverScope::All, JobKind::Download, "task_due_download (due_at>?)"),
        ] {
            let condition = cover_jobs::condition(scope, kind);
            let plan = plan(&connection, &format!("SELECT due_at FROM task WHERE {condition} ORDER BY due_at LIMIT 1"));
            assert_eq!(plan, format!("SEARCH task USING INDEX {index}"), "analysed: {analysed}");
        }
        for (sql, expected) in [
            ("SELECT seq FROM task WHERE id = ?1", "SEARCH task USING COVERING INDEX sqlite_autoindex_task_1 (id=?)"),
            (
                "SELECT paced_at FROM attempt WHERE paced_at >= ?1 ORDER BY paced_at DESC LIMIT 9",
                "SEARCH attempt USING COVERING INDEX attempt_paced_at (paced_at>?)",
            ),
            (
                "UPDATE attempt SET reason = 'interrupted' WHERE paced_at = ?1 AND run = 2",
                "SEARCH attempt USING INDEX attempt_paced_at (paced_at=?)",
            ),
        ] {
            assert_eq!(plan(&connection, sql), expected, "analysed: {analysed}");
        }
        connection.execute_batch("ANALYZE").unwrap();
    }
}

/// A ledger at rest with music tasks of several kinds.
async fn at_rest() -> (TempDir, PathBuf) {
    let (folder, path) = place();
    let ledger = SqliteLedger::open(&path, API).unwrap();
    begin_run(&ledger).await.unwrap();
    for (id, state, reason) in [
        ("accepted", RowState::Submitted, Reason::Accepted),
        ("failed", RowState::Failed, Reason::NotFound),
        ("again", RowState::Pending, Reason::ServerError),
        ("again", RowState::GaveUp, Reason::ServerError),
    ] {
        let Claim::Granted(attempt) = ledger.claim(request(id, 2)).await.unwrap() else { panic!("{id}") };
        let cover = Some(CoverTaskId::new("c").unwrap()).filter(|_| state == RowState::Submitted);
        let settled = Settlement { cover, ..settlement(state, reason, 3) };
        ledger.settle(attempt, settled).await.unwrap();
    }
    claim(&ledger, "flying").await.unwrap();
    ledger.close().await;
    (folder, path)
}

#[tokio::test]
async fn a_row_that_contradicts_itself_is_named_before_anything_is_sent() {
    let (_folder, path) = at_rest().await;
    SqliteLedger::open(&path, API).unwrap().close().await;
    for (change, named, words) in [
        ("UPDATE task SET state = 'done' WHERE id = 'accepted'", "accepted", "it is in no state that there is"),
        ("UPDATE task SET reason = 'why' WHERE id = 'failed'", "failed", "there is no such reason for its state"),
        (
            "UPDATE task SET state = 'in_flight' WHERE id = 'failed'",
            "failed",
            "it is in flight, and no submission of it is",
        ),
        (
            "UPDATE task SET state = 'exists' WHERE id = 'flying'",
            "flying",
            "a submission of it is in flight, and it is not",
        ),
        (
            "UPDATE attempt SET paced_at = 1 WHERE reason IS NULL",
            "flying",
            "a submission of it is counted as one in flight, or is one, and not both",
        ),
        ("DELETE FROM task WHERE id = 'failed'", "number 2", "it was submitted, and is not there"),
        (
            "UPDATE attempt SET answered_at = NULL WHERE reason = 'accepted'",
            "accepted",
            "a submission of it has ended without an answer",
        ),
        (
            "UPDATE attempt SET state_before = 'submitted' WHERE reason = 'not_found'",
            "failed",
            "it was submitted while it was settled or in flight",
        ),
        ("UPDATE task SET submissions = 1 WHERE id = 'again'", "again", "it was submitted more often than it counts"),
        ("UPDATE task SET answered_at = NULL WHERE id = 'again'", "again", "it has come to an end without an answer"),
        ("UPDATE task SET reason = NULL WHERE id = 'accepted'", "accepted", "it has come to an end without an answer"),
        ("UPDATE task SET cover_id = NULL WHERE id = 'accepted'", "accepted", "its cover is followed, and has no id"),
    ] {
        let (_folder, path) = at_rest().await;
        let other_hands = Connection::open(&path).unwrap();
        other_hands
            .execute_batch(&format!("PRAGMA ignore_check_constraints = 1; PRAGMA foreign_keys = 0; {change}"))
            .unwrap();
        drop(other_hands);
        let expected = format!("music task `{named}` contradicts itself: {words}");
        assert_eq!(refusal(&path), (LedgerErrorKind::Damaged, expected), "{change}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_is_an_error_that_names_the_music_task() {
    for (change, words) in [
        ("UPDATE task SET state = 'done' WHERE id = 'failed'", "unknown state `done`"),
        ("UPDATE task SET reason = 'why' WHERE id = 'failed'", "unknown reason `why`"),
        ("UPDATE task SET cover_id = 'a b' WHERE id = 'failed'", "the id holds a space"),
    ] {
        let (_folder, path) = at_rest().await;
        let other_hands = Connection::open(&path).unwrap();
        other_hands.execute_batch(&format!("PRAGMA ignore_check_constraints = 1; {change}")).unwrap();
        drop(other_hands);
        let reader = SqliteLedger::open_to_read(&path, Some(API)).unwrap().unwrap();
        let error = reader.look_up(vec![task("again"), task("failed")]).await.unwrap_err();
        assert_eq!(error.kind, LedgerErrorKind::Damaged);
        assert_eq!(error.cause.to_string(), "what is written of music task `failed` cannot be");
        let why = std::error::Error::source(&*error.cause).unwrap().to_string();
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test]
async fn a_ledger_that_is_too_large_to_be_looked_at_opens_at_once() {
    let (_folder, path) = at_rest().await;
    let other_hands = Connection::open(&path).unwrap();
    let large = "UPDATE task SET message = printf('%.*c', 68000000, 'x'), reason = NULL WHERE id = 'accepted'";
    other_hands.execute_batch(large).unwrap();
    drop(other_hands);
    SqliteLedger::open(&path, API).unwrap().close().await;
}
