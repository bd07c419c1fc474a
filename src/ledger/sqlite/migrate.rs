//! Ledgers of earlier versions brought to the schema of this one, in one transaction.

use rusqlite::{Connection, TransactionBehavior};
use tracing::warn;

use super::open::{INDEXES, SCHEMA_VERSION, TABLES};

/// So many rows take a second or more, which nobody should take for a hang.
const MANY: i64 = 50_000;

/// Brings a ledger to the schema of this version, if it is of an earlier one.
pub(super) fn to_latest(connection: &mut Connection) -> rusqlite::Result<()> {
    if earlier(connection)?.is_none() {
        return Ok(());
    }
    let rows: Option<i64> = connection.query_row("SELECT max(seq) FROM task", [], |row| row.get(0))?;
    if rows.is_some_and(|rows| rows >= MANY) {
        let ledger = connection.path();
        warn!(
            ledger,
            rows,
            "this ledger of an earlier version is brought up to date, half a minute for a million rows; let it end"
        );
    }
    // Tables that refer to each other are rebuilt one after the other; what refers to them by name means the new ones.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "legacy_alter_table", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    rebuild(&transaction)?;
    transaction.commit()
}

/// Makes the tables anew, unless another process has done it while this one waited. They are filled before they have
/// their indexes, and what someone else has put into the file stays as it is.
fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    let Some((tables, copy)) = earlier(connection)? else { return Ok(()) };
    for table in tables {
        connection.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    connection.execute_batch(TABLES)?;
    connection.execute_batch(copy)?;
    for table in tables {
        connection.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    connection.execute_batch(INDEXES)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// The tables of a ledger of an earlier version, and how their rows are copied; `None` if it is of this version.
fn earlier(connection: &Connection) -> rusqlite::Result<Option<(&'static [&'static str], &'static str)>> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(match version {
        1 => Some((&["account", "run", "task", "attempt"], FROM_1)),
        2 => Some((&["account", "run", "task", "attempt", "look"], FROM_2)),
        _ => None,
    })
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
