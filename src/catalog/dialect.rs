//! How a catalog is written, so that the results can be written the same way.

use std::str::FromStr;

use thiserror::Error;

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
    pub(super) const CANDIDATES: [Self; 4] = [Self::COMMA, Self(b';'), Self(b'\t'), Self(b'|')];

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
