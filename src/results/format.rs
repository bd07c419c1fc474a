//! How a row of the results is written: as a line like those of the catalog, or as a JSON object.
//!
//! In a line the catalog's cells are repeated as they stand there, quotes included; the csv crate writes those of the
//! verdict. An object has the catalog's columns by their names, then those of the verdict.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter;

use csv::{Terminator, WriterBuilder};
use serde::Serializer as _;
use serde_json::Value;

use super::line::ResultLine;
use crate::catalog::{Catalog, Dialect, Encoding, Row};
use crate::domain::ResultColumn;

/// Room for one line, and for the cells of its verdict on their way there: a little more than most need.
const LINE_BYTES: usize = 512;

/// The lines of a catalog's results.
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

/// The JSON objects of a catalog's rows.
pub(super) struct JsonFormat {
    /// The catalog's own columns; a name that repeats is followed by its number.
    names: Vec<String>,
}

impl JsonFormat {
    /// The format of this catalog.
    pub(super) fn new(catalog: &Catalog) -> Self {
        let names = catalog.own_names().map(|name| String::from_utf8_lossy(name).into_owned());
        Self { names: told_apart(names) }
    }

    /// The line of a row. Cells of the catalog are texts; those of the verdict are numbers and truths where they are, and
    /// null where they are empty.
    pub(super) fn line(&self, catalog: &Catalog, row: &Row, line: &ResultLine) -> serde_json::Result<Vec<u8>> {
        let text = |nth| catalog.own_value(row, nth).map(|cell| String::from_utf8_lossy(&cell).into_owned());
        let own = self.names.iter().enumerate().map(|(nth, name)| (name.as_str(), Value::from(text(nth))));
        let columns = ResultColumn::ALL.iter().zip(line.cells());
        let verdict = columns.map(|(column, cell)| (column.word(), value(*column, cell)));
        let mut json = Vec::new();
        serde_json::Serializer::new(&mut json).collect_map(own.chain(verdict))?;
        json.push(b'\n');
        Ok(json)
    }
}

fn told_apart(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let free = |(number, name): (usize, String)| {
        // The name with its number may be that of another column.
        let numbered = (number..).map(|number: usize| format!("{name}_{number}"));
        let free = iter::once(name.clone()).chain(numbered).find(|name| !seen.contains(name)).unwrap_or(name);
        seen.insert(free.clone());
        free
    };
    (1..).zip(names).map(free).collect()
}

/// A cell of the verdict as what it is.
fn value(column: ResultColumn, cell: &str) -> Value {
    if cell.is_empty() {
        return Value::Null;
    }
    match column {
        ResultColumn::Retryable | ResultColumn::Fallback => Value::Bool(cell == "yes"),
        ResultColumn::HttpStatus
        | ResultColumn::Code
        | ResultColumn::Attempts
        | ResultColumn::DuplicateOfRow
        | ResultColumn::Credits
        | ResultColumn::Width1
        | ResultColumn::Height1
        | ResultColumn::Bytes1
        | ResultColumn::Width2
        | ResultColumn::Height2
        | ResultColumn::Bytes2 => serde_json::from_str(cell).unwrap_or_else(|_| Value::from(cell)),
        ResultColumn::Status
        | ResultColumn::Reason
        | ResultColumn::Message
        | ResultColumn::CoverTaskId
        | ResultColumn::FirstSentAt
        | ResultColumn::FinishedAt
        | ResultColumn::Image1
        | ResultColumn::Image2
        | ResultColumn::File1
        | ResultColumn::File2
        | ResultColumn::ExpiresAt
        | ResultColumn::Route => Value::from(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_repeats_is_told_by_its_number() {
        let names = ["id", "title", "title", "", ""].map(str::to_owned);
        assert_eq!(told_apart(names.into_iter()), ["id", "title", "title_3", "", "_5"]);
        let names = ["id", "x_4", "x", "x"].map(str::to_owned);
        assert_eq!(told_apart(names.into_iter()), ["id", "x_4", "x", "x_5"]);
    }

    #[test]
    fn a_verdict_is_made_of_numbers_truths_and_texts() {
        assert_eq!(value(ResultColumn::Code, "404"), Value::from(404));
        assert_eq!(value(ResultColumn::Credits, "0.4"), Value::from(0.4));
        assert_eq!(value(ResultColumn::Retryable, "no"), Value::Bool(false));
        assert_eq!(value(ResultColumn::CoverTaskId, "404"), Value::from("404"));
        assert_eq!(value(ResultColumn::Attempts, ""), Value::Null);
    }
}
