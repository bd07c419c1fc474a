//! Ledgers of earlier versions brought to the schema of this one, in one transaction.

use rusqlite::{Connection, TransactionBehavior};

use super::open::SCHEMA_VERSION;

/// Brings a ledger to the schema of this version, if it is of an earlier one.
pub(super) fn to_latest(connection: &mut Connection, schema: &str) -> rusqlite::Result<()> {
    if version(connection)? >= SCHEMA_VERSION {
        return Ok(());
    }
    // Tables that refer to each other are rebuilt one after the other.
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    rebuild(&transaction, schema)?;
    transaction.commit()
}

/// Makes all tables anew and copies their rows, unless another process has done it while this one waited.
fn rebuild(connection: &Connection, schema: &str) -> rusqlite::Result<()> {
    let copy = match version(connection)? {
        1 => FROM_1,
        2 => FROM_2,
        _ => return Ok(()),
    };
    let tables = names(connection, "table")?;
    for table in &tables {
        connection.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    for index in names(connection, "index")? {
        connection.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    connection.execute_batch(schema)?;
    connection.execute_batch(copy)?;
    for table in &tables {
        connection.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// What there is of a type of the schema.
fn names(connection: &Connection, of: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare("SELECT name FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL")?;
    query.query_map([of], |row| row.get(0))?.collect()
}

/// From the schema that knew nothing of what comes after acceptance. Covers that were accepted are due at once.
const FROM_1: &str = "
    INSERT INTO account (api_url) SELECT api_url FROM old_account;
    INSERT INTO run (run, catalog, kind, pid, started_at, ended_at, ended)
        SELECT run, catalog, 'run', pid, started_at, ended_at, ended FROM old_run;
    INSERT INTO task (seq, id, state, state_before, reason, http_status, code, message, cover_id, submissions,
                      failed_runs, run, first_sent_at, sent_at, answered_at, accepted_at, due_at, key)
        SELECT seq, id, state, state_before, reason, http_status, code, message, cover_id, submissions,
               failed_runs, run, first_sent_at, sent_at, answered_at,
               iif(cover_id IS NOT NULL, answered_at, NULL),
               iif(cover_id IS NOT NULL AND state IN ('submitted', 'exists'), answered_at, NULL), id_key(id)
        FROM old_task;
    INSERT INTO attempt (seq, task, run, sent_at, answered_at, reason, http_status, code, message)
        SELECT seq, task, run, sent_at, answered_at, reason, http_status, code, message FROM old_attempt;
";

/// From the schema that found music tasks by their ids themselves.
const FROM_2: &str = "
    INSERT INTO account SELECT * FROM old_account;
    INSERT INTO run SELECT * FROM old_run;
    INSERT INTO task SELECT *, id_key(id) FROM old_task;
    INSERT INTO attempt SELECT * FROM old_attempt;
    INSERT INTO look SELECT * FROM old_look;
";

#[cfg(test)]
mod tests;
