//! Why a catalog cannot be used, in words for the person who wrote it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, io};

use thiserror::Error;

use super::ids::BadRow;

/// Longest record, in bytes as they stand in the file, its line break included: what a pass may hold in memory.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Which catalog to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogSource {
    /// A file, or a pipe with a name.
    Path(PathBuf),
    /// Standard input, copied to a temporary file first because it is read more than once.
    StandardInput,
}

/// `-` is standard input; everything else is a path.
impl From<PathBuf> for CatalogSource {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::StandardInput } else { Self::Path(path) }
    }
}

impl FromStr for CatalogSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(PathBuf::from(text).into())
    }
}

/// As it stands in messages: the path in backticks, or `standard input`.
impl fmt::Display for CatalogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "`{}`", path.display()),
            Self::StandardInput => f.write_str("standard input"),
        }
    }
}

/// A line of a catalog: in messages, "line 7 of `songs.csv`".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} of {catalog}")]
pub struct Line {
    /// Which catalog.
    pub catalog: CatalogSource,
    /// Which of its lines, from 1.
    pub line: u64,
}

/// Why a catalog cannot be used.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The file is missing, a directory, forbidden or on a broken disk.
    #[error("cannot read {0}")]
    Unreadable(CatalogSource, #[source] io::Error),
    /// Nothing but blank lines.
    #[error("{0} is empty; it needs a header row")]
    Empty(CatalogSource),
    /// The first bytes belong to another kind of file.
    #[error("{0} {1}")]
    NotCsv(CatalogSource, NotCsv),
    /// No header cell is the wanted one.
    #[error(
        "the header of {catalog}, line {line}, has no column {wanted}; its columns are {found}; {}",
        .hint.as_deref().unwrap_or("name the one with the ids by --id-column")
    )]
    NoIdColumn {
        /// Which catalog.
        catalog: CatalogSource,
        /// In which line the header starts.
        line: u64,
        /// The names looked for.
        wanted: String,
        /// The columns there are, shortened.
        found: String,
        /// What to do, if another line or delimiter would have such a column.
        hint: Option<String>,
    },
    /// More than one header cell is the wanted one.
    #[error("{0} has the column `{1}` more than once; name the one with the ids by its number")]
    IdColumnTwice(CatalogSource, String),
    /// The id column is given by a number that no column has; and how many columns there are.
    #[error("{0} has no column number {1}; its columns are numbered from 1 to {2}")]
    NoColumnNumber(CatalogSource, usize, usize),
    /// The column that was named as that of the ids has none.
    #[error("is `{1}` the column of ids in {0}? no row has one there: line {2}: {3}")]
    NoIds(CatalogSource, String, u64, BadRow),
    /// The id column is one of [`ResultColumn`](crate::domain::ResultColumn).
    #[error("the column `{1}` of {0} is a result of an earlier run and cannot hold the music task ids")]
    IdColumnIsResult(CatalogSource, String),
    /// The first row is a data row, which would be lost.
    #[error("{0} has no header row: its first row already holds a task id")]
    HeaderMissing(CatalogSource),
    /// Columns of the catalog's own that the results would have twice.
    #[error("{0} has columns of its own that the results would have twice: {1}; rename them")]
    ResultColumns(CatalogSource, String),
    /// A quoted cell reaches the end of the file; the line of the quote.
    #[error("{0} opens a quote that is never closed")]
    UnclosedQuote(Line),
    /// A quoted cell goes on after its closing quote; the line of the first quote.
    #[error(
        "{0} opens a quote, and text follows where it closes; a quote within quotes is written \
         twice, and a cell that begins with one is quoted"
    )]
    TextAfterQuote(Line),
    /// A quoted cell holds lines with ids where rows have them; the line of the quote.
    #[error(
        "{0} opens a quote that closes lines later, and these lines look like rows; is a quote \
         missing?"
    )]
    RowsInQuotes(Line),
    /// More than one reading makes sense, and they differ: the first line that they read differently.
    #[error(
        "{0} can be read in more than one way: its backslashes before quotes, or its blanks before \
         quotes, may mean something or nothing; export the file with quotes written twice and no blanks around cells"
    )]
    Ambiguous(Line),
    /// Carriage returns among other line ends, which may end a row or stand within one; the line of the row.
    #[error(
        "{0} is no whole row; the line ends there, or before, otherwise than that of the header: \
         export the file with lines that end alike and quotes around cells with line breaks"
    )]
    MixedLineEnds(Line),
    /// A file in UTF-16 with bytes that are none; the line of the first of them.
    #[error("{0} holds bytes that are no UTF-16, in which the file begins")]
    BadUtf16(Line),
    /// A record of more than [`MAX_RECORD_BYTES`]; the line where it starts.
    #[error(
        "the record that starts in {0} is longer than {kib} KiB; is a quote opened and never closed?",
        kib = MAX_RECORD_BYTES / 1024
    )]
    RecordTooLong(Line),
    /// A header and nothing else.
    #[error("{0} has no data rows; if that is meant, say --allow-shrink")]
    NoRows(CatalogSource),
    /// Fewer data rows than half of those that the results CSV there has.
    #[error("{0} has fewer data rows ({1}) than half of those in {2}; if that is meant, say --allow-shrink")]
    Shrunk(CatalogSource, u32, CatalogSource),
    /// Music tasks that were asked for and that no row names.
    #[error("no row of {0} has the {1}")]
    NoRowOf(CatalogSource, String),
    /// More rows than there are row numbers.
    #[error("{0} has more than {max} rows", max = u32::MAX)]
    TooManyRows(CatalogSource),
    /// The temporary files that reading needs cannot be written.
    #[error("temporary space in `{}` ran out or cannot be used", std::env::temp_dir().display())]
    TemporarySpace(#[source] io::Error),
    /// The file was written to since it was opened.
    #[error("{0} was changed while it was being read")]
    Changed(CatalogSource),
}

