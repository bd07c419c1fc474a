//! The statements about music tasks and their submissions, each run inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{state, time};
use super::failure::Failure;
use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Images, MAX_RATE_COUNT, MusicTaskId, Reason, RowState};
use crate::ledger::keys::{AttemptKey, RunId};
use crate::ledger::record::Record;
use crate::ledger::submission::{Claim, Settlement};

pub(super) fn import(connection: &Connection, rows: &[(MusicTaskId, Record)]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO task (id, state, reason, http_status, code, message, cover_id, submissions, failed_runs,
                           first_sent_at, answered_at, image_1, image_2, completed_at, file_1, file_2, fallback,
                           accepted_at, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?18)
         ON CONFLICT DO NOTHING",
    )?;
    for (task, record) in rows {
        let art = &record.artwork;
        let urls = art.images.as_ref().map_or(&[][..], Images::urls);
        insert.execute(params![
            task.as_str(),
            record.state.word(),
            record.reason.map(Reason::word),
            record.answer.http_status,
            record.answer.code,
            record.answer.message,
            record.cover.as_ref().map(CoverTaskId::as_str),
            record.submissions,
            record.failed_runs,
            record.first_sent_at.map(|at| at.0),
            record.finished_at.map(|at| at.0),
            urls.first(),
            urls.get(1),
            art.completed_at.map(|at| at.0),
            art.files[0],
            art.files[1],
            art.fallback,
            unfinished_since(record).map(|at| at.0),
        ])?;
    }
    Ok(())
}

/// Since when the cover of a record is known, if its images are not.
fn unfinished_since(record: &Record) -> Option<UnixMillis> {
    let is_accepted = matches!(record.state, RowState::Submitted | RowState::Exists) && record.cover.is_some();
    let is_unfinished = is_accepted && record.artwork.images.is_none();
    record.finished_at.or(record.first_sent_at).filter(|_| is_unfinished)
}

pub(super) fn claim(
    connection: &Connection,
    run: RunId,
    task: &MusicTaskId,
    at: UnixMillis,
) -> rusqlite::Result<Claim> {
    // The numbers of new rows are asked for apart, here and in `settle`: RETURNING was a third of the work of a row.
    let mut insert = connection.prepare_cached(
        "INSERT INTO task (id, state, submissions, first_sent_at) VALUES (?1, 'in_flight', 1, ?2)
         ON CONFLICT DO NOTHING",
    )?;
    let is_new = insert.execute(params![task.as_str(), at.0])? == 1;
    let claimed =
        if is_new { Some((connection.last_insert_rowid(), None)) } else { claim_known(connection, task, at)? };
    let Some((seq, state_before)) = claimed else { return Ok(Claim::Refused) };
    let mut insert = connection.prepare_cached(
        "INSERT INTO attempt (task, run, state_before, sent_at, paced_at) VALUES (?1, ?2, ?3, ?4, ?4)",
    )?;
    insert.execute(params![seq, run.0, state_before.map(RowState::word), at.0])?;
    Ok(Claim::Granted(AttemptKey(connection.last_insert_rowid())))
}

/// Claims a music task that the ledger knows; which one that is and the state it was in, if it may be sent.
fn claim_known(
    connection: &Connection,
    task: &MusicTaskId,
    at: UnixMillis,
) -> rusqlite::Result<Option<(i64, Option<RowState>)>> {
    let mut find = connection.prepare_cached("SELECT seq, state FROM task WHERE id = ?1")?;
    let (seq, before): (i64, _) = find.query_row([task.as_str()], |row| Ok((row.get(0)?, state(row, 1)?)))?;
    if before.is_settled() || before == RowState::InFlight {
        return Ok(None);
    }
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = 'in_flight', submissions = submissions + 1, first_sent_at = coalesce(first_sent_at, ?2)
         WHERE seq = ?1",
    )?;
    update.execute(params![seq, at.0])?;
    Ok(Some((seq, Some(before))))
}

