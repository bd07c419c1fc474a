//! Quotes, line ends and encodings: each dialect that can be told for certain is read, everything else refused.

use std::fmt::Write as _;

use coverbatch::catalog::{CatalogOptions, Encoding, LineBreak};

use super::{A, B, C, ids, lines, open, open_with, rows};

#[test]
fn text_after_a_closing_quote_is_refused_with_the_line_of_the_quote() {
    let table = [
        (format!("task_id,title\n{A},\"Low\" (live)\n{B},x\n"), 2),
        (format!("task_id,title\n{A},x\n{B},\"\"Low\"\"\n"), 3),
        (format!("task_id,title\n{A},\"Station\n{B},\"Station\n{C},x\n"), 2),
        (format!("task_id,title,note\n{A},\"two\nlines\",\"12\" single\"\n"), 3),
        (format!("title,task_id\n\"Low\" x,{A}\n"), 2),
        (format!("task_id,title\r\n{A},\"a\" b\r\n"), 2),
        (format!("task_id,title\r{A},x\r{B},\"a\" b\r"), 3),
        (format!("task_id,\"title\" (short)\n{A},x\n"), 1),
        (format!("task_id;title\n{A};\"a\"\"b\" c\n"), 2),
        (format!("task_id;\"title\" (short)\n{A};x\n"), 1),
    ];
    for (text, line) in table {
        let refused = open(&text).unwrap_err();
        assert!(
            refused.starts_with(&format!("line {line} of `songs.csv` opens a quote, and text follows")),
            "{text}{refused}"
        );
    }
}

#[test]
fn a_quote_that_is_never_closed_is_refused_with_its_line() {
    for (text, line) in [
        (format!("task_id,title\n{A},\"x\n{B},y\n"), 2),
        (format!("task_id,title\n\n{A},x\n{B},\"{}\n", "la\n".repeat(50)), 4),
        (format!("task_id,title,note\n{A},\"a\nb\",\"c\n"), 3),
    ] {
        assert_eq!(open(&text).unwrap_err(), format!("line {line} of `songs.csv` opens a quote that is never closed"));
    }
}

#[test]
fn a_quoted_cell_that_runs_over_rows_is_refused_with_the_line_of_the_quote() {
    let few = |quoted: &str| format!("task_id,title\n{C},x\n{quoted}\n");
    let table = [
        // The closing quote is that of another cell, in whichever place.
        (few(&format!("{A},\"Low\n{B},High\"")), 3),
        (few(&format!("{A},\"Low\n{B},\"")), 3),
        (few(&format!("{A},\"Low\r\n{B},High\r\nmore\"")), 3),
        (few(&format!("{A},\"Low\n\n {B} ,High\"")), 3),
        (few(&format!("{A},\"Low\n\"\"{B}\"\",High\"")), 3),
        (few(&format!("{A},\"Low\n{B}\"")), 3),
        // Ids may come after the titles, and before cells that are missing.
        (format!("title,task_id,note\nx,{C},\n\"Low,{A}\nHigh,{B}\n\",{A}\n"), 3),
        (format!("title,task_id\nx,{C}\n\"Low,{A}\nHigh\",{B}\n"), 3),
        (format!("title,task_id\nx,{C}\ny,{B}\n\"a\nb,{A}\",{A}\n"), 4),
        (format!("task_id,title,artist,note\n{C},x,y,z\n{A},\"Low,\n{B},b\",c,d\n"), 3),
        // The quote of the header.
        (format!("task_id,\"title\n{A},x\n{B},y\"\n{C},z\n"), 1),
        // Ids of every kind, and one column.
        ("task_id,title\nSONG-0001,x\nSONG-0002,\"a\nSONG-0003,b\"\n".to_owned(), 3),
        ("task_id\n\"1001\n1002\"\n1003\n".to_owned(), 2),
        ("task_id|title\nt1|x\nt2|\"a\nt3|b\"\n".to_owned(), 3),
        // Whatever the other ids look like, and if there is none.
        (format!("task_id,title\nhot-1,x\nhot-2,\"a\n{B},b\"\n"), 3),
        ("task_id,title\n#N/A,\"a\nhot-00002,b\"\n".to_owned(), 2),
        (format!("task_id,title,note\n{C},x,\n{A},\"a\nb\",\"c\n{B},y\"\n"), 4),
    ];
    for (text, line) in table {
        let refused = open(&text).map(|catalog| ids(&catalog));
        let expected = format!("line {line} of `songs.csv` opens a quote that closes lines later");
        assert!(refused.as_ref().is_err_and(|words| words.starts_with(&expected)), "{text}{refused:?}");
    }
}

