//! What people decide about single music tasks: the statements, each run inside a transaction of its caller.
//!
//! Before anything is changed the row of the music task is kept as a JSON object, so that it can be put back as it was.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteLedger;
use super::columns::{state, time, time_if_any, unusable};
use super::failure::Failure;
use super::look_up::look_up;
use super::runs::recover;
use crate::clock::UnixMillis;
use crate::domain::{CoverTaskId, ManualKind, MusicTaskId, RowState};
use crate::ledger::error::LedgerError;
use crate::ledger::record::{KnownState, ManualDecision, PastDecision, moved};
use crate::ledger::run::host;
use crate::ledger::tables::known_columns;
use crate::ledger::traits::DecideLedger;
use crate::policy::{Judgement, LastDecision, judge, judge_undo};

impl DecideLedger for SqliteLedger {
    async fn decide(&self, decision: ManualDecision, tasks: Vec<MusicTaskId>) -> Result<Vec<Judgement>, LedgerError> {
        self.call_beside_others(move |connection, others| {
            // What a dead run had in flight is in doubt, and can be decided about.
            recover(connection, &others.locks, decision.at)?;
            decide(connection, &decision, &tasks)
        })
        .await
    }

    async fn undo(
        &self,
        kind: ManualKind,
        tasks: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> Result<Vec<Judgement>, LedgerError> {
        self.call(move |connection| undo(connection, kind, &tasks, at)).await
    }

    async fn decisions(&self, task: &MusicTaskId) -> Result<Vec<PastDecision>, LedgerError> {
        let task = task.clone();
        self.call(move |connection| decisions(connection, &task)).await
    }
}

fn decide(
    connection: &Connection,
    decision: &ManualDecision,
    tasks: &[MusicTaskId],
) -> Result<Vec<Judgement>, Failure> {
    let known = look_up::<KnownState>(connection, tasks)?.into_iter();
    let judge = |known: Option<KnownState>| judge(decision.kind, decision.is_sure, known.map(|known| known.state));
    let judgements: Vec<Judgement> = known.map(judge).collect();
    for task in moved(tasks, &judgements) {
        note(connection, decision, task)?;
        carry_out(connection, decision, task)?;
    }
    Ok(judgements)
}

/// Writes a decision down, with all that is known of the music task before.
fn note(connection: &Connection, decision: &ManualDecision, task: &MusicTaskId) -> rusqlite::Result<()> {
    let known: Vec<String> =
        known_columns().chain(["submissions"]).map(|column| format!("'{column}', {column}")).collect();
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO decision (id, kind, reason, host, at, known)
         VALUES (?1, ?2, ?3, ?4, ?5, (SELECT json_object({}) FROM task WHERE id = ?1))",
        known.join(", ")
    ))?;
    let ManualDecision { kind, reason, at, .. } = decision;
    insert.execute(params![task.as_str(), kind.word(), reason, host(), at.0]).map(drop)
}

fn carry_out(connection: &Connection, decision: &ManualDecision, task: &MusicTaskId) -> rusqlite::Result<()> {
    match decision.kind {
        ManualKind::Ignore => {
            let mut upsert = connection.prepare_cached(
                "INSERT INTO task (id, state, reason, message, answered_at, submissions)
                 VALUES (?1, 'ignored', 'ignored', ?2, ?3, 0)
                 ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, http_status = NULL,
                                                code = NULL, message = excluded.message,
                                                answered_at = excluded.answered_at, due_at = NULL, waiter = NULL",
            )?;
            upsert.execute(params![task.as_str(), decision.reason, decision.at.0])
        }
        ManualKind::Retry => {
            let sql = "UPDATE task SET state = 'pending', failed_runs = 0 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([task.as_str()])
        }
        ManualKind::Forget => make_new(connection, task),
    }
    .map(drop)
}

