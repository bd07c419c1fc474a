//! What the header says: which column holds the ids, which are the catalog's own, which are of an earlier run.

use super::dialect::Grammar;
use super::error::{CatalogError, CatalogSource};
use super::ids::{BadRow, NoId, is_of_the_service, read_id};
use super::previous::{PreviousColumns, PreviousResult};
use super::record::{MARK, Record};
use crate::domain::{MusicTaskId, ResultColumn, is_blank, one_line, trimmed};

/// The names an id column may have when none is given, the first one found being taken.
///
/// A name as it is counts before one that differs in case, blanks, `_` or `-`.
pub const ID_COLUMNS: [&str; 4] = ["task_id", "taskId", "music_task_id", "id"];

/// Most columns that a message lists.
const MAX_LISTED: usize = 20;

/// Longest column name in a message, in characters.
const MAX_LISTED_CHARS: usize = 30;

/// The header, understood.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) header: Record,
    /// How cells are told apart.
    pub(super) grammar: Grammar,
    /// What the header's cells say.
    names: Box<[Box<[u8]>]>,
    /// Which column holds the ids.
    pub(super) id: usize,
    /// Where an earlier run's verdicts are, if they are among the columns.
    pub(super) previous: Option<PreviousColumns>,
}

impl Columns {
    /// Understands a header that starts in `line`; `id_column` is a name or a number from 1.
    pub(super) fn new(
        (header, line): (Record, u64),
        grammar: Grammar,
        id_column: Option<&str>,
        catalog: &CatalogSource,
    ) -> Result<Self, CatalogError> {
        let names = names(&header, grammar);
        let id = id_position(&names, line, id_column, catalog)?;
        if is_of_the_service(&names[id]) {
            return Err(CatalogError::HeaderMissing(catalog.clone()));
        }
        let previous = PreviousColumns::find(|name| names.iter().position(|cell| **cell == *name.as_bytes()));
        let is_previous = |column| previous.as_ref().is_some_and(|columns| columns.contains(column));
        if is_previous(id) {
            return Err(CatalogError::IdColumnIsResult(catalog.clone(), shown(&names[id])));
        }
        let is_result = |name: &[u8]| ResultColumn::WORDS.iter().any(|result| result.as_bytes() == name);
        let doubled: Vec<&[u8]> = (0..names.len())
            .filter(|at| !is_previous(*at))
            .map(|at| &*names[at])
            .filter(|name| is_result(name))
            .collect();
        if !doubled.is_empty() {
            return Err(CatalogError::ResultColumns(catalog.clone(), listed(&doubled)));
        }
        Ok(Self { header, grammar, names, id, previous })
    }

    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    /// The columns that are not of an earlier run.
    pub(super) fn own(&self) -> impl Iterator<Item = usize> {
        let previous = self.previous.as_ref();
        (0..self.width()).filter(move |column| previous.is_none_or(|columns| !columns.contains(*column)))
    }

    pub(super) fn name(&self, column: usize) -> &[u8] {
        &self.names[column]
    }

    /// The music task that a row names; `None` if the row is the header again.
    pub(super) fn id_of(&self, row: &Record) -> Option<Result<MusicTaskId, BadRow>> {
        let cell = row.value(self.id, self.grammar).unwrap_or_default();
        if !cell.is_empty() && is_same_name(&cell, &self.names[self.id]) {
            return if self.is_header(row) { None } else { Some(Err(BadRow::NoId(NoId::ColumnName))) };
        }
        let surplus = if row.len() > self.width() { row.used(self.grammar).saturating_sub(self.width()) } else { 0 };
        if surplus > 0 {
            return Some(Err(BadRow::SurplusCells(surplus)));
        }
        Some(read_id(&cell))
    }

    /// Cuts off the header of another file that was put behind a row without a line end.
    pub(super) fn cut_header(&self, row: &mut Record) {
        let last = self.width() - 1;
        if row.len() != self.width() + last {
            return;
        }
        let own = row.raw(last).zip(self.header.raw(0)).and_then(|(joint, first)| joint.strip_suffix(first));
        let unmarked = own.and_then(|own| own.strip_suffix(MARK));
        let is_header = (1..=last)
            .all(|column| row.value(last + column, self.grammar).is_some_and(|value| *value == *self.names[column]));
        // One name alone could be the end of a word.
        let own = unmarked.or(own.filter(|_| last > 0)).filter(|_| is_header).map(<[u8]>::len);
        if let Some(length) = own {
            row.cut(last, length);
        }
    }

