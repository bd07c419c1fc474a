//! What became of claims: many at a time, in a transaction that has locked the account, or in one that shares a lock with
//! others of its kind. There only answers to what is in flight are written: such a row is changed by nobody else.
//!
//! Rows are found by their numbers alone, and once: they are changed where they were found. `LIMIT 1` keeps the server from
//! going through all rows of the account instead, which it believes to be few as long as it has not counted them.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::columns::value;
use super::counting::forget_checkpoints;
use super::failure::Failure;
use super::pace;
use super::session::{Session, Value};
use crate::domain::CoverTaskId;
use crate::ledger::run::AttemptKey;
use crate::ledger::submission::{Settled, Settlement};

/// All of it in one statement, whose parts see the rows as they were before: the submissions get their answers, and those that
/// their music tasks stand by move these. One that was in doubt stays so if it is put back. What a person has decided since
/// about one in doubt gives way to its answer, but what is ignored only to one that settles it.
const ANSWER: &str = "
    WITH known AS (
        SELECT new.*, attempt.task, attempt.state_before, attempt.answered_at IS NOT NULL AS is_answered,
               attempt.reason IS NOT NULL AS was_in_doubt,
               attempt.ctid AS attempt_row, task.ctid AS task_row,
               attempt.reason IS NULL
               OR ((task.state IN ('in_doubt', 'pending')
                    OR (task.state = 'ignored' AND new.state IN ('submitted', 'exists'))
                    OR attempt.answered_at IS NOT NULL)
                   AND NOT EXISTS (SELECT FROM attempt later
                                   WHERE later.task = attempt.task AND later.seq > attempt.seq)) AS stands
        FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
                    $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[],
                    $14::boolean[], $15::text[])
             AS new (attempt, sent_at, paced_at, at, state, reason, http_status, code, message, cover_id,
                     poll_at, waiter, wants_files, route)
             CROSS JOIN LATERAL (SELECT ctid, * FROM attempt WHERE account = $1 AND seq = new.attempt LIMIT 1)
                                AS attempt
             CROSS JOIN LATERAL (SELECT ctid, state FROM task WHERE seq = attempt.task LIMIT 1) AS task
    ), answered AS (
        UPDATE attempt SET sent_at = new.sent_at, paced_at = new.paced_at, answered_at = new.at,
                           reason = new.reason, http_status = new.http_status, code = new.code,
                           message = new.message
        FROM known AS new
        WHERE attempt.ctid = new.attempt_row AND NOT new.is_answered AND ($16 OR NOT new.was_in_doubt)
    ), moved AS (
        UPDATE task SET state = CASE WHEN new.state = 'pending' AND new.state_before = 'in_doubt'
                                     THEN new.state_before ELSE new.state END,
                        reason = new.reason, http_status = new.http_status, code = new.code,
                        message = new.message, answered_at = new.at,
                        failed_runs = failed_runs + (new.state = 'failed')::int,
                        cover_id = coalesce(new.cover_id, task.cover_id),
                        accepted_at = CASE WHEN new.cover_id IS NULL THEN task.accepted_at ELSE new.at END,
                        due_at = CASE WHEN new.cover_id IS NULL THEN NULL
                                      WHEN task.woken_at >= new.sent_at THEN new.at ELSE new.poll_at END,
                        waiter = new.waiter, wants_files = task.wants_files OR new.wants_files,
                        route = CASE WHEN new.cover_id IS NULL THEN task.route ELSE new.route END
        FROM known AS new
        WHERE task.ctid = new.task_row AND NOT new.is_answered AND new.stands AND ($16 OR NOT new.was_in_doubt)
    )
    SELECT attempt, is_answered, stands, was_in_doubt FROM known";

/// A submission as it stood before it got its answer.
#[derive(Debug, Clone, Copy)]
struct Found {
    is_answered: bool,
    /// Or answered.
    was_in_doubt: bool,
    /// Whether it is what its music task stands by: if its run was believed dead that may have been sent again.
    standing: Settled,
}

