//! The rows of the catalog, one after the other.

use std::fmt;
use std::sync::Arc;

use super::bad_row::BadRow;
use super::columns::Columns;
use super::error::{CatalogError, CatalogSource};
use super::previous::PreviousResult;
use super::reader::RecordReader;
use super::record::Record;
use crate::domain::{BadId, MusicTaskId};

/// One data row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which data row, from 1.
    pub number: u32,
    /// The line of the file where it starts, from 1.
    pub line: u64,
    /// All its cells, those of an earlier run included.
    pub record: Record,
    /// The music task it names.
    pub id: Result<MusicTaskId, BadRow>,
    /// What an earlier run said of it, if the catalog is a results CSV.
    pub previous: Option<Box<PreviousResult>>,
}

/// A row before the first, to be given to [`Rows::next_row`].
impl Default for Row {
    fn default() -> Self {
        Self { number: 0, line: 0, record: Record::default(), id: Err(BadRow::Id(BadId::Empty)), previous: None }
    }
}

impl Row {
    /// This row, whose memory stays here to be used again.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let (number, line, record) = (self.number, self.line, self.record.clone());
        Self { number, line, record, id: self.take_id(), previous: self.previous.take() }
    }

    /// The music task it names, which it names no more.
    pub(crate) fn take_id(&mut self) -> Result<MusicTaskId, BadRow> {
        std::mem::replace(&mut self.id, Err(BadRow::Id(BadId::Empty)))
    }
}

/// One pass over the data rows, with a reading position of its own.
pub struct Rows {
    reader: RecordReader,
    columns: Arc<Columns>,
    catalog: CatalogSource,
    number: u32,
}

impl Rows {
    /// A pass over what `reader` has not read yet; the header is no row, however often it comes.
    pub(super) fn new(reader: RecordReader, columns: &Arc<Columns>, catalog: &CatalogSource) -> Self {
        Self { reader, columns: Arc::clone(columns), catalog: catalog.clone(), number: 0 }
    }

    /// Puts the next row into `row`, whose memory is used again; `false` after the last.
    ///
    /// # Errors
    /// If the file cannot be read, or was changed since the catalog was opened and now holds a record that cannot be.
    pub fn next_row(&mut self, row: &mut Row) -> Result<bool, CatalogError> {
        let id = loop {
            if !self.reader.read(&mut row.record)? {
                return Ok(false);
            }
            self.columns.cut_header(&mut row.record);
            if let Some(id) = self.columns.id_of(&row.record) {
                break id;
            }
        };
        self.number = self.number.checked_add(1).ok_or_else(|| CatalogError::TooManyRows(self.catalog.clone()))?;
        row.number = self.number;
        row.line = self.reader.line();
        row.id = id;
        row.previous = self.columns.previous_of(&row.record).map(Box::new);
        Ok(true)
    }

    /// The reader, as it stands after the row read last.
    pub(super) fn reader(&self) -> &RecordReader {
        &self.reader
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("catalog", &self.catalog).field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{Catalog, CatalogOptions};
    use super::*;

    #[test]
    fn rows_without_a_number_are_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"id\n1\n2\n").unwrap();
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        let mut rows = Rows { number: u32::MAX - 1, ..catalog.rows().unwrap() };
        let mut row = Row::default();
        assert!(rows.next_row(&mut row).unwrap());
        let error = rows.next_row(&mut row).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` has more than 4294967295 rows", file.path().display()));
    }
}
