//! The statements about what the files of music tasks are called.

use super::columns::value;
use super::failure::Failure;
use super::session::Session;
use crate::domain::MusicTaskId;
use crate::images::NameWords;

/// Whether an image of a music task is on disk; its id is that of `new`.
const IS_SAVED: &str = "EXISTS (SELECT 1 FROM task WHERE task.account = $1 AND task.id = new.id
                                AND (file_1 IS NOT NULL OR file_2 IS NOT NULL))";

pub(super) async fn name_files(
    session: Session,
    rows: Vec<(MusicTaskId, NameWords)>,
) -> Result<Vec<Option<NameWords>>, Failure> {
    let ids: Vec<&str> = rows.iter().map(|(task, _)| task.as_str()).collect();
    let plain: Vec<Option<NameWords>> = rows.iter().map(|(_, words)| Some(words.clone())).collect();
    let with_id: Vec<Option<NameWords>> = rows.iter().map(|(task, words)| words.with_id(task)).collect();
    let sql = format!(
        "DELETE FROM file_name USING unnest($2::text[], $3::text[], $4::text[]) AS new (id, plain, with_id)
         WHERE account = $1 AND file_name.id = new.id AND words IS DISTINCT FROM plain
           AND words IS DISTINCT FROM with_id AND NOT {IS_SAVED}"
    );
    session.execute(&sql, &[&ids, &texts(&plain), &texts(&with_id)]).await?;
    for words in [plain, with_id] {
        let folded: Vec<Option<String>> = words.iter().map(|words| words.as_ref().map(NameWords::folded)).collect();
        let sql = format!(
            "INSERT INTO file_name (account, id, words, folded)
             SELECT $1::integer, new.* FROM unnest($2::text[], $3::text[], $4::text[]) AS new (id, words, folded)
             WHERE new.words IS NOT NULL AND NOT {IS_SAVED}
             ON CONFLICT DO NOTHING"
        );
        session.execute(&sql, &[&ids, &texts(&words), &folded]).await?;
    }
    let sql = "SELECT words FROM unnest($2::text[]) WITH ORDINALITY AS asked (asked_id, nth)
               LEFT JOIN file_name ON account = $1 AND id = asked_id ORDER BY nth";
    let rows = session.rows(sql, &[&ids]).await?;
    rows.iter().map(|row| Ok(value::<Option<&str>>(row, 0)?.and_then(NameWords::new))).collect()
}

fn texts(words: &[Option<NameWords>]) -> Vec<Option<&str>> {
    words.iter().map(|words| words.as_ref().map(NameWords::as_str)).collect()
}
