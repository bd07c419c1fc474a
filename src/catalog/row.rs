//! The rows of the catalog, one after the other.

use std::fmt;
use std::sync::Arc;

use csv::ByteRecord;

use super::columns::Columns;
use super::dialect::Delimiter;
use super::error::{BadRow, CatalogError};
use super::previous::PreviousResult;
use super::reader::RecordReader;
use super::source::SourceFile;
use crate::domain::{BadId, MusicTaskId};

/// One data row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which data row, from 1.
    pub number: u32,
    /// The line of the file where it starts, from 1.
    pub line: u64,
    /// All its cells, those of an earlier run included.
    pub cells: ByteRecord,
    /// The music task it names.
    pub id: Result<MusicTaskId, BadRow>,
    /// What an earlier run said of it, if the catalog is a results CSV.
    pub previous: Option<Box<PreviousResult>>,
}

/// A row before the first, to be given to [`Rows::next_row`].
impl Default for Row {
    fn default() -> Self {
        Self { number: 0, line: 0, cells: ByteRecord::new(), id: Err(BadRow::Id(BadId::Empty)), previous: None }
    }
}

impl Row {
    /// This row, whose memory stays here to be used again.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let (number, line, cells) = (self.number, self.line, self.cells.clone());
        Self { number, line, cells, id: self.take_id(), previous: self.previous.take() }
    }

    /// The music task it names, which it names no more.
    pub(crate) fn take_id(&mut self) -> Result<MusicTaskId, BadRow> {
        std::mem::replace(&mut self.id, Err(BadRow::Id(BadId::Empty)))
    }
}

/// One pass over the data rows, with a reading position of its own.
pub struct Rows {
    records: RecordReader,
    columns: Arc<Columns>,
    file: Arc<SourceFile>,
    number: u32,
}

impl Rows {
    /// A pass from the first data row.
    pub(super) fn new(
        file: &Arc<SourceFile>,
        delimiter: Delimiter,
        columns: &Arc<Columns>,
    ) -> Result<Self, CatalogError> {
        let mut records = RecordReader::new(file, delimiter);
        records.read(&mut ByteRecord::new())?;
        Ok(Self { records, columns: Arc::clone(columns), file: Arc::clone(file), number: 0 })
    }

    /// Puts the next row into `row`, whose memory is used again; `false` after the last.
    ///
    /// # Errors
    /// If the file cannot be read, or was changed since the catalog was opened and now holds a record that cannot be.
    pub fn next_row(&mut self, row: &mut Row) -> Result<bool, CatalogError> {
        let Some(line) = self.records.read(&mut row.cells)? else { return Ok(false) };
        self.number = self.number.checked_add(1).ok_or_else(|| self.too_many())?;
        row.number = self.number;
        row.line = line;
        row.id = self.columns.id_of(&row.cells);
        row.previous = self.columns.previous_of(&row.cells).map(Box::new);
        Ok(true)
    }

    fn too_many(&self) -> CatalogError {
        CatalogError::TooManyRows(self.file.source().clone())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("catalog", self.file.source())
            .field("number", &self.number)
            .finish_non_exhaustive()
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
