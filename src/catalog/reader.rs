//! One pass over the records of the catalog, header included: the only place that parses CSV.
//!
//! The parser tells neither where a record starts after blank lines nor how much it has taken in. So it gets one line
//! at a time: it never holds bytes beyond the line it is working on, and both can be told here. It also takes a cell
//! whose quote is still open at the end of the file for a whole one, so that is looked up in the bytes.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::dialect::Delimiter;
use super::error::{CatalogError, MAX_RECORD_BYTES};
use super::source::SourceFile;

/// How many bytes are read from the file at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// A pass over the records.
pub(super) struct RecordReader {
    reader: Reader<Lines>,
    file: Arc<SourceFile>,
    delimiter: Delimiter,
}

impl RecordReader {
    /// A pass from the first record, the header.
    pub(super) fn new(file: &Arc<SourceFile>, delimiter: Delimiter) -> Self {
        let reader = ReaderBuilder::new()
            .delimiter(delimiter.byte())
            .has_headers(false)
            .flexible(true)
            .from_reader(Lines::new(Arc::clone(file)));
        Self { reader, file: Arc::clone(file), delimiter }
    }

    /// Reads the next record and says in which line it starts; `None` at the end of the file.
    pub(super) fn read(&mut self, record: &mut ByteRecord) -> Result<Option<u64>, CatalogError> {
        let consumed = self.consumed();
        self.reader.get_mut().start_record(consumed);
        match self.reader.read_byte_record(record) {
            Ok(true) => self.closed().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// Where in the file the parser stands: after the record read last, possibly within its CR LF.
    pub(super) fn consumed(&self) -> u64 {
        self.file.text_start() + self.reader.position().byte()
    }

    /// The line where the current record starts, provided that it does not end within quotes.
    fn closed(&self) -> Result<u64, CatalogError> {
        let Position { offset, line } = self.reader.get_ref().record();
        match self.reader.get_ref().state() {
            ReadState::Ended if self.is_open_at_end(offset)? => {
                Err(CatalogError::UnclosedQuote { catalog: self.file.source().clone(), line })
            }
            ReadState::Ended | ReadState::Flowing | ReadState::TooLong => Ok(line),
        }
    }

    /// Whether a quote is open at the end of the file, if a record starts at `offset`.
    fn is_open_at_end(&self, mut offset: u64) -> Result<bool, CatalogError> {
        let mut block = vec![0; BLOCK_BYTES];
        let mut quoting = Quoting::CellStart;
        loop {
            let length = self.file.read_fully(&mut block, offset)?;
            if length == 0 {
                return Ok(quoting == Quoting::Quoted);
            }
            quoting = block[..length].iter().fold(quoting, |at, byte| at.after(*byte, self.delimiter));
            offset += length as u64;
        }
    }

    fn failure(&self, error: csv::Error) -> CatalogError {
        let lines = self.reader.get_ref();
        let (line, catalog) = (lines.record().line, self.file.source().clone());
        match lines.state() {
            ReadState::TooLong => CatalogError::RecordTooLong { catalog, line },
            ReadState::Flowing | ReadState::Ended => self.file.unreadable(io::Error::from(error)),
        }
    }
}

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// In the file.
    pub(super) offset: u64,
    /// From 1.
    pub(super) line: u64,
}

/// How the reading of the current record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadState {
    /// There may be more bytes.
    Flowing,
    /// The record reaches the end of the file.
    Ended,
    /// The record is longer than [`MAX_RECORD_BYTES`].
    TooLong,
}

/// A pass over the bytes.
pub(super) struct Lines {
    file: Arc<SourceFile>,
    block: Box<[u8]>,
    unread: Range<usize>,
    /// Where the next byte handed out stands.
    next: Position,
    /// Where the last line with anything on it ends, without its line break; and the number of that line.
    content_end: Position,
    /// Where the current record starts, once its first byte was handed out.
    record: Option<Position>,
    state: ReadState,
}

impl Lines {
    /// A pass from the first byte of the text.
    pub(super) fn new(file: Arc<SourceFile>) -> Self {
        let next = Position { offset: file.text_start(), line: 1 };
        let block = vec![0; BLOCK_BYTES].into_boxed_slice();
        Self { file, block, unread: 0..0, next, content_end: next, record: None, state: ReadState::Flowing }
    }