#[test]
fn a_quoted_cell_of_many_lines_is_read_if_none_of_them_begins_with_an_id() {
    let cells = [
        "Hello, goodbye\nhello, hello\n\nI, me, mine".to_owned(),
        format!("replaces {B}\nsee {B}, side B"),
        format!("see\nno. 7: {B}"),
        "12 High Street,\nLondon\nN1 9GU".to_owned(),
        "1999,\n2000,\r\n\"\"2001\"\"".to_owned(),
        format!("first,\n{},x", &B[1..]),
        ('#'..='~').fold(String::new(), |words, c| words + "\n" + &c.to_string().repeat(9) + ",la"),
    ];
    for cell in cells {
        let text = format!("task_id,title\n{A},\"{cell}\"\n{B},x\n{C},y\n");
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(ids(&catalog), [A, B, C]);
        assert_eq!(catalog.own_cells(&rows(&catalog)[0]).nth(1).unwrap(), format!("\"{cell}\"").as_bytes());
    }
}

#[test]
fn a_quote_within_an_unquoted_cell_is_data() {
    let text = format!("task_id,title,size\n{A},The \"Best\" of,12\"\n{B},a\"b\"\"c,\" \"\n{C},x\",5' 7\"\n");
    let catalog = open(text).unwrap();
    assert_eq!(ids(&catalog), [A, B, C]);
    let row = &rows(&catalog)[1];
    assert_eq!(catalog.own_cells(row).nth(1), Some(&b"a\"b\"\"c"[..]));
    assert_eq!(catalog.own_value(row, 1).as_deref(), Some(&b"a\"b\"\"c"[..]));
}

#[test]
fn quotes_that_backslashes_escape_are_read() {
    let table = [
        format!("task_id,title,artist\n{A},\"say \\\"hi\\\"\",x\n{B},y,z\n"),
        format!("task_id,title,artist\n{A},\"12\\\", 7\\\"\",x\n{B},\"a\",\"z\"\n"),
        format!("task_id,title,artist\n{A},\"C:\\\\\",x\n{B},\"\\\"\",z\n"),
        format!("task_id,title,artist\n{A},\"\\\"\n\\\"\",x\n{B},\"both \"\" and \\\"\",z\n"),
        format!("task_id;title;artist\r\n{A};\"a\\\"; b\";x\r\n{B};\"\\\\\\\"\";z\r\n"),
        format!("\"task_id\",\"ti\\\"tle\",\"artist\"\n\"{A}\",\"x\",\"\"\n\"{B}\",\"y\",\"\"\n"),
    ];
    for text in table {
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(ids(&catalog), [A, B], "{text}");
        assert!(catalog.dialect().grammar.reading.backslash, "{text}");
        assert!(rows(&catalog).iter().all(|row| row.record.len() == 3), "{text}");
    }
    let catalog = open(format!("task_id,title\n{A},\"5\\\" \\\\ \"\"x\"\"\"\n")).unwrap();
    assert_eq!(catalog.own_value(&rows(&catalog)[0], 1).as_deref(), Some(&b"5\" \\ \"x\""[..]));
}

#[test]
fn backslashes_are_data_where_quotes_are_doubled() {
    for title in [r#""C:\music\""#, r#""a\"", b""#, r#""\\server\x""#, r"C:\", r#"5\" vinyl"#] {
        let text = format!("task_id,title,artist\n{A},{title},x\n{B},\"y\",z\n{C},,\n");
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(ids(&catalog), [A, B, C], "{text}");
        assert!(!catalog.dialect().grammar.reading.backslash, "{text}");
        assert_eq!(catalog.own_cells(&rows(&catalog)[0]).nth(1), Some(title.as_bytes()));
    }
}

