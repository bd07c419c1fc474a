//! Where the header is, and what divides its cells: found out from the first lines.

use std::sync::Arc;

use super::columns::{is_same_name, names};
use super::dialect::{Delimiter, Grammar};
use super::error::CatalogError;
use super::reader::RecordReader;
use super::record::Record;
use super::source::SourceFile;

/// How many lines are looked at for a header that does not come first.
const MAX_LINES_BEFORE: u64 = 100;

/// Where the header is, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Lines before it that are no rows.
    pub(super) skipped: u64,
    /// Whether the last of them tells the delimiter.
    pub(super) separator_line: bool,
    /// How its cells are told apart, unless its quotes say otherwise.
    pub(super) grammar: Grammar,
}

impl Start {
    /// Looks at what comes after `skipped` lines; an id column of one of the `wanted` names shows the delimiter.
    pub(super) fn find(
        file: &Arc<SourceFile>,
        skipped: u64,
        delimiter: Option<Delimiter>,
        wanted: &[&str],
    ) -> Result<Self, CatalogError> {
        let mut reader = RecordReader::new(file, Grammar::plain(Delimiter::COMMA), skipped)?;
        let told = Delimiter::in_separator_line(reader.rest_of_line()?);
        let skipped = skipped + u64::from(told.is_some());
        let delimiter = delimiter.or(told).unwrap_or_else(|| detected(file, skipped, wanted));
        Ok(Self { skipped, separator_line: told.is_some(), grammar: Grammar::plain(delimiter) })
    }

    /// What helps if the header has no id column: to skip lines, or another delimiter.
    pub(super) fn hint(self, file: &Arc<SourceFile>, wanted: &[&str]) -> Option<String> {
        for skipped in (0..=MAX_LINES_BEFORE).map(|more| self.skipped + more) {
            for delimiter in Delimiter::CANDIDATES {
                let Ok(first) = First::read(file, delimiter, skipped) else { continue };
                if !first.has(wanted) {
                    continue;
                }
                return Some(if skipped == self.skipped {
                    format!("its cells look divided by `{}`; leave out --delimiter", char::from(delimiter.byte()))
                } else {
                    let (line, before) = (first.line, first.line - 1);
                    format!("line {line} looks like the header; skip the lines before it with --skip-lines {before}")
                });
            }
        }
        None
    }
}

/// A first record.
struct First {
    line: u64,
    raw: Record,
    names: Box<[Box<[u8]>]>,
}

impl First {
    /// The first record after `skipped` lines.
    fn read(file: &Arc<SourceFile>, delimiter: Delimiter, skipped: u64) -> Result<Self, CatalogError> {
        let grammar = Grammar::plain(delimiter);
        let (mut reader, mut raw) = (RecordReader::new(file, grammar, skipped)?, Record::default());
        reader.read(&mut raw)?;
        Ok(Self { line: reader.last.line, names: names(&raw, grammar), raw })
    }

    fn has(&self, wanted: &[&str]) -> bool {
        wanted.iter().any(|name| self.names.iter().any(|cell| is_same_name(cell, name.as_bytes())))
    }

    /// Whether one of the names stands there without so much as a blank around it.
    fn has_bare(&self, wanted: &[&str]) -> bool {
        wanted.iter().any(|name| self.raw.raw_cells().any(|cell| cell == name.as_bytes()))
    }
}

/// The delimiter under which the header has an id column, else the one under which it has most columns.
///
/// If it has one column under all of them, then the one under which it cannot be read, so as to say why.
fn detected(file: &Arc<SourceFile>, skipped: u64, wanted: &[&str]) -> Delimiter {
    let headers = Delimiter::CANDIDATES.map(|delimiter| (delimiter, First::read(file, delimiter, skipped).ok()));
    let found = |is: &dyn Fn(&First) -> bool| headers.iter().find(|(_, first)| first.as_ref().is_some_and(is));
    // A tab is a blank to other delimiters, so a name as it is counts for more than one with blanks around it.
    let bare = found(&|first| first.has_bare(wanted));
    let named = || found(&|first| first.has(wanted));
    let columns = |first: &Option<First>| first.as_ref().map_or(0, |first| first.names.len());
    // Reversed, because the last of several greatest would win.
    let widest =
        || headers.iter().rev().max_by_key(|(_, first)| columns(first)).filter(|(_, first)| columns(first) > 1);
    let unreadable = || headers.iter().find(|(_, first)| first.is_none());
    let detected = bare.or_else(named).or_else(widest).or_else(unreadable);
    detected.map_or(Delimiter::COMMA, |(delimiter, _)| *delimiter)
}
