//! What holds for every catalog: what was written is what is read, and nothing makes the reader panic.

use std::collections::HashMap;
use std::io::Write as _;

use coverbatch::catalog::{Catalog, CatalogOptions, Encoding, LineBreak, Reading, Row};
use coverbatch::domain::{MusicTaskId, ResultColumn, trimmed};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{open, open_with, rows, written};

/// A catalog as its author thinks of it.
#[derive(Debug, Clone)]
struct Table {
    id_column: usize,
    /// Header cells of the other columns.
    others: Vec<Vec<u8>>,
    rows: Vec<TableRow>,
    style: Style,
}

#[derive(Debug, Clone)]
struct TableRow {
    id: Vec<u8>,
    others: Vec<Vec<u8>>,
    /// Blank lines before it.
    blanks: usize,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "choices that are independent of each other")]
struct Style {
    delimiter: u8,
    told: bool,
    bom: bool,
    crlf: bool,
    quote_all: bool,
    final_break: bool,
}

/// The bytes of a table, and for each record the offset of its first byte.
struct Written {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Table {
    fn cells(&self, id: &[u8], others: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut cells = others.to_vec();
        cells.insert(self.id_column, id.to_vec());
        cells
    }

    /// Takes the carriage returns out of cells that the csv crate would not put into quotes for them.
    fn write_no_bare_returns(&mut self) {
        if self.style.crlf || self.style.quote_all {
            return;
        }
        let rows = self.rows.iter_mut().flat_map(|row| row.others.iter_mut().chain([&mut row.id]));
        self.others.iter_mut().chain(rows).for_each(|cell| cell.retain(|byte| *byte != b'\r'));
    }

    fn records(&self) -> Vec<(usize, Vec<Vec<u8>>)> {
        let header = (0, self.cells(b"task_id", &self.others));
        let rows = self.rows.iter().map(|row| (row.blanks, self.cells(&row.id, &row.others)));
        std::iter::once(header).chain(rows).collect()
    }

    fn written(&self) -> Written {
        let line_break: &[u8] = if self.style.crlf { b"\r\n" } else { b"\n" };
        let mut bytes = if self.style.bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let mut starts = Vec::new();
        for (blanks, cells) in self.records() {
            bytes.extend(line_break.repeat(blanks));
            starts.push(bytes.len());
            bytes.extend(self.style.record(&cells));
        }
        if !self.style.final_break {
            bytes.truncate(bytes.len() - line_break.len());
        }
        Written { bytes, starts }
    }
}

impl Style {
    fn record(&self, cells: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .terminator(if self.crlf { Terminator::CRLF } else { Terminator::Any(b'\n') })
            .quote_style(if self.quote_all { QuoteStyle::Always } else { QuoteStyle::Necessary })
            .from_writer(Vec::new());
        writer.write_record(cells).unwrap();
        writer.into_inner().unwrap()
    }

    fn options(&self) -> CatalogOptions {
        let delimiter = self.told.then(|| char::from(self.delimiter).to_string().parse().unwrap());
        CatalogOptions { delimiter, ..CatalogOptions::default() }
    }
}

/// Bytes of a cell, those that mean something in a CSV file being frequent; no NUL, which a CSV file does not have, and no
/// backslash, which may mean something or not.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"\"\"\r\n\n,;\t| '\xef\xbb\xbf".to_vec()),
        3 => b'a'..=b'e',
        1 => (1u8..=255).prop_filter("a backslash", |byte| *byte != b'\\'),
    ];
    vec(byte, 0..12)
}

/// An id cell: mostly one of few, so that ids repeat; sometimes no id at all. Long, so that no line of a cell is one.
fn id_cell() -> impl Strategy<Value = Vec<u8>> {
    let few = "0123456789-track-[a-f]".prop_map(String::into_bytes);
    let padded = "[ \u{a0}]0123456789-track-[a-f][\t\u{200b}]?".prop_map(String::into_bytes);
    let any = "[A-Za-z0-9_.:-]{20,128}".prop_map(String::into_bytes);
    let none = cell().prop_map(|cell| [b"a b", &cell[..]].concat());
    prop_oneof![6 => few, 1 => padded, 2 => any, 1 => none]
}

fn style() -> impl Strategy<Value = Style> {
    let delimiter = prop::sample::select(b",;\t|".to_vec());
    (delimiter, any::<[bool; 5]>()).prop_map(|(delimiter, [told, bom, crlf, quote_all, final_break])| Style {
        delimiter,
        told,
        bom,
        crlf,
        quote_all,
        final_break,
    })
}

