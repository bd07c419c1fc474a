//! The catalog read once from end to end, by each reading that its quotes and line ends allow.
//!
//! A file says nowhere how it is written. Where that makes a difference, the reading is taken under which most rows fit the
//! header, no quotes contradict each other, and no rows vanish within quotes; if that does not tell two of them apart, the
//! file is refused. A row fits that has as many cells as the header, or the verdict of an earlier run in its place: results
//! are read as they were written, whatever surplus cells they repeat.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::columns::Columns;
use super::dialect::{Grammar, LineBreak, Reading};
use super::duplicates::{DuplicateIndex, Duplicates};
use super::error::CatalogError;
use super::header::Start;
use super::ids::{BadRow, is_of_the_service, read_id};
use super::reader::{RecordReader, Row, Rows};
use super::record::Record;
use super::shapes::{Outline, Shape, Shapes, Unlike};
use super::source::SourceFile;
use crate::domain::{MusicTaskId, trimmed};

/// How many bad rows a [`Check`] keeps.
const MAX_FIRST_BAD: usize = 10;

/// From how many characters on a text with a digit is hardly ever a word of a song.
const MIN_TELLING: usize = 8;

/// What reading every row once has shown; `rows` is the sum of the three kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Data rows.
    pub rows: u32,
    /// Rows that are the first with their id.
    pub distinct: u32,
    /// Rows that repeat the id of an earlier one.
    pub duplicates: u32,
    /// Unusable rows.
    pub invalid: u32,
    /// The first ten unusable rows: the line where each starts, and why.
    pub first_bad: Vec<(u64, BadRow)>,
    /// Ids that do not look like nearly all others.
    pub unlike: Option<Unlike>,
}

/// A catalog under one reading.
pub(super) struct Checked {
    pub(super) columns: Arc<Columns>,
    pub(super) line_break: LineBreak,
    pub(super) check: Check,
    pub(super) duplicates: Duplicates,
    /// Rows that fit the header.
    fitting: u32,
}

pub(super) fn check(file: &Arc<SourceFile>, start: Start, id_column: Option<&str>) -> Result<Checked, CatalogError> {
    let (mut tried, mut readings): (Vec<Reading>, _) = (Vec::new(), vec![start.grammar.reading]);
    let (mut readable, mut refused) = (Vec::new(), Vec::new());
    while let Some(reading) = readings.pop() {
        if tried.contains(&reading) {
            continue;
        }
        let mut doubts = Reading::default();
        match checked(file, Start { grammar: Grammar { reading, ..start.grammar }, ..start }, id_column, &mut doubts) {
            Ok(checked) => readable.push(checked),
            Err(error) => refused.push(error),
        }
        readings.extend(reading.others(doubts));
        tried.push(reading);
    }
    // The reading that got furthest knows best what is wrong; of equals the first.
    let worst = || refused.into_iter().rev().max_by_key(CatalogError::line);
    match (best(file, start, readable)?, id_column) {
        (Some(checked), Some(column)) => checked.has_ids(file, column),
        (Some(checked), None) => Ok(checked),
        (None, _) => Err(worst().unwrap_or_else(|| CatalogError::Empty(file.source.clone()))),
    }
}

/// The one under which most rows look like the header, if no other one has as much for it.
fn best(file: &Arc<SourceFile>, start: Start, readable: Vec<Checked>) -> Result<Option<Checked>, CatalogError> {
    let mut ranked = readable;
    ranked.sort_by_key(|checked| Reverse((checked.fitting, Reverse(checked.unfit()))));
    let mut ranked = ranked.into_iter();
    let Some(best) = ranked.next() else { return Ok(None) };
    for other in ranked {
        let is_as_good = other.fitting == best.fitting && other.unfit() == best.unfit();
        if (is_as_good || other.unfit() < best.unfit())
            && let Some(line) = first_difference(file, start, [&best, &other])?
        {
            return Err(CatalogError::Ambiguous(file.line(line)));
        }
    }
    Ok(Some(best))
}

