//! The results and the failures repeat the catalog's own cells byte for byte, in every dialect.

use std::fs;

use coverbatch::catalog::{Catalog, CatalogOptions};
use coverbatch::domain::ResultColumn;

use super::{A, B, C, open, rows, written};

/// A catalog in each dialect, with the delimiter and the line end of its results.
fn dialects() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let text = |text: String| text.into_bytes();
    vec![
        (text(format!("task_id,title\n{A},\"plain\"\n\"{B}\",\"a, b\"\n {C} , x\n")), ",", "\n"),
        (
            text(format!("task_id;title\r\n'{A};\"a\"\"b\"\r\n=\"{B}\";\"\"\r\n\"=\"\"{C}\"\"\";5\" vinyl\r\n")),
            ";",
            "\r\n",
        ),
        (text(format!("task_id,title\n{A},\"5\\\" x\"\n{B},\"12\\\", mix\"\n{C},\"C:\\\\\"\n")), ",", "\n"),
        (text(format!("task_id, title\n{A}, \"a, b\"\n{B}, \"c\" \n{C},\td\n")), ",", "\n"),
        (text(format!("sep=|\r\ntask_id|title\r\n{A}|\"x\"\r\n{B}|y\r\n{C}|\r\n")), "|", "\r\n"),
        (text(format!("task_id\ttitle\r{A}\t\"two\rlines\"\r{B}\tx\r{C}\t\"\"\r")), "\t", "\r"),
        (text(format!("\u{feff}\"task_id\",\"title\"\n\"{A}\",\"é\"\n\u{a0}{B}\u{200b},x\n{C},y\n")), ",", "\n"),
        (
            [b"task_id,title\n", A.as_bytes(), b",\"caf\xe9\"\n", B.as_bytes(), b",\xff\n", C.as_bytes(), b",z\n"]
                .concat(),
            ",",
            "\n",
        ),
    ]
}

/// The file as it would be if every line went on with the cells of a verdict, all of them alike.
fn extended(catalog: &[u8], delimiter: &str, line_end: &str, verdicts: [&str; 2]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = catalog;
    // The one dialect in which a cell of these catalogs holds the line end of the file.
    let breaks_within = usize::from(line_end == "\r");
    let mut row = 0;
    while !rest.is_empty() {
        let skipped = if row == 1 { breaks_within } else { 0 };
        let ends = (0..rest.len()).filter(|at| rest[*at..].starts_with(line_end.as_bytes()));
        let end = ends.clone().nth(skipped).unwrap();
        text.extend_from_slice(&rest[..end]);
        if !rest.starts_with(b"sep=") {
            text.extend_from_slice(delimiter.as_bytes());
            text.extend_from_slice(verdicts[usize::from(row > 0)].as_bytes());
            row += 1;
        }
        text.extend_from_slice(line_end.as_bytes());
        rest = &rest[end + line_end.len()..];
    }
    text
}

fn verdicts(delimiter: &str) -> [String; 2] {
    let header = ResultColumn::WORDS.join(delimiter);
    let mut pending = [""; ResultColumn::WORDS.len()];
    (pending[0], pending[1], pending[7]) = ("pending", "yes", "0");
    [header, pending.join(delimiter)]
}

#[test]
fn own_cells_are_repeated_byte_for_byte_in_every_dialect() {
    for (text, delimiter, line_end) in dialects() {
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{}{refused}", text.escape_ascii()));
        assert_eq!(catalog.check().distinct, 3, "{}", text.escape_ascii());
        let [header, pending] = verdicts(delimiter);
        let expected = extended(&text, delimiter, line_end, [&header, &pending]);
        for file in written(&catalog) {
            assert_eq!(file.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }
}

#[test]
fn results_in_every_dialect_are_a_catalog_with_the_same_rows_and_results() {
    for (text, ..) in dialects() {
        let catalog = open(&text).unwrap();
        let [results, failures] = written(&catalog);
        for file in [results, failures] {
            let again = open(&file).unwrap_or_else(|refused| panic!("{}{refused}", file.escape_ascii()));
            assert!(again.is_results());
            let cells = |catalog: &Catalog| -> Vec<Vec<Vec<u8>>> {
                rows(catalog).iter().map(|row| catalog.own_cells(row).map(<[u8]>::to_vec).collect()).collect()
            };
            assert_eq!(cells(&again), cells(&catalog));
            assert_eq!(written(&again)[0], file, "{}", text.escape_ascii());
        }
    }
}

#[test]
fn utf_16_comes_back_as_utf_16() {
    let text = format!("\u{feff}task_id\ttitle\r\n{A}\t\"é\r\n𝄞\"\r\n{B}\tb c\t\t\r\n");
    let narrow = written(&open(&text).unwrap());
    for bytes in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
        let wide: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        let expected = narrow
            .clone()
            .map(|file| -> Vec<u8> { String::from_utf8(file).unwrap().encode_utf16().flat_map(bytes).collect() });
        assert_eq!(written(&open(wide).unwrap()), expected);
    }
}

#[test]
fn verdicts_stand_in_their_columns_whatever_the_row_looks_like() {
    let text = format!("task_id,title,artist\n{A}\n{B},x,y,,\n{C},1,2,\"three, four\"\n");
    let [results, _] = written(&open(text).unwrap());
    let text = String::from_utf8(results).unwrap();
    let cells: Vec<Vec<String>> = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes())
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let widths: Vec<usize> = cells.iter().map(Vec::len).collect();
    let usual = 3 + ResultColumn::WORDS.len();
    assert_eq!(widths, [usual, usual, usual, usual + 1], "{text}");
    let statuses: Vec<&str> = cells.iter().map(|row| &*row[3]).collect();
    assert_eq!(statuses, ["cover_status", "pending", "pending", "invalid"]);
    assert!(text.ends_with(",\"three, four\"\n"), "{text}");
}

#[test]
fn words_of_the_service_come_back_in_every_dialect() {
    let header = ResultColumn::WORDS.join(",");
    for (title, message) in [
        ("plain", r#""say ""no"", please""#),
        ("plain", r"C:\x"),
        (r#""5\" x""#, r#""say \"no\", please""#),
        (r#""5\" x""#, r#""C:\\x\\""#),
        (r#""5\" x""#, r#""\\\"""#),
    ] {
        let none = ",".repeat(ResultColumn::WORDS.len() - 8);
        let text = format!("task_id,title,{header}\n{A},{title},failed,yes,rejected,200,413,{message},,1{none}\n");
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(String::from_utf8(written(&catalog)[0].clone()).unwrap(), text);
    }
}

#[test]
fn the_rows_of_results_are_counted_in_every_dialect() {
    for (text, ..) in dialects() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        fs::write(&path, &written(&open(&text).unwrap())[0]).unwrap();
        let results = Catalog::open(&path.clone().into(), &CatalogOptions::default()).unwrap();
        let is_half = |catalog: &str| open(catalog).unwrap().has_not_shrunk(Some(&results)).is_ok();
        assert!(!is_half("id\na\n"), "{}: 1 of 3", text.escape_ascii());
        assert!(is_half("id\na\nb\n"), "{}: 2 of 3", text.escape_ascii());
    }
}
