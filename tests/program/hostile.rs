//! Catalogs that nobody should write, and catalogs that somebody writes to while they are being sent.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use coverbatch::domain::ResultColumn;
use serde_json::Value;

use crate::story::{Batch, PROGRAM, Scripted, StandIn, wait_for};

#[test]
fn strange_catalogs_are_read_or_refused_in_words() {
    let mib = |bytes: usize| "x".repeat((1 << 20) - bytes);
    let columns = format!("task_id{}\na{}\n", ",".repeat(100_000), ",".repeat(100_000));
    let late_nul = [b"task_id,x\n", "a,y\n".repeat(4000).as_bytes(), b"b\0,z\nc,\0\n"].concat();
    let table: Vec<(&str, Vec<u8>, i32, &str)> = vec![
        ("a field of nearly 1 MiB", format!("task_id,x\na,{}\n", mib(3)).into(), 0, "rows             1\n"),
        (
            "a field of more",
            format!("task_id,x\na,{}\n", mib(2)).into(),
            7,
            "line 2 of `songs.csv` is longer than 1024 KiB",
        ),
        (
            "a header of more",
            format!("task_id,{}\n", mib(0)).into(),
            7,
            "line 1 of `songs.csv` is longer than 1024 KiB",
        ),
        ("an id of nearly 1 MiB", format!("task_id\n{}\n", mib(9)).into(), 0, "the id has 1048567 bytes"),
        ("100,000 columns", columns.into(), 0, "to send        1"),
        ("100,000 columns in a row", format!("task_id\na{}\n", ",".repeat(100_000)).into(), 0, "to send        1"),
        (
            "50,000 cells in a row",
            format!("task_id\na{}\n", ",b".repeat(50_000)).into(),
            0,
            "line 2: the row goes on after the last column (50000 more)",
        ),
        ("a NUL in the first block", b"task_id\na\0\n".to_vec(), 7, "holds NUL bytes"),
        ("NULs behind it", late_nul, 0, "line 4002: the id holds U+0000"),
        ("lone CRs", b"task_id,x\ra,1\rb,2\r".to_vec(), 0, "to send        2"),
        ("mixed line ends", b"task_id\r\na\nb\rc\n\rd\r\n\r\n".to_vec(), 0, "to send        4"),
        ("only a header", b"task_id".to_vec(), 7, "has no data rows"),
        ("only a header and a mark", b"\xef\xbb\xbftask_id\r\n".to_vec(), 7, "has no data rows"),
        ("only a mark", b"\xef\xbb\xbf".to_vec(), 7, "is empty; it needs a header row"),
        ("two marks", b"\xef\xbb\xbf\xef\xbb\xbftask_id\na\n".to_vec(), 0, "to send        1"),
        ("nothing", Vec::new(), 7, "is empty; it needs a header row"),
        ("line breaks", b"\n\r\n\r\r\n".to_vec(), 7, "is empty; it needs a header row"),
        ("two id columns", b"task_id,task_id\na,b\n".to_vec(), 7, "has the column `task_id` more than once"),
        ("two columns of another name", b"task_id,x,x\na,1,2\n".to_vec(), 0, "to send        1"),
        ("quotes within cells", b"task_id,x\na,5\" disc\nb,x \"y\"\n".to_vec(), 0, "to send        2"),
        ("text after quotes", b"task_id,x\na,5\" disc\nb,\"x\"y\n".to_vec(), 7, "line 3 of `songs.csv` opens a quote"),
        (
            "an open quote",
            b"task_id,x\na,\"1\nb,2\n".to_vec(),
            7,
            "line 2 of `songs.csv` opens a quote that is never closed",
        ),
        ("escapes in the header", b"x\x1b[2J\x07,y\n1,2\n".to_vec(), 7, "has no column `task_id`"),
        ("a million blank lines", format!("task_id\n{}a\n", "\n".repeat(1 << 20)).into(), 0, "to send        1"),
        ("an id in other letters", "task_id\nаbc\n".into(), 0, "line 2: the id holds U+0430;"),
        ("spaces that nobody sees", "task_id\n\u{a0}a\n\u{200b}b\n".into(), 0, "to send        2"),
    ];
    for (name, bytes, code, words) in table {
        let batch = Batch::of(bytes);
        let ran = batch.run(&["--dry-run", "--sandbox"]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code == Some(code) && said.contains(words), "{name}: {:?}\n{said}", ran.code);
        assert!(!said.contains(['\u{1b}', '\u{7}', '\0']), "{name}: {said:?}");
        assert_eq!(batch.listing(), ["songs.csv"], "{name}");
    }
}

