//! What holds for every catalog: what was written is what is read, and nothing makes the reader panic.

#![expect(clippy::unwrap_used, reason = "a test helper that fails should end the test")]

use std::collections::HashMap;
use std::io::Write;

use coverbatch::catalog::{Catalog, CatalogOptions, Row};
use coverbatch::domain::MusicTaskId;
use csv::{QuoteStyle, Terminator, WriterBuilder};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::NamedTempFile;

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
        CatalogOptions { id_column: None, delimiter }
    }
}

/// Bytes of a cell, those that mean something in a CSV file being frequent; no NUL, which a CSV file does not have.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"\"\"\r\n\n,;\t| '\xef\xbb\xbf".to_vec()),
        3 => b'a'..=b'e',
        1 => 1u8..=255,
    ];
    vec(byte, 0..12)
}

/// An id cell: mostly one of few, so that ids repeat; sometimes no id at all.
fn id_cell() -> impl Strategy<Value = Vec<u8>> {
    let few = "[a-f]".prop_map(String::into_bytes);
    let padded = " [a-f]\t?".prop_map(String::into_bytes);
    let printable = vec(33u8..=126, 1..129);
    prop_oneof![6 => few, 1 => padded, 2 => printable, 1 => cell()]
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
            Table { id_column, others, rows, style }
        })
    })
}

fn saved(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(bytes: &[u8], options: &CatalogOptions) -> Result<Catalog, String> {
    let file = saved(bytes);
    Catalog::open(&file.path().to_path_buf().into(), options).map_err(|error| error.to_string())
}

fn all_rows(catalog: &Catalog) -> Vec<Row> {
    let (mut rows, mut row, mut all) = (catalog.rows().unwrap(), Row::default(), Vec::new());
    while rows.next_row(&mut row).unwrap() {
        all.push(row.clone());
    }
    all
}

fn owned<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    cells.map(<[u8]>::to_vec).collect()
}

fn line_of(bytes: &[u8], offset: usize) -> u64 {
    bytes[..offset].split(|byte| *byte == b'\n').count() as u64
}

fn reads_back(table: &Table) -> Result<(), TestCaseError> {
    let Written { bytes, starts } = table.written();
    let catalog = open(&bytes, &table.style.options()).map_err(TestCaseError::fail)?;
    let dialect = catalog.dialect();
    prop_assert_eq!(dialect.delimiter.byte(), table.style.delimiter);
    prop_assert_eq!(dialect.bom, table.style.bom);
    prop_assert_eq!(dialect.crlf, table.style.crlf && (table.style.final_break || !table.rows.is_empty()));
    prop_assert_eq!(owned(catalog.own_header()), table.cells(b"task_id", &table.others));

    let rows = all_rows(&catalog);
    prop_assert_eq!(rows.len(), table.rows.len());
    prop_assert_eq!(catalog.check().rows as usize, rows.len());
    for (at, (row, expected)) in rows.iter().zip(&table.rows).enumerate() {
        prop_assert_eq!(row.number as usize, at + 1);
        prop_assert_eq!(row.line, line_of(&bytes, starts[at + 1]));
        prop_assert_eq!(owned(catalog.own_cells(row)), table.cells(&expected.id, &expected.others));
        prop_assert_eq!(row.id.clone().ok(), MusicTaskId::new(&expected.id).ok());
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

/// Text with the shape of a catalog and no respect for its rules.
fn nearly_csv() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(b"\"\"\"\r\n\n,,;a1 \xff".to_vec()), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_written_is_read(table in table()) {
        reads_back(&table)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let _ = open(&bytes, &CatalogOptions::default());
    }

    #[test]
    fn whatever_stands_below_a_header_is_refused_or_read_the_same_each_time(
        below in nearly_csv(),
        result_columns in any::<bool>(),
    ) {
        let header: &[u8] = if result_columns { b"id,cover_status,cover_code\n" } else { b"id,a\n" };
        if let Ok(catalog) = open(&[header, &below[..]].concat(), &CatalogOptions::default()) {
            let rows = all_rows(&catalog);
            prop_assert_eq!(rows.len(), catalog.check().rows as usize);
            prop_assert!(rows.is_sorted_by_key(|row| row.line));
            prop_assert_eq!(&rows, &all_rows(&catalog));
        }
    }

    #[test]
    fn a_quote_that_is_still_open_at_the_end_is_refused_and_no_other_is(below in nearly_csv()) {
        let text = [&b"id,a\n"[..], &below].concat();
        let opened = open(&text, &CatalogOptions::default());
        // If a quote is open, what follows is more of that cell; if none is, it is a row.
        let marked = [&text[..], b"\nmark,1\n"].concat();
        let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(&marked[..]);
        let last = reader.byte_records().last().unwrap().unwrap();
        prop_assert_eq!(opened.is_ok(), last == vec!["mark", "1"]);
    }
}

#[test]
fn three_hundred_thousand_rows_have_the_duplicates_of_a_table_in_memory() {
    let mut bytes = b"id,note\n".to_vec();
    for row in 0u64..300_000 {
        writeln!(bytes, "{},note", row * row % 299_993).unwrap();
    }
    let catalog = open(&bytes, &CatalogOptions::default()).unwrap();
    assert!(catalog.check().duplicates > 100_000);
    repeats_as_in_memory(&catalog, &all_rows(&catalog)).unwrap();
}