/// Names that no id column has under any delimiter.
fn name() -> impl Strategy<Value = Vec<u8>> {
    cell().prop_map(|mut name| {
        name.insert(0, b'n');
        name
    })
}

fn table() -> impl Strategy<Value = Table> {
    (0usize..4).prop_flat_map(|others| {
        let row = (id_cell(), vec(cell(), others), 0usize..3).prop_map(|(id, others, blanks)| TableRow {
            id,
            others,
            blanks,
        });
        (0..=others, vec(name(), others), vec(row, 0..20), style()).prop_map(|(id_column, others, rows, mut style)| {
            // A header of one cell shows no delimiter.
            style.told |= others.is_empty();
            let mut table = Table { id_column, others, rows, style };
            table.write_no_bare_returns();
            table
        })
    })
}

fn owned<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    cells.map(<[u8]>::to_vec).collect()
}

fn line_of(bytes: &[u8], offset: usize) -> u64 {
    bytes[..offset].split(|byte| *byte == b'\n').count() as u64
}

fn reads_back(table: &Table) -> Result<(), TestCaseError> {
    let Written { bytes, starts } = table.written();
    let catalog = open_with(&bytes, &table.style.options()).map_err(TestCaseError::fail)?;
    let dialect = catalog.dialect();
    prop_assert_eq!(dialect.grammar.delimiter.byte(), table.style.delimiter);
    prop_assert_eq!(dialect.encoding, if table.style.bom { Encoding::Utf8Bom } else { Encoding::Utf8 });
    let crlf = table.style.crlf && (table.style.final_break || !table.rows.is_empty());
    prop_assert_eq!(dialect.line_break, if crlf { LineBreak::CrLf } else { LineBreak::Lf });

    let is_seen =
        |row: &&(&TableRow, usize)| row.0.others.iter().chain([&row.0.id]).any(|cell| !trimmed(cell).is_empty());
    let expected: Vec<_> = table.rows.iter().zip(starts[1..].iter().copied()).collect();
    let expected: Vec<_> = expected.iter().filter(is_seen).collect();
    let rows = rows(&catalog);
    prop_assert_eq!(rows.len(), expected.len());
    prop_assert_eq!(catalog.check().rows as usize, rows.len());
    for (at, (row, (expected, start))) in rows.iter().zip(expected).enumerate() {
        prop_assert_eq!(row.number as usize, at + 1);
        prop_assert_eq!(row.line, line_of(&bytes, *start));
        prop_assert_eq!(row.id.clone().ok(), MusicTaskId::new(&expected.id).ok());
        for (nth, cell) in table.cells(&expected.id, &expected.others).iter().enumerate() {
            let value = catalog.own_value(row, nth).unwrap();
            prop_assert_eq!(&*value, trimmed(cell));
        }
        let raw: Vec<&[u8]> = catalog.own_cells(row).collect();
        prop_assert!(bytes[*start..].starts_with(&raw.join(&table.style.delimiter)));
    }
    repeats_as_in_memory(&catalog, &rows)
}

fn repeats_as_in_memory(catalog: &Catalog, rows: &[Row]) -> Result<(), TestCaseError> {
    let mut first_rows = HashMap::new();
    let mut duplicates = 0;
    for row in rows {
        let Ok(id) = &row.id else {
            prop_assert_eq!(catalog.first_row_of(row.number), None);
            continue;
        };
        let first = *first_rows.entry(id).or_insert(row.number);
        duplicates += u32::from(first != row.number);
        prop_assert_eq!(catalog.first_row_of(row.number), (first != row.number).then_some(first));
    }
    let check = catalog.check();
    prop_assert_eq!(check.duplicates, duplicates);
    prop_assert_eq!(check.distinct as usize, first_rows.len());
    prop_assert_eq!(check.rows, check.distinct + check.duplicates + check.invalid);
    prop_assert_eq!(check.first_bad.len(), (check.invalid as usize).min(10));
    Ok(())
}

/// Text with the shape of a catalog and not much respect for its rules.
fn nearly_csv() -> impl Strategy<Value = Vec<u8>> {
    let parts: [&[u8]; 20] = [
        b"\n",
        b"\n",
        b"\n",
        b"\n",
        b",",
        b",",
        b",",
        b";",
        b"a",
        b"1",
        b" ",
        b"\xff",
        b"\"",
        b"\\",
        b"\\\"",
        b"\"\"",
        b"\"a\"",
        b"\"a,;1\"",
        b" \"x, y\"",
        b"\"1\n\"",
    ];
    vec(prop::sample::select(parts.to_vec()), 0..30).prop_map(|parts| parts.concat())
}

