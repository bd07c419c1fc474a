//! The key by which a music task is found: `id_key(id)` in SQL.
//!
//! Ids are long and in no order, so each new row changes a page of their index that no other row of its transaction does,
//! anywhere in it. Keys of four bytes make that index a third as large: of a ledger of millions its upper pages stay
//! in memory, and changes of many transactions meet in one page before that is written back.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use sha2::{Digest as _, Sha256};

/// Makes the function known to a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("id_key", 1, flags, |call| Ok(id_key(call.get_raw(0).as_str()?)))
}

/// The first four bytes of the SHA-256 of an id: whatever ids look like, few share a key, and those are told apart by
/// the id itself.
pub(super) fn id_key(id: &str) -> i32 {
    let [first, second, third, fourth, ..] = Sha256::digest(id).0;
    i32::from_be_bytes([first, second, third, fourth])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{API, claim, granted, one, run_in, settle, settlement, task};
    use super::super::{SqliteLedger, open};
    use super::*;
    use crate::domain::{Reason, RowState};
    use crate::ledger::{Claim, Ledger as _};

    /// Two ids that share a key.
    const ALIKE: [&str; 2] = ["m-12568", "m-36864"];

    /// By `printf m-1 | sha256sum`. It must never change: keys are in ledgers.
    #[test]
    fn the_key_of_an_id_is_the_start_of_its_sha_256() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let key: i32 = connection.query_row("SELECT id_key('m-1')", [], |row| row.get(0)).unwrap();
        assert_eq!(format!("{key:08x}"), "a461b472");
    }

    #[tokio::test]
    async fn music_tasks_that_share_a_key_are_told_apart() {
        let [first, second] = ALIKE;
        assert_eq!(id_key(first), id_key(second));
        let ledger = SqliteLedger::in_memory(API).unwrap();
        let run = run_in(&ledger).await;
        let row = granted(&ledger, run, first, 10).await;
        assert_eq!(one(&ledger, second).await, None);
        settle(&ledger, row, settlement(RowState::Submitted, Reason::Accepted, 12)).await.unwrap();
        let other = granted(&ledger, run, second, 20).await;
        assert_ne!(row, other);
        assert_eq!(claim(&ledger, run, first, 21).await, Claim::Refused);
        assert_eq!(claim(&ledger, run, second, 21).await, Claim::Refused);
        assert_eq!(one(&ledger, first).await.unwrap().state, RowState::Submitted);
        assert_eq!(one(&ledger, second).await.unwrap().state, RowState::InFlight);
        ledger.release(other).await.unwrap();
        assert_eq!(one(&ledger, second).await, None);
        assert_eq!(ledger.history(&task(first)).await.unwrap().len(), 1);
    }

    #[test]
    fn no_statement_brings_a_music_task_in_twice() {
        let connection = open::in_memory(API).unwrap();
        let mut insert = connection
            .prepare("INSERT INTO task (id, state, submissions, key) VALUES (?1, 'pending', 0, id_key(?1))")
            .unwrap();
        let added: Vec<usize> =
            [ALIKE[0], ALIKE[1], "a", ALIKE[1], "a", ALIKE[0]].iter().map(|id| insert.execute([id]).unwrap()).collect();
        assert_eq!(added, [1, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn the_id_of_a_music_task_cannot_be_changed() {
        let connection = open::in_memory(API).unwrap();
        let insert = "INSERT INTO task (id, state, submissions, key) VALUES ('a', 'pending', 0, id_key('a'))";
        connection.execute(insert, []).unwrap();
        for change in ["id = 'b'", "key = 7"] {
            let error = connection.execute(&format!("UPDATE task SET {change}"), []).unwrap_err();
            assert_eq!(error.to_string(), "the id of a music task stays as it is");
        }
    }

    #[test]
    fn music_tasks_are_found_by_their_keys() {
        let connection = open::in_memory(API).unwrap();
        let plan = |sql: &str| -> String {
            connection.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), ["a"], |row| row.get(3)).unwrap()
        };
        for sql in ["SELECT seq FROM task", "UPDATE task SET fallback = 'f'"] {
            let plan = plan(&format!("{sql} WHERE key = id_key(?1) AND id = ?1"));
            assert_eq!(plan, "SEARCH task USING INDEX task_key (key=?)");
        }
    }
}
