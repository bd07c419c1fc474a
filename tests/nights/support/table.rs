//! A results CSV, read back by a reader that knows nothing of the program.

use std::path::Path;

/// The bytes of a CSV file, cell by cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) header: Vec<Vec<u8>>,
    pub(crate) rows: Vec<Vec<Vec<u8>>>,
}

impl Table {
    pub(crate) fn read(path: &Path, delimiter: u8) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text);
        let mut rows = reader.byte_records().map(|row| row.unwrap().iter().map(<[u8]>::to_vec).collect());
        Self { header: rows.next().unwrap(), rows: rows.collect() }
    }

    /// A column from top to bottom.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let at = self.position(name);
        self.rows.iter().map(|row| text(&row[at])).collect()
    }

    /// The cell of the first row with this id.
    pub(crate) fn cell(&self, id: &str, column: &str) -> String {
        let row = self.column("task_id").iter().position(|cell| cell.trim() == id);
        self.column(column).swap_remove(row.unwrap_or_else(|| panic!("no row `{id}`")))
    }

    /// Status, reason and whether it is retryable, as `failed not_found yes`.
    pub(crate) fn verdict(&self, id: &str) -> String {
        ["cover_status", "cover_reason", "cover_retryable"].map(|column| self.cell(id, column)).join(" ")
    }

    /// How many rows have this status.
    pub(crate) fn count(&self, status: &str) -> usize {
        self.column("cover_status").iter().filter(|cell| *cell == status).count()
    }

    /// Whether all rows have this status.
    pub(crate) fn is_all(&self, status: &str) -> bool {
        self.count(status) == self.rows.len()
    }

    fn position(&self, name: &str) -> usize {
        self.header.iter().position(|cell| cell == name.as_bytes()).unwrap_or_else(|| panic!("no column `{name}`"))
    }
}

fn text(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}