#[test]
fn a_delimiter_is_one_byte() {
    let batch = Batch::of("task_id=====>x\na=====>1\n");
    for delimiter in ["=====>", "", "\"", "a", "曲", "\n", "\\n"] {
        let option = format!("--delimiter={delimiter}");
        batch.run(&["--dry-run", "--sandbox", &option]).exit(2).says("for '--delimiter");
    }
    batch.run(&["--dry-run", "--sandbox", "--delimiter", "="]).exit(0);
}

#[test]
fn what_is_no_file_is_read_once_or_refused() {
    let batch = Batch::of("task_id\na\n");
    symlink("nowhere.csv", batch.path("dangling.csv")).unwrap();
    symlink("loop.csv", batch.path("loop.csv")).unwrap();
    symlink("songs.csv", batch.path("link.csv")).unwrap();
    fs::create_dir(batch.path("folder.csv")).unwrap();
    let table = [
        ("run /dev/null", 7, "`/dev/null` is empty; it needs a header row"),
        ("run dangling.csv", 7, "/dangling.csv`\n  caused by: No such file"),
        ("run loop.csv", 7, "Too many levels of symbolic links"),
        ("run folder.csv", 7, "cannot read `folder.csv`\n  caused by: is a directory"),
        ("run songs.csv/", 7, "Not a directory"),
        ("run ''", 7, "cannot read ``"),
        ("run link.csv", 0, "to send        1"),
        ("run - <songs.csv", 0, "to send        1"),
        ("run - </dev/null", 7, "standard input is empty"),
        ("run - <&-", 7, "standard input"),
        ("run fifo.csv", 0, "to send        2"),
    ];
    for (words, code, said) in table {
        let (command, redirection) = words.split_at(words.find('<').unwrap_or(words.len()));
        let fifo = "mkfifo fifo.csv && { printf 'task_id\\na\\nb\\n' >fifo.csv & };";
        let fifo = if words.contains("fifo") { fifo } else { "" };
        let ran = batch.shell(&format!("{fifo} {PROGRAM} {command} --dry-run --sandbox {redirection}"));
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code == Some(code) && told.contains(said), "{words}: {:?}\n{told}", ran.code);
    }
}

#[test]
fn ids_that_look_like_something_else_travel_as_they_are() {
    let ids = [
        "--help",
        "-o",
        "../../etc/passwd",
        "/etc/passwd",
        "%2e%2e",
        "%00",
        "{task_id}",
        "{{task_id}}",
        "$(id)",
        "`id`",
        "${HOME}",
        "@SUM(A1)",
        "a;b",
        "a|b",
        "a\\b",
        "a'b",
        "<b>",
        "*",
        "0",
        "~",
        "a%0d%0aX:y",
        "\\u0000",
    ];
    let service = Scripted::accepting();
    let rows: Vec<String> = ids.iter().map(|id| format!("{id},t\n")).collect();
    let batch = Batch::of(format!("task_id,title\n{}", rows.concat()))
        .to(&service.address())
        .env("COVERBATCH_NO_CALLBACK", "0");
    let callback = "https://label.example/hook/{task_id}?id={task_id}";
    let ran = batch.run(&["--callback-url", callback]).exit(0).silent();
    assert_eq!(ran.table().column("task_id"), ids);
    let mut sent: Vec<String> = Vec::new();
    for request in service.requests() {
        let body: Value = request.body_json().unwrap();
        let id = body["taskId"].as_str().unwrap().to_owned();
        let encoded: String = id
            .bytes()
            .map(|byte| match byte {
                b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        assert_eq!(body["callBackUrl"], format!("https://label.example/hook/{encoded}?id={encoded}"));
        assert_eq!(request.url.path(), "/api/v1/suno/cover/generate");
        sent.push(id);
    }
    sent.sort_unstable();
    let mut expected = ids.to_vec();
    expected.sort_unstable();
    assert_eq!(sent, expected);
    for id in ids {
        batch.shell(&format!("{PROGRAM} why --ledger songs.db -- '{}'", id.replace('\'', "'\\''"))).exit(0);
    }
}

#[test]
fn cells_that_are_formulas_or_no_text_stay_byte_for_byte() {
    let rows: &[&[u8]] = &[
        b"=HYPERLINK(\"\"http://x.example\"\"),\"a",
        b"+1,\"-2",
        b"@SUM(A1:A9),\"\t=1",
        b"\xff\xfe\x80,\"caf\xe9",
        b"\x1b[31m,\"\x01\x02",
        b"  padded  ,\"line 1\r\nline 2\nline 3\r",
    ];
    let mut text = b"task_id,title,note\n".to_vec();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<&[u8]> = row.split(|byte| *byte == b',').collect();
        let title = if cells[0].contains(&b'"') { [b"\"", cells[0], b"\""].concat() } else { cells[0].to_vec() };
        text.extend([format!("id{number},").as_bytes(), &title, b",", cells[1], b"\"\n"].concat());
    }
    let batch = Batch::of(&text);
    batch.run(&["--sandbox", "--rate", "20/1s"]).exit(0);
    let cells = |path: &Path| -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).unwrap();
        let records = reader.byte_records().map(Result::unwrap);
        records.map(|record| record.iter().take(3).map(<[u8]>::to_vec).collect()).collect()
    };
    assert_eq!(cells(&batch.sandbox_results_path()), cells(&batch.catalog()));
    assert_eq!(cells(&batch.catalog()).len(), rows.len());
}

