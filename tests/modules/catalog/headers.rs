//! Headers, the lines before them, the same header again, and rows of blanks or with missing and surplus cells.

use coverbatch::catalog::CatalogOptions;

use super::{A, B, C, ids, lines, open, open_with, rows};

#[test]
fn the_names_of_the_id_column_may_be_spelled_in_any_way() {
    let names = [
        "Task ID",
        "TASK_ID",
        "Task_Id",
        "taskid",
        "task-id",
        "TaskId",
        "task  id",
        "Music Task ID",
        "music-task-id",
        "ID",
        "Id",
        "\"Task\nID\"",
        "Task\u{a0}ID",
        "\u{feff}\"Task Id\"",
        "MUSICTASKID",
    ];
    for name in names {
        let text = format!("title,{name}\nx,{A}\n");
        assert_eq!(ids(&open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"))), [A], "{name}");
    }
    for name in ["ids", "task", "song", "task.id", "taskids", "identity"] {
        let refused = open(format!("title,{name}\nx,{A}\n")).unwrap_err();
        assert!(refused.contains("--id-column") && refused.contains("line 1"), "{refused}");
    }
    let twice = open(format!("Task ID,TASK_ID\n{A},{B}\n")).unwrap_err();
    assert!(twice.contains("more than once"), "{twice}");
}

#[test]
fn lines_before_the_header_are_named_and_can_be_skipped() {
    let table = [
        (format!("# exported by tool 3\ntask_id,title\n{A},x\n"), 1),
        (format!("Songs,,\nMay 2026,,\n,,\ntask_id,title,artist\n{A},x,y\n"), 3),
        (format!("\u{feff}Report \"May\"\r\n\r\ntask_id;title\r\n{A};x\r\n"), 2),
        (format!("a title, with a comma\rtask_id\ttitle\r{A}\tx\r"), 1),
        (format!("-- {}\ntask_id,title\n{A},x\n", "x".repeat(200_000)), 1),
        (format!("it says \"\n\"task_id\",\"title\"\n{A},x\n"), 1),
        (format!("\"opened, never closed\ntask_id,title\n{A},x\n"), 1),
    ];
    for (text, skip_lines) in table {
        let refused = open(&text).unwrap_err();
        if !text.starts_with("\"opened") {
            let hint = format!(
                "line {} looks like the header; skip the lines before it with --skip-lines {skip_lines}",
                skip_lines + 1
            );
            assert!(refused.ends_with(&hint), "{refused}");
        }
        let catalog = open_with(&text, &CatalogOptions { skip_lines, ..CatalogOptions::default() }).unwrap();
        assert_eq!((ids(&catalog), lines(&catalog)), (vec![A.to_owned()], vec![skip_lines + 2]), "{text}");
    }
    let all = open_with("a\nb\n", &CatalogOptions { skip_lines: 5, ..CatalogOptions::default() }).unwrap_err();
    assert!(all.contains("is empty"), "{all}");
}

#[test]
fn a_row_equal_to_the_header_is_no_row() {
    let table = [
        format!("task_id,title\n{A},x\ntask_id,title\n{B},y\n"),
        format!("\u{feff}task_id,title\r\n{A},x\r\n\u{feff}task_id,title\r\n{B},y\r\n"),
        format!("\u{feff}\"task_id\",\"title\"\n\"{A}\",\"x\"\n\u{feff}\"task_id\",\"title\"\n\u{feff}\"{B}\",\"y\"\n"),
        format!("task_id,title\n{A},x\n\"task_id\", title \n{B},y\n"),
        format!("\"title, short\",task_id\nx,{A}\n\u{feff}\"title, short\",task_id\n\u{feff}\"Low, high\",{B}\n"),
        format!("task_id,title,note\n{A},x,y\ntask_id,title\n{B},y\n"),
        format!("title,task_id\nx,{A}\ntitle,task_id,,\ny,{B}\n"),
        format!("task_id\ttitle\n{A}\tx\ntask_id\ttitle\ntask_id\ttitle\n{B}\ty"),
    ];
    for text in table {
        let catalog = open(&text).unwrap();
        assert_eq!(ids(&catalog), [A, B], "{text}");
        assert_eq!(catalog.check().rows, 2);
    }
    let unbroken = [
        format!("\u{feff}task_id,title\n{A},x\u{feff}task_id,title\n{B},y"),
        format!("task_id,title\n{A},xtask_id,title\n{B},y"),
        format!("\u{feff}\"task_id\",title,note\n{A},x,\u{feff}\"task_id\",\"title\",note\n{B},y,\n"),
        format!("\u{feff}task_id\n{A}\u{feff}task_id\n{B}"),
    ];
    for text in unbroken {
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(ids(&catalog), [A, B], "{text}");
        let last = catalog.own_cells(&rows(&catalog)[0]).last().unwrap().to_vec();
        assert!([&b"x"[..], b"", A.as_bytes()].contains(&&last[..]), "{text}");
    }
    let word = open("id\n5c8\nkid\nid\n").unwrap();
    assert_eq!(ids(&word), ["5c8", "kid"]);
    let other = open(format!("task_id,title\n{A},x\nTask ID,artist,title\n{B},y\n")).unwrap();
    assert_eq!(ids(&other)[1], "the id is the name of a column; is this the header of another file?");
}

#[test]
fn a_row_of_blanks_is_no_row() {
    for blank in
        [",,", " , ,", "\"\",\"\",\"\"", "\u{a0},\t,\u{200b}", ",", " ", "\"\n\",,", ",,,,,,", "\u{feff}", "\" \""]
    {
        let text = format!("{blank}\ntask_id,title,artist\n{blank}\n{A},x,y\n{blank}\n{blank}\n{B},,\n{blank}");
        let catalog = open(&text).unwrap_or_else(|refused| panic!("{text}{refused}"));
        assert_eq!(ids(&catalog), [A, B], "{text:?}");
    }
    let seen = open("task_id,title\n,x\n,.\n").unwrap();
    assert_eq!(ids(&seen), ["the id is empty", "the id is empty"]);
}

#[test]
fn missing_and_surplus_empty_cells_at_the_end_are_no_fault() {
    let text = format!("task_id,title,artist,note\n{A}\n{B},x\n{C},x,y,z,,\n{A},,,, ,\"\",\u{a0}\n{B},1,2,3,4\n");
    let catalog = open(text).unwrap();
    let expected = "the row goes on after the last column (1 more); a cell that holds the delimiter needs quotes";
    assert_eq!(ids(&catalog), [A, B, C, A, expected]);
    let surplus: Vec<usize> = rows(&catalog).iter().map(|row| catalog.surplus_cells(row).count()).collect();
    assert_eq!(surplus, [0, 0, 0, 0, 1]);
    assert!(rows(&catalog).iter().all(|row| catalog.own_cells(row).count() == 4));

    let wide = open(format!("task_id,title,,\n{A},x\n{B},y,,\n")).unwrap();
    assert_eq!(ids(&wide), [A, B]);
    let late = open(format!("title,artist,task_id\nx,y,{A}\nx,y\nx\n")).unwrap();
    assert_eq!(ids(&late), [A, "the id is empty", "the id is empty"]);
}

#[test]
fn a_header_that_looks_like_the_ids_below_it_is_a_row() {
    let table = [
        format!("{A},x\n{B},y\n"),
        format!("=\"{A}\",x\n=\"{B}\",y\n"),
        "SONG-0001,x\nSONG-0002,y\n".to_owned(),
        "5f0c1d7e-9b2a,x\n0b9d2c71-e6f8,y\n".to_owned(),
        "1001,x\n1002,y\n".to_owned(),
    ];
    let by_number = CatalogOptions { id_column: Some("1".to_owned()), ..CatalogOptions::default() };
    for text in table {
        let refused = open_with(&text, &by_number).unwrap_err();
        assert_eq!(refused, "`songs.csv` has no header row: its first row already holds a task id", "{text}");
    }
    for text in [format!("song 1,x\n{A},y\n"), "track,x\nriver,y\n".to_owned(), "id2,x\nab12,y\n".to_owned()] {
        assert_eq!(open_with(&text, &by_number).unwrap().check().rows, 1, "{text}");
    }
}
