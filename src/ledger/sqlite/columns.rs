//! Values of rows that several statements read.

use std::error::Error;

use rusqlite::Row;
use rusqlite::types::Type;

use crate::clock::UnixMillis;
use crate::domain::{Answer, Credits, ImageFile, MusicTaskId, Reason, Route, RowState};
use crate::ledger::record::image_size;

/// From when the limit counts a submission in flight: it leaves no window before it is answered.
pub(super) const IN_FLIGHT: UnixMillis = UnixMillis(i64::MAX);

/// The state in a column; the table itself admits no other word.
pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<RowState> {
    let word = row.get_ref(column)?.as_str()?;
    RowState::from_word(word).ok_or_else(|| unusable(column, format!("unknown state `{word}`")))
}

/// The reason in a column, if there is one.
pub(super) fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Reason>> {
    let Some(word) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    Reason::from_word(word).map(Some).ok_or_else(|| unusable(column, format!("unknown reason `{word}`")))
}

/// The route in a column; the table itself admits no other word.
pub(super) fn route(row: &Row<'_>, column: usize) -> rusqlite::Result<Route> {
    let word = row.get_ref(column)?.as_str()?;
    Route::from_word(word).ok_or_else(|| unusable(column, format!("unknown route `{word}`")))
}

/// The credits in a column, if there are any.
pub(super) fn credits(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Credits>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(Credits::of_thousandths))
}

/// A text that cannot be what its column says.
pub(super) fn unusable(column: usize, why: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}

/// The music task in a column.
pub(super) fn task_id(row: &Row<'_>, column: usize) -> rusqlite::Result<MusicTaskId> {
    MusicTaskId::new(row.get_ref(column)?.as_str()?).map_err(|bad| unusable(column, bad))
}

/// The answer in three columns from `first`.
pub(super) fn answer(row: &Row<'_>, first: usize) -> rusqlite::Result<Answer> {
    Ok(Answer {
        http_status: row.get(first)?,
        code: row.get(first + 1)?,
        message: row.get::<_, Option<String>>(first + 2)?.unwrap_or_default(),
    })
}

/// The file of an image, if there is one: name, width, height and bytes in four columns from `first`.
pub(super) fn image_file(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<ImageFile>> {
    let Some(name) = row.get(first)? else { return Ok(None) };
    let size = image_size([row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?]);
    Ok(Some(ImageFile { name, size }))
}

/// The time in a column.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMillis> {
    row.get(column).map(UnixMillis)
}

/// The time in a column, if there is one.
pub(super) fn time_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UnixMillis>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(UnixMillis))
}