/// A header, and such a text below it with the same line ends.
fn catalog() -> impl Strategy<Value = Vec<u8>> {
    let results = format!("id,{}\n", ResultColumn::WORDS.join(",")).into_bytes();
    let headers = [
        &b"id,a\n"[..],
        b"id,a,b\r\n",
        b"a;id\r",
        b"\xef\xbb\xbfid\n",
        b"sep=;\nid; \"a\"\n",
        b"id,\"a\\\"\"\n",
        &results,
    ];
    let header = prop::sample::select(headers.map(<[u8]>::to_vec).to_vec());
    (header, nearly_csv()).prop_map(|(header, mut below)| {
        if header.ends_with(b"\r") {
            below.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b'\r');
        }
        [header, below].concat()
    })
}

/// What is written of an accepted catalog holds its rows, and is itself a catalog of which the same is written.
fn is_repeated(catalog: &[u8]) -> Result<(), TestCaseError> {
    let Ok(catalog) = open(catalog) else { return Ok(()) };
    let read = rows(&catalog);
    let [results, failures] = written(&catalog);
    let again =
        open(&results).map_err(|refused| TestCaseError::fail(format!("{refused}: {}", results.escape_ascii())))?;
    let reread = rows(&again);
    prop_assert_eq!(reread.len(), read.len());
    for (one, other) in read.iter().zip(&reread) {
        prop_assert_eq!(one.number, other.number);
        prop_assert_eq!(one.id.as_ref().ok(), other.id.as_ref().ok());
        prop_assert_eq!(owned(catalog.own_cells(one)), owned(again.own_cells(other)));
        prop_assert_eq!(owned(catalog.surplus_cells(one)), owned(again.surplus_cells(other)));
    }
    let [same, _] = written(&again);
    prop_assert_eq!(results.escape_ascii().to_string(), same.escape_ascii().to_string());
    prop_assert_eq!(results, failures, "nothing was settled");
    Ok(())
}

/// The records that the csv crate reads, blank ones and repeated headers aside, without blanks around the cells.
fn by_the_csv_crate(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text);
    let records =
        reader.byte_records().map(|record| record.unwrap().iter().map(|cell| trimmed(cell).to_vec()).collect());
    let is_row = |cells: &Vec<Vec<u8>>| {
        let used = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        used > 0 && cells[..used] != [&b"id"[..], b"a"][..]
    };
    records.filter(is_row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_written_is_read(table in table()) {
        reads_back(&table)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let _ = open(&bytes);
    }

    #[test]
    fn any_bytes_below_a_header_are_read_the_same_each_time_or_refused(text in catalog(), bytes in vec(any::<u8>(), 0..200)) {
        for text in [&text[..], &[&text[..], &bytes].concat()] {
            let Ok(catalog) = open(text) else { continue };
            let read = rows(&catalog);
            prop_assert_eq!(read.len(), catalog.check().rows as usize);
            prop_assert!(read.is_sorted_by_key(|row| row.line));
            prop_assert_eq!(&read, &rows(&catalog));
        }
    }

    #[test]
    fn a_text_that_is_accepted_has_the_cells_that_the_csv_crate_finds(below in nearly_csv()) {
        let text = [&b"id,a\n"[..], &below].concat();
        let Ok(catalog) = open(&text) else { return Ok(()) };
        prop_assume!(catalog.dialect().grammar.reading == Reading::default());
        let cells = |row: &Row| -> Vec<Vec<u8>> {
            (0..row.record.len()).map(|cell| row.record.value(cell, catalog.dialect().grammar).unwrap().into_owned()).collect()
        };
        let read: Vec<_> = rows(&catalog).iter().map(cells).collect();
        prop_assert_eq!(read, by_the_csv_crate(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_results_hold_every_row_and_are_a_catalog_with_the_same_results(text in catalog(), table in table()) {
        is_repeated(&text)?;
        is_repeated(&table.written().bytes)?;
    }
}

/// Cells in which a quote comes after blanks, one beyond the last column: rows within the quotes of line 2 tell that such a
/// quote means itself, and among more columns they do not look like rows any more.
#[test]
fn surplus_cells_do_not_change_how_results_are_read() {
    is_repeated(b"id\n\"1\n\"\"1\n\"\n1, \"\"\n \"x, y\"\n").unwrap();
}

#[test]
fn three_hundred_thousand_rows_have_the_duplicates_of_a_table_in_memory() {
    let mut bytes = b"id,note\n".to_vec();
    for row in 0u64..300_000 {
        writeln!(bytes, "{},note", row * row % 299_993).unwrap();
    }
    let catalog = open(&bytes).unwrap();
    assert!(catalog.check().duplicates > 100_000);
    repeats_as_in_memory(&catalog, &rows(&catalog)).unwrap();
}