/// The line from which on two readings find other cells.
fn first_difference(file: &Arc<SourceFile>, start: Start, checked: [&Checked; 2]) -> Result<Option<u64>, CatalogError> {
    let [one, other] = checked.map(|checked| RecordReader::new(file, checked.columns.grammar, start.skipped));
    let (mut one, mut other) = (one?, other?);
    let (mut this, mut that) = (Record::default(), Record::default());
    loop {
        let more = (one.read(&mut this)?, other.read(&mut that)?);
        let is_same = this.raw_cells().map(trimmed).eq(that.raw_cells().map(trimmed));
        match more {
            (false, false) => return Ok(None),
            (true, true) if is_same => {}
            (_, _) => return Ok(Some(one.last.line.min(other.last.line))),
        }
    }
}

impl Checked {
    /// Refuses a column that somebody has named and that holds no id: another one is meant. A column that is found by its
    /// name is the right one, whatever is wrong with its rows.
    fn has_ids(self, file: &SourceFile, column: &str) -> Result<Self, CatalogError> {
        match self.check.first_bad.first() {
            Some((line, bad)) if self.check.distinct == 0 => {
                Err(CatalogError::NoIds(file.source.clone(), column.to_owned(), *line, *bad))
            }
            Some(_) | None => Ok(self),
        }
    }

    /// Rows that do not fit the header.
    fn unfit(&self) -> u32 {
        self.check.rows - self.fitting
    }
}

/// Reads every row by one reading, and says what of that is in doubt.
fn checked(
    file: &Arc<SourceFile>,
    start: Start,
    id_column: Option<&str>,
    doubts: &mut Reading,
) -> Result<Checked, CatalogError> {
    let mut reader = RecordReader::new(file, start.grammar, start.skipped)?;
    let columns = read_header(&mut reader, file, start.grammar, id_column);
    *doubts = reader.doubts;
    let columns = Arc::new(columns?);
    let line_break = reader.line_break();
    let mut suspects = Suspects::default();
    if reader.last.is_multiline {
        suspects.look_into(&columns.header, &reader, &columns);
    }
    let mut rows = Rows::new(reader, &columns, &file.source);
    let checked = every_row(&mut rows, &columns, suspects, file);
    *doubts = rows.reader.doubts;
    let (check, duplicates, fitting) = checked?;
    Ok(Checked { columns, line_break, check, duplicates, fitting })
}

fn read_header(
    reader: &mut RecordReader,
    file: &SourceFile,
    grammar: Grammar,
    id_column: Option<&str>,
) -> Result<Columns, CatalogError> {
    let mut header = Record::default();
    if !reader.read(&mut header)? {
        return Err(CatalogError::Empty(file.source.clone()));
    }
    Columns::new((header, reader.last.line), grammar, id_column, &file.source)
}

fn every_row(
    rows: &mut Rows,
    columns: &Columns,
    mut suspects: Suspects,
    file: &SourceFile,
) -> Result<(Check, Duplicates, u32), CatalogError> {
    let (mut check, mut index, mut shapes, mut row) =
        (Check::default(), DuplicateIndex::new(), Shapes::default(), Row::default());
    let mut fitting = 0;
    while rows.next_row(&mut row)? {
        check.rows = row.number;
        let is_regular = row.record.len() == columns.width();
        fitting += u32::from(is_regular || row.previous.is_some());
        // A carriage return within a row looks like the end of one, and leaves two pieces.
        if rows.reader.is_odd() && !is_regular {
            return Err(CatalogError::MixedLineEnds(file.line(row.line)));
        }
        if rows.reader.last.is_multiline {
            suspects.look_into(&row.record, &rows.reader, columns);
        }
        match &row.id {
            Ok(id) => {
                shapes.note(row.line, id);
                index.note(id.as_str().as_bytes(), row.number).map_err(CatalogError::TemporarySpace)?;
            }
            Err(bad) => check.add_bad(row.line, *bad),
        }
    }
    if let Some(line) = suspects.rows(&shapes) {
        return Err(CatalogError::RowsInQuotes(file.line(line)));
    }
    if str::from_utf8(columns.name(columns.id)).is_ok_and(|name| shapes.have_like(name)) {
        return Err(CatalogError::HeaderMissing(file.source.clone()));
    }
    let duplicates = index.into_duplicates().map_err(CatalogError::TemporarySpace)?;
    // Every repeat is a row, and rows are counted in 32 bits.
    check.duplicates = u32::try_from(duplicates.count()).unwrap_or(u32::MAX);
    check.distinct = check.rows - check.invalid - check.duplicates;
    check.unlike = shapes.unlike();
    Ok((check, duplicates, fitting))
}

