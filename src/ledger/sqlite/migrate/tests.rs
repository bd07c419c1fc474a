use std::path::Path;

use rusqlite::Connection;

use super::super::SqliteLedger;
use super::super::tests::{API, one, task};
use crate::clock::UnixMillis;
use crate::domain::RowState;
use crate::ledger::{Follower, Ledger as _, RunId};

/// An earlier schema as its version wrote it, and what a ledger of it holds.
struct Earlier {
    schema: &'static str,
    rows: &'static str,
    /// How much that is.
    count: usize,
    /// When covers are due.
    due: &'static [i64],
}

/// The version that knew nothing of what comes after acceptance.
const FIRST: Earlier = Earlier {
    schema: include_str!("schema_1.sql"),
    rows: "
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
    PRAGMA user_version = 1;
",
    count: 14,
    due: &[15, 16],
};

/// The version that found music tasks by their ids themselves.
const SECOND: Earlier = Earlier {
    schema: include_str!("schema_2.sql"),
    rows: "
    INSERT INTO run VALUES (1, '/c.csv', 'run', 7, 10, 20, 'deadline'), (2, '/c.csv', 'follow', 8, 30, NULL, NULL);
    INSERT INTO task (seq, id, state, state_before, reason, http_status, code, message, cover_id, submissions,
                      failed_runs, run, first_sent_at, sent_at, answered_at, accepted_at, due_at, follow_run, wants_files,
                      looked_at, hinted_at, looks, troubles, image_1, image_2, completed_at, generated_in, file_1, file_2,
                      fallback) VALUES
        (2, 'in_flight', 'in_flight', 'pending', 'server_error', 200, 500, 'words', NULL, 2, 0, 2, 11, 31, 12,
            NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (3, 'submitted', 'submitted', NULL, 'accepted', 200, 200, 'success', 'c3', 1, 0, 1, 11, NULL, 15,
            15, 16, 2, 1, 17, 18, 3, 1, NULL, NULL, NULL, NULL, NULL, NULL, 'default.png'),
        (5, 'completed', 'completed', NULL, 'accepted', 200, 200, 'success', 'c5', 1, 0, 1, 11, NULL, 15,
            15, NULL, NULL, 1, 17, 18, 3, 0, 'https://i/1', 'https://i/2', 19, 20, 'f1.png', 'f2.png', NULL);
    INSERT INTO attempt VALUES
        (1, 2, 1, 11, 12, 'server_error', 200, 500, 'words'), (4, 3, 1, 11, 12, 'accepted', 200, 200, 'success');
    INSERT INTO look VALUES (1, 17), (3, 18);
    PRAGMA user_version = 2;
",
    count: 10,
    due: &[16],
};

const ALL: [Earlier; 2] = [FIRST, SECOND];

impl Earlier {
    fn ledger(&self, path: &Path) {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(self.schema).unwrap();
        connection.execute_batch("INSERT INTO account VALUES ('https://api.example')").unwrap();
        connection.execute_batch(self.rows).unwrap();
        connection.pragma_update(None, "application_id", 0x4376_6274).unwrap();
        let contents = self.contents(path);
        assert_eq!(contents.len(), self.count);
        assert_eq!(contents.iter().filter(|row| row.contains("https://api.example")).count(), 1);
    }

    /// What stands in the columns of this schema, row by row.
    fn contents(&self, path: &Path) -> Vec<String> {
        let schema = Connection::open_in_memory().unwrap();
        schema.execute_batch(self.schema).unwrap();
        let tables = "SELECT name, (SELECT group_concat(name) FROM pragma_table_info(t.name))
                      FROM sqlite_schema t WHERE type = 'table' ORDER BY name";
        let connection = Connection::open(path).unwrap();
        let rows = |table: &str, columns: &str| {
            strings(&connection, &format!("SELECT json_array({columns}) FROM {table} ORDER BY 1"))
        };
        let mut tables = schema.prepare(tables).unwrap();
        let tables = tables.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        tables.map(Result::unwrap).flat_map(|(table, columns)| rows(&table, &columns)).collect()
    }
}

fn strings(connection: &Connection, sql: &str) -> Vec<String> {
    let mut query = connection.prepare(sql).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The definitions of all tables, indexes and triggers.
fn definitions(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    strings(&connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
}

#[tokio::test]
async fn an_earlier_ledger_loses_nothing() {
    for earlier in ALL {
        let folder = tempfile::tempdir().unwrap();
        let (path, fresh) = (folder.path().join("1.db"), folder.path().join("2.db"));
        earlier.ledger(&path);
        let before = earlier.contents(&path);
        let ledger = SqliteLedger::open(&path, API).unwrap();
        let due: Vec<i64> = ledger
            .call(|connection| {
                let mut query = connection.prepare("SELECT due_at FROM task WHERE due_at IS NOT NULL ORDER BY seq")?;
                query.query_map([], |row| row.get(0))?.collect()
            })
            .await
            .unwrap();
        assert_eq!(due, earlier.due, "covers that are known and nothing else");
        let first = UnixMillis(earlier.due[0]);
        assert_eq!(ledger.next_due(Follower::Everyone, UnixMillis(20)).await.unwrap(), (Some(first), None));
        assert_eq!(ledger.history(&task("in_flight")).await.unwrap().len(), 2);
        ledger.close().await;
        assert_eq!(earlier.contents(&path), before);

        SqliteLedger::open(&fresh, API).unwrap().close().await;
        assert_eq!(definitions(&path), definitions(&fresh));
        let connection = Connection::open(&path).unwrap();
        assert_eq!(strings(&connection, "PRAGMA integrity_check"), ["ok"]);
        assert!(!connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap());
        let ledger = SqliteLedger::open(&path, API).unwrap();
        assert_eq!(ledger.begin_run("/c.csv", UnixMillis(40)).await.unwrap(), RunId(3));
        assert_eq!(one(&ledger, "in_flight").await.unwrap().state, RowState::InDoubt);
        ledger.close().await;
    }
}

#[tokio::test]
async fn an_earlier_ledger_can_be_read_without_a_run() {
    for earlier in ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.db");
        earlier.ledger(&path);
        let before = earlier.contents(&path);
        let ledger = SqliteLedger::open_to_read(&path, None).unwrap().unwrap();
        assert_eq!(one(&ledger, "submitted").await.unwrap().state, RowState::Submitted);
        ledger.close().await;
        assert_eq!(earlier.contents(&path), before);
    }
}

#[tokio::test]
async fn what_others_have_put_into_an_earlier_ledger_stays() {
    for earlier in ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.db");
        earlier.ledger(&path);
        let connection = Connection::open(&path).unwrap();
        let theirs = "CREATE TABLE \"our notes\" (words); CREATE INDEX \"by words\" ON \"our notes\" (words);
                      CREATE INDEX \"by message\" ON task (message);
                      CREATE VIEW sent AS SELECT id FROM task WHERE state = 'submitted';
                      INSERT INTO \"our notes\" VALUES ('a'); ANALYZE";
        connection.execute_batch(theirs).unwrap();
        drop(connection);
        let before = earlier.contents(&path);
        SqliteLedger::open(&path, API).unwrap().close().await;
        assert_eq!(earlier.contents(&path), before);
        let connection = Connection::open(&path).unwrap();
        assert_eq!(strings(&connection, "SELECT words FROM \"our notes\""), ["a"]);
        assert_eq!(strings(&connection, "SELECT id FROM sent"), ["submitted"]);
        assert_eq!(strings(&connection, "PRAGMA integrity_check"), ["ok"]);
    }
}

#[tokio::test]
async fn of_two_that_find_an_earlier_ledger_one_brings_it_up_to_date_and_both_go_on() {
    for earlier in ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.db");
        earlier.ledger(&path);
        let before = earlier.contents(&path);
        let second = Connection::open(&path).unwrap();
        SqliteLedger::open(&path, API).unwrap().close().await;
        // It has seen the earlier version before the first one was done.
        super::rebuild(&second).unwrap();
        assert_eq!(earlier.contents(&path), before);
    }
}
