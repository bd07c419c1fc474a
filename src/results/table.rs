//! A CSV file that replaces its predecessor as a whole or not at all.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use csv::{Terminator, WriterBuilder};

use crate::catalog::Dialect;
use crate::files::{FileError, Replacement};

/// An unfinished CSV file.
pub(super) struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<Replacement>>,
}

impl Table {
    /// A file for `path` in the dialect of the catalog.
    pub(super) fn new(path: &Path, dialect: Dialect) -> Result<Self, FileError> {
        let error = |cause| FileError::new(path, cause);
        let mut file = BufWriter::new(Replacement::begin(path)?);
        if dialect.bom {
            file.write_all(b"\xef\xbb\xbf").map_err(error)?;
        }
        let terminator = if dialect.crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
        let writer = WriterBuilder::new()
            .delimiter(dialect.delimiter.byte())
            .terminator(terminator)
            .flexible(true)
            .from_writer(file);
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Adds a row.
    pub(super) fn write<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) -> Result<(), FileError> {
        self.writer.write_record(fields).map_err(|error| FileError::new(&self.path, error.into()))
    }

    /// Puts the file into its place. Durable when this returns.
    pub(super) fn commit(self) -> Result<(), FileError> {
        let Self { path, writer } = self;
        unbuffered(writer).map_err(|cause| FileError::new(path, cause))?.commit()
    }
}

fn unbuffered(writer: csv::Writer<BufWriter<Replacement>>) -> io::Result<Replacement> {
    let file = writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}
