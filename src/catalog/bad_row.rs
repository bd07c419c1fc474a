//! Why a row cannot be used, in words for the person who wrote it.

use thiserror::Error;

use crate::domain::BadId;

/// Why a row is unusable; the others are not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRow {
    /// Cells after the last column, and not only empty ones: so many up to the last that is not.
    #[error("the row goes on after the last column ({0} more); a cell that holds the delimiter needs quotes")]
    SurplusCells(usize),
    /// The cell in the id column is not an id.
    #[error(transparent)]
    Id(#[from] BadId),
    /// The cell in the id column was an id once, or something else stands in its place.
    #[error("the id is {0}")]
    NoId(NoId),
}

/// What stands where an id should: the traces of a spreadsheet or a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoId {
    /// `1.23E+31`, `12345.0`.
    #[error("a number as spreadsheets show it, whose digits are lost; format the column as text")]
    Number,
    /// `#N/A`, `#REF!`, `Err:502`.
    #[error("an error value of a spreadsheet")]
    ErrorValue,
    /// `=A1&B1`.
    #[error("a formula of a spreadsheet")]
    Formula,
    /// `1/2/2026`.
    #[error("a date, into which spreadsheets turn what looks like one; format the column as text")]
    Date,
    /// `NULL`, `n/a`, `TRUE`, `-`.
    #[error("a word or sign for a missing value")]
    Missing,
    /// `TOTAL`.
    #[error("the label of a sum")]
    Sum,
    /// `https://example.com/song/1`.
    #[error("an address; only the id in it is wanted")]
    Address,
    /// The name of the id column, in a row that differs from the header.
    #[error("the name of a column; is this the header of another file?")]
    ColumnName,
}
