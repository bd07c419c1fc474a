//! The statements about submissions of music tasks, each run inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{IN_FLIGHT, reason, state};
use super::failure::Failure;
use super::others::Others;
use super::pace;
use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, RowState};
use crate::ledger::run::{AttemptKey, RunId};
use crate::ledger::submission::{Claim, ClaimRequest, LastSubmission, Settled, Settlement, refusal};
use crate::ratelimit::slack;

/// Where a music task stands for a run that wants to send it.
enum Standing {
    Unknown,
    Claimable(i64, RowState),
    No(Claim),
}

pub(super) fn claim(connection: &Connection, others: &mut Others, request: &ClaimRequest) -> Result<Claim, Failure> {
    let ClaimRequest { run, task, asking, at, .. } = request;
    let reach = asking.rate.period + slack(asking.rate);
    if others.are_there(connection, *at, reach)? || asking.is_probe {
        // Found out first: a row that may not be sent must not take the turn of one that may.
        if let Standing::No(claim) = standing(connection, others, request)? {
            return Ok(claim);
        }
        if let Err(not_yet) = pace::admit(connection, others, *asking, *at)? {
            return Ok(Claim::NotYet(not_yet));
        }
    }
    // The numbers of new rows are asked for apart, here and in `settle`: RETURNING was a third of the work of a row.
    let mut insert = connection.prepare_cached(
        "INSERT INTO task (id, state, submissions, first_sent_at) VALUES (?1, 'in_flight', 1, ?2)
         ON CONFLICT DO NOTHING",
    )?;
    let is_new = insert.execute(params![task.as_str(), at.0])? == 1;
    let (seq, state_before) = if is_new {
        (connection.last_insert_rowid(), None)
    } else {
        match standing(connection, others, request)? {
            Standing::Claimable(seq, before) => (claim_known(connection, seq, *at)?, Some(before)),
            Standing::No(claim) => return Ok(claim),
            Standing::Unknown => return Err(Failure::NotInFlight),
        }
    };
    let mut insert = connection.prepare_cached(
        "INSERT INTO attempt (task, run, state_before, sent_at, paced_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![seq, run.0, state_before.map(RowState::word), at.0, IN_FLIGHT.0])?;
    let attempt = AttemptKey(connection.last_insert_rowid());
    if asking.is_probe {
        pace::note_probe(connection, attempt)?;
    }
    Ok(Claim::Granted(attempt))
}

/// Puts a music task that the ledger knows in flight; which one that is.
fn claim_known(connection: &Connection, seq: i64, at: UnixMillis) -> rusqlite::Result<i64> {
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = 'in_flight', submissions = submissions + 1, first_sent_at = coalesce(first_sent_at, ?2)
         WHERE seq = ?1",
    )?;
    update.execute(params![seq, at.0])?;
    Ok(seq)
}

fn standing(connection: &Connection, others: &Others, request: &ClaimRequest) -> rusqlite::Result<Standing> {
    let mut find = connection.prepare_cached(
        "SELECT task.seq, task.state, last.seq, last.run, last.reason
         FROM task LEFT JOIN attempt AS last ON last.seq = (SELECT max(seq) FROM attempt WHERE attempt.task = task.seq)
         WHERE task.id = ?1",
    )?;
    let known = find.query_row([request.task.as_str()], |row| {
        let last = match row.get(2)? {
            None => None,
            Some(seq) => {
                Some(LastSubmission { attempt: AttemptKey(seq), run: RunId(row.get(3)?), reason: reason(row, 4)? })
            }
        };
        Ok((row.get(0)?, state(row, 1)?, last))
    });
    let Some((seq, state, last)) = known.optional()? else { return Ok(Standing::Unknown) };
    let refusal = refusal(request, state, last, others.in_flight_at_begin());
    Ok(refusal.map_or(Standing::Claimable(seq, state), Standing::No))
}

