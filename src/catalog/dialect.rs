//! How a catalog is written, so that it can be read, and its results written the same way.

use std::str::FromStr;

use thiserror::Error;

/// The byte between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(u8);

/// Why a text is not a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one ASCII character that is not a quote, a backslash, a letter, a digit or a line break, or `tab`")]
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

    /// The delimiter that a first line such as `sep=;` tells; spreadsheets quote it, and fill it up to a row.
    pub(super) fn in_separator_line(line: &[u8]) -> Option<Self> {
        let line = line.strip_prefix(b"\"").unwrap_or(line);
        let (name, rest) = line.split_at_checked(4)?;
        let (byte, rest) = rest.split_first()?;
        let is_filling = rest.iter().all(|other| other == byte || matches!(other, b'"' | b' '));
        let told = str::from_utf8(std::slice::from_ref(byte)).ok()?.parse().ok()?;
        (name.eq_ignore_ascii_case(b"sep=") && is_filling).then_some(told)
    }
}

impl FromStr for Delimiter {
    type Err = BadDelimiter;

    fn from_str(text: &str) -> Result<Self, BadDelimiter> {
        match text.as_bytes() {
            b"tab" | b"\\t" => Ok(Self(b'\t')),
            [b'"' | b'\\' | b'\r' | b'\n' | b'\0'] => Err(BadDelimiter),
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Ok(Self(*byte)),
            _ => Err(BadDelimiter),
        }
    }
}

/// What CSV files do in more than one way; or what of that a file leaves in doubt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// A backslash within quotes takes its meaning from the quote or the backslash after it.
    pub backslash: bool,
    /// A quote opens a cell also after blanks.
    pub blanks: bool,
}

impl Reading {
    /// The readings that differ from this one in one point that is in doubt.
    pub(super) fn others(self, doubts: Self) -> impl Iterator<Item = Self> {
        let backslash = doubts.backslash.then_some(Self { backslash: !self.backslash, ..self });
        backslash.into_iter().chain(doubts.blanks.then_some(Self { blanks: !self.blanks, ..self }))
    }
}

/// How cells and records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grammar {
    /// Between two cells.
    pub delimiter: Delimiter,
    /// What quotes mean.
    pub reading: Reading,
}

impl Grammar {
    /// Quotes as RFC 4180 has them.
    pub(super) const fn plain(delimiter: Delimiter) -> Self {
        Self { delimiter, reading: Reading { backslash: false, blanks: false } }
    }
}

/// How characters are written as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, or another one that extends ASCII; without a byte order mark.
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8Bom,
    /// UTF-16 with a byte order mark, the low byte first.
    Utf16Le,
    /// UTF-16 with a byte order mark, the high byte first.
    Utf16Be,
}

impl Encoding {
    /// The encoding of a file that begins with these bytes.
    pub(super) fn of(first: &[u8]) -> Self {
        [Self::Utf8Bom, Self::Utf16Le, Self::Utf16Be]
            .into_iter()
            .find(|encoding| first.starts_with(encoding.mark()))
            .unwrap_or(Self::Utf8)
    }

    /// The byte order mark.
    #[must_use]
    pub const fn mark(self) -> &'static [u8] {
        match self {
            Self::Utf8 => b"",
            Self::Utf8Bom => b"\xef\xbb\xbf",
            Self::Utf16Le => b"\xff\xfe",
            Self::Utf16Be => b"\xfe\xff",
        }
    }
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineBreak {
    /// LF.
    Lf,
    /// CR LF.
    CrLf,
    /// CR.
    Cr,
}

impl LineBreak {
    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::Cr => b"\r",
        }
    }
}

/// How a catalog is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// How cells and records are told apart.
    pub grammar: Grammar,
    /// How characters are written.
    pub encoding: Encoding,
    /// How the header ends.
    pub line_break: LineBreak,
    /// Whether a line before the header tells the delimiter.
    pub separator_line: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_byte_that_divides() {
        for (text, byte) in [(",", b','), (";", b';'), ("|", b'|'), ("\t", b'\t'), ("tab", b'\t'), ("\\t", b'\t')] {
            assert_eq!(text.parse::<Delimiter>().map(Delimiter::byte), Ok(byte), "{text}");
        }
        for text in ["", "\"", "\n", "\r", "\0", "\\", ",,", "a", "1", "é"] {
            assert_eq!(text.parse::<Delimiter>(), Err(BadDelimiter), "{text}");
        }
    }

    #[test]
    fn a_separator_line_tells_the_delimiter_and_nothing_else_does() {
        let told: [(&[u8], u8); 7] = [
            (b"sep=;", b';'),
            (b"SEP=,", b','),
            (b"sep=\t", b'\t'),
            (b"sep=|  ", b'|'),
            (b"\"sep=;\"", b';'),
            (b"\"sep=,\",,,", b','),
            (b"sep=;;;;", b';'),
        ];
        for (line, byte) in told {
            let found = Delimiter::in_separator_line(line).map(Delimiter::byte);
            assert_eq!(found, Some(byte), "{}", line.escape_ascii());
        }
        for line in [&b"sep="[..], b"sep", b"", b"sep=;task_id", b"sep=x", b"set=;", b"sep=\xe9", b"task_id;sep=;"] {
            assert_eq!(Delimiter::in_separator_line(line), None, "{}", line.escape_ascii());
        }
    }
}
