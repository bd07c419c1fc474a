//! The catalog: the CSV file that names one music task per row, read as bytes and never altered.
//!
//! [`Catalog::open`] reads the file once from end to end, so a [`Catalog`] that exists can be used: it has a header,
//! an id column and no row that swallows the ones after it. Everybody who wants rows then takes a pass of their own
//! ([`Catalog::rows`]). Nothing here sends, writes results or decides what to do with a row, and nothing grows with
//! the number of rows but the list of repeated ids: the catalog may have millions of them.
//!
//! One handle stays open for the whole life, so a file that is replaced or deleted meanwhile goes on being read; one
//! that is written to in place is noticed ([`Catalog::unchanged`]).

mod columns;
mod dialect;
mod duplicates;
mod error;
mod previous;
mod reader;
mod row;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use columns::{Columns, read_header, wanted};
use duplicates::{DuplicateIndex, Duplicates};
use source::SourceFile;

pub use columns::ID_COLUMNS;
pub use dialect::{BadDelimiter, Delimiter, Dialect};
pub use error::{BadRow, CatalogError, CatalogSource, MAX_RECORD_BYTES, NotCsv};
pub use previous::PreviousResult;
pub use row::{Row, Rows};

/// How many bad rows a [`Check`] keeps.
const MAX_FIRST_BAD: usize = 10;

/// What the caller says about the catalog; what is not said is found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogOptions {
    /// The name of the id column, or its number from 1; else the first of [`ID_COLUMNS`].
    pub id_column: Option<String>,
    /// What is between two cells.
    pub delimiter: Option<Delimiter>,
}

/// What reading every row once has shown; `rows` is the sum of the three kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Data rows.
    pub rows: u32,
    /// Rows that are the first with their id.
    pub distinct: u32,
    /// Rows that repeat the id of an earlier one.
    pub duplicates: u32,
    /// Unusable rows.
    pub invalid: u32,
    /// The first ten unusable rows: the line where each starts, and why.
    pub first_bad: Vec<(u64, BadRow)>,
}

/// A catalog that was read once from end to end and can be used.
#[derive(Debug)]
pub struct Catalog {
    file: Arc<SourceFile>,
    dialect: Dialect,
    columns: Arc<Columns>,
    check: Check,
    duplicates: Duplicates,
}

impl Catalog {
    /// Opens the catalog and reads all of it once.
    ///
    /// Takes as long as reading the file does, and up to 20 bytes of temporary space per row.
    ///
    /// # Errors
    /// [`CatalogError`] if it cannot be used as a whole. Bad rows are no error, they are in [`Catalog::check`].
    pub fn open(source: &CatalogSource, options: &CatalogOptions) -> Result<Self, CatalogError> {
        let file = Arc::new(SourceFile::open(source)?);
        let id_column = options.id_column.as_deref();
        let (header, dialect) = read_header(&file, options.delimiter, &wanted(id_column))?;
        let columns = Arc::new(Columns::new(header, id_column, source)?);
        let (check, duplicates) = checked(Rows::new(&file, dialect.delimiter, &columns)?)?;
        file.unchanged()?;
        Ok(Self { file, dialect, columns, check, duplicates })
    }

    /// A new pass over the data rows, from the first.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    pub fn rows(&self) -> Result<Rows, CatalogError> {
        Rows::new(&self.file, self.dialect.delimiter, &self.columns)
    }

    /// What reading every row once has shown.
    #[must_use]
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// The number of the first valid row with the same id, if this row duplicates it.
    #[must_use]
    pub fn first_row_of(&self, row_number: u32) -> Option<u32> {
        self.duplicates.first_row_of(row_number)
    }

    /// How the catalog is written.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it is the results CSV of an earlier run.
    #[must_use]
    pub fn is_results(&self) -> bool {
        self.columns.has_results()
    }

    /// The header without the columns of an earlier run.
    pub fn own_header(&self) -> impl Iterator<Item = &[u8]> {
        self.columns.own_header()
    }

    /// The cells of a row without those of an earlier run.
    ///
    /// As many as [`Catalog::own_header`] has, except for a row with [`BadRow::FieldCount`].
    pub fn own_cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a [u8]> {
        self.columns.own_cells(&row.cells)
    }

    /// Makes sure that the file was not written to since it was opened; replacing or deleting it is no change.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if its size or its time of modification is another.
    pub fn unchanged(&self) -> Result<(), CatalogError> {
        self.file.unchanged()
    }
}

/// Reads every row.
fn checked(mut rows: Rows) -> Result<(Check, Duplicates), CatalogError> {
    let (mut check, mut index, mut row) = (Check::default(), DuplicateIndex::new(), Row::default());
    while rows.next_row(&mut row)? {
        check.rows = row.number;
        match &row.id {
            Ok(id) => index.note(id, row.number).map_err(CatalogError::temporary)?,
            Err(bad) => check.add_bad(row.line, *bad),
        }
    }
    let duplicates = index.into_duplicates().map_err(CatalogError::temporary)?;
    // Every repeat is a row, and rows are counted in 32 bits.
    check.duplicates = u32::try_from(duplicates.count()).unwrap_or(u32::MAX);
    check.distinct = check.rows - check.invalid - check.duplicates;
    Ok((check, duplicates))
}

impl Check {
    fn add_bad(&mut self, line: u64, bad: BadRow) {
        self.invalid += 1;
        if self.first_bad.len() < MAX_FIRST_BAD {
            self.first_bad.push((line, bad));
        }
    }
}
