//! How a line of the results is written: as the catalog writes its own.
//!
//! The catalog's cells are repeated as they stand there, quotes included. The csv crate writes those of the verdict.

use std::borrow::Cow;
use std::iter;

use csv::{Terminator, WriterBuilder};

use crate::catalog::{Catalog, Dialect, Encoding, Row};
use crate::domain::ResultColumn;

/// Room for one line, and for the cells of its verdict on their way there: a little more than most need.
const LINE_BYTES: usize = 512;

/// The format of a catalog's results.
pub(super) struct LineFormat {
    dialect: Dialect,
    verdict: WriterBuilder,
}

impl LineFormat {
    /// The format of a catalog that is written like this.
    pub(super) fn new(dialect: Dialect) -> Self {
        let mut verdict = WriterBuilder::new();
        verdict
            .delimiter(dialect.grammar.delimiter.byte())
            .terminator(Terminator::Any(b'\n'))
            .double_quote(!dialect.grammar.reading.backslash)
            .buffer_capacity(LINE_BYTES);
        Self { dialect, verdict }
    }

    /// What comes before the first row: the byte order mark, the line that tells the delimiter, and the header.
    pub(super) fn head(&self, catalog: &Catalog) -> csv::Result<Vec<u8>> {
        let mut text = Vec::new();
        if self.dialect.separator_line {
            text.extend_from_slice(b"sep=");
            text.push(self.dialect.grammar.delimiter.byte());
            text.extend_from_slice(self.dialect.line_break.bytes());
        }
        text.extend(self.text(catalog.own_header(), ResultColumn::WORDS.into_iter(), iter::empty())?);
        Ok([self.dialect.encoding.mark(), &self.encoded(text)].concat())
    }

    /// The line of a row with the cells of its verdict.
    ///
    /// These stand in their columns whatever the row looks like: missing cells are empty, and surplus ones come behind
    /// them, so that nothing is lost.
    pub(super) fn line<'a>(
        &self,
        catalog: &Catalog,
        row: &Row,
        verdict: impl Iterator<Item = &'a str>,
    ) -> csv::Result<Vec<u8>> {
        Ok(self.encoded(self.text(catalog.own_cells(row), verdict, catalog.surplus_cells(row))?))
    }

    fn text<'a, 'b>(
        &self,
        own: impl Iterator<Item = &'a [u8]>,
        verdict: impl Iterator<Item = &'b str>,
        surplus: impl Iterator<Item = &'a [u8]>,
    ) -> csv::Result<Vec<u8>> {
        let delimiter = self.dialect.grammar.delimiter.byte();
        let mut line = Vec::with_capacity(LINE_BYTES);
        for cell in own {
            line.extend_from_slice(cell);
            line.push(delimiter);
        }
        let mut writer = self.verdict.from_writer(&mut line);
        for cell in verdict {
            writer.write_field(&*self.escaped(cell))?;
        }
        writer.write_record(iter::empty::<&[u8]>())?;
        writer.flush()?;
        drop(writer);
        // The line break of the csv crate is one byte.
        line.pop();
        for cell in surplus {
            line.push(delimiter);
            line.extend_from_slice(cell);
        }
        line.extend_from_slice(self.dialect.line_break.bytes());
        Ok(line)
    }

    /// A cell of the verdict in which backslashes, where they mean something, mean themselves.
    fn escaped<'a>(&self, cell: &'a str) -> Cow<'a, str> {
        if self.dialect.grammar.reading.backslash && cell.contains('\\') {
            Cow::Owned(cell.replace('\\', r"\\"))
        } else {
            Cow::Borrowed(cell)
        }
    }

    /// The text in the encoding of the catalog.
    fn encoded(&self, text: Vec<u8>) -> Vec<u8> {
        let to_bytes: fn(u16) -> [u8; 2] = match self.dialect.encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => return text,
            Encoding::Utf16Le => u16::to_le_bytes,
            Encoding::Utf16Be => u16::to_be_bytes,
        };
        String::from_utf8_lossy(&text).encode_utf16().flat_map(to_bytes).collect()
    }
}
