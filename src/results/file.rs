//! A CSV file that replaces its predecessor as a whole or not at all.

use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::{Path, PathBuf};

use crate::files::{CSV_IN_THE_MAKING, FileError, Unfinished, folder_of, real, remove_abandoned};

/// A CSV file in the making.
pub(super) struct Table {
    pub(super) path: PathBuf,
    file: BufWriter<Unfinished>,
}

impl Table {
    /// A file for `path`, beside it, that begins with `head`.
    pub(super) fn new(path: &Path, head: &[u8]) -> Result<Self, FileError> {
        let path = real(path);
        remove_abandoned(folder_of(&path), CSV_IN_THE_MAKING);
        let file = Unfinished::beside(&path, CSV_IN_THE_MAKING).map_err(|cause| FileError::new(&path, cause))?;
        let mut table = Self { path, file: BufWriter::new(file) };
        table.write(head)?;
        Ok(table)
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), FileError> {
        self.file.write_all(line).map_err(|cause| FileError::new(&self.path, cause))
    }

    /// Puts the file into its place. Durable when this returns.
    pub(super) fn replace(self) -> Result<(), FileError> {
        let Self { path, file } = self;
        let put = file.into_inner().map_err(IntoInnerError::into_error).and_then(|file| file.put(&path));
        put.map_err(|cause| FileError::new(path, cause))
    }
}
