//! One record: where its cells are, and what they say.
//!
//! Not the reader of the csv crate, because that forgives what loses rows: text after a closing quote, a quote that is
//! still open at the end of the file. And it hands out cells without their quotes, while the results repeat them with
//! theirs.

use std::borrow::Cow;
use std::ops::Range;

use super::dialect::{Grammar, Reading};
use crate::domain::trimmed;

/// A byte order mark in UTF-8; files that were put one after the other have some in the middle.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One record as it stands in the file, its line break aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where each cell ends; the next one begins after the delimiter.
    ends: Vec<usize>,
}

/// What stands at the beginning of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A record.
    Whole(Extent),
    /// The beginning of a record.
    Partial,
    /// A record whose quotes contradict each other: the one at this place opens a cell.
    Malformed {
        /// Where the quote stands.
        quote: usize,
        /// Whether there is no other that closes the cell.
        is_open: bool,
    },
    /// A record that ends otherwise than the header.
    MixedLineEnds {
        /// Where it ends.
        at: usize,
    },
}

/// How far a record reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of its cells and the delimiters between them.
    pub(super) content: usize,
    /// The same with the line break.
    pub(super) length: usize,
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
    pub(super) fn scan(&mut self, text: &[u8], is_last: bool, grammar: Grammar, doubts: &mut Reading) -> Scanned {
        self.ends.clear();
        let mut scanner = Scanner { text, is_last, grammar, at: 0, is_multiline: false, doubts };
        if text.starts_with(MARK) {
            scanner.at = MARK.len();
        }
        loop {
            match scanner.cell_end() {
                Ok(end) => self.ends.push(end),
                Err(stop) => return stop,
            }
            let content = scanner.at;
            match scanner.line_break() {
                Err(stop) => return stop,
                Ok(None) => scanner.at += 1,
                Ok(Some(length)) => {
                    self.bytes.clear();
                    self.bytes.extend_from_slice(&text[..content]);
                    return Scanned::Whole(Extent {
                        content,
                        length: content + length,
                        is_multiline: scanner.is_multiline,
                    });
                }
            }
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
    fn cell_end(&mut self) -> Result<usize, Scanned> {
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

    fn unquoted(&mut self) -> Result<(), Scanned> {
        let length = self.text[self.at..].iter().position(|byte| self.ends_cell(*byte));
        self.at += length.unwrap_or(self.text.len() - self.at);
        if length.is_none() && !self.is_last { Err(Scanned::Partial) } else { Ok(()) }
    }

    /// Walks over a cell in quotes, the first of which is here, and blanks after it.
    fn quoted(&mut self) -> Result<(), Scanned> {
        let quote = self.at;
        self.at += 1;
        self.closing_quote(quote)?;
        self.is_multiline |= self.text[quote..self.at].iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        self.at = self.after_blanks(self.at);
        match self.text.get(self.at) {
            Some(byte) if self.ends_cell(*byte) => Ok(()),
            Some(_) => Err(Scanned::Malformed { quote, is_open: false }),
            None if self.is_last => Ok(()),
            None => Err(Scanned::Partial),
        }
    }

    const fn ends_cell(&self, byte: u8) -> bool {
        byte == self.grammar.delimiter.byte() || matches!(byte, b'\n' | b'\r')
    }

    /// Walks past the quote that closes the cell which `quote` opens.
    fn closing_quote(&mut self, quote: usize) -> Result<(), Scanned> {
        let backslash = self.grammar.reading.backslash;
        let out_of_text = || if self.is_last { Scanned::Malformed { quote, is_open: true } } else { Scanned::Partial };
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

    /// The length of the line break here, if there is one; 0 at the end of the text.
    ///
    /// Carriage returns before CR LF are part of it: programs that write LF as CR LF find one there already.
    fn line_break(&self) -> Result<Option<usize>, Scanned> {
        let rest = &self.text[self.at..];
        let returns = rest.iter().take_while(|byte| **byte == b'\r').count();
        match rest.get(returns) {
            Some(b'\n') if self.grammar.cr => Err(Scanned::MixedLineEnds { at: self.at }),
            Some(b'\n') => Ok(Some(returns + 1)),
            None if self.is_last => Ok(Some(returns)),
            None => Err(Scanned::Partial),
            Some(_) if returns == 0 => Ok(None),
            Some(_) if self.grammar.cr => Ok(Some(returns)),
            Some(_) => Err(Scanned::MixedLineEnds { at: self.at }),
        }
    }
}

impl Grammar {
    /// How many lines end within these bytes.
    pub(super) fn line_ends(self, bytes: &[u8]) -> u64 {
        let end = if self.cr { b'\r' } else { b'\n' };
        bytes.iter().map(|byte| u64::from(*byte == end)).sum()
    }
}