    /// Says that a new record starts with the first byte from `consumed` on that is not a line break.
    ///
    /// Assumes that everything handed out before the last line was consumed.
    pub(super) fn start_record(&mut self, consumed: u64) {
        let Position { offset, line } = self.content_end;
        self.record = (consumed < offset).then_some(Position { offset: consumed, line });
    }

    /// Where the current record starts; the end of what was handed out if it has not started.
    pub(super) fn record(&self) -> Position {
        self.record.unwrap_or(self.next)
    }

    /// How the reading of the current record stands.
    pub(super) fn state(&self) -> ReadState {
        self.state
    }

    /// Reads the next block if everything of the last one was handed out; nothing is unread only at the end.
    fn fill(&mut self) -> io::Result<()> {
        if self.unread.is_empty() {
            self.unread = 0..self.file.read_at(&mut self.block, self.next.offset)?;
        }
        Ok(())
    }

    /// How many of the unread bytes are of the line that they begin, its line feed included.
    fn line_length(&self) -> usize {
        let unread = &self.block[self.unread.clone()];
        unread.iter().position(|byte| *byte == b'\n').map_or(unread.len(), |feed| feed + 1)
    }

    /// How many more bytes the current record may have.
    fn allowance(&self) -> usize {
        let taken = usize::try_from(self.next.offset - self.record().offset);
        taken.map_or(0, |taken| MAX_RECORD_BYTES.saturating_sub(taken))
    }

    /// Takes note of the next `length` bytes, none of which is beyond a line feed.
    fn hand_out(&mut self, length: usize) -> &[u8] {
        let part = &self.block[self.unread.start..self.unread.start + length];
        if let Some(last) = part.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.record.get_or_insert(self.next);
            self.content_end = Position { offset: self.next.offset + last as u64 + 1, line: self.next.line };
        }
        self.unread.start += length;
        self.next.offset += length as u64;
        self.next.line += u64::from(part.ends_with(b"\n"));
        part
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance();
        if allowed == 0 {
            self.state = ReadState::TooLong;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.fill()?;
        if self.unread.is_empty() {
            self.state = ReadState::Ended;
        }
        let length = self.line_length().min(buffer.len()).min(allowed);
        let part = self.hand_out(length);
        buffer[..length].copy_from_slice(part);
        Ok(length)
    }
}

/// Where in a record a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// At the first byte of a cell, the only place where a quote opens.
    CellStart,
    /// In a cell without quotes, or after its closing quote.
    Unquoted,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: it closed the cell unless a second one follows.
    QuoteInQuoted,
}

impl Quoting {
    /// Where the byte after `byte` stands.
    pub(super) fn after(self, byte: u8, delimiter: Delimiter) -> Self {
        let ends_cell = byte == delimiter.byte() || matches!(byte, b'\r' | b'\n');
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuoteInQuoted,
            (Self::Quoted, _) | (Self::CellStart | Self::QuoteInQuoted, b'"') => Self::Quoted,
            (Self::CellStart | Self::Unquoted | Self::QuoteInQuoted, _) if ends_cell => Self::CellStart,
            (Self::CellStart | Self::Unquoted | Self::QuoteInQuoted, _) => Self::Unquoted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_open_between_a_quote_at_the_start_of_a_cell_and_the_next_single_one() {
        let table: [(&[u8], bool); 12] = [
            (b"", false),
            (b"\"", true),
            (b"\"a", true),
            (b"\"a\"", false),
            (b"\"a\"\"", true),
            (b"\"a\"\"\"", false),
            (b"a\"", false),
            (b"a,\"", true),
            (b"a\n\"b\nc", true),
            (b"a\r\"", true),
            (b"\"a\"b\"", false),
            (b"\"a\"b,\"", true),
        ];
        for (bytes, open) in table {
            let end = bytes.iter().fold(Quoting::CellStart, |at, byte| at.after(*byte, Delimiter::COMMA));
            assert_eq!(end == Quoting::Quoted, open, "{}", bytes.escape_ascii());
        }
    }
}