/// What somebody does to the catalog while its rows are being sent.
type Deed = fn(&Path);

#[test]
fn a_catalog_that_changes_during_the_run_costs_no_answer() {
    const ROWS: usize = 1200;
    let service = StandIn::quick(&["--latency", "15ms"]);
    let text: &str = &(0..ROWS).fold("task_id,x\n".to_owned(), |text, row| text + &format!("t{row},1\n"));
    let deeds: [(&str, Deed, i32, i32); 6] = [
        ("it grows", |path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more,1\n").unwrap(), 8, 4),
        ("it shrinks", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(31).unwrap(), 8, 0),
        ("it is emptied", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap(), 8, 7),
        (
            "it is written over",
            |path| {
                OpenOptions::new().write(true).open(path).unwrap().write_all_at(b"other\n", 10).unwrap();
            },
            8,
            4,
        ),
        (
            "it is replaced",
            |path| {
                let other = path.with_extension("new");
                fs::write(&other, "task_id\nother\n").unwrap();
                fs::rename(other, path).unwrap();
            },
            0,
            7,
        ),
        ("it vanishes", |path| fs::remove_file(path).unwrap(), 0, 7),
    ];
    for (nth, (what, deed, code, after)) in deeds.into_iter().enumerate() {
        let batch = Batch::of(text.replace("\nt", &format!("\nd{nth}t"))).to(&service.address);
        let batch = batch.env("COVERBATCH_RATE", "10000/1s");
        let mut running = batch.start(&[]);
        let wal = batch.path("songs.db-wal");
        wait_for("rows to be sent", || running.is_over() || wal.metadata().is_ok_and(|file| file.len() > 200_000));
        assert!(!running.is_over(), "{what}: too quick");
        deed(&batch.catalog());
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{what}: {}", ran.stderr);
        if code == 0 {
            assert_eq!(ran.table().with("submitted"), ROWS as u64, "{what}");
        } else {
            assert!(ran.stderr.contains("was changed while it was being read"), "{what}: {}", ran.stderr);
            assert!(ran.stderr.contains("hint: ") && !batch.results_path().exists(), "{what}: {}", ran.stderr);
        }
        let why = batch.shell(&format!("{PROGRAM} why --ledger songs.db d{nth}t0")).exit(0);
        assert!(why.stdout.contains("submitted"), "{what}: {}", why.stdout);
        assert_eq!(batch.call("results", &[]).code, Some(after), "{what}");
    }
}

/// A results CSV is a catalog, and anybody may have written it.
#[test]
fn files_that_a_results_csv_names_outside_of_the_images_are_not_opened() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["unused"]).to(&service.address());
    batch.run(&[]).exit(0).silent();
    let folder = batch.path("covers");
    fs::create_dir(&folder).unwrap();
    for name in ["covers/own.png", "secret.png"] {
        image::RgbImage::new(8, 8).save(batch.path(name)).unwrap();
    }
    symlink("../secret.png", folder.join("link.png")).unwrap();
    let absolute = batch.path("secret.png").display().to_string();
    let shown = |file: &str| {
        let mut cells = ResultColumn::WORDS.map(|_| "");
        cells[ResultColumn::Status as usize] = "completed";
        cells[ResultColumn::Image1 as usize] = "https://x.example/1.png";
        cells[ResultColumn::File1 as usize] = file;
        let row = cells.join(",");
        fs::write(batch.catalog(), format!("task_id,{}\na,{row}\n", ResultColumn::WORDS.join(","))).unwrap();
        batch.call("report", &["--download", "covers", "-o", "page.html"]).exit(0);
        let page = fs::read_to_string(batch.path("page.html")).unwrap();
        (page.contains("data:image/jpeg;base64,"), page.contains("secret.png"))
    };
    assert_eq!(shown("own.png"), (true, false));
    for outside in ["../secret.png", "x/../../secret.png", "./../secret.png", &absolute, "link.png", "..", ""] {
        assert_eq!(shown(outside), (false, false), "{outside}");
    }
}