impl CatalogError {
    /// The same with the advice, if there is any, for a header without an id column.
    pub(super) fn with_hint(mut self, advice: impl FnOnce() -> Option<String>) -> Self {
        if let Self::NoIdColumn { hint, .. } = &mut self {
            *hint = advice();
        }
        self
    }

    /// The line from which on the file makes no sense; 0 if that is not what is wrong.
    pub(super) fn line(&self) -> u64 {
        let (Self::UnclosedQuote(at)
        | Self::TextAfterQuote(at)
        | Self::RowsInQuotes(at)
        | Self::MixedLineEnds(at)
        | Self::RecordTooLong(at)) = self
        else {
            return 0;
        };
        at.line
    }
}

/// What a file is that is not a CSV file in UTF-8 or, with a byte order mark, UTF-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotCsv {
    /// Text in two-byte units that do not say which byte comes first.
    #[error("is UTF-16 without a byte order mark; export it as \"CSV UTF-8\"")]
    Utf16,
    /// Text in four-byte units.
    #[error("is UTF-32; export it as \"CSV UTF-8\"")]
    Utf32,
    /// A zip archive, which is what an .xlsx file is.
    #[error("looks like an Excel workbook or a zip archive; export it as \"CSV UTF-8\"")]
    Workbook,
    /// Compressed.
    #[error("is compressed with gzip; unpack it first")]
    Gzip,
    /// Holds NUL bytes.
    #[error("holds NUL bytes, so it is not a CSV file")]
    Binary,
}

impl NotCsv {
    /// What a file that begins with `block` is, if that shows that it is no CSV file.
    pub(super) fn seen_in(block: &[u8]) -> Option<Self> {
        match block {
            [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some(Self::Utf32),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => None,
            // A first character that is half zeros, as of text in most alphabets.
            [0, 1..=255, ..] | [1..=255, 0, ..] => Some(Self::Utf16),
            [b'P', b'K', 3, 4, ..] => Some(Self::Workbook),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => block.contains(&0).then_some(Self::Binary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kind_of_file_is_known_by_its_first_bytes() {
        let table: [(&[u8], Option<NotCsv>); 12] = [
            (b"", None),
            (b"id\n1\n", None),
            (b"\xef\xbb\xbfid\n", None),
            (b"\xff\xfei\0d\0", None),
            (b"\xfe\xff\0i\0d", None),
            (b"\xff\xfe\0\0i\0\0\0", Some(NotCsv::Utf32)),
            (b"\0\0\xfe\xff\0\0\0i", Some(NotCsv::Utf32)),
            (b"i\0d\0", Some(NotCsv::Utf16)),
            (b"\0i\0d", Some(NotCsv::Utf16)),
            (b"PK\x03\x04\x14\0", Some(NotCsv::Workbook)),
            (b"\x1f\x8b\x08\0", Some(NotCsv::Gzip)),
            (b"id\nab\0cd\n", Some(NotCsv::Binary)),
        ];
        for (block, expected) in table {
            assert_eq!(NotCsv::seen_in(block), expected, "{}", block.escape_ascii());
        }
    }
}
