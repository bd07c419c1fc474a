//! One pass over the catalog: its records, header included, and its rows.
//!
//! No more of the file is in memory than a block and the longest record.

use std::sync::Arc;
use std::{fmt, io};

use super::columns::Columns;
use super::dialect::{Grammar, LineBreak, Reading};
use super::error::{CatalogError, CatalogSource, MAX_RECORD_BYTES};
use super::ids::BadRow;
use super::previous::PreviousResult;
use super::record::{Extent, NoRecord, Record};
use super::source::{SourceFile, Text};
use crate::domain::{BadId, MusicTaskId};

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
    /// How the first record ends.
    line_break: Option<LineBreak>,
    pub(super) last: LastRecord,
    /// What another reading would make something else of, in the records read so far.
    pub(super) doubts: Reading,
}

/// What is known of the record read last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastRecord {
    /// In which line it starts.
    pub(super) line: u64,
    /// Whether a quoted cell of it has line breaks.
    pub(super) is_multiline: bool,
    /// Whether the line before it ends otherwise than the first record.
    begins_oddly: bool,
    /// Whether it ends so itself.
    ends_oddly: bool,
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
            line_break: None,
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

    /// How the first record ends; one that is the last too ends as in most files.
    pub(super) fn line_break(&self) -> LineBreak {
        self.line_break.unwrap_or(LineBreak::Lf)
    }

    /// Whether the record read last is set off from another one by a carriage return alone, and the first one is not; or
    /// the other way round.
    pub(super) fn is_odd(&self) -> bool {
        self.last.begins_oddly || self.last.ends_oddly
    }

    /// How many lines end within bytes that are no line break themselves.
    pub(super) fn line_ends(&self, bytes: &[u8]) -> u64 {
        let end = if self.line_break == Some(LineBreak::Cr) { b'\r' } else { b'\n' };
        bytes.iter().map(|byte| u64::from(*byte == end)).sum()
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
                Ok(extent) if extent.length <= MAX_RECORD_BYTES => {
                    self.take(extent);
                    return Ok(true);
                }
                Err(NoRecord::Partial) if text.len() <= MAX_RECORD_BYTES => self.fill()?,
                Ok(_) | Err(NoRecord::Partial) => {
                    return Err(CatalogError::RecordTooLong(self.text.file.line(self.line)));
                }
                Err(NoRecord::Malformed { quote, is_open }) => {
                    let line = self.text.file.line(self.line + self.line_ends(&text[..quote]));
                    let error = if is_open { CatalogError::UnclosedQuote } else { CatalogError::TextAfterQuote };
                    return Err(error(line));
                }
            }
        }
    }

    /// Goes past the record that was read.
    fn take(&mut self, Extent { content, length, line_break, is_multiline }: Extent) {
        self.line_break = self.line_break.or(line_break);
        let is_cr = |line_break| line_break == Some(LineBreak::Cr);
        let is_end = self.is_last && self.next + length == self.buffer.len();
        let ends_oddly = !is_end && is_cr(line_break) != is_cr(self.line_break);
        self.last = LastRecord { line: self.line, is_multiline, begins_oddly: self.last.ends_oddly, ends_oddly };
        let within = if is_multiline { self.line_ends(&self.buffer[self.next..][..content]) } else { 0 };
        // Each of several carriage returns ends a line.
        self.line += within + if is_cr(line_break) { (length - content) as u64 } else { 1 };
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
                let line = self.line + self.line_ends(&self.buffer);
                Err(CatalogError::BadUtf16(self.text.file.line(line)))
            }
            Err(error) => Err(self.text.file.unreadable(error)),
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
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// One data row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which data row, from 1.
    pub number: u32,
    /// The line of the file where it starts, from 1.
    pub line: u64,
    /// All its cells, those of an earlier run included.
    pub record: Record,
    /// The music task it names.
    pub id: Result<MusicTaskId, BadRow>,
    /// What an earlier run said of it, if the catalog is a results CSV.
    pub previous: Option<Box<PreviousResult>>,
}

/// A row before the first, to be given to [`Rows::next_row`].
impl Default for Row {
    fn default() -> Self {
        Self { number: 0, line: 0, record: Record::default(), id: Err(BadRow::Id(BadId::Empty)), previous: None }
    }
}

impl Row {
    /// This row, whose memory stays here to be used again.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let (number, line, record) = (self.number, self.line, self.record.clone());
        Self { number, line, record, id: self.take_id(), previous: self.previous.take() }
    }

    /// The music task it names, which it names no more.
    pub(crate) fn take_id(&mut self) -> Result<MusicTaskId, BadRow> {
        std::mem::replace(&mut self.id, Err(BadRow::Id(BadId::Empty)))
    }
}

/// One pass over the data rows, with a reading position of its own.
pub struct Rows {
    /// As it stands after the row read last.
    pub(super) reader: RecordReader,
    columns: Arc<Columns>,
    catalog: CatalogSource,
    number: u32,
}

impl Rows {
    /// A pass over what `reader` has not read yet; the header is no row, however often it comes.
    pub(super) fn new(reader: RecordReader, columns: &Arc<Columns>, catalog: &CatalogSource) -> Self {
        Self { reader, columns: Arc::clone(columns), catalog: catalog.clone(), number: 0 }
    }

    /// Puts the next row into `row`, whose memory is used again; `false` after the last.
    ///
    /// # Errors
    /// If the file cannot be read, or was changed since the catalog was opened and now holds a record that cannot be.
    pub fn next_row(&mut self, row: &mut Row) -> Result<bool, CatalogError> {
        let id = loop {
            if !self.reader.read(&mut row.record)? {
                return Ok(false);
            }
            self.columns.cut_header(&mut row.record);
            if let Some(id) = self.columns.id_of(&row.record) {
                break id;
            }
        };
        self.number = self.number.checked_add(1).ok_or_else(|| CatalogError::TooManyRows(self.catalog.clone()))?;
        row.number = self.number;
        row.line = self.reader.last.line;
        row.id = id;
        row.previous = self.columns.previous_of(&row.record).map(Box::new);
        Ok(true)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("catalog", &self.catalog).field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::catalog::{Catalog, CatalogOptions};

    #[test]
    fn rows_without_a_number_are_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"id\n1\n2\n").unwrap();
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        let mut rows = Rows { number: u32::MAX - 1, ..catalog.rows().unwrap() };
        let mut row = Row::default();
        assert!(rows.next_row(&mut row).unwrap());
        let error = rows.next_row(&mut row).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` has more than 4294967295 rows", file.path().display()));
    }
}
