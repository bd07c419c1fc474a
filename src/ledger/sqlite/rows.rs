//! The statements of the ledger, each run inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Ended, Images, MAX_RATE_COUNT, MusicTaskId, Reason, RowState};
use crate::ledger::{Claim, Record, RowKey, RunId, Settlement, Submission};

/// Why a run that was killed did not reach its rows.
const KILLED: Reason = Reason::Interrupted;

/// The state in a column; the table itself admits no other word.
pub(super) fn state_of(row: &Row<'_>, column: usize) -> rusqlite::Result<RowState> {
    let word = row.get_ref(column)?.as_str()?;
    RowState::from_word(word).ok_or_else(|| {
        let unknown = format!("unknown state `{word}`").into();
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, unknown)
    })
}

pub(super) fn adopt(connection: &Connection, rows: &[(MusicTaskId, Record)]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO task (id, state, reason, http_status, code, message, cover_id, submissions, failed_runs,
                           first_sent_at, answered_at, image_1, image_2, completed_at, file_1, file_2, fallback, key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, id_key(?1))",
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
        ])?;
    }
    Ok(())
}

pub(super) fn begin_run(connection: &Connection, catalog: &str, at: UnixMillis) -> rusqlite::Result<RunId> {
    connection.execute(
        "UPDATE task SET state = 'in_doubt', state_before = NULL, reason = ?1, http_status = NULL, code = NULL,
                         message = NULL, answered_at = NULL
         WHERE state = 'in_flight'",
        [KILLED.word()],
    )?;
    // Whoever holds the lock knows that no other run is alive. Commands that only follow may be.
    let mut dead = connection.prepare("SELECT run FROM run WHERE kind = 'run' AND ended_at IS NULL")?;
    let dead: Vec<i64> = dead.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    dead.into_iter().try_for_each(|run| leave(connection, RunId(run), at))?;
    open_run(connection, catalog, "run", at)
}

pub(super) fn open_run(connection: &Connection, catalog: &str, kind: &str, at: UnixMillis) -> rusqlite::Result<RunId> {
    connection.execute(
        "INSERT INTO run (catalog, kind, pid, started_at) VALUES (?1, ?2, ?3, ?4)",
        params![catalog, kind, std::process::id(), at.0],
    )?;
    Ok(RunId(connection.last_insert_rowid()))
}

pub(super) fn claim(
    connection: &Connection,
    run: RunId,
    tasks: &[MusicTaskId],
    at: UnixMillis,
) -> rusqlite::Result<Vec<Claim>> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO task (id, state, submissions, run, first_sent_at, sent_at, key)
         VALUES (?1, 'in_flight', 1, ?2, ?3, ?3, id_key(?1))",
    )?;
    let mut claim = |task: &MusicTaskId| {
        if insert.execute(params![task.as_str(), run.0, at.0])? == 1 {
            return Ok(Claim::Granted(RowKey(connection.last_insert_rowid())));
        }
        claim_again(connection, run, task, at)
    };
    tasks.iter().map(&mut claim).collect()
}

/// Claims a row that the ledger knows; what it held of the submission before becomes history.
fn claim_again(connection: &Connection, run: RunId, task: &MusicTaskId, at: UnixMillis) -> rusqlite::Result<Claim> {
    let mut find = connection.prepare_cached("SELECT seq, state FROM task WHERE key = id_key(?1) AND id = ?1")?;
    let (seq, state) = find.query_row([task.as_str()], |row| Ok((row.get::<_, i64>(0)?, state_of(row, 1)?)))?;
    if state.is_settled() || state == RowState::InFlight {
        return Ok(Claim::Refused);
    }
    remember_submission(connection, seq)?;
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = 'in_flight', state_before = state, submissions = submissions + 1, run = ?2,
                         first_sent_at = coalesce(first_sent_at, ?3), sent_at = ?3
         WHERE seq = ?1",
    )?;
    update.execute(params![seq, run.0, at.0])?;
    Ok(Claim::Granted(RowKey(seq)))
}

/// Makes the submission that a row holds, if it holds one, part of its history.
pub(super) fn remember_submission(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    let mut remember = connection.prepare_cached(
        "INSERT INTO attempt (task, run, sent_at, answered_at, reason, http_status, code, message)
         SELECT seq, run, sent_at, answered_at, reason, http_status, code, message
         FROM task WHERE seq = ?1 AND sent_at IS NOT NULL",
    )?;
    remember.execute([seq]).map(drop)
}

pub(super) fn release(connection: &Connection, row: RowKey) -> rusqlite::Result<()> {
    let forgotten = connection
        .execute("DELETE FROM task WHERE seq = ?1 AND state_before IS NULL AND state = 'in_flight'", [row.0])?;
    if forgotten == 1 {
        return Ok(());
    }
    // The submission that the claim made history, if it made one: its answer is still that of the row. A look may have
    // been answered at the same time, but never for the same reason.
    let last = "(SELECT max(seq) FROM attempt WHERE task = ?1
                 AND (answered_at, reason) IS (SELECT answered_at, reason FROM task WHERE seq = ?1))";
    connection.execute(
        &format!(
            "UPDATE task SET state = state_before, state_before = NULL, submissions = submissions - 1,
                             first_sent_at = iif(submissions = 1, NULL, first_sent_at),
                             (run, sent_at) = (SELECT run, sent_at FROM attempt WHERE seq = {last})
             WHERE seq = ?1 AND state = 'in_flight'"
        ),
        [row.0],
    )?;
    connection.execute(&format!("DELETE FROM attempt WHERE seq = {last}"), [row.0])?;
    Ok(())
}