pub(super) fn settle(
    connection: &Connection,
    attempt: AttemptKey,
    settlement: &Settlement,
) -> Result<Settled, Failure> {
    let Settlement { state, reason, answer, cover, route, sent_at, at, poll_at, waiter, age, pause } = settlement;
    let Unanswered { task, before, standing, .. } = unanswered(connection, attempt, state.is_settled())?;
    let mut update = connection.prepare_cached(
        "UPDATE attempt SET sent_at = ?2, paced_at = ?3, answered_at = ?4, reason = ?5, http_status = ?6, code = ?7,
                            message = ?8
         WHERE seq = ?1",
    )?;
    let Answer { http_status, code, message } = answer;
    update.execute(params![
        attempt.0,
        sent_at.0,
        at.before(*age).0,
        at.0,
        reason.word(),
        http_status,
        code,
        message
    ])?;
    pace::change_pause(connection, *pause, *at)?;
    if standing == Settled::Overtaken {
        return Ok(standing);
    }
    let is_still_in_doubt = *state == RowState::Pending && before == Some(RowState::InDoubt);
    let state = if is_still_in_doubt { RowState::InDoubt } else { *state };
    let waiter = waiter.filter(|_| cover.is_some());
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = ?2, reason = ?3, http_status = ?4, code = ?5, message = ?6, answered_at = ?7,
                         failed_runs = failed_runs + ?8, cover_id = coalesce(?9, cover_id),
                         accepted_at = coalesce(?10, accepted_at),
                         due_at = CASE WHEN woken_at >= ?11 THEN ?10 ELSE ?12 END,
                         waiter = ?13, wants_files = wants_files OR ?14, route = coalesce(?15, route)
         WHERE seq = ?1",
    )?;
    update.execute(params![
        task,
        state.word(),
        reason.word(),
        http_status,
        code,
        message,
        at.0,
        i32::from(state == RowState::Failed),
        cover.as_ref().map(CoverTaskId::as_str),
        cover.as_ref().map(|_| at.0),
        sent_at.0,
        cover.as_ref().map(|_| poll_at.0),
        waiter.map(|waiter| waiter.run.0),
        waiter.is_some_and(|waiter| waiter.wants_files),
        cover.as_ref().map(|_| route.word()),
    ])?;
    Ok(standing)
}

/// A submission that has no answer.
struct Unanswered {
    task: i64,
    /// The state that its music task was in before.
    before: Option<RowState>,
    /// Whether its run is known to be alive.
    is_in_flight: bool,
    /// Whether it is what its music task stands by: if its run was believed dead that may have been sent again, or ignored.
    standing: Settled,
}

/// The submission, if it has no answer; `settles` tells whether the one that it gets would settle its music task.
fn unanswered(connection: &Connection, attempt: AttemptKey, settles: bool) -> Result<Unanswered, Failure> {
    let mut find = connection.prepare_cached(
        "SELECT task, state_before, reason IS NULL,
                reason IS NULL OR (SELECT state IN ('in_doubt', 'pending') OR (state = 'ignored' AND ?2)
                                   FROM task WHERE seq = attempt.task)
                                  AND NOT EXISTS (SELECT 1 FROM attempt later
                                                  WHERE later.task = attempt.task AND later.seq > attempt.seq)
         FROM attempt WHERE seq = ?1 AND answered_at IS NULL",
    )?;
    let found = find.query_row(params![attempt.0, settles], |row| {
        let has_state = row.get_ref(1)?.as_str_or_null()?.is_some();
        let before = has_state.then(|| state(row, 1)).transpose()?;
        let standing = if row.get(3)? { Settled::Recorded } else { Settled::Overtaken };
        Ok(Unanswered { task: row.get(0)?, before, is_in_flight: row.get(2)?, standing })
    });
    found.optional()?.ok_or(Failure::NotInFlight)
}

pub(super) fn release(connection: &Connection, attempt: AttemptKey) -> Result<(), Failure> {
    let Unanswered { task, before, is_in_flight, .. } = unanswered(connection, attempt, false)?;
    if !is_in_flight {
        // Its run was believed dead, and others know the row to be in doubt.
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM attempt WHERE seq = ?1")?.execute([attempt.0])?;
    let Some(before) = before else {
        connection.prepare_cached("DELETE FROM task WHERE seq = ?1")?.execute([task])?;
        return Ok(());
    };
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = ?2, submissions = submissions - 1,
                         first_sent_at = CASE WHEN submissions = 1 THEN NULL ELSE first_sent_at END
         WHERE seq = ?1",
    )?;
    update.execute(params![task, before.word()])?;
    Ok(())
}
