//! Ledgers of earlier versions brought to the schema of this one, in one transaction.

use rusqlite::{Connection, TransactionBehavior};

/// Brings a ledger of schema 1, which knew nothing of what comes after acceptance, to schema 2.
pub(super) fn from_1_to_2(connection: &mut Connection, schema: &str) -> rusqlite::Result<()> {
    // Tables that refer to each other are rebuilt one after the other.
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited.
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != 1 {
        return Ok(());
    }
    for table in ["account", "run", "task", "attempt"] {
        transaction.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    for index in ["task_id", "task_sent_at", "task_in_flight", "attempt_task", "attempt_sent_at"] {
        transaction.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    transaction.execute_batch(schema)?;
    transaction.execute_batch(COPY)?;
    for table in ["attempt", "task", "run", "account"] {
        transaction.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    transaction.pragma_update(None, "user_version", 2)?;
    transaction.commit()
}

/// Covers that were accepted by a version that did not follow them are due at once.
const COPY: &str = "
    INSERT INTO account (api_url) SELECT api_url FROM old_account;
    INSERT INTO run (run, catalog, kind, pid, started_at, ended_at, ended)
        SELECT run, catalog, 'run', pid, started_at, ended_at, ended FROM old_run;
    INSERT INTO task (seq, id, state, state_before, reason, http_status, code, message, cover_id, submissions,
                      failed_runs, run, first_sent_at, sent_at, answered_at, accepted_at, due_at)
        SELECT seq, id, state, state_before, reason, http_status, code, message, cover_id, submissions,
               failed_runs, run, first_sent_at, sent_at, answered_at,
               iif(cover_id IS NOT NULL, answered_at, NULL),
               iif(cover_id IS NOT NULL AND state IN ('submitted', 'exists'), answered_at, NULL)
        FROM old_task;
    INSERT INTO attempt (seq, task, run, sent_at, answered_at, reason, http_status, code, message)
        SELECT seq, task, run, sent_at, answered_at, reason, http_status, code, message FROM old_attempt;
";

#[cfg(test)]
mod tests;