pub(super) fn settle(connection: &Connection, rows: &[(RowKey, Settlement)]) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE task SET state = iif(?2 = 'pending' AND state_before = 'in_doubt', 'in_doubt', ?2),
                         state_before = NULL, reason = ?3, http_status = ?4, code = ?5, message = ?6,
                         cover_id = coalesce(?7, cover_id), answered_at = ?8, sent_at = ?9,
                         failed_runs = failed_runs + (?2 = 'failed'),
                         accepted_at = iif(?7 IS NULL, accepted_at, ?8), due_at = iif(?7 IS NULL, NULL, iif(hinted_at >= ?9, ?8, ?10)),
                         follow_run = iif(?7 IS NULL, NULL, ?11), wants_files = wants_files OR ?12
         WHERE seq = ?1 AND state = 'in_flight'",
    )?;
    for (row, settlement) in rows {
        let changed = update.execute(params![
            row.0,
            settlement.state.word(),
            settlement.reason.word(),
            settlement.answer.http_status,
            settlement.answer.code,
            settlement.answer.message,
            settlement.cover.as_ref().map(CoverTaskId::as_str),
            settlement.at.0,
            settlement.sent_at.0,
            settlement.look_at.0,
            settlement.followed.map(|followed| followed.run.0),
            settlement.followed.is_some_and(|followed| followed.files),
        ])?;
        // A row that is settled without having been claimed would be a hole in the promise, so it is an error.
        if changed != 1 {
            return Err(rusqlite::Error::StatementChangedRows(changed));
        }
    }
    Ok(())
}

pub(super) fn sends_since(connection: &Connection, since: UnixMillis) -> rusqlite::Result<Vec<UnixMillis>> {
    let mut query = connection.prepare_cached(
        "SELECT sent_at FROM task WHERE sent_at >= ?1 UNION ALL SELECT sent_at FROM attempt WHERE sent_at >= ?1
         ORDER BY 1 DESC LIMIT ?2",
    )?;
    let times = query.query_map(params![since.0, MAX_RATE_COUNT], |row| row.get(0).map(UnixMillis))?;
    let mut times: Vec<_> = times.collect::<Result<_, _>>()?;
    times.reverse();
    Ok(times)
}

pub(super) fn end_run(connection: &Connection, run: RunId, ended: Ended, at: UnixMillis) -> rusqlite::Result<()> {
    let word = ended.reason().map_or("finished", Reason::word);
    connection.execute("UPDATE run SET ended_at = ?2, ended = ?3 WHERE run = ?1", params![run.0, at.0, word])?;
    leave(connection, run, at)
}

pub(super) fn leave(connection: &Connection, run: RunId, at: UnixMillis) -> rusqlite::Result<()> {
    // Whatever it had claimed, nothing of it is under way any more. One statement for each of the indexes.
    for images in ["IS NULL", "IS NOT NULL"] {
        let sql = format!(
            "UPDATE task SET follow_run = NULL, due_at = min(due_at, ?2) WHERE follow_run = ?1 AND image_1 {images}"
        );
        connection.prepare_cached(&sql)?.execute(params![run.0, at.0])?;
    }
    Ok(())
}

pub(super) fn history(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<Vec<Submission>> {
    // A row in flight still shows the answer before; its own submission has none yet.
    let mut query = connection.prepare_cached(
        "SELECT run, sent_at, answered_at, reason, http_status, code, message FROM (
             SELECT seq, run, sent_at, answered_at, reason, http_status, code, message FROM attempt
             WHERE task = (SELECT seq FROM task WHERE key = id_key(?1) AND id = ?1)
             UNION ALL
             SELECT 9223372036854775807, run, sent_at, iif(flying, NULL, answered_at), iif(flying, NULL, reason),
                    iif(flying, NULL, http_status), iif(flying, NULL, code), iif(flying, NULL, message)
             FROM (SELECT *, state = 'in_flight' AS flying FROM task WHERE key = id_key(?1) AND id = ?1 AND sent_at IS NOT NULL)
         ) ORDER BY seq",
    )?;
    let submissions = query.query_map([task.as_str()], |row| {
        Ok(Submission {
            run: row.get::<_, Option<i64>>(0)?.map(RunId),
            sent_at: UnixMillis(row.get(1)?),
            answered_at: row.get::<_, Option<i64>>(2)?.map(UnixMillis),
            reason: row.get_ref(3)?.as_str_or_null()?.and_then(Reason::from_word),
            answer: answer(row, 4)?,
        })
    })?;
    submissions.collect()
}

/// The answer in three columns from `first`.
pub(super) fn answer(row: &Row<'_>, first: usize) -> rusqlite::Result<Answer> {
    Ok(Answer {
        http_status: row.get(first)?,
        code: row.get(first + 1)?,
        message: row.get::<_, Option<String>>(first + 2)?.unwrap_or_default(),
    })
}

pub(super) fn last_end(connection: &Connection, catalog: &str) -> rusqlite::Result<Option<Reason>> {
    let ended: Option<Option<String>> = connection
        .query_row(
            "SELECT ended FROM run WHERE catalog = ?1 AND kind = 'run' ORDER BY run DESC LIMIT 1",
            [catalog],
            |row| row.get(0),
        )
        .optional()?;
    Ok(match ended {
        None => None,
        Some(None) => Some(KILLED),
        Some(Some(word)) => Reason::from_word(&word),
    })
}
