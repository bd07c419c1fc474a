//! What the header says: which column holds the ids, which are the catalog's own, which are of an earlier run; and what
//! such a run said of a row: a help, never a reason to fail.

use std::borrow::Cow;

use super::dialect::Grammar;
use super::error::{CatalogError, CatalogSource};
use super::ids::{BadRow, NoId, is_of_the_service, read_id};
use super::record::{MARK, Record};
use crate::clock::UnixMillis;
use crate::domain::{
    CoverTaskId, Credits, ImageFile, ImageSize, Images, MAX_IMAGES, MusicTaskId, Reason, ResultColumn, Route, Status,
    is_blank, one_line, trimmed, unescape_formula,
};

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

/// The verdict of an earlier run on a row; whatever cannot be understood is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousResult {
    /// What became of the row.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// Whether the next plain rerun was to send it again.
    pub retryable: Option<bool>,
    /// The HTTP status of the last answer.
    pub http_status: Option<u16>,
    /// The `code` of the last answer.
    pub code: Option<i64>,
    /// The service's words, without the sign that protects spreadsheets; may be empty.
    pub message: String,
    /// The cover, if it was known.
    pub cover: Option<CoverTaskId>,
    /// Submissions made.
    pub attempts: u32,
    /// When the first one was made.
    pub first_sent_at: Option<UnixMillis>,
    /// When it was decided.
    pub finished_at: Option<UnixMillis>,
    /// Where the images of the cover are.
    pub images: Option<Images>,
    /// The files of the images, or that of the default cover.
    pub files: [Option<ImageFile>; MAX_IMAGES],
    /// When the service forgets the images.
    pub expires_at: Option<UnixMillis>,
    /// Whether the default cover stands in for the cover.
    pub is_fallback: bool,
    /// The route by which the cover was asked for.
    pub route: Option<Route>,
    /// What the cover cost.
    pub credits: Option<Credits>,
}

/// Where the columns of an earlier run are, in the order of [`ResultColumn::WORDS`].
#[derive(Debug)]
pub(super) struct PreviousColumns([usize; ResultColumn::WORDS.len()]);

impl PreviousColumns {
    /// Looks the columns up by their names; `None` unless all are there.
    pub(super) fn find(position: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        let mut columns = [0; ResultColumn::WORDS.len()];
        for (column, name) in columns.iter_mut().zip(ResultColumn::WORDS) {
            *column = position(name)?;
        }
        Some(Self(columns))
    }

    /// Whether a column is one of them.
    pub(super) fn contains(&self, column: usize) -> bool {
        self.0.contains(&column)
    }

    /// What the cells of a row say; `None` without a known status.
    pub(super) fn read<'a>(&self, value: impl Fn(usize) -> Option<Cow<'a, [u8]>>) -> Option<PreviousResult> {
        let texts = self.0.map(|column| text(value(column)?));
        let [status, retryable, reason, http_status, code, message, cover, attempts, first_sent, finished, rest @ ..] =
            texts.each_ref().map(Option::as_deref);
        let [_, image_1, image_2, file_1, file_2, expires, fallback, route, credits, sizes @ ..] = rest;
        let [width_1, height_1, bytes_1, width_2, height_2, bytes_2] = sizes;
        let file = |name: Option<&str>, size: [Option<&str>; 3]| {
            let name = name.filter(|name| !name.is_empty())?.to_owned();
            Some(ImageFile { name, size: image_size(size.map(Option::unwrap_or_default)) })
        };
        Some(PreviousResult {
            status: status.and_then(Status::from_word)?,
            reason: reason.and_then(Reason::from_word),
            retryable: retryable.and_then(yes_or_no),
            http_status: http_status.and_then(|number| number.parse().ok()),
            code: code.and_then(|number| number.parse().ok()),
            message: message.map(unescape_formula).map(one_line).unwrap_or_default(),
            cover: cover.and_then(|id| CoverTaskId::new(id).ok()),
            attempts: attempts.and_then(|number| number.parse().ok()).unwrap_or(0),
            first_sent_at: first_sent.and_then(UnixMillis::from_rfc3339),
            finished_at: finished.and_then(UnixMillis::from_rfc3339),
            images: Images::new([image_1, image_2].into_iter().flatten()),
            files: [file(file_1, [width_1, height_1, bytes_1]), file(file_2, [width_2, height_2, bytes_2])],
            expires_at: expires.and_then(UnixMillis::from_rfc3339),
            is_fallback: fallback.and_then(yes_or_no).unwrap_or(false),
            route: route.and_then(Route::from_word),
            credits: credits.and_then(|amount| amount.parse().ok()),
        })
    }
}