/// Leaves nothing known of a music task but what was sent of it.
fn make_new(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<usize> {
    // Every column that is not named gets the value of a new row.
    let mut replace = connection.prepare_cached(
        "REPLACE INTO task (seq, id, state, submissions, first_sent_at)
         SELECT seq, id, 'pending', submissions, first_sent_at FROM task WHERE id = ?1",
    )?;
    replace.execute([task.as_str()])
}

/// The last decision about a music task that is not taken back.
struct Noted {
    seq: i64,
    last: LastDecision,
    known: Option<String>,
}

fn undo(
    connection: &Connection,
    kind: ManualKind,
    tasks: &[MusicTaskId],
    at: UnixMillis,
) -> Result<Vec<Judgement>, Failure> {
    let noted = tasks.iter().map(|task| last(connection, task)).collect::<rusqlite::Result<Vec<_>>>()?;
    let judge = |noted: &Option<Noted>| judge_undo(kind, noted.as_ref().map(|noted| noted.last));
    let judgements: Vec<Judgement> = noted.iter().map(judge).collect();
    if judgements.iter().all(|judgement| matches!(judgement, Judgement::Moved(_))) {
        for (task, Noted { seq, known, .. }) in tasks.iter().zip(noted.into_iter().flatten()) {
            put_back(connection, task, known.as_deref())?;
            let mut update = connection.prepare_cached("UPDATE decision SET undone_at = ?2 WHERE seq = ?1")?;
            update.execute(params![seq, at.0])?;
        }
    }
    Ok(judgements)
}

fn last(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<Option<Noted>> {
    let mut query = connection.prepare_cached(
        "SELECT decision.seq, kind, known ->> 'state', task.state,
                task.submissions <> coalesce(known ->> 'submissions', 0), known
         FROM decision JOIN task ON task.id = decision.id
         WHERE decision.id = ?1 AND undone_at IS NULL ORDER BY decision.seq DESC LIMIT 1",
    )?;
    let noted = query.query_row([task.as_str()], |row| {
        let last = LastDecision {
            kind: kind(row, 1)?,
            before: state_if_any(row, 2)?,
            state: state(row, 3)?,
            is_sent: row.get(4)?,
        };
        Ok(Noted { seq: row.get(0)?, last, known: row.get(5)? })
    });
    noted.optional()
}

/// Puts the row of a music task back as it was, or as a new one if there was none.
fn put_back(connection: &Connection, task: &MusicTaskId, known: Option<&str>) -> rusqlite::Result<usize> {
    let Some(known) = known else { return make_new(connection, task) };
    let values: Vec<String> = known_columns().map(|column| format!("{column} = ?2 ->> '{column}'")).collect();
    let sql = format!("UPDATE task SET {} WHERE id = ?1", values.join(", "));
    connection.prepare_cached(&sql)?.execute([task.as_str(), known])
}

fn decisions(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<Vec<PastDecision>> {
    let mut query = connection.prepare_cached(
        "SELECT kind, reason, host, at, known ->> 'state', known ->> 'cover_id', undone_at FROM decision
         WHERE id = ?1 ORDER BY seq",
    )?;
    let decisions = query.query_map([task.as_str()], |row| {
        let cover = row.get_ref(5)?.as_str_or_null()?.map(CoverTaskId::new).transpose();
        Ok(PastDecision {
            kind: kind(row, 0)?,
            reason: row.get(1)?,
            host: row.get(2)?,
            at: time(row, 3)?,
            before: state_if_any(row, 4)?,
            cover: cover.map_err(|bad| unusable(5, bad))?,
            undone_at: time_if_any(row, 6)?,
        })
    })?;
    decisions.collect()
}

/// The kind of decision in a column; the table itself admits no other word.
fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<ManualKind> {
    let word = row.get_ref(column)?.as_str()?;
    ManualKind::from_word(word).ok_or_else(|| unusable(column, format!("unknown decision `{word}`")))
}

/// The state in a column, if there is one.
fn state_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<RowState>> {
    let has_state = row.get_ref(column)?.as_str_or_null()?.is_some();
    has_state.then(|| state(row, column)).transpose()
}
