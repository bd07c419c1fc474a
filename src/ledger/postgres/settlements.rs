//! What became of claims: many at a time, in a transaction that has locked the account.
//!
//! Rows are found by their numbers alone; `account + 0` keeps the server from going through all rows of the account instead,
//! which it believes to be few as long as it has not counted them.

use std::collections::HashMap;

use super::columns::{state, value};
use super::failure::Failure;
use super::pace;
use super::session::Session;
use crate::domain::{CoverTaskId, RowState};
use crate::ledger::keys::AttemptKey;
use crate::ledger::submission::{Settled, Settlement};

/// A submission as it stands before it gets its answer.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    task: i64,
    /// The state that its music task was in before.
    before: Option<RowState>,
    is_answered: bool,
    /// Whether its run is known to be alive.
    is_in_flight: bool,
    /// Whether it is what its music task stands by: if its run was believed dead that may have been sent again.
    standing: Settled,
}

/// Writes down the answers to these submissions.
pub(super) async fn settle_all(
    session: &Session,
    settled: &[(AttemptKey, Settlement)],
) -> Result<Vec<Settled>, Failure> {
    let attempts = attempts(session, settled.iter().map(|(attempt, _)| attempt.0).collect()).await?;
    let (mut answers, mut news, mut standings) = (Vec::new(), Vec::new(), Vec::new());
    for (key, settlement) in settled {
        let attempt = *attempts.get(key).ok_or(Failure::NotInFlight)?;
        standings.push(attempt.standing);
        if attempt.is_answered && session.is_again {
            // It was committed, and the connection broke before that was told.
            continue;
        }
        if attempt.is_answered || answers.iter().any(|(known, _)| *known == key) {
            return Err(Failure::NotInFlight);
        }
        answers.push((key, settlement));
        pace::change_pause(session, settlement.pause, session.of_server(settlement.at)).await?;
        if attempt.standing == Settled::Recorded {
            news.push((attempt, settlement));
        }
    }
    answer_attempts(session, &answers).await?;
    move_tasks(session, &news).await?;
    Ok(standings)
}

async fn attempts(session: &Session, keys: Vec<i64>) -> Result<HashMap<AttemptKey, Attempt>, Failure> {
    let sql = "SELECT attempt.seq, attempt.task, attempt.state_before, attempt.answered_at IS NOT NULL,
                      attempt.reason IS NULL,
                      (task.state = 'in_doubt' OR attempt.answered_at IS NOT NULL)
                      AND NOT EXISTS (SELECT FROM attempt later
                                      WHERE later.task = attempt.task AND later.seq > attempt.seq)
               FROM attempt JOIN task ON task.seq = attempt.task
               WHERE attempt.account + 0 = $1 AND attempt.seq = ANY ($2)";
    let mut attempts = HashMap::new();
    for row in session.rows(sql, &[&keys]).await? {
        let has_state = value::<Option<&str>>(&row, 2)?.is_some();
        let (is_in_flight, is_last) = (value(&row, 4)?, value(&row, 5)?);
        let attempt = Attempt {
            task: value(&row, 1)?,
            before: has_state.then(|| state(&row, 2)).transpose()?,
            is_answered: value(&row, 3)?,
            is_in_flight,
            standing: if is_in_flight || is_last { Settled::Recorded } else { Settled::Overtaken },
        };
        attempts.insert(AttemptKey(value(&row, 0)?), attempt);
    }
    Ok(attempts)
}

async fn answer_attempts(session: &Session, settled: &[(&AttemptKey, &Settlement)]) -> Result<(), Failure> {
    if settled.is_empty() {
        return Ok(());
    }
    let (mut keys, mut sent, mut paced, mut at) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (key, settlement) in settled {
        keys.push(key.0);
        sent.push(settlement.sent_at.0);
        paced.push(session.of_server(settlement.at).before(settlement.age).0);
        at.push(settlement.at.0);
    }
    let said = Said::of(settled.iter().map(|(_, settlement)| *settlement));
    let sql = "UPDATE attempt SET sent_at = new.sent_at, paced_at = new.paced_at, answered_at = new.at,
                                  reason = new.reason, http_status = new.http_status, code = new.code,
                                  message = new.message
               FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
                           $8::bigint[], $9::text[])
                    AS new (seq, sent_at, paced_at, at, reason, http_status, code, message)
               WHERE attempt.account + 0 = $1 AND attempt.seq = new.seq";
    let Said { reasons, statuses, codes, messages } = &said;
    session.execute(sql, &[&keys, &sent, &paced, &at, reasons, statuses, codes, messages]).await.map(drop)
}

/// What was said, by columns.
struct Said<'a> {
    reasons: Vec<&'a str>,
    statuses: Vec<Option<i64>>,
    codes: Vec<Option<i64>>,
    messages: Vec<&'a str>,
}

