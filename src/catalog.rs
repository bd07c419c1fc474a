//! The catalog: the CSV file that names one music task per row, read as bytes and never altered.
//!
//! [`Catalog::open`] reads the file once from end to end, so a [`Catalog`] that exists can be used: it has a header,
//! an id column and no row that swallows the ones after it. Everybody who wants rows then takes a pass of their own
//! ([`Catalog::rows`]). Nothing here sends, writes results or decides what to do with a row, and nothing grows with
//! the number of rows but the list of repeated ids: the catalog may have millions of them.
//!
//! One handle stays open for the whole life, so a file that is replaced or deleted meanwhile goes on being read; one
//! that is written to in place is noticed ([`Catalog::unchanged`]).

mod check;
mod columns;
mod dialect;
mod duplicates;
mod error;
mod header;
mod ids;
mod labels;
mod previous;
mod reader;
mod record;
mod shapes;
mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use check::Checked;
use columns::{Columns, wanted};
use duplicates::Duplicates;
use header::Start;
use reader::RecordReader;
use source::SourceFile;

use crate::clock::UnixMillis;
use crate::domain::MusicTaskId;

pub use check::Check;
pub use columns::ID_COLUMNS;
pub use dialect::{BadDelimiter, Delimiter, Dialect, Encoding, Grammar, LineBreak, Reading};
pub use error::{CatalogError, CatalogSource, Line, MAX_RECORD_BYTES, NotCsv};
pub use ids::{BadRow, NoId};
pub use labels::{BadTemplate, Labels, NameTemplate, NoSuchColumn, RowNames};
pub use previous::PreviousResult;
pub use reader::{Row, Rows};
pub use record::Record;
pub use shapes::Unlike;

pub(crate) use duplicates::DuplicateIndex;

/// What the caller says about the catalog; what is not said is found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogOptions {
    /// The name of the id column, or its number from 1; else the first of [`ID_COLUMNS`].
    pub id_column: Option<String>,
    /// What is between two cells.
    pub delimiter: Option<Delimiter>,
    /// Lines before the header.
    pub skip_lines: u64,
}

/// A catalog that was read once from end to end and can be used.
#[derive(Debug)]
pub struct Catalog {
    file: Arc<SourceFile>,
    skipped: u64,
    dialect: Dialect,
    columns: Arc<Columns>,
    check: Check,
    duplicates: Duplicates,
    /// The only music tasks that are taken up, if not all are.
    chosen: Option<BTreeSet<MusicTaskId>>,
}

/// Ids that a message names.
const NAMED_IDS: usize = 5;

impl Catalog {
    /// Opens the catalog and reads all of it once, or several times if its quotes leave in doubt how.
    ///
    /// Takes as long as reading the file does, and up to 20 bytes of temporary space per row.
    ///
    /// # Errors
    /// [`CatalogError`] if it cannot be used as a whole. Bad rows are no error, they are in [`Catalog::check`].
    pub fn open(source: &CatalogSource, options: &CatalogOptions) -> Result<Self, CatalogError> {
        let file = Arc::new(SourceFile::open(source)?);
        let id_column = options.id_column.as_deref();
        let wanted = wanted(id_column);
        let start = Start::find(&file, options.skip_lines, options.delimiter, &wanted)?;
        let checked =
            check::check(&file, start, id_column).map_err(|error| error.with_hint(|| start.hint(&file, &wanted)))?;
        file.unchanged()?;
        let Checked { columns, line_break, check, duplicates, .. } = checked;
        let (grammar, encoding) = (columns.grammar, file.encoding);
        let dialect = Dialect { grammar, encoding, line_break, separator_line: start.separator_line };
        Ok(Self { file, skipped: start.skipped, dialect, columns, check, duplicates, chosen: None })
    }

    /// The same catalog, of which only these music tasks are taken up. The other rows are read like these, and neither
    /// sent nor followed nor judged.
    ///
    /// # Errors
    /// [`CatalogError::NoRowOf`] if no row names one of them, or if the file cannot be read any more.
    pub fn confined_to(self, chosen: BTreeSet<MusicTaskId>) -> Result<Self, CatalogError> {
        let (mut rows, mut row, mut missing) = (self.rows()?, Row::default(), chosen.clone());
        while !missing.is_empty() && rows.next_row(&mut row)? {
            if let Ok(id) = &row.id {
                missing.remove(id);
            }
        }
        if missing.is_empty() {
            return Ok(Self { chosen: Some(chosen), ..self });
        }
        Err(CatalogError::NoRowOf(self.file.source.clone(), named(&missing)))
    }

