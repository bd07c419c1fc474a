//! The id column: what is trimmed, what is unwrapped, what is no id, and which ids do not look like the others.

use std::fmt::Write as _;

use super::{A, B, C, ids, open};

fn one(cell: &str) -> String {
    ids(&open(format!("task_id,title\n{cell},x\n")).unwrap()).remove(0)
}

#[test]
fn blanks_that_nobody_sees_are_trimmed_from_ids_and_headers() {
    let blanks = [
        "\u{a0}",
        "\u{200b}",
        "\u{202c}",
        "\u{feff}",
        "\u{2009}",
        "\u{ad}",
        "\u{2060}",
        "\u{3000}",
        "\u{200e} ",
        "\t ",
    ];
    for blank in blanks {
        let text = format!("{blank}task_id{blank},title\n{A}{blank},x\n{blank}{B},y\n\"{blank}{C}{blank}\",z\n");
        assert_eq!(ids(&open(text).unwrap()), [A, B, C], "{}", blank.escape_unicode());
    }
    let latin =
        [b"\xa0task_id\xa0,title\n\xa0", A.as_bytes(), b"\xa0,caf\xe9\n\xa0,\xa0\n", B.as_bytes(), b",\n"].concat();
    assert_eq!(ids(&open(latin).unwrap()), [A, B], "the no-break space of Latin-1");
}

#[test]
fn a_character_within_an_id_is_named() {
    for (c, name) in [
        ('\u{a0}', "U+00A0"),
        ('\u{200b}', "U+200B"),
        ('\u{430}', "U+0430"),
        ('\u{2013}', "U+2013"),
        ('\u{1f3b5}', "U+1F3B5"),
        (' ', "a space"),
    ] {
        let expected = format!("the id holds {name}; only printable ASCII without spaces is allowed");
        assert_eq!(one(&format!("5f0c{c}1d7e")), expected);
    }
    let latin = open(b"task_id,title\nab\xe9cd,x\n").unwrap();
    assert_eq!(ids(&latin), ["the id holds the byte 0xE9; only printable ASCII without spaces is allowed"]);
}

#[test]
fn ids_that_were_made_texts_for_a_spreadsheet_are_freed() {
    let cells = [
        format!("\"=\"\"{A}\"\"\""),
        format!("=\"{A}\""),
        format!("'{A}"),
        format!("'{A}'"),
        format!("\"\"\"{A}\"\"\""),
        format!("\"=\"\" {A}\u{a0}\"\"\""),
        format!("\u{200b}'\u{200b}{A}"),
        format!("\"'=\"\"{A}\"\"\""),
    ];
    for cell in cells {
        assert_eq!(one(&cell), A, "{cell}");
    }
    for quotes in ["'", "\"\"", "=\"\""] {
        assert_eq!(one(&format!("\"{}\"", quotes.repeat(100_000))).split(' ').next(), Some("the"), "it is no id");
    }
    let same = open(format!("task_id\n{A}\n'{A}\n=\"{A}\"\n")).unwrap();
    assert_eq!((same.check().distinct, same.check().duplicates), (1, 2));
}

#[test]
fn what_a_spreadsheet_or_a_database_left_instead_of_an_id_is_no_id() {
    let table: [(&[&str], &str); 8] = [
        (
            &["1.23E+31", "7.3e12", "\"1,5E+09\"", "5E+17", "12345.0", "\"981,00\"", "\"1,234,567\"", "-1.0E+5"],
            "a number as spreadsheets",
        ),
        (&["#N/A", "#REF!", "#NAME?", "#DIV/0!", "#NV", "#SPILL!", "Err:502", "#WERT!", "########"], "an error value"),
        (&["=A1&B1", "=VLOOKUP(A2;B:C;2)", "=HYPERLINK(x)"], "a formula"),
        (
            &["NULL", "null", "None", "nan", "N/A", "(null)", "<NA>", "\\N", "-", "--", "?", "TRUE", "undefined"],
            "a word or sign",
        ),
        (&["TOTAL", "Total:", "subtotal", "SUM"], "the label of a sum"),
        (&["3/4/2026", "31.12.2025", "2025/12/31"], "a date"),
        (
            &["https://suno.com/song/5f0c1d7e", "http://x/1", "www.example.com", "suno.com/song/5f0c1d7e", "s3://b/k"],
            "an address",
        ),
        (&["\"Task ID\"", "TASK_ID", "taskid"], "the name of a column"),
    ];
    for (cells, what) in table {
        for cell in cells {
            let said = one(cell);
            assert!(said.starts_with(&format!("the id is {what}")), "{cell}: {said}");
        }
    }
}

