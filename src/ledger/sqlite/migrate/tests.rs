use std::path::Path;

use rusqlite::Connection;

use super::super::SqliteLedger;
use super::super::tests::{API, one, task};
use crate::clock::UnixMillis;
use crate::domain::RowState;
use crate::ledger::{Follower, Ledger as _, RunId};

/// The schema as the version wrote it that knew nothing of what comes after acceptance.
const SCHEMA_1: &str = include_str!("schema_1.sql");

/// A ledger of schema 1 with two runs, a row in each state, and attempts.
const ROWS: &str = "
    INSERT INTO account VALUES ('https://api.example');
    INSERT INTO run VALUES (1, '/c.csv', 7, 10, 20, 'deadline'), (2, '/c.csv', 8, 30, NULL, NULL);
    INSERT INTO task VALUES
        (1, 'pending',   'pending',   NULL,      'server_error', 200, 500,  'words', NULL,  2, 0, 1, 11, 13, 14),
        (2, 'in_flight', 'in_flight', 'pending', 'server_error', 200, 500,  'words', NULL,  2, 0, 2, 11, 31, 12),
        (3, 'in_doubt',  'in_doubt',  NULL,      'interrupted',  NULL, NULL, NULL,   NULL,  1, 0, 1, 12, 12, NULL),
        (4, 'submitted', 'submitted', NULL,      'accepted',     200, 200,  'success', 'c4', 1, 0, 1, 11, 11, 15),
        (5, 'exists',    'exists',    NULL,      'conflict',     200, 409,  'there',  'c5', 1, 0, 1, 11, 11, 16),
        (6, 'no-id',     'exists',    NULL,      'conflict',     200, 409,  'there',  NULL, 1, 0, 1, 11, 11, 16),
        (7, 'failed',    'failed',    NULL,      'not_found',    404, NULL, 'gone',   NULL, 3, 2, 1, 11, 14, 17),
        (9, 'gave_up',   'gave_up',   NULL,      'timeout',      NULL, NULL, 'late',  NULL, 4, 0, 1, 11, 15, 18);
    INSERT INTO attempt VALUES
        (1, 1, 1, 11, 12, 'timeout', NULL, NULL, 'late'), (2, 2, 1, 11, 12, 'server_error', 200, 500, 'words'),
        (5, 9, NULL, 11, 12, 'server_error', 200, 500, 'words');
    PRAGMA application_id = 1131831924;
    PRAGMA user_version = 1;
";

fn ledger_of_schema_1(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(SCHEMA_1).unwrap();
    connection.execute_batch(ROWS).unwrap();
}

/// The columns that both schemas have, row by row.
fn contents(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let queries = [
        "SELECT json_array(api_url) FROM account",
        "SELECT json_array(run, catalog, pid, started_at, ended_at, ended) FROM run ORDER BY run",
        "SELECT json_array(seq, id, state, state_before, reason, http_status, code, message, cover_id, submissions,
                           failed_runs, run, first_sent_at, sent_at, answered_at) FROM task ORDER BY seq",
        "SELECT json_array(seq, task, run, sent_at, answered_at, reason, http_status, code, message)
         FROM attempt ORDER BY seq",
    ];
    let rows = |sql: &str| -> Vec<String> {
        let mut query = connection.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    queries.iter().flat_map(|sql| rows(sql)).collect()
}

/// The definitions of all tables and indexes.
fn definitions(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut query = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_ledger_of_schema_1_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, fresh) = (folder.path().join("1.db"), folder.path().join("2.db"));
    ledger_of_schema_1(&path);
    let before = contents(&path);
    assert_eq!(before.len(), 14);
    let ledger = SqliteLedger::open(&path, API).unwrap();
    let due: Vec<i64> = ledger
        .call(|connection| {
            let mut query = connection.prepare("SELECT due_at FROM task WHERE due_at IS NOT NULL ORDER BY seq")?;
            query.query_map([], |row| row.get(0))?.collect()
        })
        .await
        .unwrap();
    assert_eq!(due, [15, 16], "covers that are known and nothing else");
    assert_eq!(ledger.next_due(Follower::Everyone, UnixMillis(20)).await.unwrap(), (Some(UnixMillis(15)), None));
    assert_eq!(ledger.history(&task("in_flight")).await.unwrap().len(), 2);
    ledger.close().await;
    assert_eq!(contents(&path), before);

    SqliteLedger::open(&fresh, API).unwrap().close().await;
    assert_eq!(definitions(&path), definitions(&fresh));
    let connection = Connection::open(&path).unwrap();
    let sound: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    assert!(!connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap());
    let ledger = SqliteLedger::open(&path, API).unwrap();
    assert_eq!(ledger.begin_run("/c.csv", UnixMillis(40)).await.unwrap(), RunId(3));
    assert_eq!(one(&ledger, "in_flight").await.unwrap().state, RowState::InDoubt);
    ledger.close().await;
}

#[tokio::test]
async fn a_ledger_of_schema_1_can_be_read_without_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.db");
    ledger_of_schema_1(&path);
    let before = contents(&path);
    let ledger = SqliteLedger::open_to_read(&path, None).unwrap().unwrap();
    assert_eq!(one(&ledger, "submitted").await.unwrap().state, RowState::Submitted);
    ledger.close().await;
    assert_eq!(contents(&path), before);
}

#[tokio::test]
async fn of_two_that_find_a_ledger_of_schema_1_one_brings_it_up_to_date_and_both_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.db");
    ledger_of_schema_1(&path);
    let before = contents(&path);
    let mut second = Connection::open(&path).unwrap();
    SqliteLedger::open(&path, API).unwrap().close().await;
    // It has seen version 1 before the first one was done.
    super::from_1_to_2(&mut second, include_str!("../../schema.sql")).unwrap();
    assert_eq!(contents(&path), before);
}