impl<'a> Said<'a> {
    fn of(settlements: impl Iterator<Item = &'a Settlement> + Clone) -> Self {
        let answers = settlements.clone().map(|settlement| &settlement.answer);
        Self {
            reasons: settlements.map(|settlement| settlement.reason.word()).collect(),
            statuses: answers.clone().map(|answer| answer.http_status.map(i64::from)).collect(),
            codes: answers.clone().map(|answer| answer.code).collect(),
            messages: answers.map(|answer| answer.message.as_str()).collect(),
        }
    }
}

async fn move_tasks(session: &Session, news: &[(Attempt, &Settlement)]) -> Result<(), Failure> {
    if news.is_empty() {
        return Ok(());
    }
    let tasks: Vec<i64> = news.iter().map(|(attempt, _)| attempt.task).collect();
    let states: Vec<&str> = news.iter().map(|(attempt, settlement)| state_after(attempt, settlement).word()).collect();
    let settlements = || news.iter().map(|(_, settlement)| *settlement);
    let at: Vec<i64> = settlements().map(|settlement| settlement.at.0).collect();
    let sent: Vec<i64> = settlements().map(|settlement| settlement.sent_at.0).collect();
    let covers: Vec<Option<&str>> =
        settlements().map(|settlement| settlement.cover.as_ref().map(CoverTaskId::as_str)).collect();
    let routes: Vec<&str> = settlements().map(|settlement| settlement.route.word()).collect();
    let polls: Vec<i64> = settlements().map(|settlement| settlement.poll_at.0).collect();
    let waiters = || settlements().map(|settlement| settlement.waiter.filter(|_| settlement.cover.is_some()));
    let runs: Vec<Option<i64>> = waiters().map(|waiter| waiter.map(|waiter| waiter.run.0)).collect();
    let files: Vec<bool> = waiters().map(|waiter| waiter.is_some_and(|waiter| waiter.wants_files)).collect();
    let Said { reasons, statuses, codes, messages } = &Said::of(settlements());
    let sql = "UPDATE task SET state = new.state, reason = new.reason, http_status = new.http_status, code = new.code,
                               message = new.message, answered_at = new.at,
                               failed_runs = failed_runs + (new.state = 'failed')::int,
                               cover_id = coalesce(new.cover_id, task.cover_id),
                               accepted_at = CASE WHEN new.cover_id IS NULL THEN task.accepted_at ELSE new.at END,
                               due_at = CASE WHEN new.cover_id IS NULL THEN NULL
                                             WHEN task.woken_at >= new.sent_at THEN new.at ELSE new.poll_at END,
                               waiter = new.waiter, wants_files = task.wants_files OR new.wants_files,
                               route = CASE WHEN new.cover_id IS NULL THEN task.route ELSE new.route END
               FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
                           $8::bigint[], $9::boolean[], $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::text[])
                    AS new (seq, state, at, sent_at, cover_id, poll_at, waiter, wants_files, reason, http_status, code,
                            message, route)
               WHERE task.account + 0 = $1 AND task.seq = new.seq";
    session
        .execute(
            sql,
            &[&tasks, &states, &at, &sent, &covers, &polls, &runs, &files, reasons, statuses, codes, messages, &routes],
        )
        .await
        .map(drop)
}

/// Where a music task stands then: one that was in doubt stays so if it is put back.
fn state_after(attempt: &Attempt, settlement: &Settlement) -> RowState {
    let is_still_in_doubt = settlement.state == RowState::Pending && attempt.before == Some(RowState::InDoubt);
    if is_still_in_doubt { RowState::InDoubt } else { settlement.state }
}

/// Takes a claim back.
pub(super) async fn release(session: Session, key: AttemptKey) -> Result<(), Failure> {
    let Some(attempt) = attempts(&session, vec![key.0]).await?.remove(&key) else {
        // Deleted by what was committed before the connection broke, or never there.
        return if session.is_again { Ok(()) } else { Err(Failure::NotInFlight) };
    };
    if attempt.is_answered {
        return Err(Failure::NotInFlight);
    }
    if !attempt.is_in_flight {
        // Its run was believed dead, and others know the row to be in doubt.
        return Ok(());
    }
    session.execute("DELETE FROM attempt WHERE account = $1 AND seq = $2", &[&key.0]).await?;
    let Some(before) = attempt.before else {
        session.execute("DELETE FROM task WHERE account = $1 AND seq = $2", &[&attempt.task]).await?;
        return Ok(());
    };
    let sql = "UPDATE task SET state = $3, submissions = submissions - 1,
                               first_sent_at = CASE WHEN submissions = 1 THEN NULL ELSE first_sent_at END
               WHERE account = $1 AND seq = $2";
    session.execute(sql, &[&attempt.task, &before.word()]).await.map(drop)
}
