use std::path::Path;

use super::*;
use crate::domain::{Answer, CoverTaskId, RowState};
use crate::ledger::Artwork;

pub(super) const API: &str = "https://api.example";

pub(super) fn task(id: &str) -> MusicTaskId {
    MusicTaskId::new(id).unwrap()
}

pub(super) fn settlement(state: RowState, reason: Reason, at: i64) -> Settlement {
    let answer = Answer { http_status: Some(200), code: Some(500), message: "words".to_owned() };
    let (sent_at, at) = (UnixMillis(at - 1), UnixMillis(at));
    Settlement { state, reason, answer, cover: None, sent_at, at, look_at: at, followed: None }
}

pub(super) async fn one(ledger: &SqliteLedger, id: &str) -> Option<Record> {
    ledger.look_up(vec![task(id)]).await.unwrap().remove(0)
}

pub(super) async fn granted(ledger: &SqliteLedger, run: RunId, id: &str, at: i64) -> RowKey {
    match claim(ledger, run, id, at).await {
        Claim::Granted(row) => row,
        Claim::Refused => panic!("{id} was refused"),
    }
}

pub(super) async fn claim(ledger: &SqliteLedger, run: RunId, id: &str, at: i64) -> Claim {
    ledger.write(run, Vec::new(), vec![task(id)], UnixMillis(at)).await.unwrap().remove(0)
}

pub(super) async fn settle(ledger: &SqliteLedger, row: RowKey, settlement: Settlement) -> Result<(), LedgerError> {
    ledger.write(RunId(0), vec![(row, settlement)], Vec::new(), UnixMillis(0)).await.map(drop)
}

pub(super) async fn run_in(ledger: &SqliteLedger) -> RunId {
    ledger.begin_run("/c.csv", UnixMillis(1)).await.unwrap()
}

#[tokio::test]
async fn a_claim_is_counted_before_anything_is_known_of_its_answer() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", 10).await;
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.submissions), (RowState::InFlight, 1));
    assert_eq!(record.first_sent_at, Some(UnixMillis(10)));
}

#[tokio::test]
async fn what_is_on_its_way_or_settled_cannot_be_claimed() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for (id, state) in [("a", RowState::Submitted), ("b", RowState::Exists)] {
        let row = granted(&ledger, run, id, 10).await;
        assert_eq!(claim(&ledger, run, id, 11).await, Claim::Refused);
        settle(&ledger, row, settlement(state, Reason::Accepted, 12)).await.unwrap();
        assert_eq!(claim(&ledger, run, id, 13).await, Claim::Refused);
        assert_eq!(one(&ledger, id).await.unwrap().submissions, 1);
    }
}

#[tokio::test]
async fn every_other_state_can_be_claimed_again_and_keeps_what_it_knows() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for state in [RowState::Pending, RowState::InDoubt, RowState::Failed, RowState::GaveUp] {
        let row = granted(&ledger, run, state.word(), 10).await;
        settle(&ledger, row, settlement(state, Reason::ServerError, 11)).await.unwrap();
        let again = granted(&ledger, run, state.word(), 20).await;
        assert_eq!(again, row);
        let mut settled = settlement(RowState::Submitted, Reason::Accepted, 21);
        settled.cover = CoverTaskId::new("cover-1").ok();
        settle(&ledger, again, settled).await.unwrap();
        let record = one(&ledger, state.word()).await.unwrap();
        assert_eq!((record.submissions, record.first_sent_at), (2, Some(UnixMillis(10))));
        assert_eq!(record.finished_at, Some(UnixMillis(21)));
        assert_eq!(record.cover, CoverTaskId::new("cover-1").ok());
    }
}

#[tokio::test]
async fn a_released_row_is_as_it_was_before_its_claim() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let fresh = granted(&ledger, run, "fresh", 10).await;
    ledger.release(fresh).await.unwrap();
    assert_eq!(one(&ledger, "fresh").await, None);

    let row = granted(&ledger, run, "tried", 10).await;
    settle(&ledger, row, settlement(RowState::GaveUp, Reason::ServerError, 11)).await.unwrap();
    let before = one(&ledger, "tried").await;
    let sends = ledger.sends_since(UnixMillis(0)).await.unwrap();
    let again = granted(&ledger, run, "tried", 20).await;
    ledger.release(again).await.unwrap();
    assert_eq!(one(&ledger, "tried").await, before);

    let adopted = Record { finished_at: Some(UnixMillis(3)), ..before.clone().unwrap() };
    ledger.adopt(vec![(task("adopted"), adopted.clone())]).await.unwrap();
    let row = granted(&ledger, run, "adopted", 30).await;
    ledger.release(row).await.unwrap();
    assert_eq!(one(&ledger, "adopted").await, Some(adopted));
    assert_eq!(ledger.sends_since(UnixMillis(0)).await.unwrap(), sends);
}

#[tokio::test]
async fn the_next_run_knows_what_was_on_its_way_to_be_in_doubt() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", 10).await;
    let next = run_in(&ledger).await;
    assert_eq!((run, next), (RunId(1), RunId(2)));
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::InDoubt, Some(Reason::Interrupted)));
    assert_eq!(record.submissions, 1);
}

