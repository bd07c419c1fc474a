//! One pass over the records of the catalog, header included.
//!
//! No more of the file is in memory than a block and the longest record.

use std::io;
use std::sync::Arc;

use super::dialect::{Grammar, LineBreak, Reading};
use super::error::{CatalogError, CatalogSource, MAX_RECORD_BYTES};
use super::record::{Extent, Record, Scanned};
use super::source::{SourceFile, Text};

/// A pass over the records.
pub(super) struct RecordReader {
    text: Text,
    grammar: Grammar,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    next: usize,
    /// In which line that is, from 1.
    line: u64,
    /// Whether the buffer holds the end of the text.
    is_last: bool,
    last: LastRecord,
    doubts: Reading,
}

/// What is known of the record read last.
#[derive(Debug, Clone, Copy, Default)]
struct LastRecord {
    /// In which line it starts.
    line: u64,
    /// Where in the buffer its line break is.
    end: usize,
    is_multiline: bool,
}

impl RecordReader {
    /// A pass from the first record after `skipped` lines.
    pub(super) fn new(file: &Arc<SourceFile>, grammar: Grammar, skipped: u64) -> Result<Self, CatalogError> {
        let mut reader = Self {
            text: Text::new(Arc::clone(file)),
            grammar,
            buffer: Vec::new(),
            next: 0,
            line: 1,
            is_last: false,
            last: LastRecord::default(),
            doubts: Reading::default(),
        };
        for _ in 0..skipped {
            reader.skip_line()?;
        }
        Ok(reader)
    }

    /// Reads the next record that is not blank; `false` at the end of the file.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, CatalogError> {
        while self.read_any(record)? {
            if !record.is_blank_row(self.grammar) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The line where the record read last starts.
    pub(super) fn line(&self) -> u64 {
        self.last.line
    }

    /// Whether a quoted cell of the record read last has line breaks.
    pub(super) fn is_multiline(&self) -> bool {
        self.last.is_multiline
    }

    /// How the record read last ends.
    pub(super) fn line_break(&self) -> LineBreak {
        LineBreak::at(self.buffer.get(self.last.end..).unwrap_or_default())
    }

    /// What another reading would make something else of, in the records read so far.
    pub(super) fn doubts(&self) -> Reading {
        self.doubts
    }

    /// The rest of the current line, as far as a block holds it.
    pub(super) fn rest_of_line(&mut self) -> Result<&[u8], CatalogError> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        let rest = &self.buffer[self.next..];
        let length = rest.iter().position(|byte| is_line_end(*byte)).unwrap_or(rest.len());
        Ok(&rest[..length])
    }

    fn read_any(&mut self, record: &mut Record) -> Result<bool, CatalogError> {
        loop {
            let text = &self.buffer[self.next..];
            if self.is_last && text.is_empty() {
                return Ok(false);
            }
            match record.scan(text, self.is_last, self.grammar, &mut self.doubts) {
                Scanned::Whole(extent) if extent.length <= MAX_RECORD_BYTES => {
                    self.take(extent);
                    return Ok(true);
                }
                Scanned::Partial if text.len() <= MAX_RECORD_BYTES => self.fill()?,
                Scanned::Whole(_) | Scanned::Partial => {
                    return Err(CatalogError::RecordTooLong { catalog: self.catalog(), line: self.line });
                }
                Scanned::MixedLineEnds { at } => {
                    let line = self.line + self.grammar.line_ends(&text[..at]);
                    return Err(CatalogError::MixedLineEnds { catalog: self.catalog(), line });
                }
                Scanned::Malformed { quote, is_open } => {
                    let line = self.line + self.grammar.line_ends(&text[..quote]);
                    return Err(CatalogError::malformed_quote(self.catalog(), line, is_open));
                }
            }
        }
    }

    /// Goes past the record that was read.
    fn take(&mut self, Extent { content, length, is_multiline }: Extent) {
        self.last = LastRecord { line: self.line, end: self.next + content, is_multiline };
        self.line += self.grammar.line_ends(&self.buffer[self.next..][..length]);
        self.next += length;
    }

    /// Makes room for the next block and reads it.
    fn fill(&mut self) -> Result<(), CatalogError> {
        self.buffer.drain(..self.next);
        self.next = 0;
        match self.text.read(&mut self.buffer) {
            Ok(more) => {
                self.is_last = !more;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let line = self.line + self.grammar.line_ends(&self.buffer);
                Err(CatalogError::BadUtf16 { catalog: self.catalog(), line })
            }
            Err(error) => Err(self.text.file().unreadable(error)),
        }
    }

    /// Goes past one line, however long, whichever way it ends.
    fn skip_line(&mut self) -> Result<(), CatalogError> {
        loop {
            let rest = &self.buffer[self.next..];
            match rest.iter().position(|byte| is_line_end(*byte)) {
                Some(end) if self.is_last || end + 1 < rest.len() => {
                    self.next += end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
                    self.line += 1;
                    return Ok(());
                }
                Some(end) => self.next += end,
                None => self.next = self.buffer.len(),
            }
            if self.is_last {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn catalog(&self) -> CatalogSource {
        self.text.file().source().clone()
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