    /// Whether every cell says what the header says there; there may be fewer.
    fn is_header(&self, row: &Record) -> bool {
        let names = self.names.iter().map(|name| &**name).chain(std::iter::repeat(&b""[..]));
        (0..row.len()).zip(names).all(|(cell, name)| row.value(cell, self.grammar).is_some_and(|value| *value == *name))
    }

    /// What an earlier run said of a row.
    pub(super) fn previous_of(&self, row: &Record) -> Option<PreviousResult> {
        self.previous.as_ref()?.read(|column| row.value(column, self.grammar))
    }
}

/// What the cells of a header say.
pub(super) fn names(header: &Record, grammar: Grammar) -> Box<[Box<[u8]>]> {
    (0..header.len()).filter_map(|cell| header.value(cell, grammar)).map(Box::from).collect()
}

/// The names that an id column may have.
pub(super) fn wanted(id_column: Option<&str>) -> Vec<&str> {
    id_column.map_or_else(|| ID_COLUMNS.to_vec(), |name| vec![name])
}

/// Whether two names of columns differ in nothing but case, blanks, quotes, `_` and `-`.
pub(super) fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    // The first character tells most ids from the name of their column, and is soon looked at.
    let first = |name: &[u8]| name.first().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    let (this, that) = (first(one), first(other));
    (this.is_none() || that.is_none() || this == that) && essence(one).eq(essence(other))
}

fn essence(name: &[u8]) -> impl Iterator<Item = char> {
    let chars =
        name.utf8_chunks().flat_map(|chunk| chunk.valid().chars().chain(chunk.invalid().first().map(|_| '\u{fffd}')));
    chars.filter(|c| !is_blank(*c) && !matches!(c, '_' | '-' | '"')).flat_map(char::to_lowercase)
}

fn id_position(
    names: &[Box<[u8]>],
    line: u64,
    id_column: Option<&str>,
    catalog: &CatalogSource,
) -> Result<usize, CatalogError> {
    for name in wanted(id_column) {
        let name = trimmed(name.as_bytes());
        for is_match in [|cell: &[u8], name: &[u8]| cell == name, is_same_name] {
            let mut found = (0..names.len()).filter(|column| is_match(&names[*column], name));
            match (found.next(), found.next()) {
                (Some(only), None) => return Ok(only),
                (Some(_), Some(_)) => return Err(CatalogError::IdColumnTwice(catalog.clone(), shown(name))),
                (None, _) => {}
            }
        }
    }
    let columns = names.len();
    match id_column.and_then(|name| name.trim().parse().ok()) {
        Some(number) if (1..=columns).contains(&number) => Ok(number - 1),
        Some(number) => Err(CatalogError::NoColumnNumber(catalog.clone(), number, columns)),
        None => Err(no_id_column(names, line, id_column, catalog)),
    }
}

fn no_id_column(names: &[Box<[u8]>], line: u64, id_column: Option<&str>, catalog: &CatalogSource) -> CatalogError {
    let catalog = catalog.clone();
    if names.iter().any(|name| is_of_the_service(name)) {
        return CatalogError::HeaderMissing(catalog);
    }
    let wanted = wanted(id_column).into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let found = listed(&names.iter().map(|name| &**name).collect::<Vec<_>>());
    CatalogError::NoIdColumn { catalog, line, wanted, found, hint: None }
}

/// The first columns' names, and how many more there are.
fn listed(names: &[&[u8]]) -> String {
    let first: Vec<String> = names.iter().take(MAX_LISTED).map(|cell| format!("`{}`", shown(cell))).collect();
    let more = names.len().saturating_sub(MAX_LISTED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    first.join(", ") + &rest
}

/// A header cell on one line, cut if it is long.
fn shown(cell: &[u8]) -> String {
    let name = one_line(&String::from_utf8_lossy(cell));
    if name.chars().count() <= MAX_LISTED_CHARS {
        return name;
    }
    name.chars().take(MAX_LISTED_CHARS - 1).chain(['…']).collect()
}