#[test]
fn an_id_that_only_reminds_of_such_a_thing_is_an_id() {
    let plain = [
        A,
        "1e31",
        "12e5",
        "1E-5",
        "nullable",
        "N",
        "total-7",
        "1.2.3",
        "a/b",
        "a.b",
        "v1/x",
        "../x",
        "--x",
        "#7",
        "#abc",
        "5f0c1d7e-9b2a-4386-a1c0-de55f00dcafe",
        "sumo",
        "99999999999999999999",
        "3/4",
        "x=1",
        "none-1",
        "*",
        "~",
        "id",
        "12:30",
    ];
    for id in plain {
        assert_eq!(one(id), id);
    }
}

/// A catalog of so many ids of one kind, and others after them.
fn catalog(alike: impl Iterator<Item = String>, others: &[&str]) -> String {
    let mut text = "task_id,title\n".to_owned();
    alike.for_each(|id| writeln!(text, "{id},x").unwrap());
    for id in others {
        writeln!(text, "{id},y").unwrap();
    }
    text
}

fn hex(number: u64) -> String {
    format!("{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c5a_1234_5677))
}

#[test]
fn the_few_ids_that_do_not_look_like_the_others_are_named() {
    let uuid = |number| {
        let id = hex(number);
        [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
    };
    let table: [(String, &[&str]); 6] = [
        (catalog((0..40).map(hex), &["test", &A[1..], "5f0c1d7e9b2a4386a1c0de55f00dcafO"]), &["42", "43", "44"]),
        (catalog((0..40).map(uuid), &[A, "0"]), &["42", "43"]),
        (catalog((0..40).map(|n| n.to_string()), &["x1"]), &["42"]),
        (catalog((0..120).map(|n| format!("SONG-{n}")), &["120", "SONG7"]), &["122", "123"]),
        (catalog((0..40).map(|n| format!("t{n:04}")), &["t00x1", "u-1"]), &["42", "43"]),
        (catalog((0..40).map(hex).chain(["sunset".to_owned()]).chain((40..80).map(hex)), &[]), &["42"]),
    ];
    for (text, lines) in table {
        let unlike = open(&text).unwrap().check().unlike.clone().unwrap_or_else(|| panic!("{text}"));
        let named: Vec<String> = unlike.first.iter().map(|(line, _)| line.to_string()).collect();
        assert_eq!(named, lines, "{text}");
        assert_eq!(unlike.count, lines.len() as u64);
    }
    let told =
        |others: &[&str]| open(catalog((0..40).map(hex), others)).unwrap().check().unlike.clone().unwrap().to_string();
    assert_eq!(told(&["test"]), "1 id does not look like the other 40: line 42 `test`");
    assert_eq!(
        told(&["a", "b", "c", "a", "b"]),
        "5 ids do not look like the other 40: line 42 `a`, line 43 `b`, line 44 `c` and 2 more"
    );
}

#[test]
fn ids_without_a_common_shape_are_all_alike() {
    let words = ["moon", "river-7", "a", "x_y_z", "Low2", "7", "b.b", "q/r", "longer-than-most-of-them-0", "12"];
    let mixed = (0..200).map(|n| format!("{}{}", words[n % words.len()], hex(n as u64).get(..n % 9).unwrap()));
    let table = [
        catalog(mixed, &[]),
        catalog((0..9).map(hex), &["test"]),
        catalog((0..40).map(hex), &["x"; 11]),
        catalog((0..4000).map(hex), &[]),
        catalog((0..1200).map(|n| n.to_string()), &[]),
        catalog((0..150).map(|n| format!("song{n}")), &[]),
    ];
    for text in table {
        assert_eq!(open(&text).unwrap().check().unlike, None, "{text}");
    }
}
