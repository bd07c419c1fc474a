//! What is written of music tasks beside their submissions, and what their files are called.

use super::columns::value;
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Credits, Images, MusicTaskId, Reason, RowState};
use crate::images::NameWords;
use crate::ledger::record::{Record, numbers_of};

/// Whether an image of a music task is on disk; its id is that of `new`.
const IS_SAVED: &str = "EXISTS (SELECT 1 FROM task WHERE task.account = $1 AND task.id = new.id
                                AND (file_1 IS NOT NULL OR file_2 IS NOT NULL))";

/// Takes over records that the ledger does not know.
pub(super) async fn import(session: Session, rows: Vec<(MusicTaskId, Record)>) -> Result<(), Failure> {
    let records = || rows.iter().map(|(_, record)| record);
    let ids: Vec<&str> = rows.iter().map(|(task, _)| task.as_str()).collect();
    let texts = |text: fn(&Record) -> Option<&str>| records().map(text).collect::<Vec<_>>();
    let numbers = |number: fn(&Record) -> Option<i64>| records().map(number).collect::<Vec<_>>();
    let sql = "INSERT INTO task (account, id, state, reason, message, cover_id, image_1, image_2, file_1, file_2,
                                 fallback, route, http_status, code, submissions, failed_runs, first_sent_at,
                                 answered_at, completed_at, credits, width_1, height_1, bytes_1, width_2, height_2,
                                 bytes_2, accepted_at, due_at)
               SELECT $1::integer, new.*, new.due_at
               FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                           $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],
                           $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[],
                           $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[],
                           $27::bigint[])
                    AS new (id, state, reason, message, cover_id, image_1, image_2, file_1, file_2, fallback, route,
                            http_status, code, submissions, failed_runs, first_sent_at, answered_at, completed_at,
                            credits, width_1, height_1, bytes_1, width_2, height_2, bytes_2, due_at)
               ON CONFLICT DO NOTHING";
    session
        .execute(
            sql,
            &[
                &ids,
                &texts(|record| Some(record.state.word())),
                &texts(|record| record.reason.map(Reason::word)),
                &texts(|record| Some(&record.answer.message)),
                &texts(|record| record.cover.as_ref().map(CoverTaskId::as_str)),
                &texts(|record| image(record, 0)),
                &texts(|record| image(record, 1)),
                &texts(|record| file(record, 0)),
                &texts(|record| file(record, 1)),
                &texts(|record| record.artwork.fallback.as_deref()),
                &texts(|record| Some(record.route.word())),
                &numbers(|record| record.answer.http_status.map(i64::from)),
                &numbers(|record| record.answer.code),
                &numbers(|record| Some(i64::from(record.submissions))),
                &numbers(|record| Some(i64::from(record.failed_runs))),
                &numbers(|record| record.first_sent_at.map(|at| at.0)),
                &numbers(|record| record.finished_at.map(|at| at.0)),
                &numbers(|record| record.artwork.completed_at.map(|at| at.0)),
                &numbers(|record| record.credits.map(Credits::thousandths)),
                &numbers(|record| numbers_of(record.artwork.files[0].as_ref())[0]),
                &numbers(|record| numbers_of(record.artwork.files[0].as_ref())[1]),
                &numbers(|record| numbers_of(record.artwork.files[0].as_ref())[2]),
                &numbers(|record| numbers_of(record.artwork.files[1].as_ref())[0]),
                &numbers(|record| numbers_of(record.artwork.files[1].as_ref())[1]),
                &numbers(|record| numbers_of(record.artwork.files[1].as_ref())[2]),
                &numbers(|record| record.unfinished_since().map(|at| at.0)),
            ],
        )
        .await
        .map(drop)
}

/// The address of an image.
fn image(record: &Record, nth: usize) -> Option<&str> {
    record.artwork.images.as_ref().map_or(&[][..], Images::urls).get(nth).map(String::as_str)
}

/// The name of the file of an image.
fn file(record: &Record, nth: usize) -> Option<&str> {
    record.artwork.files[nth].as_ref().map(|file| file.name.as_str())
}

pub(super) async fn note_music(
    session: Session,
    (task, state, (reason, answer), at): (MusicTaskId, RowState, (Reason, Answer), UnixMillis),
) -> Result<(), Failure> {
    let sql = "INSERT INTO task (account, id, state, submissions) VALUES ($1, $2, 'pending', 0) ON CONFLICT DO NOTHING";
    session.execute(sql, &[&task.as_str()]).await?;
    // A row in doubt stays so: that its music has news says nothing of the submission that was lost. What was committed
    // before the connection broke counts once.
    let sql = "UPDATE task SET state = $3, failed_runs = failed_runs + $4, reason = $5, http_status = $6, code = $7,
                               message = $8, answered_at = $9
               WHERE account = $1 AND id = $2 AND state IN ('pending', 'failed', 'gave_up', 'generation_failed')
                 AND NOT ($10 AND answered_at IS NOT DISTINCT FROM $9)";
    let failed = i64::from(state == RowState::Failed);
    let Answer { http_status, code, message } = answer;
    let status = http_status.map(i64::from);
    session
        .execute(
            sql,
            &[
                &task.as_str(),
                &state.word(),
                &failed,
                &reason.word(),
                &status,
                &code,
                &message,
                &at.0,
                &session.is_again,
            ],
        )
        .await
        .map(drop)
}

pub(super) async fn note_default_covers(session: Session, rows: Vec<(MusicTaskId, String)>) -> Result<(), Failure> {
    let (ids, files): (Vec<&str>, Vec<&str>) = rows.iter().map(|(task, file)| (task.as_str(), file.as_str())).unzip();
    let sql = "INSERT INTO task (account, id, state, submissions, fallback)
               SELECT DISTINCT ON (id) $1::integer, id, 'pending', 0, fallback FROM unnest($2::text[], $3::text[]) AS new (id, fallback)
               ON CONFLICT (account, id) DO UPDATE SET fallback = excluded.fallback";
    session.execute(sql, &[&ids, &files]).await.map(drop)
}

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
