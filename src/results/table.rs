//! A CSV file that replaces its predecessor as a whole or not at all.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use csv::{Terminator, WriterBuilder};

use crate::catalog::Dialect;
use crate::files::{AtomicFile, CSV_TEMP_PREFIX, FileError, folder_of, real, remove_abandoned};

/// An unfinished CSV file.
pub(super) struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<AtomicFile>>,
}

impl Table {
    /// A file for `path`, beside it, in the dialect of the catalog.
    pub(super) fn new(path: &Path, dialect: Dialect) -> Result<Self, FileError> {
        let path = real(path);
        let error = |cause| FileError::new(&path, cause);
        remove_abandoned(folder_of(&path), CSV_TEMP_PREFIX);
        let mut file = BufWriter::new(AtomicFile::beside(&path, CSV_TEMP_PREFIX).map_err(error)?);
        if dialect.bom {
            file.write_all(b"\xef\xbb\xbf").map_err(error)?;
        }
        let terminator = if dialect.crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
        let writer = WriterBuilder::new()
            .delimiter(dialect.delimiter.byte())
            .terminator(terminator)
            .flexible(true)
            .from_writer(file);
        Ok(Self { path, writer })
    }

    /// Adds a row.
    pub(super) fn write<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) -> Result<(), FileError> {
        self.writer.write_record(fields).map_err(|error| FileError::new(&self.path, error.into()))
    }

    /// Puts the file into its place. Durable when this returns.
    pub(super) fn replace(self) -> Result<(), FileError> {
        let Self { path, writer } = self;
        replace(writer, &path).map_err(|cause| FileError::new(path, cause))
    }
}

fn replace(writer: csv::Writer<BufWriter<AtomicFile>>, path: &Path) -> io::Result<()> {
    let file = writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.commit(path)
}