fn text(value: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match value {
        Cow::Borrowed(value) => str::from_utf8(value).ok().map(Cow::Borrowed),
        Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
    }
}

fn image_size([width, height, bytes]: [&str; 3]) -> Option<ImageSize> {
    Some(ImageSize { width: width.parse().ok()?, height: height.parse().ok()?, bytes: bytes.parse().ok()? })
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(cells: &[&str]) -> Option<PreviousResult> {
        let columns =
            PreviousColumns::find(|name| ResultColumn::WORDS.iter().position(|column| *column == name)).unwrap();
        columns.read(|column| cells.get(column).map(|cell| Cow::Borrowed(cell.as_bytes())))
    }

    fn read(cells: [&str; 11]) -> Option<PreviousResult> {
        read_all(&cells)
    }

    fn nothing() -> PreviousResult {
        PreviousResult {
            status: Status::Failed,
            reason: None,
            retryable: None,
            http_status: None,
            code: None,
            message: String::new(),
            cover: None,
            attempts: 0,
            first_sent_at: None,
            finished_at: None,
            images: None,
            files: [None, None],
            expires_at: None,
            is_fallback: false,
            route: None,
            credits: None,
        }
    }

    #[test]
    fn a_finished_cover_is_read_back() {
        let cells = [
            "completed",
            "",
            "",
            "",
            "",
            "",
            "c",
            "",
            "",
            "",
            "",
            "https://x/1",
            "",
            "a-1.png",
            "",
            "2025-11-22T02:10:00.007Z",
            "yes",
            "jobs",
            "0.4",
            "3000",
            "2000",
            "5000000000",
            "3000",
            "",
            "7",
        ];
        let size = ImageSize { width: 3000, height: 2000, bytes: 5_000_000_000 };
        let previous = read_all(&cells).unwrap();
        let expected = PreviousResult {
            status: Status::Completed,
            cover: CoverTaskId::new("c").ok(),
            images: Images::new(["https://x/1"]),
            files: [Some(ImageFile { name: "a-1.png".to_owned(), size: Some(size) }), None],
            expires_at: Some(UnixMillis(1_763_777_400_007)),
            is_fallback: true,
            route: Some(Route::Jobs),
            credits: Credits::of_thousandths(400),
            ..nothing()
        };
        assert_eq!(previous, expected);
    }

    #[test]
    fn only_the_whole_set_of_columns_is_an_earlier_results_csv() {
        let found = |missing: &str| PreviousColumns::find(|name| (name != missing).then_some(7));
        assert!(found("none of them").unwrap().contains(7));
        for name in ResultColumn::WORDS {
            assert!(found(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_full_row_is_read_back() {
        let (first, last) = ("2025-11-22T02:10:00.007Z", "2025-11-22T02:10:01.000Z");
        let previous = read(["exists", "no", "conflict", "200", "409", "'=1+1", "abc", "3", first, last, "7"]).unwrap();
        let expected = PreviousResult {
            status: Status::Exists,
            reason: Some(Reason::Conflict),
            retryable: Some(false),
            http_status: Some(200),
            code: Some(409),
            message: "=1+1".to_owned(),
            cover: Some(CoverTaskId::new("abc").unwrap()),
            attempts: 3,
            first_sent_at: Some(UnixMillis(1_763_777_400_007)),
            finished_at: Some(UnixMillis(1_763_777_401_000)),
            ..nothing()
        };
        assert_eq!(previous, expected);
    }

    #[test]
    fn what_is_empty_or_broken_is_missing() {
        let empty = read(["failed", "", "", "", "", "", "", "", "", "", ""]).unwrap();
        let broken =
            read(["failed", "maybe", "bad luck", "-1", "1e9", "", "a b", "-2", "today", "2025-13-01", "x"]).unwrap();
        let expected = nothing();
        assert_eq!(empty, expected);
        assert_eq!(broken, expected);
        for unknown in ["", "Failed", "in_flight", "\u{fffd}"] {
            assert_eq!(read([unknown, "no", "conflict", "200", "409", "", "", "1", "", "", ""]), None, "{unknown}");
        }
    }
}
