//! One record: where its cells are, and what they say.
//!
//! Not the reader of the csv crate, because that forgives what loses rows: text after a closing quote, a quote that is
//! still open at the end of the file. And it hands out cells without their quotes, while the results repeat them with
//! theirs.

use std::borrow::Cow;
use std::ops::Range;

use super::dialect::{Grammar, LineBreak, Reading};
use crate::domain::trimmed;

/// A byte order mark in UTF-8; files that were put one after the other have some in the middle.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// One record as it stands in the file, its line break aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where each cell ends; the next one begins after the delimiter.
    ends: Vec<usize>,
}

/// Why no record stands at the beginning of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRecord {
    /// It is the beginning of one.
    Partial,
    /// A record whose quotes contradict each other: the one at this place opens a cell.
    Malformed {
        /// Where the quote stands.
        quote: usize,
        /// Whether there is no other that closes the cell.
        is_open: bool,
    },
}

/// How far a record reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of its cells and the delimiters between them.
    pub(super) content: usize,
    /// The same with the line break.
    pub(super) length: usize,
    /// What kind of line break that is, unless it is the end of the file.
    pub(super) line_break: Option<LineBreak>,
    /// Whether a quoted cell has line breaks.
    pub(super) is_multiline: bool,
}

impl Record {
    /// How many cells it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no cells, as before the first one was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of a cell, quotes included.
    #[must_use]
    pub fn raw(&self, cell: usize) -> Option<&[u8]> {
        Some(&self.bytes[self.range(cell)?])
    }

    /// The bytes of every cell, quotes included.
    pub fn raw_cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|cell| self.raw(cell))
    }

    /// Where a cell stands in the record.
    pub(super) fn range(&self, cell: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(cell)?;
        let start = cell.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        Some(start..end)
    }

    /// Ends with so many bytes of this cell.
    pub(super) fn cut(&mut self, cell: usize, length: usize) {
        if let Some(range) = self.range(cell) {
            self.bytes.truncate(range.start + length);
            self.ends.truncate(cell);
            self.ends.push(self.bytes.len());
        }
    }

    /// The record before this cell.
    pub(super) fn before(&self, cell: usize) -> &[u8] {
        &self.bytes[..self.range(cell).map_or(0, |range| range.start)]
    }

    /// What a cell says: without its quotes, and without the blanks around it.
    #[must_use]
    pub fn value(&self, cell: usize, grammar: Grammar) -> Option<Cow<'_, [u8]>> {
        let raw = self.raw(cell)?;
        let outer = trimmed(raw);
        let is_quoted = raw.starts_with(b"\"") || raw.starts_with(MARK) || grammar.reading.blanks;
        match outer {
            [b'"', inner @ .., b'"'] if is_quoted => Some(unescaped(inner, grammar.reading.backslash)),
            _ => Some(Cow::Borrowed(outer)),
        }
    }

    /// How many cells there are up to the last one that says something.
    pub(super) fn used(&self, grammar: Grammar) -> usize {
        (0..self.len()).rfind(|cell| !self.is_blank(*cell, grammar)).map_or(0, |last| last + 1)
    }

    fn is_blank(&self, cell: usize, grammar: Grammar) -> bool {
        self.value(cell, grammar).is_none_or(|value| value.is_empty())
    }

    /// Whether no cell says anything.
    pub(super) fn is_blank_row(&self, grammar: Grammar) -> bool {
        !self.bytes.iter().any(u8::is_ascii_alphanumeric) && self.used(grammar) == 0
    }

    /// Becomes the record at the beginning of `text`, if all of that is there: nothing follows it if `is_last`.
    ///
    /// Adds to `doubts` what another reading would make something else of.
    pub(super) fn scan(
        &mut self,
        text: &[u8],
        is_last: bool,
        grammar: Grammar,
        doubts: &mut Reading,
    ) -> Result<Extent, NoRecord> {
        self.ends.clear();
        let mut scanner = Scanner { text, is_last, grammar, at: 0, is_multiline: false, doubts };
        if text.starts_with(MARK) {
            scanner.at = MARK.len();
        }
        loop {
            self.ends.push(scanner.cell_end()?);
            if let Some((length, line_break)) = scanner.line_break()? {
                self.bytes.clear();
                self.bytes.extend_from_slice(&text[..scanner.at]);
                let (content, length) = (scanner.at, scanner.at + length);
                return Ok(Extent { content, length, line_break, is_multiline: scanner.is_multiline });
            }
            scanner.at += 1;
        }
    }
}

