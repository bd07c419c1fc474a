//! Where the catalog's bytes come from: one open file, whatever happens to its name.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use super::error::{CatalogError, CatalogSource, NotCsv};

/// How many bytes are looked at to tell that a file is no CSV file.
const FIRST_BLOCK_BYTES: usize = 8 * 1024;

/// How many bytes of standard input are copied at a time.
const COPY_BYTES: usize = 64 * 1024;

/// The mark with which some programs begin a UTF-8 file.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The open file, and how it was when it was opened.
#[derive(Debug)]
pub(super) struct SourceFile {
    file: File,
    source: CatalogSource,
    stamp: Stamp,
    /// Whether the file begins with a byte order mark.
    bom: bool,
}

impl SourceFile {
    /// Opens the file, or copies it to a temporary one if it can be read only once.
    pub(super) fn open(source: &CatalogSource) -> Result<Self, CatalogError> {
        let file = match source {
            CatalogSource::StandardInput => spooled(io::stdin().lock(), source)?,
            CatalogSource::Path(path) => {
                let file = File::open(path).map_err(|cause| unreadable(source, cause))?;
                rereadable(file, source)?
            }
        };
        Self::of(file, source)
    }

    fn of(file: File, source: &CatalogSource) -> Result<Self, CatalogError> {
        let stamp = Stamp::of(&file).map_err(|cause| unreadable(source, cause))?;
        let mut file = Self { file, source: source.clone(), stamp, bom: false };
        let mut block = vec![0; FIRST_BLOCK_BYTES];
        let length = file.read_fully(&mut block, 0)?;
        if let Some(what) = NotCsv::seen_in(&block[..length]) {
            return Err(CatalogError::NotCsv { catalog: source.clone(), what });
        }
        file.bom = block[..length].starts_with(BOM);
        Ok(file)
    }

    /// What the catalog is called in messages.
    pub(super) fn source(&self) -> &CatalogSource {
        &self.source
    }

    /// Whether the file begins with a byte order mark.
    pub(super) fn has_bom(&self) -> bool {
        self.bom
    }

    /// Where the text begins: after the byte order mark, if there is one.
    pub(super) fn text_start(&self) -> u64 {
        if self.bom { BOM.len() as u64 } else { 0 }
    }

    /// Some bytes from `offset` on; 0 only at the end of the file.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// As many bytes from `offset` on as fit into `buffer` or are there.
    pub(super) fn read_fully(&self, buffer: &mut [u8], offset: u64) -> Result<usize, CatalogError> {
        let mut filled = 0;
        loop {
            match self.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => return Ok(filled),
                Ok(more) => filled += more,
                Err(cause) => return Err(self.unreadable(cause)),
            }
        }
    }

    /// The error for a read that failed.
    pub(super) fn unreadable(&self, cause: io::Error) -> CatalogError {
        unreadable(&self.source, cause)
    }

    /// Fails if the file was written to since it was opened.
    pub(super) fn unchanged(&self) -> Result<(), CatalogError> {
        let now = Stamp::of(&self.file).map_err(|cause| self.unreadable(cause))?;
        if now == self.stamp { Ok(()) } else { Err(CatalogError::Changed(self.source.clone())) }
    }
}

/// What changes when a file is written to, but not when it is renamed or deleted.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { bytes: metadata.len(), modified: metadata.modified().ok() })
    }
}

fn unreadable(source: &CatalogSource, cause: io::Error) -> CatalogError {
    CatalogError::Unreadable { catalog: source.clone(), cause }
}

/// The file itself, or a copy if it is a pipe or a device.
fn rereadable(file: File, source: &CatalogSource) -> Result<File, CatalogError> {
    match file.metadata().as_ref().map(Metadata::file_type) {
        Ok(kind) if kind.is_dir() => Err(unreadable(source, io::ErrorKind::IsADirectory.into())),
        Ok(kind) if !kind.is_file() => spooled(file, source),
        Ok(_) | Err(_) => Ok(file),
    }
}

/// All that `from` gives, in a temporary file without a name.
fn spooled(mut from: impl Read, source: &CatalogSource) -> Result<File, CatalogError> {
    let mut copy = tempfile::tempfile().map_err(CatalogError::temporary)?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copy),
            Ok(length) => copy.write_all(&buffer[..length]).map_err(CatalogError::temporary)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(unreadable(source, cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_input_and_a_dash_in_a_folder_is_a_file() {
        let source = |text: &str| text.parse::<CatalogSource>().unwrap();
        assert_eq!(source("-"), CatalogSource::StandardInput);
        assert_eq!(source("./-"), CatalogSource::Path("./-".into()));
        assert_eq!(source("-").to_string(), "standard input");
        assert_eq!(source("a b.csv").to_string(), "`a b.csv`");
    }

    #[test]
    fn what_can_be_read_once_is_copied_and_can_be_read_twice() {
        let source = CatalogSource::StandardInput;
        let file = SourceFile::of(spooled(&b"id\n1\n"[..], &source).unwrap(), &source).unwrap();
        for _ in 0..2 {
            let mut buffer = [0; 16];
            assert_eq!(file.read_fully(&mut buffer, 0).unwrap(), 5);
            assert_eq!(&buffer[..5], b"id\n1\n");
        }
        file.unchanged().unwrap();
    }

    #[test]
    fn an_input_that_breaks_off_is_unreadable_and_not_short() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let error = spooled((&b"id\n1\n"[..]).chain(Broken), &CatalogSource::StandardInput).unwrap_err();
        assert_eq!(error.to_string(), "cannot read standard input");
    }
}