pub(super) fn settle(connection: &Connection, attempt: AttemptKey, settlement: &Settlement) -> Result<(), Failure> {
    let Settlement { state, reason, answer, cover, sent_at, at, poll_at, waiter } = settlement;
    let (task, before) = in_flight(connection, attempt)?;
    let mut update = connection.prepare_cached(
        "UPDATE attempt SET sent_at = ?2, paced_at = ?3, answered_at = ?3, reason = ?4, http_status = ?5, code = ?6,
                            message = ?7
         WHERE seq = ?1",
    )?;
    let Answer { http_status, code, message } = answer;
    update.execute(params![attempt.0, sent_at.0, at.0, reason.word(), http_status, code, message])?;
    let is_still_in_doubt = *state == RowState::Pending && before == Some(RowState::InDoubt);
    let state = if is_still_in_doubt { RowState::InDoubt } else { *state };
    let waiter = waiter.filter(|_| cover.is_some());
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = ?2, reason = ?3, http_status = ?4, code = ?5, message = ?6, answered_at = ?7,
                         failed_runs = failed_runs + ?8, cover_id = coalesce(?9, cover_id),
                         accepted_at = coalesce(?10, accepted_at),
                         due_at = CASE WHEN woken_at >= ?11 THEN ?10 ELSE ?12 END,
                         waiter = ?13, wants_files = wants_files OR ?14
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
    ])?;
    Ok(())
}

/// The music task of a submission in flight, and the state that it was in before.
fn in_flight(connection: &Connection, attempt: AttemptKey) -> Result<(i64, Option<RowState>), Failure> {
    let mut find =
        connection.prepare_cached("SELECT task, state_before FROM attempt WHERE seq = ?1 AND reason IS NULL")?;
    let claimed = find.query_row([attempt.0], |row| {
        let has_state = row.get_ref(1)?.as_str_or_null()?.is_some();
        Ok((row.get(0)?, has_state.then(|| state(row, 1)).transpose()?))
    });
    claimed.optional()?.ok_or(Failure::NotInFlight)
}

pub(super) fn release(connection: &Connection, attempt: AttemptKey) -> Result<(), Failure> {
    let (task, before) = in_flight(connection, attempt)?;
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

pub(super) fn sends_since(connection: &Connection, since: UnixMillis) -> rusqlite::Result<Vec<UnixMillis>> {
    let mut query = connection
        .prepare_cached("SELECT paced_at FROM attempt WHERE paced_at >= ?1 ORDER BY paced_at DESC LIMIT ?2")?;
    let times = query.query_map(params![since.0, MAX_RATE_COUNT], |row| time(row, 0))?;
    let mut times: Vec<_> = times.collect::<rusqlite::Result<_>>()?;
    times.reverse();
    Ok(times)
}

pub(super) fn note_music(
    connection: &Connection,
    task: &MusicTaskId,
    state: RowState,
    (reason, answer): &(Reason, Answer),
    at: UnixMillis,
) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO task (id, state, submissions) VALUES (?1, 'pending', 0) ON CONFLICT DO NOTHING")?;
    insert.execute([task.as_str()])?;
    // A row in doubt stays so: that its music has news says nothing of the submission that was lost.
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = ?2, failed_runs = failed_runs + ?3, reason = ?4, http_status = ?5, code = ?6,
                         message = ?7, answered_at = ?8
         WHERE id = ?1 AND state IN ('pending', 'failed', 'gave_up', 'generation_failed')",
    )?;
    let failed = i32::from(state == RowState::Failed);
    let Answer { http_status, code, message } = answer;
    update.execute(params![task.as_str(), state.word(), failed, reason.word(), http_status, code, message, at.0])?;
    Ok(())
}

pub(super) fn note_default_covers(connection: &Connection, rows: &[(MusicTaskId, String)]) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO task (id, state, submissions, fallback) VALUES (?1, 'pending', 0, ?2)
         ON CONFLICT (id) DO UPDATE SET fallback = excluded.fallback",
    )?;
    rows.iter().try_for_each(|(task, file)| upsert.execute(params![task.as_str(), file]).map(drop))
}