impl Check {
    fn add_bad(&mut self, line: u64, bad: BadRow) {
        self.invalid += 1;
        if self.first_bad.len() < MAX_FIRST_BAD {
            self.first_bad.push((line, bad));
        }
    }
}

/// What stands within quotes where rows have their ids: the first line that opens such a quote.
#[derive(Default)]
struct Suspects {
    /// Of each outline.
    opened: BTreeMap<Outline, u64>,
    /// Of what is hardly a word.
    telling: Option<u64>,
    /// Of what can only be an id.
    certain: Option<u64>,
}

impl Suspects {
    /// Looks at the quoted cells of the record that was read last.
    fn look_into(&mut self, record: &Record, reader: &RecordReader, columns: &Columns) {
        for (cell, raw) in record.raw_cells().enumerate() {
            if !raw.contains(&b'"') {
                continue;
            }
            let opened = reader.last.line + reader.line_ends(record.before(cell));
            for id in ids_within(raw, cell, columns) {
                self.opened.entry(Shape::of(id.as_str()).outline()).or_insert(opened);
                self.telling = self.telling.or(is_telling(&id).then_some(opened));
                self.certain = self.certain.or(is_of_the_service(id.as_str().as_bytes()).then_some(opened));
            }
        }
    }

    /// The first line that opens a quote over lines which begin rows, to judge by the ids of the catalog.
    fn rows(&self, shapes: &Shapes) -> Option<u64> {
        let alike = self.opened.iter().filter(|(outline, _)| shapes.have(**outline)).map(|(_, line)| *line);
        let telling = self.telling.filter(|_| shapes.are_none());
        alike.chain(telling).chain(self.certain).min()
    }
}

/// Whether an id is long and has a digit, as words hardly ever are.
fn is_telling(id: &MusicTaskId) -> bool {
    id.as_str().len() >= MIN_TELLING && id.as_str().bytes().any(|byte| byte.is_ascii_digit())
}

/// What would be the ids of the lines of a cell, if these were rows.
fn ids_within<'a>(raw: &'a [u8], cell: usize, columns: &'a Columns) -> impl Iterator<Item = MusicTaskId> + 'a {
    let delimiter = columns.grammar.delimiter.byte();
    let lines = raw.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.enumerate().filter_map(move |(nth, line)| {
        // The first of them is the end of a line, and begins with this row's own cell.
        let before = if nth == 0 { cell } else { 0 };
        let at = columns.id.checked_sub(before).filter(|at| nth > 0 || *at > 0)?;
        let cells = || line.split(|byte| *byte == delimiter);
        let id = read_id(unquoted(cells().nth(at)?)).ok()?;
        let is_whole = before + cells().count() >= columns.width();
        (is_whole || is_telling(&id)).then_some(id)
    })
}

/// The cell without the quotes at its ends, however many.
fn unquoted(cell: &[u8]) -> &[u8] {
    let cell = trimmed(cell);
    let is_kept = |byte: &u8| *byte != b'"';
    let start = cell.iter().position(is_kept).unwrap_or(cell.len());
    let end = cell.iter().rposition(is_kept).map_or(start, |last| last + 1);
    &cell[start..end]
}
