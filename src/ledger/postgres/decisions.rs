//! What people decide about single music tasks: many at a time, in a transaction that has locked the account.
//!
//! Before anything is changed the row of each music task is kept as a JSON object, so that it can be put back as it was.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::PostgresLedger;
use super::columns::{cover_id, state, time, time_if_any, unbelievable, value};
use super::failure::Failure;
use super::look_up::states;
use super::runs::recover;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::{ManualKind, MusicTaskId, RowState};
use crate::ledger::error::LedgerError;
use crate::ledger::record::{KnownState, ManualDecision, PastDecision, moved};
use crate::ledger::run::host;
use crate::ledger::tables::known_columns;
use crate::ledger::traits::DecideLedger;
use crate::policy::{Judgement, LastDecision, judge, judge_undo};

impl DecideLedger for PostgresLedger {
    async fn decide(&self, decision: ManualDecision, tasks: Vec<MusicTaskId>) -> Result<Vec<Judgement>, LedgerError> {
        self.write((decision, tasks), decide).await
    }

    async fn undo(
        &self,
        kind: ManualKind,
        tasks: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> Result<Vec<Judgement>, LedgerError> {
        self.write((kind, tasks, at), undo).await
    }

    async fn decisions(&self, task: &MusicTaskId) -> Result<Vec<PastDecision>, LedgerError> {
        self.read(task.clone(), decisions).await
    }
}

async fn decide(
    session: Session,
    (decision, tasks): (ManualDecision, Vec<MusicTaskId>),
) -> Result<Vec<Judgement>, Failure> {
    let ManualDecision { kind, is_sure, at, .. } = decision;
    // What a dead run had in flight is in doubt, and can be decided about.
    recover(&session, at).await?;
    let ids: Vec<&str> = tasks.iter().map(MusicTaskId::as_str).collect();
    if let Some(done) = done_before(&session, "at", (kind, at), &ids).await? {
        let moved = |id: &&str| done.get(*id).map_or(Judgement::Already, |_| Judgement::Moved(kind.state()));
        return Ok(ids.iter().map(moved).collect());
    }
    let known = states(session.clone(), tasks.clone()).await?.into_iter();
    let judgements: Vec<Judgement> =
        known.map(|known| judge(kind, is_sure, known.map(|known: KnownState| known.state))).collect();
    let moved: Vec<&str> = moved(&tasks, &judgements).map(MusicTaskId::as_str).collect();
    note(&session, &decision, &moved).await?;
    carry_out(&session, &decision, &moved).await?;
    Ok(judgements)
}

/// What was committed before the connection broke and nobody was told: the music tasks with their states before, by the time
/// in a column; `None` if nothing was.
async fn done_before(
    session: &Session,
    column: &str,
    (kind, at): (ManualKind, UnixMillis),
    ids: &[&str],
) -> Result<Option<HashMap<String, Option<RowState>>>, Failure> {
    if !session.is_again {
        return Ok(None);
    }
    let sql = format!(
        "SELECT id, known::jsonb ->> 'state' FROM decision
         WHERE account = $1 AND id = ANY ($2) AND kind = $3 AND {column} = $4"
    );
    let rows = session.rows(&sql, &[&ids, &kind.word(), &at.0]).await?;
    let done = rows.iter().map(|row| Ok((value(row, 0)?, state_if_any(row, 1)?)));
    let done: HashMap<_, _> = done.collect::<Result<_, Failure>>()?;
    Ok((!done.is_empty()).then_some(done))
}

/// Writes a decision down, with all that is known of the music tasks before.
async fn note(session: &Session, decision: &ManualDecision, tasks: &[&str]) -> Result<(), Failure> {
    let sql = "INSERT INTO decision (account, id, kind, reason, host, at, known)
               SELECT $1::integer, asked.id, $3, $4, $5, $6::bigint, to_jsonb(task)::text
               FROM unnest($2::text[]) AS asked (id) LEFT JOIN task ON task.account = $1 AND task.id = asked.id";
    let ManualDecision { kind, reason, at, .. } = decision;
    session.execute(sql, &[&tasks, &kind.word(), reason, &host(), &at.0]).await.map(drop)
}

async fn carry_out(session: &Session, decision: &ManualDecision, tasks: &[&str]) -> Result<(), Failure> {
    match decision.kind {
        ManualKind::Ignore => {
            let sql = "INSERT INTO task (account, id, state, reason, message, answered_at, submissions)
                       SELECT $1::integer, id, 'ignored', 'ignored', $3, $4::bigint, 0 FROM unnest($2::text[]) AS asked (id)
                       ON CONFLICT (account, id) DO UPDATE
                       SET state = excluded.state, reason = excluded.reason, http_status = NULL, code = NULL,
                           message = excluded.message, answered_at = excluded.answered_at, due_at = NULL, waiter = NULL";
            session.execute(sql, &[&tasks, &decision.reason, &decision.at.0]).await
        }
        ManualKind::Retry => {
            let sql = "UPDATE task SET state = 'pending', failed_runs = 0 WHERE account = $1 AND id = ANY ($2)";
            session.execute(sql, &[&tasks]).await
        }
        ManualKind::Forget => session.execute(&made_new("task.id = ANY ($2)"), &[&tasks]).await,
    }
    .map(drop)
}

/// The statement that leaves nothing known of some music tasks but what was sent of them.
fn made_new(condition: &str) -> String {
    let known = known_columns().filter(|column| *column != "state");
    let known: Vec<String> = known.map(|column| format!("{column} = DEFAULT")).collect();
    format!(
        "UPDATE task SET state = 'pending', waiter = NULL, claimed_at = NULL, woken_at = NULL, {}
         WHERE task.account = $1 AND {condition}",
        known.join(", ")
    )
}

async fn undo(
    session: Session,
    (kind, tasks, at): (ManualKind, Vec<MusicTaskId>, UnixMillis),
) -> Result<Vec<Judgement>, Failure> {
    let ids: Vec<&str> = tasks.iter().map(MusicTaskId::as_str).collect();
    if let Some(done) = done_before(&session, "undone_at", (kind, at), &ids).await? {
        let before = |id: &&str| done.get(*id).copied().flatten().unwrap_or(RowState::Pending);
        return Ok(ids.iter().map(before).map(Judgement::Moved).collect());
    }
    let last = last(&session, &ids).await?;
    let judge = |id: &&str| judge_undo(kind, last.get(*id).map(|(_, last)| *last));
    let judgements: Vec<Judgement> = ids.iter().map(judge).collect();
    if judgements.iter().all(|judgement| matches!(judgement, Judgement::Moved(_))) {
        let decisions: Vec<i64> = last.values().map(|(seq, _)| *seq).collect();
        put_back(&session, &decisions).await?;
        let sql = "UPDATE decision SET undone_at = $3 WHERE account = $1 AND seq = ANY ($2)";
        session.execute(sql, &[&decisions, &at.0]).await?;
    }
    Ok(judgements)
}

/// The last decisions about these music tasks that are not taken back, with their numbers.
async fn last(session: &Session, ids: &[&str]) -> Result<HashMap<String, (i64, LastDecision)>, Failure> {
    let sql = "SELECT asked.id, last.seq, last.kind, last.known::jsonb ->> 'state', task.state,
                      task.submissions <> coalesce((last.known::jsonb ->> 'submissions')::bigint, 0)
               FROM unnest($2::text[]) AS asked (id) JOIN task ON task.account = $1 AND task.id = asked.id
               CROSS JOIN LATERAL (SELECT * FROM decision
                                   WHERE decision.account = $1 AND decision.id = asked.id AND undone_at IS NULL
                                   ORDER BY seq DESC LIMIT 1) AS last";
    let last = |row: &Row| {
        let (before, state, is_sent) = (state_if_any(row, 3)?, state(row, 4)?, value(row, 5)?);
        Ok((value(row, 0)?, (value(row, 1)?, LastDecision { kind: kind(row, 2)?, before, state, is_sent })))
    };
    session.rows(sql, &[&ids]).await?.iter().map(last).collect()
}

/// Puts the rows of music tasks back as they were before these decisions, or as new ones if there were none.
async fn put_back(session: &Session, decisions: &[i64]) -> Result<(), Failure> {
    let columns: Vec<&str> = known_columns().collect();
    let columns = columns.join(", ");
    let sql = format!(
        "UPDATE task SET ({columns}) = (SELECT {columns} FROM jsonb_populate_record(NULL::task, decision.known::jsonb))
         FROM decision
         WHERE task.account = $1 AND task.id = decision.id AND decision.account = $1 AND decision.seq = ANY ($2)
           AND decision.known IS NOT NULL"
    );
    session.execute(&sql, &[&decisions]).await?;
    let unseen = "task.id IN (SELECT id FROM decision WHERE account = $1 AND seq = ANY ($2) AND known IS NULL)";
    session.execute(&made_new(unseen), &[&decisions]).await.map(drop)
}

async fn decisions(session: Session, task: MusicTaskId) -> Result<Vec<PastDecision>, Failure> {
    let sql =
        "SELECT kind, reason, host, at, known::jsonb ->> 'state', known::jsonb ->> 'cover_id', undone_at FROM decision
               WHERE account = $1 AND id = $2 ORDER BY seq";
    let decision = |row: &Row| {
        Ok(PastDecision {
            kind: kind(row, 0)?,
            reason: value(row, 1)?,
            host: value(row, 2)?,
            at: time(row, 3)?,
            before: state_if_any(row, 4)?,
            cover: cover_id(row, 5)?,
            undone_at: time_if_any(row, 6)?,
        })
    };
    session.rows(sql, &[&task.as_str()]).await?.iter().map(decision).collect()
}

/// The kind of decision in a column; the table itself admits no other word.
fn kind(row: &Row, column: usize) -> Result<ManualKind, Failure> {
    let word = value(row, column)?;
    ManualKind::from_word(word).ok_or_else(|| unbelievable(column, format_args!("unknown decision `{word}`")))
}

/// The state in a column, if there is one.
fn state_if_any(row: &Row, column: usize) -> Result<Option<RowState>, Failure> {
    let has_state = value::<Option<&str>>(row, column)?.is_some();
    has_state.then(|| state(row, column)).transpose()
}