/// The inside of a quoted cell, blanks around it aside.
fn unescaped(inner: &[u8], backslash: bool) -> Cow<'_, [u8]> {
    let is_special = |byte: u8| byte == b'"' || (backslash && byte == b'\\');
    if !inner.iter().any(|byte| is_special(*byte)) {
        return Cow::Borrowed(trimmed(inner));
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = if is_special(byte) { bytes.next_if(|next| is_special(*next)) } else { None };
        text.push(escaped.unwrap_or(byte));
    }
    Cow::Owned(trimmed(&text).to_vec())
}

/// A walk over the bytes of one record.
struct Scanner<'a> {
    text: &'a [u8],
    is_last: bool,
    grammar: Grammar,
    at: usize,
    is_multiline: bool,
    doubts: &'a mut Reading,
}

impl Scanner<'_> {
    /// Walks to the end of the cell that begins here.
    fn cell_end(&mut self) -> Result<usize, NoRecord> {
        let start = self.after_blanks(self.at);
        let is_quoted = self.text.get(start) == Some(&b'"');
        if is_quoted && (start == self.at || self.grammar.reading.blanks) {
            self.at = start;
            self.quoted()?;
        } else {
            self.doubts.blanks |= is_quoted;
            self.unquoted()?;
        }
        Ok(self.at)
    }

    fn after_blanks(&self, from: usize) -> usize {
        let delimiter = self.grammar.delimiter.byte();
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t') && **byte != delimiter;
        from + self.text[from..].iter().take_while(is_blank).count()
    }

    fn unquoted(&mut self) -> Result<(), NoRecord> {
        let length = self.text[self.at..].iter().position(|byte| self.ends_cell(*byte));
        self.at += length.unwrap_or(self.text.len() - self.at);
        if length.is_none() && !self.is_last { Err(NoRecord::Partial) } else { Ok(()) }
    }

    /// Walks over a cell in quotes, the first of which is here, and blanks after it.
    fn quoted(&mut self) -> Result<(), NoRecord> {
        let quote = self.at;
        self.at += 1;
        self.closing_quote(quote)?;
        self.is_multiline |= self.text[quote..self.at].iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        self.at = self.after_blanks(self.at);
        match self.text.get(self.at) {
            Some(byte) if self.ends_cell(*byte) => Ok(()),
            Some(_) => Err(NoRecord::Malformed { quote, is_open: false }),
            None if self.is_last => Ok(()),
            None => Err(NoRecord::Partial),
        }
    }

    const fn ends_cell(&self, byte: u8) -> bool {
        byte == self.grammar.delimiter.byte() || matches!(byte, b'\n' | b'\r')
    }

    /// Walks past the quote that closes the cell which `quote` opens.
    fn closing_quote(&mut self, quote: usize) -> Result<(), NoRecord> {
        let backslash = self.grammar.reading.backslash;
        let out_of_text =
            || if self.is_last { NoRecord::Malformed { quote, is_open: true } } else { NoRecord::Partial };
        loop {
            let means = |byte: &u8| *byte == b'"' || (backslash && *byte == b'\\');
            self.at += self.text[self.at..].iter().position(means).ok_or_else(out_of_text)?;
            let is_quote = self.text[self.at] == b'"';
            self.doubts.backslash |= !backslash && self.text[self.at - 1] == b'\\';
            match self.text.get(self.at + 1) {
                Some(b'"') => self.at += 2,
                Some(_) if !is_quote => self.at += 2,
                Some(_) => break,
                None if is_quote && self.is_last => break,
                None => return Err(out_of_text()),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// The length of the line break here and its kind, if there is one; the end of the text is one without length or kind.
    ///
    /// Carriage returns before CR LF are part of it: programs that write LF as CR LF find one there already.
    fn line_break(&self) -> Result<Option<(usize, Option<LineBreak>)>, NoRecord> {
        let rest = &self.text[self.at..];
        let returns = rest.iter().take_while(|byte| **byte == b'\r').count();
        match (returns, rest.get(returns)) {
            (0, Some(b'\n')) => Ok(Some((1, Some(LineBreak::Lf)))),
            (_, Some(b'\n')) => Ok(Some((returns + 1, Some(LineBreak::CrLf)))),
            (_, None) if self.is_last => Ok(Some((returns, (returns > 0).then_some(LineBreak::Cr)))),
            (_, None) => Err(NoRecord::Partial),
            (0, Some(_)) => Ok(None),
            (_, Some(_)) => Ok(Some((returns, Some(LineBreak::Cr)))),
        }
    }
}
