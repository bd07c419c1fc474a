//! Whole catalogs: what is read, what is refused, and in which words.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::domain::{BadId, ResultColumn, Status};

/// A catalog file in a folder of its own.
struct Given {
    folder: TempDir,
    options: CatalogOptions,
}

impl Given {
    fn file(bytes: impl AsRef<[u8]>) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("songs.csv"), bytes).unwrap();
        Self { folder, options: CatalogOptions::default() }
    }

    fn id_column(mut self, id_column: &str) -> Self {
        self.options.id_column = Some(id_column.to_owned());
        self
    }

    fn delimiter(mut self, delimiter: &str) -> Self {
        self.options.delimiter = Some(delimiter.parse().unwrap());
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("songs.csv")
    }

    fn open(&self) -> Result<Catalog, CatalogError> {
        Catalog::open(&self.path().into(), &self.options)
    }

    /// The message without the folder.
    fn refused(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.open().unwrap_err().to_string().replace(&folder, "")
    }
}

fn all_rows(catalog: &Catalog) -> Vec<Row> {
    let mut rows = catalog.rows().unwrap();
    let mut all = Vec::new();
    let mut row = Row::default();
    while rows.next_row(&mut row).unwrap() {
        all.push(row.clone());
    }
    all
}

fn ids(catalog: &Catalog) -> Vec<String> {
    all_rows(catalog).iter().map(|row| row.id.as_ref().map_or("?".to_owned(), ToString::to_string)).collect()
}

fn lines(bytes: impl AsRef<[u8]>) -> Vec<u64> {
    let catalog = Given::file(bytes).id_column("1").delimiter(",").open().unwrap();
    all_rows(&catalog).iter().map(|row| row.line).collect()
}

#[test]
fn a_pass_can_be_moved_between_threads_and_a_catalog_shared() {
    fn movable<T: Send + 'static>() {}
    fn shared<T: Send + Sync + 'static>() {}
    movable::<Rows>();
    movable::<Row>();
    shared::<Catalog>();
    shared::<CatalogError>();
}

#[test]
fn the_delimiter_is_the_one_that_shows_an_id_column_else_the_most_frequent() {
    let table: [(&str, u8); 13] = [
        ("task_id,a", b','),
        ("a;task_id", b';'),
        ("a\ttaskId", b'\t'),
        ("a|\" id \"", b'|'),
        ("id", b','),
        ("a,b,c,d;id", b';'),
        ("\"a,b\",c;d;e;f,id", b','),
        ("\"a\nb\";id", b';'),
        ("a;\",,,,,\";id", b';'),
        ("\ntask_id|a", b'|'),
        ("task_id;a,\"b", b';'),
        ("a,\ttask_id", b'\t'),
        ("a;b,\ttask_id ", b','),
    ];
    for (header, delimiter) in table {
        let catalog = Given::file(header).open().unwrap();
        assert_eq!(catalog.dialect().grammar.delimiter.byte(), delimiter, "{header}");
    }
    for (header, delimiter) in [("a,b;c;d", b';'), ("\"a;b;c;d\",e", b','), ("a", b','), ("a|b;c", b';')] {
        let catalog = Given::file(header).id_column("1").open().unwrap();
        assert_eq!(catalog.dialect().grammar.delimiter.byte(), delimiter, "{header}");
    }
    let told = Given::file("task_id,a\tb\n1\t2").delimiter("tab").id_column("2").open().unwrap();
    assert_eq!(ids(&told), ["2"]);
}

