//! What the cells of the id column hold: ids, ids that a spreadsheet dressed up, and what is none, in words for the person
//! who wrote it.

use thiserror::Error;

use super::shapes::{DIGIT, PUNCTUATION, kinds};
use crate::domain::{BadId, MusicTaskId, trimmed};

/// Why a row is unusable; the others are not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRow {
    /// Cells after the last column, and not only empty ones: so many up to the last that is not.
    #[error("the row goes on after the last column ({0} more); a cell that holds the delimiter needs quotes")]
    SurplusCells(usize),
    /// The cell in the id column is not an id.
    #[error(transparent)]
    Id(#[from] BadId),
    /// The cell in the id column was an id once, or something else stands in its place.
    #[error("the id is {0}")]
    NoId(NoId),
}

/// What stands where an id should: the traces of a spreadsheet or a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoId {
    /// `1.23E+31`, `12345.0`.
    #[error("a number as spreadsheets show it, whose digits are lost; format the column as text")]
    Number,
    /// `#N/A`, `#REF!`, `Err:502`.
    #[error("an error value of a spreadsheet")]
    ErrorValue,
    /// `=A1&B1`.
    #[error("a formula of a spreadsheet")]
    Formula,
    /// `1/2/2026`.
    #[error("a date, into which spreadsheets turn what looks like one; format the column as text")]
    Date,
    /// `NULL`, `n/a`, `TRUE`, `-`.
    #[error("a word or sign for a missing value")]
    Missing,
    /// `TOTAL`.
    #[error("the label of a sum")]
    Sum,
    /// `https://example.com/song/1`.
    #[error("an address; only the id in it is wanted")]
    Address,
    /// The name of the id column, in a row that differs from the header.
    #[error("the name of a column; is this the header of another file?")]
    ColumnName,
}

/// How many digits the service's ids have.
const SERVICE_DIGITS: usize = 32;

/// Words for a value that is not there, the signs around them aside.
const MISSING: [&str; 12] =
    ["null", "nil", "none", "nan", "na", "n/a", "n.a", "nat", "undefined", "tbd", "true", "false"];

/// The music task that a cell names, freed of `="…"`, `"…"`, `'…'` and `'…`.
pub(super) fn read_id(cell: &[u8]) -> Result<MusicTaskId, BadRow> {
    let id = MusicTaskId::new(undressed(cell))?;
    no_id(id.as_str()).map_or(Ok(id), |what| Err(BadRow::NoId(what)))
}

/// Whether a cell can only be an id of the service: its letters and digits are 32 hexadecimal ones.
pub(super) fn is_of_the_service(cell: &[u8]) -> bool {
    let mut digits = cell.iter().filter(|byte| byte.is_ascii_alphanumeric());
    digits.clone().count() == SERVICE_DIGITS && digits.all(u8::is_ascii_hexdigit)
}

/// The cell without what makes spreadsheets and databases take it for a text.
fn undressed(cell: &[u8]) -> &[u8] {
    let mut dressed = trimmed(cell);
    // No recursion: a cell may have any number of quotes.
    while let [b'=', b'"', inner @ .., b'"']
    | [b'"', inner @ .., b'"']
    | [b'\'', inner @ .., b'\'']
    | [b'\'', inner @ ..] = dressed
    {
        dressed = trimmed(inner);
    }
    dressed
}

/// What a text is that passes for an id by its characters alone.
fn no_id(text: &str) -> Option<NoId> {
    let kinds = kinds(text);
    if kinds & DIGIT != 0 && kinds & PUNCTUATION == 0 {
        return None;
    }
    let word = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_one_of = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if text.starts_with('=') {
        Some(NoId::Formula)
    } else if is_error_value(text) {
        Some(NoId::ErrorValue)
    } else if is_one_of(&["total", "totals", "subtotal", "grandtotal", "sum"]) {
        Some(NoId::Sum)
    } else if text == "\\N" || text.bytes().all(|byte| matches!(byte, b'-' | b'?')) || is_one_of(&MISSING) {
        Some(NoId::Missing)
    } else if is_number(text) {
        Some(NoId::Number)
    } else if is_date(text) {
        Some(NoId::Date)
    } else {
        is_address(text).then_some(NoId::Address)
    }
}

/// `#N/A`, `#REF!`, `#NAME?`, `#NV`, `Err:502`, and `####` for what is wider than its column.
fn is_error_value(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '/' | '!' | '?' | '_');
    let is_value = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(is_name);
    let is_too_wide = text.len() > 2 && text.bytes().all(|byte| byte == b'#');
    is_too_wide
        || text.strip_prefix('#').is_some_and(is_value)
        || text.strip_prefix("Err:").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `1.23E+31`, `1,5e12`, `7E+15`, `12345.0`, `12,345,678`.
fn is_number(text: &str) -> bool {
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.trim_start_matches(['+', '-']);
    let (number, power) = text.split_once(['E', 'e']).map_or((text, None), |(number, power)| (number, Some(power)));
    let decimals = number.split_once(['.', ',']);
    let is_decimal = decimals.is_some_and(|(whole, part)| is_digits(whole) && is_digits(part));
    match power {
        Some(power) => {
            let is_signed = power.starts_with('+');
            is_digits(power.trim_start_matches(['+', '-'])) && (is_decimal || (is_signed && is_digits(number)))
        }
        None if text.contains(',') => text.split(',').all(is_digits),
        None => is_decimal && decimals.is_some_and(|(_, part)| part.bytes().all(|byte| byte == b'0')),
    }
}

/// `1/2/2026`, `31.12.2025`.
fn is_date(text: &str) -> bool {
    ['/', '.'].into_iter().any(|divider| {
        let parts: Vec<&str> = text.split(divider).collect();
        let is_part = |part: &&str| matches!(part.len(), 1 | 2 | 4) && part.bytes().all(|byte| byte.is_ascii_digit());
        parts.len() == 3 && parts.iter().all(is_part) && parts.iter().any(|part| part.len() == 4)
    })
}

/// `https://example.com/song/1`, `www.example.com`, `example.com/song/1`.
fn is_address(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_host = |host: &str| {
        let top = host.rsplit_once('.').map_or("", |(_, top)| top);
        top.len() > 1 && top.bytes().all(|byte| byte.is_ascii_alphabetic()) && host.split('.').all(is_label)
    };
    text.contains("://") || text.starts_with("www.") || text.split_once('/').is_some_and(|(host, _)| is_host(host))
}
