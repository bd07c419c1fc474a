//! How this catalog writes CSV: found out from its header, so that the results can be written the same way.

use std::str::FromStr;
use std::sync::Arc;

use csv::ByteRecord;
use thiserror::Error;

use super::CatalogError;
use super::columns::has_column;
use super::origin::Origin;
use super::records::Records;

/// The byte between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(u8);

/// Why a text is not a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one ASCII character that is not a quote, a letter, a digit or a line break, or `tab`")]
pub struct BadDelimiter;

impl Delimiter {
    /// What a CSV file has by its name.
    pub const COMMA: Self = Self(b',');

    /// What is tried, in this order, when nobody says which it is.
    const CANDIDATES: [Self; 4] = [Self::COMMA, Self(b';'), Self(b'\t'), Self(b'|')];

    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }
}

impl FromStr for Delimiter {
    type Err = BadDelimiter;

    fn from_str(text: &str) -> Result<Self, BadDelimiter> {
        match text.as_bytes() {
            b"tab" | b"\\t" => Ok(Self(b'\t')),
            [b'"' | b'\r' | b'\n' | b'\0'] => Err(BadDelimiter),
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Ok(Self(*byte)),
            _ => Err(BadDelimiter),
        }
    }
}

/// How a catalog is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Between two cells.
    pub delimiter: Delimiter,
    /// Whether the file begins with a UTF-8 byte order mark.
    pub bom: bool,
    /// Whether the header ends with CR LF instead of LF.
    pub crlf: bool,
}

/// The header, and how it is written; an id column of one of the `wanted` names shows the delimiter.
pub(super) fn read_header(
    origin: &Arc<Origin>,
    delimiter: Option<Delimiter>,
    wanted: &[&str],
) -> Result<(ByteRecord, Dialect), CatalogError> {
    let delimiter = delimiter.unwrap_or_else(|| detected(origin, wanted));
    let (header, crlf) = header_under(origin, delimiter)?;
    Ok((header, Dialect { delimiter, bom: origin.has_bom(), crlf }))
}

/// The delimiter under which the header has an id column, else the one under which it has most columns.
///
/// A delimiter under which it cannot be read is none; if that is so for all, the comma will say why.
fn detected(origin: &Arc<Origin>, wanted: &[&str]) -> Delimiter {
    let readable = |delimiter| Some((delimiter, header_under(origin, delimiter).ok()?.0));
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
fn header_under(origin: &Arc<Origin>, delimiter: Delimiter) -> Result<(ByteRecord, bool), CatalogError> {
    let mut records = Records::new(origin, delimiter);
    let mut header = ByteRecord::new();
    match records.read(&mut header)? {
        Some(_) => Ok((header, ends_with_crlf(origin, records.consumed())?)),
        None => Err(CatalogError::Empty(origin.source().clone())),
    }
}

/// Whether the line break at which the parser stands is CR LF; it may have taken the CR, or both.
fn ends_with_crlf(origin: &Origin, consumed: u64) -> Result<bool, CatalogError> {
    let mut around = [0; 3];
    let length = origin.read_fully(&mut around, consumed.saturating_sub(2))?;
    Ok(around[..length].windows(2).any(|pair| pair == b"\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_byte_that_divides() {
        for (text, byte) in [(",", b','), (";", b';'), ("|", b'|'), ("\t", b'\t'), ("tab", b'\t'), ("\\t", b'\t')] {
            assert_eq!(text.parse::<Delimiter>().map(Delimiter::byte), Ok(byte), "{text}");
        }
        for text in ["", "\"", "\n", "\r", "\0", ",,", "a", "1", "é"] {
            assert_eq!(text.parse::<Delimiter>(), Err(BadDelimiter), "{text}");
        }
    }
}
