//! What the header says: the delimiter, the id column, the catalog's own columns, and those of an earlier run.

use std::sync::Arc;

use csv::ByteRecord;

use super::dialect::{Delimiter, Dialect};
use super::error::{BadRow, CatalogError, CatalogSource};
use super::previous::{PreviousColumns, PreviousResult, is_result_column};
use super::reader::RecordReader;
use super::source::SourceFile;
use crate::domain::{MusicTaskId, one_line};

/// The names an id column may have when none is given, the first one found being taken.
pub const ID_COLUMNS: [&str; 4] = ["task_id", "taskId", "music_task_id", "id"];

/// Most columns that a message lists.
const MAX_LISTED: usize = 20;

/// Longest column name in a message, in characters.
const MAX_LISTED_CHARS: usize = 30;

/// How many digits the service's ids have.
const ID_DIGITS: usize = 32;

/// The header, understood.
#[derive(Debug)]
pub(super) struct Columns {
    header: ByteRecord,
    is_own: Box<[bool]>,
    id: usize,
    previous: Option<PreviousColumns>,
}

impl Columns {
    /// Understands a header; `id_column` is a name or a number from 1.
    pub(super) fn new(
        header: ByteRecord,
        id_column: Option<&str>,
        catalog: &CatalogSource,
    ) -> Result<Self, CatalogError> {
        let id = id_position(&header, id_column, catalog)?;
        let previous = PreviousColumns::find(|name| positions(&header, name).next());
        let is_own: Box<[bool]> = header.iter().map(|cell| previous.is_none() || !is_result_column(cell)).collect();
        if looks_like_id(&header[id]) {
            return Err(CatalogError::HeaderMissing(catalog.clone()));
        }
        if !is_own[id] {
            return Err(CatalogError::IdColumnIsResult { catalog: catalog.clone(), column: shown(&header[id]) });
        }
        Ok(Self { header, is_own, id, previous })
    }

    /// Whether an earlier run's verdicts are among the columns.
    pub(super) fn has_results(&self) -> bool {
        self.previous.is_some()
    }

    /// The header's cells that are not of an earlier run.
    pub(super) fn own_header(&self) -> impl Iterator<Item = &[u8]> {
        self.own_cells(&self.header)
    }

    /// A row's cells that are not of an earlier run, surplus cells included.
    pub(super) fn own_cells<'a>(&'a self, cells: &'a ByteRecord) -> impl Iterator<Item = &'a [u8]> {
        let own = self.is_own.iter().copied().chain(std::iter::repeat(true));
        cells.iter().zip(own).filter_map(|(cell, is_own)| is_own.then_some(cell))
    }

    /// The music task that a row names.
    pub(super) fn id_of(&self, cells: &ByteRecord) -> Result<MusicTaskId, BadRow> {
        let (found, expected) = (cells.len(), self.header.len());
        if found != expected {
            return Err(BadRow::FieldCount { found, expected });
        }
        Ok(MusicTaskId::new(&cells[self.id])?)
    }

    /// What an earlier run said of a row; nothing if its cells are not where they belong.
    pub(super) fn previous_of(&self, cells: &ByteRecord) -> Option<PreviousResult> {
        let columns = self.previous.as_ref()?;
        if cells.len() == self.header.len() { columns.read(cells) } else { None }
    }
}

/// The header, and how it is written; an id column of one of the `wanted` names shows the delimiter.
pub(super) fn read_header(
    file: &Arc<SourceFile>,
    delimiter: Option<Delimiter>,
    wanted: &[&str],
) -> Result<(ByteRecord, Dialect), CatalogError> {
    let delimiter = delimiter.unwrap_or_else(|| detected(file, wanted));
    let (header, crlf) = header_under(file, delimiter)?;
    Ok((header, Dialect { delimiter, bom: file.has_bom(), crlf }))
}

/// The delimiter under which the header has an id column, else the one under which it has most columns.
///
/// A delimiter under which it cannot be read is none; if that is so for all, the comma will say why.
fn detected(file: &Arc<SourceFile>, wanted: &[&str]) -> Delimiter {
    let readable = |delimiter| Some((delimiter, header_under(file, delimiter).ok()?.0));
    let headers: Vec<_> = Delimiter::CANDIDATES.into_iter().filter_map(readable).collect();
    let named = |is: fn(&ByteRecord, &str) -> bool| {
        headers.iter().find(|(_, header)| wanted.iter().any(|name| is(header, name)))
    };
    // A tab is a blank to other delimiters, so a name as it is counts for more than one with blanks around it.
    let with_id = named(|header, name| header.iter().any(|cell| cell == name.as_bytes())).or_else(|| named(has_column));
    // Reversed, because the last of several greatest would win.
    let widest = || headers.iter().rev().max_by_key(|(_, header)| header.len());
    with_id.or_else(widest).map_or(Delimiter::COMMA, |(delimiter, _)| *delimiter)
}

