//! What is known of many music tasks at once.
//!
//! Rows of a catalog mostly came into the ledger in about the order in which they stand there, so that most of them are found
//! by one walk along the table: a third of the work of searching each in the index.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::columns::{
    answer, count, cover_id, credits, image_file, reason, route, state, task_id, time_if_any, unbelievable, value,
};
use super::failure::Failure;
use super::session::Session;
use crate::domain::{Images, MAX_IMAGES, MusicTaskId, RowState};
use crate::ledger::record::{Artwork, KnownState, Record};

/// Whether the images of a music task were wanted, are not there by the last word of their host, and are followed by nobody any more.
pub(super) const IS_FORGOTTEN: &str =
    "(image_1 IS NOT NULL AND wants_files AND due_at IS NULL AND coalesce(reason = 'not_found', false))";

/// How far rows may be from where they would be if all had come in their order: submissions under way at the same time are in
/// none.
const AROUND: i64 = 64;

pub(super) async fn records(session: Session, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Record>>, Failure> {
    let columns = format!(
        "state, reason, http_status, code, message, cover_id, submissions, failed_runs, first_sent_at, answered_at,
         route, credits, image_1, image_2, completed_at, file_1, width_1, height_1, bytes_1, file_2, width_2, height_2,
         bytes_2, fallback, {IS_FORGOTTEN}"
    );
    look_up(&session, &tasks, &columns, record).await
}

pub(super) async fn states(session: Session, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<KnownState>>, Failure> {
    let known = |row: &Row| Ok(KnownState { state: state(row, 1)?, failed_runs: count(row, 2)? });
    look_up(&session, &tasks, "state, failed_runs", known).await
}

/// What `read` reads from the columns from the second on, in the order of the music tasks: first along the table from where the
/// first of them is, then in the index what was not met there.
async fn look_up<K: Clone>(
    session: &Session,
    tasks: &[MusicTaskId],
    columns: &str,
    read: impl Fn(&Row) -> Result<K, Failure>,
) -> Result<Vec<Option<K>>, Failure> {
    let mut found = vec![None; tasks.len()];
    let mut wanted: HashMap<&str, usize> = tasks.iter().map(MusicTaskId::as_str).zip(0..).collect();
    for row in along(session, tasks, columns).await? {
        if let Some(nth) = wanted.remove(value::<&str>(&row, 0)?) {
            found[nth] = Some(read(&row)?);
        }
    }
    let left: Vec<usize> = (0..tasks.len()).filter(|nth| found[*nth].is_none()).collect();
    let ids: Vec<&str> = left.iter().map(|nth| tasks[*nth].as_str()).collect();
    for row in search(session, &ids, columns).await? {
        let nth = usize::try_from(value::<i64>(&row, 0)?).unwrap_or(0);
        let nth = left.get(nth.wrapping_sub(1)).ok_or_else(|| unbelievable(0, "nobody asked for it"))?;
        found[*nth] = Some(read(&row)?);
    }
    Ok(found)
}

/// As many rows of the table as music tasks, from where the first of them is, and some around them: their ids, and these
/// columns.
async fn along(session: &Session, tasks: &[MusicTaskId], columns: &str) -> Result<Vec<Row>, Failure> {
    let Some(first) = tasks.first() else { return Ok(Vec::new()) };
    let sql = format!(
        "WITH first AS (SELECT seq FROM task WHERE account = $1 AND id = $2)
         SELECT id, {columns} FROM task
         WHERE account + 0 = $1 AND seq BETWEEN (SELECT seq FROM first) - $3 AND (SELECT seq FROM first) + $4"
    );
    let after = i64::try_from(tasks.len()).unwrap_or(i64::MAX).saturating_add(AROUND);
    session.rows(&sql, &[&first.as_str(), &AROUND, &after]).await
}

/// The rows of these ids: which of them it is, from 1, and these columns.
async fn search(session: &Session, ids: &[&str], columns: &str) -> Result<Vec<Row>, Failure> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT nth, task.* FROM unnest($2::text[]) WITH ORDINALITY AS asked (asked_id, nth)
         CROSS JOIN LATERAL (SELECT {columns} FROM task WHERE account = $1 AND id = asked_id LIMIT 1) AS task"
    );
    session.rows(&sql, &[&ids]).await
}

fn record(row: &Row) -> Result<Record, Failure> {
    let state = state(row, 1)?;
    let finished_at = match state {
        RowState::Submitted
        | RowState::Exists
        | RowState::Failed
        | RowState::GaveUp
        | RowState::Completed
        | RowState::GenerationFailed
        | RowState::Ignored => time_if_any(row, 10)?,
        RowState::Pending | RowState::InFlight | RowState::InDoubt => None,
    };
    Ok(Record {
        state,
        reason: reason(row, 2)?,
        answer: answer(row, 3)?,
        cover: cover_id(row, 6)?,
        route: route(row, 11)?,
        credits: credits(row, 12)?,
        submissions: count(row, 7)?,
        failed_runs: count(row, 8)?,
        first_sent_at: time_if_any(row, 9)?,
        finished_at,
        artwork: artwork(row, 13)?,
    })
}

/// What is known of the images in the columns from `first`.
fn artwork(row: &Row, first: usize) -> Result<Artwork, Failure> {
    let urls: [Option<String>; MAX_IMAGES] = [value(row, first)?, value(row, first + 1)?];
    Ok(Artwork {
        images: Images::new(urls.into_iter().flatten()),
        completed_at: time_if_any(row, first + 2)?,
        files: [image_file(row, first + 3)?, image_file(row, first + 7)?],
        fallback: value(row, first + 11)?,
        is_forgotten: value(row, first + 12)?,
    })
}

/// The music tasks whose ids begin with this one, in the order of their ids.
pub(super) async fn beginning_with(
    session: Session,
    (start, most): (MusicTaskId, u32),
) -> Result<Vec<MusicTaskId>, Failure> {
    // No id holds a character as high as DEL.
    let sql = "SELECT id FROM task WHERE account = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4";
    let end = format!("{start}\u{7f}");
    let rows = session.rows(sql, &[&start.as_str(), &end, &i64::from(most)]).await?;
    rows.iter().map(|row| task_id(row, 0)).collect()
}