#[test]
fn a_quoted_cell_after_blanks_is_one_cell() {
    let table = [
        format!("task_id, title, artist\n{A}, \"Low, high\", x\n{B}, y, z\n"),
        format!("task_id,\t\"title\",artist\n{A},  \"a\nb\", x\n{B},\t\"y\",z\n"),
        format!("\"task_id\" , \"title, short\" , \"artist\"\n\"{A}\" , \"a\" , \"b\"\n \"{B}\" , \"c\", \"d, e\"\n"),
        format!("task_id; title; artist\n{A}; \"say \"\"a; b\"\"\"; x\n{B}; y; z\n"),
    ];
    for text in table {
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(ids(&catalog), [A, B], "{text}");
        assert!(rows(&catalog).iter().all(|row| row.record.len() == 3), "{text}");
    }
    let data = open(format!("task_id,title\n{A}, \"Low\n{B},x\n{C}, \"High\n")).unwrap();
    assert_eq!(ids(&data), [A, B, C], "a quote after a blank that is not closed is data");
}

#[test]
fn what_may_be_read_in_two_ways_is_refused_with_the_line() {
    // Each reading finds as many rows with the cells of the header as the other one.
    let table = [
        format!("task_id,a,b\n{C},x,y\n{A}, \"1,2\"\n{B}, \"3, 4\", 5\n"),
        format!("task_id,a,b\n{C},x,y\n{A},\"1\\\",2\"\n{B},\"3\\\",4\",z\n"),
        format!("task_id,a,b\n\n{A}, \"1,2\"\n{B},\t\"3,4\",5\n"),
    ];
    for text in table {
        let refused = open(&text).map(|catalog| (ids(&catalog), catalog.dialect()));
        let expected = "line 3 of `songs.csv` can be read in more than one way";
        assert!(refused.as_ref().is_err_and(|words| words.starts_with(expected)), "{text}{refused:?}");
    }
}

#[test]
fn the_reading_that_gets_furthest_says_what_is_wrong() {
    let refused = open(format!("task_id,a\n{A},\"5\\\" x\"\n{B},\"6\\\" x\"\n{C},\"7\" x\n")).unwrap_err();
    assert!(refused.starts_with("line 4 of"), "{refused}");
}

#[test]
fn every_line_end_is_read_and_counted() {
    for line_end in ["\n", "\r\n", "\r", "\r\r\n"] {
        let text = ["task_id,title", "", &format!("{A},\"two{line_end}lines\""), &format!("{B},x"), ""].join(line_end);
        let catalog = open(&text).unwrap();
        assert_eq!((ids(&catalog), lines(&catalog)), (vec![A.to_owned(), B.to_owned()], vec![3, 5]), "{text:?}");
    }
    assert_eq!(open(format!("task_id\r{A}\r")).unwrap().dialect().line_break, LineBreak::Cr);
}

#[test]
fn files_with_other_line_ends_may_be_put_one_after_the_other() {
    let table = [
        (format!("task_id,title\n{A},x\ntask_id,title\r{B},y\r{C},z\r"), [2, 4, 5]),
        (format!("task_id,title\r{A},x\rtask_id,title\r\n{B},y\r\n\r\n{C},z\r\n"), [2, 4, 6]),
        (format!("task_id,title\r\n{A},\"x\ny\"\n{B},y\r\r{C},z"), [2, 4, 6]),
        (format!("task_id\n\r\n{A}\r{B}\n\r\n{C}\r"), [3, 4, 6]),
    ];
    for (text, expected) in table {
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text:?}{refused}"));
        assert_eq!((ids(&catalog), lines(&catalog)), ([A, B, C].map(str::to_owned).to_vec(), expected.to_vec()));
    }
}