#[tokio::test]
async fn rejections_are_counted_by_run() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    for expected in 1..=3 {
        let run = run_in(&ledger).await;
        let row = granted(&ledger, run, "a", 10).await;
        settle(&ledger, row, settlement(RowState::Failed, Reason::NotFound, 11)).await.unwrap();
        assert_eq!(one(&ledger, "a").await.unwrap().failed_runs, expected);
    }
}

#[tokio::test]
async fn every_send_of_the_window_is_remembered_in_its_order() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for (id, at) in [("a", 10), ("b", 20), ("a", 30), ("c", 40), ("a", 50)] {
        let row = granted(&ledger, run, id, at).await;
        settle(&ledger, row, settlement(RowState::Pending, Reason::ServerError, at + 1)).await.unwrap();
    }
    let since = |at| ledger.sends_since(UnixMillis(at));
    assert_eq!(since(0).await.unwrap(), [10, 20, 30, 40, 50].map(UnixMillis));
    assert_eq!(since(30).await.unwrap(), [30, 40, 50].map(UnixMillis));
}

#[tokio::test]
async fn every_submission_of_a_music_task_can_be_told() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    assert_eq!(ledger.history(&task("a")).await.unwrap(), []);
    let run = run_in(&ledger).await;
    let row = granted(&ledger, run, "a", 10).await;
    settle(&ledger, row, settlement(RowState::Pending, Reason::ServerError, 11)).await.unwrap();
    granted(&ledger, run, "a", 20).await;
    let next = run_in(&ledger).await;
    granted(&ledger, next, "a", 30).await;
    granted(&ledger, next, "other", 40).await;
    let history = ledger.history(&task("a")).await.unwrap();
    let told: Vec<_> = history.iter().map(|s| (s.run, s.sent_at.0, s.answered_at.map(|at| at.0), s.reason)).collect();
    assert_eq!(
        told,
        [
            (Some(run), 10, Some(11), Some(Reason::ServerError)),
            (Some(run), 20, None, Some(Reason::Interrupted)),
            (Some(next), 30, None, None),
        ]
    );
    assert_eq!((history[0].answer.code, history[1].answer.code, history[2].answer.code), (Some(500), None, None));
}

#[tokio::test]
async fn an_adopted_row_does_not_replace_what_the_ledger_knows() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = granted(&ledger, run, "known", 10).await;
    settle(&ledger, row, settlement(RowState::Failed, Reason::NotFound, 11)).await.unwrap();
    let known = one(&ledger, "known").await.unwrap();
    let earlier = Record {
        state: RowState::Submitted,
        reason: Some(Reason::Accepted),
        answer: Answer::default(),
        cover: CoverTaskId::new("c9").ok(),
        submissions: 4,
        failed_runs: 0,
        first_sent_at: Some(UnixMillis(1)),
        finished_at: Some(UnixMillis(2)),
        artwork: Artwork::default(),
    };
    ledger.adopt(vec![(task("known"), earlier.clone()), (task("new"), earlier.clone())]).await.unwrap();
    assert_eq!(one(&ledger, "known").await, Some(known));
    assert_eq!(one(&ledger, "new").await, Some(earlier));
    assert_eq!(claim(&ledger, run, "new", 20).await, Claim::Refused);
}

#[tokio::test]
async fn the_last_run_over_a_catalog_says_why_it_stopped() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), None);
    let run = run_in(&ledger).await;
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Interrupted));
    ledger.end_run(run, Ended::Deadline, UnixMillis(5)).await.unwrap();
    ledger.begin_run("/other.csv", UnixMillis(6)).await.unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Deadline));
    let run = run_in(&ledger).await;
    ledger.end_run(run, Ended::Finished, UnixMillis(7)).await.unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), None);
}

#[tokio::test]
async fn settling_what_was_not_claimed_is_an_error() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let settled = settle(&ledger, RowKey(7), settlement(RowState::Submitted, Reason::Accepted, 1)).await;
    assert!(settled.is_err());
}

fn refusal(path: &Path) -> String {
    SqliteLedger::open(path, API).unwrap_err().cause.to_string()
}

#[tokio::test]
async fn a_file_that_is_not_a_ledger_of_this_api_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");

    std::fs::write(&path, "title,artist\n".repeat(100)).unwrap();
    assert_eq!(refusal(&path), "file is not a database");
    assert_eq!(std::fs::read(&path).unwrap().len(), 1300);

    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert_eq!(refusal(&path), "it is a database of another program");

    std::fs::remove_file(&path).unwrap();
    SqliteLedger::open(&path, "https://other.example").unwrap().close().await;
    assert!(refusal(&path).starts_with("it belongs to the API at https://other.example, not to https://api.example"));

    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(refusal(&path).starts_with("it was written by a newer coverbatch (schema 99"));
}

#[tokio::test]
async fn a_ledger_on_disk_is_durable_by_full_synchronisation_and_can_be_read_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    assert!(SqliteLedger::open_to_read(&path, Some(API)).unwrap().is_none());
    let ledger = SqliteLedger::open(&path, API).unwrap();
    let settings = ledger
        .call(|connection| {
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            let synchronous: i32 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
            Ok((mode, synchronous))
        })
        .await
        .unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2));
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", 1).await;
    let reader = SqliteLedger::open_to_read(&path, Some(API)).unwrap().unwrap();
    assert_eq!(one(&reader, "a").await.unwrap().state, RowState::InFlight);
    assert!(reader.write(run, Vec::new(), vec![task("b")], UnixMillis(2)).await.is_err());
    ledger.close().await;
}
