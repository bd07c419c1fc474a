//! The statements about what the files of music tasks are called, each run inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::domain::MusicTaskId;
use crate::images::NameWords;

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