/// The header if cells are divided by `delimiter`, and whether it ends with CR LF.
fn header_under(file: &Arc<SourceFile>, delimiter: Delimiter) -> Result<(ByteRecord, bool), CatalogError> {
    let mut records = RecordReader::new(file, delimiter);
    let mut header = ByteRecord::new();
    match records.read(&mut header)? {
        Some(_) => Ok((header, ends_with_crlf(file, records.consumed())?)),
        None => Err(CatalogError::Empty(file.source().clone())),
    }
}

/// Whether the line break at which the parser stands is CR LF; it may have taken the CR, or both.
fn ends_with_crlf(file: &SourceFile, consumed: u64) -> Result<bool, CatalogError> {
    let mut around = [0; 3];
    let length = file.read_fully(&mut around, consumed.saturating_sub(2))?;
    Ok(around[..length].windows(2).any(|pair| pair == b"\r\n"))
}

/// The names that an id column may have.
pub(super) fn wanted(id_column: Option<&str>) -> Vec<&str> {
    id_column.map_or_else(|| ID_COLUMNS.to_vec(), |name| vec![name])
}

/// Whether the header has a column of this name.
pub(super) fn has_column(header: &ByteRecord, name: &str) -> bool {
    positions(header, name).next().is_some()
}

/// Where the columns of this name are.
fn positions(header: &ByteRecord, name: &str) -> impl Iterator<Item = usize> {
    let name = name.trim_ascii().as_bytes();
    header.iter().enumerate().filter_map(move |(at, cell)| (cell.trim_ascii() == name).then_some(at))
}

fn id_position(header: &ByteRecord, id_column: Option<&str>, catalog: &CatalogSource) -> Result<usize, CatalogError> {
    for name in wanted(id_column) {
        let mut found = positions(header, name);
        match (found.next(), found.next()) {
            (Some(only), None) => return Ok(only),
            (Some(_), Some(_)) => {
                return Err(CatalogError::IdColumnTwice { catalog: catalog.clone(), column: name.trim().to_owned() });
            }
            (None, _) => {}
        }
    }
    match id_column.and_then(|name| name.trim().parse().ok()) {
        Some(number) => numbered(header, number, catalog),
        None => Err(no_id_column(header, id_column, catalog)),
    }
}

/// The position of a column numbered from 1.
fn numbered(header: &ByteRecord, number: usize, catalog: &CatalogSource) -> Result<usize, CatalogError> {
    let columns = header.len();
    match number.checked_sub(1) {
        Some(position) if position < columns => Ok(position),
        Some(_) | None => Err(CatalogError::NoColumnNumber { catalog: catalog.clone(), number, columns }),
    }
}

fn no_id_column(header: &ByteRecord, id_column: Option<&str>, catalog: &CatalogSource) -> CatalogError {
    let catalog = catalog.clone();
    if header.iter().any(looks_like_id) {
        return CatalogError::HeaderMissing(catalog);
    }
    let wanted = wanted(id_column).into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    CatalogError::NoIdColumn { catalog, wanted, found: listed(header) }
}

/// The first columns' names, and how many more there are.
fn listed(header: &ByteRecord) -> String {
    let names: Vec<String> = header.iter().take(MAX_LISTED).map(|cell| format!("`{}`", shown(cell))).collect();
    let more = header.len().saturating_sub(MAX_LISTED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    names.join(", ") + &rest
}

/// A header cell on one line, cut if it is long.
fn shown(cell: &[u8]) -> String {
    let name = one_line(&String::from_utf8_lossy(cell));
    if name.chars().count() <= MAX_LISTED_CHARS {
        return name;
    }
    name.chars().take(MAX_LISTED_CHARS - 1).chain(['…']).collect()
}

/// Whether a header cell can only be data: 32 hexadecimal digits, hyphens aside.
fn looks_like_id(cell: &[u8]) -> bool {
    let mut digits = cell.trim_ascii().iter().filter(|byte| **byte != b'-');
    digits.clone().count() == ID_DIGITS && digits.all(u8::is_ascii_hexdigit)
}