#[test]
fn a_carriage_return_that_leaves_pieces_of_a_row_is_refused() {
    let table = [
        (format!("task_id,title,artist\n{A},Lo\rw,x\n{B},y,z\n"), 2),
        (format!("task_id,title,artist\r\n{A},x,y\r\n{B},\"y\"\r,z\r\n"), 3),
        (format!("task_id,title\n{A},Low\rHigh\n"), 3),
        (format!("task_id,title\r{A},x\r\r{B},Lo\nw\r{C},z\r"), 5),
        (format!("task_id,ti\rtle\n{A},x\n"), 2),
    ];
    for (text, line) in table {
        let refused = open(&text).map(|catalog| ids(&catalog));
        let expected = format!("line {line} of `songs.csv` is no whole row; the line ends there, or before, otherwise");
        assert!(refused.as_ref().is_err_and(|words| words.starts_with(&expected)), "{text:?}{refused:?}");
    }
    let quoted = open(format!("task_id,title\n{A},\"Lo\rw\r\n\"\n{B}\r")).unwrap();
    assert_eq!(
        (ids(&quoted), lines(&quoted)),
        (vec![A.to_owned(), B.to_owned()], vec![2, 4]),
        "the last may end anyhow"
    );
}

#[test]
fn utf_16_is_read_and_other_wide_encodings_are_refused() {
    let text = format!("\u{feff}task_id\tTitel\r\n{A}\tMotörhead\r\n{B}\t\"𝄞\r\n2\"\r\n");
    for (encoding, bytes) in
        [(Encoding::Utf16Le, u16::to_le_bytes as fn(u16) -> [u8; 2]), (Encoding::Utf16Be, u16::to_be_bytes)]
    {
        let wide: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        let catalog = open(&wide).unwrap();
        assert_eq!((ids(&catalog), lines(&catalog)), (vec![A.to_owned(), B.to_owned()], vec![2, 3]));
        assert_eq!(catalog.dialect().encoding, encoding);
        let marked = text.replace("tör", "t\u{e000}r");
        let unpaired = marked.encode_utf16().map(|unit| if unit == 0xe000 { 0xd834 } else { unit });
        let refused = open(unpaired.flat_map(bytes).collect::<Vec<_>>()).unwrap_err();
        assert_eq!(refused, "line 2 of `songs.csv` holds bytes that are no UTF-16, in which the file begins");
        let odd = open(&wide[..wide.len() - 1]).unwrap_err();
        assert!(odd.contains("holds bytes that are no UTF-16"), "{odd}");
        let unmarked = open(&wide[2..]).unwrap_err();
        assert!(unmarked.contains("UTF-16 without a byte order mark"), "{unmarked}");
    }
    let four: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    assert!(open(four).unwrap_err().contains("UTF-32"));
}

#[test]
fn utf_16_is_decoded_over_the_blocks_in_which_the_file_is_read() {
    let mut text = "\u{feff}task_id,title\n".to_owned();
    for row in 0..20_000 {
        writeln!(text, "t{row:06},a𝄞é{}", "x".repeat(row % 7)).unwrap();
    }
    let catalog = open(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
    assert_eq!((catalog.check().rows, catalog.check().distinct), (20_000, 20_000));
    assert_eq!(lines(&catalog)[19_999], 20_001);
}

#[test]
fn a_line_that_tells_the_delimiter_is_no_header() {
    for (told, delimiter) in [("sep=;", ";"), ("SEP=|", "|"), ("sep=\t", "\t"), ("\"sep=,\"", ","), ("sep=^", "^")] {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}{told}\r\ntask_id{delimiter}title\r\n{A}{delimiter}x\r\n");
            let catalog = open(&text).unwrap();
            assert_eq!((ids(&catalog), lines(&catalog)), (vec![A.to_owned()], vec![3]), "{text}");
            assert!(catalog.dialect().separator_line);
        }
    }
    let delimiter = ",".parse().ok();
    let text = format!("sep=;\ntask_id,title\n{A},x\n");
    let flag = open_with(text, &CatalogOptions { delimiter, ..CatalogOptions::default() }).unwrap();
    assert_eq!(ids(&flag), [A], "a flag wins");
}
