//! Whether a quote is still open after some bytes; agrees with the CSV parser on what opens and closes one.

use super::Delimiter;

/// Where in a record a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// At the first byte of a cell, the only place where a quote opens.
    CellStart,
    /// In a cell without quotes, or after its closing quote.
    Unquoted,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: it closed the cell unless a second one follows.
    QuoteInQuoted,
}

impl Quoting {
    /// Where the byte after `byte` stands.
    pub(super) fn after(self, byte: u8, delimiter: Delimiter) -> Self {
        let ends_cell = byte == delimiter.byte() || matches!(byte, b'\r' | b'\n');
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuoteInQuoted,
            (Self::Quoted, _) | (Self::CellStart | Self::QuoteInQuoted, b'"') => Self::Quoted,
            (Self::CellStart | Self::Unquoted | Self::QuoteInQuoted, _) if ends_cell => Self::CellStart,
            (Self::CellStart | Self::Unquoted | Self::QuoteInQuoted, _) => Self::Unquoted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_open_between_a_quote_at_the_start_of_a_cell_and_the_next_single_one() {
        let table: [(&[u8], bool); 12] = [
            (b"", false),
            (b"\"", true),
            (b"\"a", true),
            (b"\"a\"", false),
            (b"\"a\"\"", true),
            (b"\"a\"\"\"", false),
            (b"a\"", false),
            (b"a,\"", true),
            (b"a\n\"b\nc", true),
            (b"a\r\"", true),
            (b"\"a\"b\"", false),
            (b"\"a\"b,\"", true),
        ];
        for (bytes, open) in table {
            let end = bytes.iter().fold(Quoting::CellStart, |at, byte| at.after(*byte, Delimiter::COMMA));
            assert_eq!(end == Quoting::Quoted, open, "{}", bytes.escape_ascii());
        }
    }
}