    /// Whether not all rows are taken up.
    #[must_use]
    pub const fn is_confined(&self) -> bool {
        self.chosen.is_some()
    }

    /// Whether a row of this id is taken up.
    #[must_use]
    pub fn takes_up(&self, id: &Result<MusicTaskId, BadRow>) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| id.as_ref().is_ok_and(|id| chosen.contains(id)))
    }

    /// Makes sure that not most rows were lost since earlier results were written.
    ///
    /// # Errors
    /// [`CatalogError`] if there are no rows, or fewer than half of those of the results.
    pub fn has_not_shrunk(&self, results: Option<&Self>) -> Result<(), CatalogError> {
        let (catalog, rows) = (self.file.source.clone(), self.check.rows);
        match results {
            _ if rows == 0 => Err(CatalogError::NoRows(catalog)),
            Some(before) if before.check.rows > rows.saturating_mul(2) => {
                Err(CatalogError::Shrunk(catalog, rows, before.file.source.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A new pass over the data rows, from the first.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    pub fn rows(&self) -> Result<Rows, CatalogError> {
        let mut reader = RecordReader::new(&self.file, self.dialect.grammar, self.skipped)?;
        reader.read(&mut Record::default())?;
        Ok(Rows::new(reader, &self.columns, &self.file.source))
    }

    /// What reading every row once has shown.
    #[must_use]
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// The number of the first valid row with the same id, if this row repeats it.
    #[must_use]
    pub fn first_row_of(&self, row_number: u32) -> Option<u32> {
        self.duplicates.first_row_of(row_number)
    }

    /// How the catalog is written.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// When its file was last written, if the file system tells.
    #[must_use]
    pub fn written_at(&self) -> Option<UnixMillis> {
        self.file.written_at()
    }

    /// Whether it is the results CSV of an earlier run.
    #[must_use]
    pub fn is_results(&self) -> bool {
        self.columns.previous.is_some()
    }

    /// What the header says of each column but those of an earlier run.
    pub fn own_names(&self) -> impl Iterator<Item = &[u8]> {
        self.columns.own().map(|column| self.columns.name(column))
    }

    /// Which of these columns has this name, whatever its case, or else this number from 1.
    #[must_use]
    pub fn own_position(&self, name: &str) -> Option<usize> {
        let wanted = name.trim().to_lowercase();
        let named = self.own_names().position(|cell| String::from_utf8_lossy(cell).to_lowercase() == wanted);
        named.or_else(|| wanted.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < self.own_names().count()))
    }

    /// What a row says in the nth of these columns.
    #[must_use]
    pub fn own_value<'a>(&self, row: &'a Row, nth: usize) -> Option<Cow<'a, [u8]>> {
        row.record.value(self.columns.own().nth(nth)?, self.dialect.grammar)
    }

    /// The header's bytes in each column but those of an earlier run, quotes included.
    pub fn own_header(&self) -> impl Iterator<Item = &[u8]> {
        self.own_cells_of(&self.columns.header)
    }

    /// A row's bytes in each column but those of an earlier run, quotes included; none where it has no cell.
    pub fn own_cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a [u8]> {
        self.own_cells_of(&row.record)
    }

    fn own_cells_of<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = &'a [u8]> {
        self.columns.own().map(|column| record.raw(column).unwrap_or_default())
    }

    /// A row's bytes beyond the columns of the header, if any of these cells says something.
    pub fn surplus_cells<'a>(&self, row: &'a Row) -> impl Iterator<Item = &'a [u8]> {
        let (record, width) = (&row.record, self.columns.width());
        let is_used = record.len() > width && record.used(self.dialect.grammar) > width;
        (width..if is_used { record.len() } else { width }).filter_map(|cell| record.raw(cell))
    }

    /// Makes sure that the file was not written to since it was opened; replacing or deleting it is no change.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if its size or its time of modification is another.
    pub fn unchanged(&self) -> Result<(), CatalogError> {
        self.file.unchanged()
    }
}

/// As in "ids `a`, `b` and 3 more".
fn named(ids: &BTreeSet<MusicTaskId>) -> String {
    let shown: Vec<&str> = ids.iter().take(NAMED_IDS).map(MusicTaskId::as_str).collect();
    let more = match ids.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} `{}`{more}", if ids.len() == 1 { "id" } else { "ids" }, shown.join("`, `"))
}
