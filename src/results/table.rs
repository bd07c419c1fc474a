//! A CSV file that replaces its predecessor as a whole or not at all.

use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::{Path, PathBuf};

use crate::files::{FileError, Replacement};

/// An unfinished CSV file.
pub(super) struct Table {
    path: PathBuf,
    file: BufWriter<Replacement>,
}

impl Table {
    /// A file for `path` that begins with `head`.
    pub(super) fn new(path: &Path, head: &[u8]) -> Result<Self, FileError> {
        let file = BufWriter::new(Replacement::begin(path)?);
        let mut table = Self { path: path.to_owned(), file };
        table.write(head)?;
        Ok(table)
    }

    /// Where it goes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), FileError> {
        self.file.write_all(line).map_err(|cause| FileError::new(&self.path, cause))
    }

    /// Puts the file into its place. Durable when this returns.
    pub(super) fn commit(self) -> Result<(), FileError> {
        let Self { path, file } = self;
        file.into_inner().map_err(IntoInnerError::into_error).map_err(|cause| FileError::new(path, cause))?.commit()
    }
}
