//! Where the catalog's bytes come from: one open file, whatever happens to its name.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use encoding_rs::{Decoder, DecoderResult};

use super::dialect::Encoding;
use super::error::{CatalogError, CatalogSource, Line, NotCsv};
use crate::clock::UnixMillis;

/// How many bytes are looked at to tell that a file is no CSV file.
const FIRST_BLOCK_BYTES: usize = 8 * 1024;

/// How many bytes are read at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// The open file, and how it was when it was opened.
#[derive(Debug)]
pub(super) struct SourceFile {
    file: File,
    /// What it is called in messages.
    pub(super) source: CatalogSource,
    stamp: Stamp,
    pub(super) encoding: Encoding,
}

impl SourceFile {
    /// Opens the file, or copies it to a temporary one if it can be read only once.
    pub(super) fn open(source: &CatalogSource) -> Result<Self, CatalogError> {
        let file = match source {
            CatalogSource::StandardInput => spooled(io::stdin().lock(), source)?,
            CatalogSource::Path(path) => {
                let file = File::open(path).map_err(|cause| CatalogError::Unreadable(source.clone(), cause))?;
                rereadable(file, source)?
            }
        };
        Self::of(file, source)
    }

    fn of(file: File, source: &CatalogSource) -> Result<Self, CatalogError> {
        let stamp = Stamp::of(&file).map_err(|cause| CatalogError::Unreadable(source.clone(), cause))?;
        let mut file = Self { file, source: source.clone(), stamp, encoding: Encoding::Utf8 };
        let mut block = vec![0; FIRST_BLOCK_BYTES];
        let length = file.read_at(&mut block, 0).map_err(|cause| file.unreadable(cause))?;
        if let Some(what) = NotCsv::seen_in(&block[..length]) {
            return Err(CatalogError::NotCsv(source.clone(), what));
        }
        file.encoding = Encoding::of(&block[..length]);
        Ok(file)
    }

    /// One of its lines, as it is called in messages.
    pub(super) fn line(&self, line: u64) -> Line {
        Line { catalog: self.source.clone(), line }
    }

    /// Some bytes from `offset` on; 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// The error for a read that failed.
    pub(super) fn unreadable(&self, cause: io::Error) -> CatalogError {
        CatalogError::Unreadable(self.source.clone(), cause)
    }

    /// When it was last written before it was opened, if the file system tells.
    pub(super) fn written_at(&self) -> Option<UnixMillis> {
        let since_1970 = self.stamp.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixMillis(0).after(since_1970))
    }

    /// Fails if the file was written to since it was opened.
    pub(super) fn unchanged(&self) -> Result<(), CatalogError> {
        let now = Stamp::of(&self.file).map_err(|cause| self.unreadable(cause))?;
        if now == self.stamp { Ok(()) } else { Err(CatalogError::Changed(self.source.clone())) }
    }
}

/// One pass over the text, which is that of the file or, from UTF-16, the same in UTF-8.
pub(super) struct Text {
    pub(super) file: Arc<SourceFile>,
    offset: u64,
    decoder: Option<Decoder>,
}

impl Text {
    /// A pass from the first character after the byte order mark.
    pub(super) fn new(file: Arc<SourceFile>) -> Self {
        let decoder = match file.encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => None,
            Encoding::Utf16Le => Some(encoding_rs::UTF_16LE.new_decoder_without_bom_handling()),
            Encoding::Utf16Be => Some(encoding_rs::UTF_16BE.new_decoder_without_bom_handling()),
        };
        Self { offset: file.encoding.mark().len() as u64, file, decoder }
    }

    /// Appends the next block to `buffer`; `false` at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] after the last character before bytes that are no UTF-16.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let start = buffer.len();
        buffer.resize(start + BLOCK_BYTES, 0);
        let read = self.file.read_at(&mut buffer[start..], self.offset);
        buffer.truncate(start + read.as_ref().map_or(0, |length| *length));
        let length = read?;
        self.offset += length as u64;
        if let Some(decoder) = &mut self.decoder {
            let block = buffer.split_off(start);
            decode(decoder, &block, buffer)?;
        }
        Ok(length > 0)
    }
}

/// Appends to `text` what `block` says; an empty block is the last one.
fn decode(decoder: &mut Decoder, block: &[u8], text: &mut Vec<u8>) -> io::Result<()> {
    let start = text.len();
    let room = decoder.max_utf8_buffer_length_without_replacement(block.len()).ok_or(io::ErrorKind::OutOfMemory)?;
    text.resize(start + room, 0);
    let (result, _, written) = decoder.decode_to_utf8_without_replacement(block, &mut text[start..], block.is_empty());
    text.truncate(start + written);
    match result {
        DecoderResult::InputEmpty => Ok(()),
        DecoderResult::Malformed(..) | DecoderResult::OutputFull => Err(io::ErrorKind::InvalidData.into()),
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

/// The file itself, or a copy if it is a pipe or a device.
fn rereadable(file: File, source: &CatalogSource) -> Result<File, CatalogError> {
    match file.metadata().as_ref().map(Metadata::file_type) {
        Ok(kind) if kind.is_dir() => Err(CatalogError::Unreadable(source.clone(), io::ErrorKind::IsADirectory.into())),
        Ok(kind) if !kind.is_file() => spooled(file, source),
        Ok(_) | Err(_) => Ok(file),
    }
}

/// All that `from` gives, in a temporary file without a name.
fn spooled(mut from: impl Read, source: &CatalogSource) -> Result<File, CatalogError> {
    let mut copy = tempfile::tempfile().map_err(CatalogError::TemporarySpace)?;
    let mut buffer = vec![0; BLOCK_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copy),
            Ok(length) => copy.write_all(&buffer[..length]).map_err(CatalogError::TemporarySpace)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(CatalogError::Unreadable(source.clone(), cause)),
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
        let file = Arc::new(SourceFile::of(spooled(&b"id\n1\n"[..], &source).unwrap(), &source).unwrap());
        for _ in 0..2 {
            let (mut text, mut buffer) = (Text::new(Arc::clone(&file)), Vec::new());
            while text.read(&mut buffer).unwrap() {}
            assert_eq!(buffer, b"id\n1\n");
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
