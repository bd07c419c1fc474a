//! Values of rows that several statements read.

use std::fmt::Display;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::failure::Failure;
use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Credits, ImageFile, MusicTaskId, Reason, Route, RowState};
use crate::ledger::record::image_size;

/// The value in a column.
pub(super) fn value<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(|error| unbelievable(column, error))
}

/// A value that cannot be what its column says.
pub(super) fn unbelievable(column: usize, why: impl Display) -> Failure {
    Failure::Unbelievable { column, why: why.to_string() }
}

/// The state in a column.
pub(super) fn state(row: &Row, column: usize) -> Result<RowState, Failure> {
    let word = value(row, column)?;
    RowState::from_word(word).ok_or_else(|| unbelievable(column, format_args!("unknown state `{word}`")))
}

/// The reason in a column, if there is one.
pub(super) fn reason(row: &Row, column: usize) -> Result<Option<Reason>, Failure> {
    let Some(word) = value::<Option<&str>>(row, column)? else { return Ok(None) };
    Reason::from_word(word).map(Some).ok_or_else(|| unbelievable(column, format_args!("unknown reason `{word}`")))
}

/// The route in a column.
pub(super) fn route(row: &Row, column: usize) -> Result<Route, Failure> {
    let word = value(row, column)?;
    Route::from_word(word).ok_or_else(|| unbelievable(column, format_args!("unknown route `{word}`")))
}

/// The credits in a column, if there are any.
pub(super) fn credits(row: &Row, column: usize) -> Result<Option<Credits>, Failure> {
    Ok(value::<Option<i64>>(row, column)?.and_then(Credits::of_thousandths))
}

/// The music task in a column.
pub(super) fn task_id(row: &Row, column: usize) -> Result<MusicTaskId, Failure> {
    MusicTaskId::new(value::<&str>(row, column)?).map_err(|bad| unbelievable(column, bad))
}

/// The cover in a column, if there is one.
pub(super) fn cover_id(row: &Row, column: usize) -> Result<Option<CoverTaskId>, Failure> {
    let id = value::<Option<&str>>(row, column)?;
    id.map(CoverTaskId::new).transpose().map_err(|bad| unbelievable(column, bad))
}

/// The answer in three columns from `first`.
pub(super) fn answer(row: &Row, first: usize) -> Result<Answer, Failure> {
    let http_status = value::<Option<i64>>(row, first)?.map(u16::try_from).transpose();
    Ok(Answer {
        http_status: http_status.map_err(|error| unbelievable(first, error))?,
        code: value(row, first + 1)?,
        message: value::<Option<String>>(row, first + 2)?.unwrap_or_default(),
    })
}

/// The number in a column.
pub(super) fn count(row: &Row, column: usize) -> Result<u32, Failure> {
    u32::try_from(value::<i64>(row, column)?).map_err(|error| unbelievable(column, error))
}

/// The file of an image, if there is one: name, width, height and bytes in four columns from `first`.
pub(super) fn image_file(row: &Row, first: usize) -> Result<Option<ImageFile>, Failure> {
    let Some(name) = value(row, first)? else { return Ok(None) };
    let size = image_size([value(row, first + 1)?, value(row, first + 2)?, value(row, first + 3)?]);
    Ok(Some(ImageFile { name, size }))
}

/// The time in a column.
pub(super) fn time(row: &Row, column: usize) -> Result<UnixMillis, Failure> {
    value(row, column).map(UnixMillis)
}

/// The time in a column, if there is one.
pub(super) fn time_if_any(row: &Row, column: usize) -> Result<Option<UnixMillis>, Failure> {
    Ok(value::<Option<i64>>(row, column)?.map(UnixMillis))
}
