//! The raw bytes of the catalog, handed to the CSV parser one line at a time.
//!
//! Never more than a line, because the parser tells neither where a record starts after blank lines nor how much it
//! has taken in: so it never holds bytes beyond the line it is working on, and both can be told here.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use super::origin::Origin;

/// How many bytes are read from the file at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// Longest record, in bytes as they stand in the file, its line break included: what a pass may hold in memory.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// In the file.
    pub(super) offset: u64,
    /// From 1.
    pub(super) line: u64,
}

/// How the reading of the current record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// There may be more bytes.
    Flowing,
    /// The record reaches the end of the file.
    Ended,
    /// The record is longer than [`MAX_RECORD_BYTES`].
    TooLong,
}

/// A pass over the bytes.
pub(super) struct Lines {
    origin: Arc<Origin>,
    block: Box<[u8]>,
    unread: Range<usize>,
    /// Where the next byte handed out stands.
    next: Start,
    /// Where the last line with anything on it ends, without its line break; and the number of that line.
    content_end: Start,
    /// Where the current record starts, once its first byte was handed out.
    record: Option<Start>,
    supply: Supply,
}

impl Lines {
    /// A pass from the first byte of the text.
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        let next = Start { offset: origin.text_start(), line: 1 };
        let block = vec![0; BLOCK_BYTES].into_boxed_slice();
        Self { origin, block, unread: 0..0, next, content_end: next, record: None, supply: Supply::Flowing }
    }

    /// Says that a new record starts with the first byte from `consumed` on that is not a line break.
    ///
    /// Assumes that everything handed out before the last line was consumed.
    pub(super) fn start_record(&mut self, consumed: u64) {
        let Start { offset, line } = self.content_end;
        self.record = (consumed < offset).then_some(Start { offset: consumed, line });
    }

    /// Where the current record starts; the end of what was handed out if it has not started.
    pub(super) fn record(&self) -> Start {
        self.record.unwrap_or(self.next)
    }

    /// How the reading of the current record stands.
    pub(super) fn supply(&self) -> Supply {
        self.supply
    }

    /// Reads the next block if everything of the last one was handed out; nothing is unread only at the end.
    fn fill(&mut self) -> io::Result<()> {
        if self.unread.is_empty() {
            self.unread = 0..self.origin.read_at(&mut self.block, self.next.offset)?;
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
            self.content_end = Start { offset: self.next.offset + last as u64 + 1, line: self.next.line };
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
            self.supply = Supply::TooLong;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.fill()?;
        if self.unread.is_empty() {
            self.supply = Supply::Ended;
        }
        let length = self.line_length().min(buffer.len()).min(allowed);
        let part = self.hand_out(length);
        buffer[..length].copy_from_slice(part);
        Ok(length)
    }
}
