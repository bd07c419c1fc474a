//! The rows of the catalog, some at a time, the next of which are read while those before are worked on.

use tokio::task::{JoinHandle, spawn_blocking};

use crate::catalog::{CatalogError, Row, Rows};

/// A pass over the rows, as far as something is taken of each.
#[derive(Debug)]
pub(super) struct Prefetch<T> {
    /// The next rows on their way; `None` after the last.
    coming: Option<JoinHandle<Read<T>>>,
    take: fn(&mut Row) -> T,
    /// How many are read together.
    chunk: usize,
}

/// The rest of the rows, and what was taken of those that were read.
type Read<T> = Result<(Rows, Vec<T>), CatalogError>;

impl<T: Send + 'static> Prefetch<T> {
    /// A pass that takes something of each of these rows, `chunk` at a time.
    pub(super) fn new(rows: Rows, take: fn(&mut Row) -> T, chunk: usize) -> Self {
        Self { coming: Some(spawn_blocking(move || read(rows, take, chunk))), take, chunk }
    }

    /// What was taken of the next rows; nothing after the last.
    ///
    /// # Errors
    /// If the catalog cannot be read any more.
    pub(super) async fn next(&mut self) -> Result<Vec<T>, CatalogError> {
        let Some(coming) = self.coming.take() else { return Ok(Vec::new()) };
        let read_ahead = coming.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()));
        let (rows, taken) = read_ahead?;
        if !taken.is_empty() {
            *self = Self::new(rows, self.take, self.chunk);
        }
        Ok(taken)
    }
}

fn read<T>(mut rows: Rows, take: fn(&mut Row) -> T, chunk: usize) -> Read<T> {
    let mut taken = Vec::with_capacity(chunk);
    let mut row = Row::default();
    while taken.len() < chunk && rows.next_row(&mut row)? {
        taken.push(take(&mut row));
    }
    Ok((rows, taken))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::catalog::{Catalog, CatalogOptions};

    const CHUNK: usize = 100;

    /// An open catalog of so many rows.
    fn catalog(rows: usize) -> (NamedTempFile, Catalog) {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(b"task_id,title\n").unwrap();
        (1..=rows).for_each(|row| writeln!(file, "t{row:07},words").unwrap());
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        (file, catalog)
    }

    #[tokio::test]
    async fn every_row_comes_once_and_in_its_order() {
        for rows in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let (_file, catalog) = catalog(rows);
            let mut prefetch = Prefetch::new(catalog.rows().unwrap(), Row::take, CHUNK);
            let mut read = Vec::new();
            while let Some(chunk) = Some(prefetch.next().await.unwrap()).filter(|chunk| !chunk.is_empty()) {
                read.extend(chunk);
            }
            let mut pass = catalog.rows().unwrap();
            let mut row = Row::default();
            for read in &read {
                assert!(pass.next_row(&mut row).unwrap());
                assert_eq!(*read, row);
            }
            assert_eq!(read.len(), rows);
            assert!(prefetch.next().await.unwrap().is_empty(), "there is nothing after the last");
        }
    }

    #[tokio::test]
    async fn a_catalog_that_cannot_be_read_further_is_an_error_and_no_end() {
        let (file, catalog) = catalog(20 * CHUNK);
        let text = fs::read_to_string(file.path()).unwrap();
        let middle = text.len() / 2 / 15 * 15;
        fs::write(file.path(), format!("{}\n\"{}", &text[..middle], &text[middle + 2..])).unwrap();
        let mut prefetch = Prefetch::new(catalog.rows().unwrap(), Row::take_id, CHUNK);
        let mut read = 0;
        let error = loop {
            match prefetch.next().await {
                Ok(chunk) => {
                    assert!(!chunk.is_empty(), "it ended after {read} rows");
                    read += chunk.len();
                }
                Err(error) => break error,
            }
        };
        assert!(read > 5 * CHUNK && matches!(error, CatalogError::UnclosedQuote { .. }), "{read} rows: {error}");
    }
}