#[test]
fn encoding_and_line_breaks_are_remembered() {
    use Encoding::{Utf8, Utf8Bom};
    use LineBreak::{Cr, CrLf, Lf};
    let table: [(&[u8], Encoding, LineBreak); 9] = [
        (b"id", Utf8, Lf),
        (b"id\n1\n", Utf8, Lf),
        (b"id\r\n1\r\n", Utf8, CrLf),
        (b"id\r\r\n1\r\r\n", Utf8, CrLf),
        (b"\xef\xbb\xbfid\n", Utf8Bom, Lf),
        (b"\xef\xbb\xbf\"id\"\r\n", Utf8Bom, CrLf),
        (b"\"a\r\nb\",id\n1,2\r\n", Utf8, Lf),
        (b"\"a\nb\",id\r\n1,2\n", Utf8, CrLf),
        (b"id\r1\r2\r", Utf8, Cr),
    ];
    for (bytes, encoding, line_break) in table {
        let dialect = Given::file(bytes).open().unwrap().dialect();
        let found = (dialect.encoding, dialect.line_break, dialect.separator_line);
        assert_eq!(found, (encoding, line_break, false), "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_id_column_is_found_by_name_before_number() {
    let table = [
        ("id,task_id,taskId\na,b,c", None, "b"),
        ("id,music_task_id,taskId\na,b,c", None, "c"),
        ("id, music_task_id \na,b", None, "b"),
        ("Task_ID,id,id2\na,b,c", None, "a"),
        ("id,MUSIC TASK-ID,ID\na,b,c", None, "b"),
        ("id,id,task_id\na,b,c", None, "c"),
        ("id,other\na,b", Some("other"), "b"),
        ("id,other\na,b", Some(" other "), "b"),
        ("id,Other One\na,b", Some("other_one"), "b"),
        ("id,other\na,b", Some("2"), "b"),
        ("2,other\na,b", Some("2"), "a"),
        ("id,id\na,b", Some("2"), "b"),
    ];
    for (text, id_column, expected) in table {
        let given = Given::file(text);
        let catalog = id_column.map_or(given.open(), |name| Given::file(text).id_column(name).open()).unwrap();
        assert_eq!(ids(&catalog), [expected], "{text:?} {id_column:?}");
    }
}

#[track_caller]
fn assert_refused(table: impl IntoIterator<Item = (Given, &'static str)>) {
    for (given, message) in table {
        assert_eq!(given.refused(), message);
    }
}

#[test]
fn what_is_no_csv_with_a_header_is_refused_with_its_reason() {
    let hex = "0123456789abcdef0123456789ABCDEF";
    assert_refused([
        (Given::file(""), "`songs.csv` is empty; it needs a header row"),
        (Given::file("\u{feff}\r\n\n"), "`songs.csv` is empty; it needs a header row"),
        (Given::file(b"i\0d\0"), "`songs.csv` is UTF-16 without a byte order mark; export it as \"CSV UTF-8\""),
        (
            Given::file(b"PK\x03\x04"),
            "`songs.csv` looks like an Excel workbook or a zip archive; export it as \"CSV UTF-8\"",
        ),
        (Given::file(b"\x1f\x8b\x08"), "`songs.csv` is compressed with gzip; unpack it first"),
        (Given::file(b"id,x\n1,\0\n"), "`songs.csv` holds NUL bytes, so it is not a CSV file"),
        (Given::file(format!("{hex},a\n")), "`songs.csv` has no header row: its first row already holds a task id"),
        (
            Given::file(format!("a,{hex}\n")).id_column("2"),
            "`songs.csv` has no header row: its first row already holds a task id",
        ),
    ]);
}

#[test]
fn a_header_without_one_column_of_ids_is_refused_with_its_columns() {
    assert_refused([
        (
            Given::file("\nname,Ident"),
            "the header of `songs.csv`, line 2, has no column `task_id` or `taskId` or `music_task_id` or `id`; its \
             columns are `name`, `Ident`; name the one with the ids by --id-column",
        ),
        (
            Given::file("a,b").id_column("c"),
            "the header of `songs.csv`, line 1, has no column `c`; its columns are `a`, `b`; name the one with the ids \
             by --id-column",
        ),
        (
            Given::file(format!("a\u{7}\n{}", "b".repeat(50))).id_column("c"),
            "the header of `songs.csv`, line 1, has no column `c`; its columns are `a`; name the one with the ids by \
             --id-column",
        ),
        (
            Given::file("Songs of May,,\n\ntask_id,title,artist\n1,x,y\n"),
            "the header of `songs.csv`, line 1, has no column `task_id` or `taskId` or `music_task_id` or `id`; its \
             columns are `Songs of May`, ``, ``; line 3 looks like the header; skip the lines before it with \
             --skip-lines 2",
        ),
        (
            Given::file("a,task_id\nx,1\n").delimiter(";"),
            "the header of `songs.csv`, line 1, has no column `task_id` or `taskId` or `music_task_id` or `id`; its \
             columns are `a,task_id`; its cells look divided by `,`; leave out --delimiter",
        ),
        (
            Given::file("id,b,id"),
            "`songs.csv` has the column `id` more than once; name the one with the ids by its number",
        ),
        (Given::file("a,b").id_column("3"), "`songs.csv` has no column number 3; its columns are numbered from 1 to 2"),
        (Given::file("a,b").id_column("0"), "`songs.csv` has no column number 0; its columns are numbered from 1 to 2"),
        (
            Given::file(format!("id,{}", ResultColumn::WORDS.join(","))).id_column("cover_task_id"),
            "the column `cover_task_id` of `songs.csv` is a result of an earlier run and cannot hold the music \
             task ids",
        ),
    ]);
    let many: Vec<String> = (0..25).map(|column| format!("column{column}")).collect();
    let listed = Given::file(many.join(",")).id_column("c").refused();
    assert!(listed.contains("`column18`, `column19` and 5 more; name"), "{listed}");
}

#[test]
fn a_quote_that_is_never_closed_is_refused_with_the_line_where_it_opened() {
    let long = format!("id,note\n1,x\n2,\"{}\n", "y\n".repeat(1 << 20));
    assert_refused([
        (Given::file("id,note\n\n1,\"x\n2,y\n"), "line 3 of `songs.csv` opens a quote that is never closed"),
        (Given::file("id,note\n1,x\n2,\""), "line 3 of `songs.csv` opens a quote that is never closed"),
        (Given::file("id,\"note\n1,x\n").delimiter(","), "line 1 of `songs.csv` opens a quote that is never closed"),
        (
            Given::file(long),
            "the record that starts in line 3 of `songs.csv` is longer than 1024 KiB; is a quote opened and never \
             closed?",
        ),
    ]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_cause() {
    let given = Given::file("id\n");
    let missing = Catalog::open(&given.folder.path().join("none").into(), &given.options).unwrap_err();
    let folder = Catalog::open(&given.folder.path().to_path_buf().into(), &given.options).unwrap_err();
    assert_eq!(missing.to_string(), format!("cannot read `{}/none`", given.folder.path().display()));
    assert!(missing.source().unwrap().to_string().contains("No such file"));
    assert_eq!(folder.source().unwrap().to_string(), "is a directory");
}

#[test]
fn a_row_knows_the_line_where_it_starts() {
    let table: [(&[u8], &[u64]); 14] = [
        (b"id", &[]),
        (b"id\n1\n2", &[2, 3]),
        (b"id\r\n1\r\n2\r\n", &[2, 3]),
        (b"\n\nid\n\n\n1\n\n2\n\n", &[6, 8]),
        (b"\r\n\r\nid\r\n\r\n1\r\n\r\n\r\n2", &[5, 8]),
        (b"\xef\xbb\xbfid\n1\n", &[2]),
        (b"\"i\nd\"\n\"1\n\n\"\n2\n", &[3, 6]),
        (b"\"i\r\nd\"\r\n\"1\r\n\r\n\"\r\n\r\n2\r\n", &[3, 7]),
        (b"id,a\nx,\"\n\n1\"\n2\n", &[2, 5]),
        (b"id\n \n1\n", &[3]),
        (b"id\r1\r\r2\r", &[2, 4]),
        (b"id\r\r\n1\r\r\n2\r\r\n", &[2, 3]),
        (b"id\r\"1\n\"\r2\r3", &[2, 3, 4]),
        (b"id\n\r\n\n1\n\r\n2", &[4, 6]),
    ];
    for (bytes, expected) in table {
        assert_eq!(lines(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn lines_are_counted_over_the_blocks_in_which_the_file_is_read() {
    for padding in [65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 65_536, 131_070] {
        let text = format!("id\r\n{}\r\n\r\n\r\n\"2\r\n\"\r\n3\r\n", "x".repeat(padding));
        assert_eq!(lines(text), [2, 5, 7], "{padding}");
    }
    let blank = "\n".repeat(1_200_000);
    assert_eq!(lines(format!("{blank}id\n{blank}1\n")), [2_400_002]);
}

#[test]
fn only_a_record_longer_than_the_limit_is_refused() {
    for line_break in ["\n", "\r\n", "\r"] {
        let at_limit = "x".repeat(MAX_RECORD_BYTES - line_break.len());
        let catalog = Given::file(["id", &at_limit, &at_limit, ""].join(line_break)).open().unwrap();
        assert_eq!(catalog.check().rows, 2);
    }
    let over = Given::file(format!("id\n{}\n", "x".repeat(MAX_RECORD_BYTES))).refused();
    assert!(over.starts_with("the record that starts in line 2"), "{over}");
}

#[test]
fn bad_rows_are_counted_and_the_first_ten_kept() {
    let long = "x".repeat(129);
    let text = format!("id,b\n1,x\n,x\n3,x,x\n ,x\na b,x\n\u{e9},x\n{long},x\n1 ,x\n");
    let catalog = Given::file(text).open().unwrap();
    let expected = [
        (3, BadRow::Id(BadId::Empty)),
        (4, BadRow::SurplusCells(1)),
        (5, BadRow::Id(BadId::Empty)),
        (6, BadRow::Id(BadId::Character(' '))),
        (7, BadRow::Id(BadId::Character('\u{e9}'))),
        (8, BadRow::Id(BadId::TooLong(129))),
    ];
    assert_eq!(
        *catalog.check(),
        Check { rows: 8, distinct: 1, duplicates: 1, invalid: 6, first_bad: expected.to_vec(), unlike: None }
    );
    assert_eq!(catalog.first_row_of(8), Some(1));

    let many = Given::file(format!("id,b\n{}", "a b\n".repeat(25))).open().unwrap();
    assert_eq!((many.check().invalid, many.check().first_bad.len()), (25, 10));
}

#[test]
fn a_bad_row_reads_as_a_sentence() {
    let counted = BadRow::SurplusCells(1);
    assert_eq!(
        counted.to_string(),
        "the row goes on after the last column (1 more); a cell that holds the delimiter needs quotes"
    );
    assert_eq!(BadRow::from(BadId::Empty).to_string(), "the id is empty");
    assert_eq!(BadRow::NoId(NoId::ErrorValue).to_string(), "the id is an error value of a spreadsheet");
}

#[test]
fn an_earlier_results_csv_is_a_catalog_without_its_result_columns() {
    let [status, rest @ ..] = ResultColumn::WORDS;
    let header = format!("{} , {status} ,id,cover_art,note\n", rest.join(","));
    let others = ",".repeat(ResultColumn::WORDS.len() - 6);
    let results = |code: &str, cover: &str| format!(",,,{code},,{cover}{others}");
    let text = header
        + &format!("{}exists,a,\"x\",n\n", results("409", "c1"))
        + &format!("{},b,x,n\n", results("", ""))
        + &format!("{}exists,c\n", results("409", "c3"))
        + &format!("{}exists,d,x,n,more\n", results("409", "c4"));
    let catalog = Given::file(text).open().unwrap();
    assert!(catalog.is_results());
    let all = all_rows(&catalog);
    let own = |at: usize| catalog.own_cells(&all[at]).map(<[u8]>::escape_ascii).map(|c| c.to_string()).collect();
    let own_cells: Vec<Vec<String>> = (0..4).map(own).collect();
    assert_eq!(catalog.own_header().collect::<Vec<_>>(), [&b"id"[..], b"cover_art", b"note"]);
    assert_eq!(own_cells, [["a", "\\\"x\\\"", "n"], ["b", "x", "n"], ["c", "", ""], ["d", "x", "n"]]);
    assert_eq!(catalog.surplus_cells(&all[3]).collect::<Vec<_>>(), [b"more"]);
    assert_eq!(catalog.own_value(&all[0], 1).as_deref(), Some(&b"x"[..]));
    let read: Vec<_> = all.iter().map(|row| row.previous.as_deref().and_then(|said| said.code)).collect();
    assert_eq!(read, [Some(409), None, Some(409), Some(409)]);
    assert_eq!(all[0].previous.as_deref().unwrap().status, Status::Exists);
    assert_eq!(all[1].previous, None);
    assert_eq!(all[3].id, Err(BadRow::SurplusCells(1)));
}

#[test]
fn a_column_that_the_results_would_double_is_refused_unless_all_of_them_are_there() {
    let whole = ResultColumn::WORDS.join(",");
    let table = [
        ("id,title,cover_status".to_owned(), "`cover_status`"),
        ("cover_image_1,id, cover_message ".to_owned(), "`cover_image_1`, `cover_message`"),
        (format!("id,{whole},cover_code"), "`cover_code`"),
        (format!("id,{}", ResultColumn::WORDS[1..].join(",")), "`cover_retryable`, `cover_reason`"),
    ];
    for (header, columns) in table {
        let refused = Given::file(header + "\n1,x\n").refused();
        let expected = format!("`songs.csv` has columns of its own that the results would have twice: {columns}");
        assert!(refused.starts_with(&expected), "{refused}");
    }
    let own = Given::file("id,cover_art,Cover_Status,cover\n1,a,b,c\n").open().unwrap();
    assert!(!own.is_results() && own.own_header().count() == 4);
}

#[test]
fn a_file_that_is_replaced_or_deleted_goes_on_being_read() {
    let given = Given::file("id\n1\n");
    let catalog = given.open().unwrap();
    let other = given.folder.path().join("other.csv");
    fs::write(&other, "id\n2\n3\n").unwrap();
    fs::rename(&other, given.path()).unwrap();
    assert_eq!(ids(&catalog), ["1"]);
    fs::remove_file(given.path()).unwrap();
    assert_eq!(ids(&catalog), ["1"]);
    catalog.unchanged().unwrap();
}

#[test]
fn a_file_that_is_written_to_in_place_is_noticed() {
    let append = |path: PathBuf| File::options().append(true).open(path).unwrap().write_all(b"2\n");
    let truncate = |path: PathBuf| File::options().write(true).open(path).unwrap().set_len(3);
    let overwrite = |path: PathBuf| {
        let mut file = File::options().write(true).open(path).unwrap();
        file.write_all(b"id\n9\n")?;
        file.set_modified(std::time::UNIX_EPOCH)
    };
    let ways: [fn(PathBuf) -> std::io::Result<()>; 3] = [append, truncate, overwrite];
    for write in ways {
        let given = Given::file("id\n1\n");
        let catalog = given.open().unwrap();
        write(given.path()).unwrap();
        assert!(matches!(catalog.unchanged(), Err(CatalogError::Changed(_))));
    }
}

#[test]
fn passes_have_positions_of_their_own() {
    let catalog = Given::file("id\n1\n2\n").open().unwrap();
    let (mut one, mut other) = (catalog.rows().unwrap(), catalog.rows().unwrap());
    let mut row = Row::default();
    assert!(one.next_row(&mut row).unwrap() && one.next_row(&mut row).unwrap());
    assert_eq!(row.number, 2);
    assert!(other.next_row(&mut row).unwrap());
    assert_eq!(row.number, 1);
    assert!(!one.next_row(&mut row).unwrap());
    assert!(!one.next_row(&mut row).unwrap());
}

#[test]
fn a_pipe_with_a_name_can_be_a_catalog() {
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"id\n1\n1\n").unwrap();
    drop(writer);
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    let catalog = Catalog::open(&path.into(), &CatalogOptions::default()).unwrap();
    assert_eq!(ids(&catalog), ["1", "1"]);
    assert_eq!(catalog.check().duplicates, 1);
}
