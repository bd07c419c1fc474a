//! What is written of music tasks beside their submissions, and what their files are called: the statements, each run inside
//! a transaction of its caller.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Credits, Images, MusicTaskId, Reason, RowState};
use crate::images::NameWords;
use crate::ledger::record::{Record, numbers_of};

/// Takes over records that the ledger does not know.
pub(super) fn import(connection: &Connection, rows: &[(MusicTaskId, Record)]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO task (id, state, reason, http_status, code, message, cover_id, submissions, failed_runs,
                           first_sent_at, answered_at, image_1, image_2, completed_at, file_1, file_2, fallback,
                           accepted_at, due_at, route, credits, width_1, height_1, bytes_1, width_2, height_2,
                           bytes_2)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?18, ?19, ?20, ?21, ?22,
                 ?23, ?24, ?25, ?26)
         ON CONFLICT DO NOTHING",
    )?;
    for (task, record) in rows {
        let art = &record.artwork;
        let urls = art.images.as_ref().map_or(&[][..], Images::urls);
        let [first, second] = art.files.each_ref().map(Option::as_ref);
        let ([width_1, height_1, bytes_1], [width_2, height_2, bytes_2]) = (numbers_of(first), numbers_of(second));
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
            first.map(|file| &file.name),
            second.map(|file| &file.name),
            art.fallback,
            record.unfinished_since().map(|at| at.0),
            record.route.word(),
            record.credits.map(Credits::thousandths),
            width_1,
            height_1,
            bytes_1,
            width_2,
            height_2,
            bytes_2,
        ])?;
    }
    Ok(())
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

pub(super) fn name_files(
    connection: &Connection,
    rows: &[(MusicTaskId, NameWords)],
) -> rusqlite::Result<Vec<Option<NameWords>>> {
    rows.iter().map(|(task, words)| name_file(connection, task, words)).collect()
}

fn name_file(connection: &Connection, task: &MusicTaskId, words: &NameWords) -> rusqlite::Result<Option<NameWords>> {
    let mut find = connection.prepare_cached("SELECT words FROM file_name WHERE id = ?1")?;
    let held: Option<String> = find.query_row([task.as_str()], |row| row.get(0)).optional()?;
    let held = held.as_deref().and_then(NameWords::new);
    let wanted = [Some(words.clone()), words.with_id(task)];
    if (held.is_some() && wanted.contains(&held)) || is_saved(connection, task)? {
        return Ok(held);
    }
    connection.prepare_cached("DELETE FROM file_name WHERE id = ?1")?.execute([task.as_str()])?;
    let mut insert = connection
        .prepare_cached("INSERT INTO file_name (id, words, folded) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    for words in wanted.into_iter().flatten() {
        if insert.execute(params![task.as_str(), words.as_str(), words.folded()])? == 1 {
            return Ok(Some(words));
        }
    }
    Ok(None)
}

/// Whether an image of a music task is on disk.
fn is_saved(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM task WHERE id = ?1 AND (file_1 IS NOT NULL OR file_2 IS NOT NULL))";
    connection.prepare_cached(sql)?.query_row([task.as_str()], |row| row.get(0))
}