/// Writes down the answers to these submissions.
pub(super) async fn settle_all(
    session: &Session,
    settled: &[(AttemptKey, Settlement)],
) -> Result<Vec<Settled>, Failure> {
    let mut found = answer_all(session, settled).await?;
    let (mut standings, mut changes) = (Vec::with_capacity(settled.len()), Vec::new());
    for (key, settlement) in settled {
        // Taken out, since a submission has one answer.
        let Found { is_answered, was_in_doubt, standing } = found.remove(key).ok_or(Failure::NotInFlight)?;
        standings.push(standing);
        if was_in_doubt && !session.is_exclusive {
            return Err(Failure::NeedsExclusive);
        }
        if was_in_doubt {
            forget_checkpoints(session, *key).await?;
        }
        match (is_answered, session.is_again) {
            (false, _) => changes.push((settlement.pause, session.of_server(settlement.at))),
            // It was committed, and the connection broke before that was told.
            (true, true) => {}
            (true, false) => return Err(Failure::NotInFlight),
        }
    }
    pace::change_pause(session, &changes).await?;
    Ok(standings)
}

/// Writes the answers down, unless there is one; how each submission stood before.
async fn answer_all(
    session: &Session,
    settled: &[(AttemptKey, Settlement)],
) -> Result<HashMap<AttemptKey, Found>, Failure> {
    let settlements = || settled.iter().map(|(_, settlement)| settlement);
    let numbers = |number: &dyn Fn(&Settlement) -> Option<i64>| settlements().map(number).collect::<Vec<_>>();
    let waiter = |settlement: &Settlement| settlement.waiter.filter(|_| settlement.cover.is_some());
    let values: [Value<'_>; 15] = [
        &settled.iter().map(|(key, _)| key.0).collect::<Vec<_>>(),
        &numbers(&|settlement| Some(settlement.sent_at.0)),
        &numbers(&|settlement| Some(session.of_server(settlement.at).before(settlement.age).0)),
        &numbers(&|settlement| Some(settlement.at.0)),
        &settlements().map(|settlement| settlement.state.word()).collect::<Vec<_>>(),
        &settlements().map(|settlement| settlement.reason.word()).collect::<Vec<_>>(),
        &numbers(&|settlement| settlement.answer.http_status.map(i64::from)),
        &numbers(&|settlement| settlement.answer.code),
        &settlements().map(|settlement| settlement.answer.message.as_str()).collect::<Vec<_>>(),
        &settlements().map(|settlement| settlement.cover.as_ref().map(CoverTaskId::as_str)).collect::<Vec<_>>(),
        &numbers(&|settlement| Some(settlement.poll_at.0)),
        &numbers(&|settlement| waiter(settlement).map(|waiter| waiter.run.0)),
        &settlements()
            .map(|settlement| waiter(settlement).is_some_and(|waiter| waiter.wants_files))
            .collect::<Vec<_>>(),
        &settlements().map(|settlement| settlement.route.word()).collect::<Vec<_>>(),
        &session.is_exclusive,
    ];
    let rows = session.rows(ANSWER, &values).await?;
    rows.iter().map(|row| Ok((AttemptKey(value(row, 0)?), found(row)?))).collect()
}

fn found(row: &Row) -> Result<Found, Failure> {
    let standing = if value(row, 2)? { Settled::Recorded } else { Settled::Overtaken };
    Ok(Found { is_answered: value(row, 1)?, was_in_doubt: value(row, 3)?, standing })
}

/// Takes a claim back.
pub(super) async fn release(session: Session, key: AttemptKey) -> Result<(), Failure> {
    let sql = "SELECT task, state_before, answered_at IS NOT NULL, reason IS NULL FROM attempt
               WHERE account = $1 AND seq = $2";
    let Some(row) = session.row(sql, &[&key.0]).await? else {
        // Deleted by what was committed before the connection broke, or never there.
        return if session.is_again { Ok(()) } else { Err(Failure::NotInFlight) };
    };
    let (task, before): (i64, Option<&str>) = (value(&row, 0)?, value(&row, 1)?);
    let (is_answered, is_in_flight): (bool, bool) = (value(&row, 2)?, value(&row, 3)?);
    if is_answered {
        return Err(Failure::NotInFlight);
    }
    if !is_in_flight {
        // Its run was believed dead, and others know the row to be in doubt.
        return Ok(());
    }
    session.execute("DELETE FROM attempt WHERE account = $1 AND seq = $2", &[&key.0]).await?;
    let Some(before) = before else {
        session.execute("DELETE FROM task WHERE account = $1 AND seq = $2", &[&task]).await?;
        return Ok(());
    };
    let sql = "UPDATE task SET state = $3, submissions = submissions - 1,
                               first_sent_at = CASE WHEN submissions = 1 THEN NULL ELSE first_sent_at END
               WHERE account = $1 AND seq = $2";
    session.execute(sql, &[&task, &before]).await.map(drop)
}
