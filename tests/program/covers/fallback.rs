//! The default cover: wherever a row has none, until it has one.

use std::fs;
use std::io::Cursor;

use image::{DynamicImage, ImageFormat};

use super::stage::{DOWNLOAD, FOLDER, Seeing, download, get, hasten, images, learned, learns, quick};
use crate::story::{Batch, Ran, wait_for};

/// Rows as id, status, first file and whether it is the default.
fn shelf(ran: &Ran) -> Vec<String> {
    ran.table().rows(&["task_id", "cover_status", "cover_file_1", "cover_fallback"])
}

/// An image of another kind than the stand-in's, in the folder of the batch.
fn jpeg(batch: &Batch) -> Vec<u8> {
    let mut content = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(16, 16).write_to(&mut content, ImageFormat::Jpeg).unwrap();
    let content = content.into_inner();
    fs::write(batch.path("default.jpg"), &content).unwrap();
    content
}

#[test]
fn every_valid_row_without_a_cover_has_the_default_one_until_it_has_its_own() {
    let service = quick(&["--generation", "2s"]);
    let catalog = "task_id,title\na1,A\ngenfailx1-b2,B\ncode-422-c3,C\nconflict-d4,D\nbad id,E\nimg404x2-f6,F\n";
    let batch = Batch::of(catalog).to(&service.address);
    learns(&batch);
    let default = jpeg(&batch);
    let options = download(&["--default-cover", "default.jpg", "--wait-timeout", "1s", "--max-attempts", "1"]);
    let ran = batch.run(&options).exit(4);
    let expected = [
        "a1 submitted a1-1.jpg yes",
        "genfailx1-b2 submitted genfailx1-b2-1.jpg yes",
        "code-422-c3 failed code-422-c3-1.jpg yes",
        "conflict-d4 exists conflict-d4-1.jpg yes",
        "bad id invalid",
        "img404x2-f6 submitted img404x2-f6-1.jpg yes",
    ];
    assert_eq!(shelf(&ran), expected);
    assert_eq!(images(&batch).len(), 5);
    assert!(images(&batch).iter().all(|name| fs::read(batch.path(FOLDER).join(name)).unwrap() == default));
    let mut last = ran;
    wait_for("the covers to be finished", || {
        hasten(&batch);
        last = batch.run(&options);
        last.table().with("completed") == 3
    });
    let expected = [
        "a1 completed a1-1.png",
        "genfailx1-b2 completed genfailx1-b2-1.png",
        "code-422-c3 failed code-422-c3-1.jpg yes",
        "conflict-d4 exists conflict-d4-1.jpg yes",
        "bad id invalid",
        "img404x2-f6 completed img404x2-f6-1.png",
    ];
    assert_eq!(shelf(&last), expected);
    assert_eq!(images(&batch).len(), 8, "{:?}", images(&batch));
    let table = last.table();
    for row in [0, 1, 5] {
        let file = table.column("cover_file_1")[row];
        assert!(fs::read(batch.path(FOLDER).join(file)).unwrap() == get(table.column("cover_image_1")[row]), "{file}");
    }
}

#[test]
fn a_run_that_stops_early_leaves_the_default_cover_for_rows_it_never_reached() {
    let service = Seeing::with(|scenario| scenario.credits = Some(3));
    let batch = learned(["a1", "b2", "c3", "d4"], &service.address());
    jpeg(&batch);
    let ran = batch.run(&download(&["--default-cover", "default.jpg", "--concurrency", "1"])).exit(5);
    let table = ran.table();
    let (fallbacks, statuses) = (table.column("cover_fallback"), table.column("cover_status"));
    assert!(statuses.contains(&"pending"), "{statuses:?}");
    for (fallback, status) in fallbacks.iter().zip(&statuses) {
        assert_eq!(*fallback == "yes", *status != "completed", "{status}");
    }
    assert!(table.column("cover_file_1").iter().all(|file| batch.path(FOLDER).join(file).is_file()));
}

#[test]
fn named_rows_alone_are_waited_for_and_get_the_default_cover() {
    let service = quick(&[]);
    let batch = learned(["a1", "b2", "code-422-c3", "code-422-d4"], &service.address);
    jpeg(&batch);
    batch.run(&[]).exit(4);
    let only = |id: &'static str| download(&["--default-cover", "default.jpg", "--wait-timeout", "1s", "--only", id]);
    batch.run(&only("code-422-c3")).exit(4);
    wait_for("the cover to be finished", || {
        hasten(&batch);
        batch.run(&only("b2")).code == Some(0)
    });
    let ran = batch.call("results", &[]).exit(4);
    let expected =
        ["a1 submitted", "b2 completed b2-1.png", "code-422-c3 failed code-422-c3-1.jpg yes", "code-422-d4 failed"];
    assert_eq!(shelf(&ran), expected);
    assert_eq!(images(&batch).len(), 3);
}

#[test]
fn a_default_cover_that_is_no_image_or_not_there_is_refused_before_anything_is_sent() {
    let service = Seeing::quick();
    let batch = Batch::ids(["a1"]).to(&service.address());
    fs::write(batch.path("page.png"), "<html>").unwrap();
    fs::write(batch.path("empty.png"), "").unwrap();
    for file in ["page.png", "empty.png", "missing.png", "."] {
        batch.run(&download(&["--default-cover", file])).exit(2).says(&format!("`{file}`"));
    }
    batch.run(&["--default-cover", "page.png"]).exit(2).says("--download");
    assert_eq!(service.stats().requests, 0);
}

#[test]
fn one_of_the_same_kind_is_replaced_in_its_place() {
    let service = quick(&["--generation", "2s"]);
    let batch = learned(["imgjpeg-a1"], &service.address);
    jpeg(&batch);
    let options = download(&["--default-cover", "default.jpg", "--wait-timeout", "1s"]);
    let ran = batch.run(&options).exit(4);
    assert_eq!(shelf(&ran), ["imgjpeg-a1 submitted imgjpeg-a1-1.jpg yes"]);
    let before = fs::read(batch.path(FOLDER).join("imgjpeg-a1-1.jpg")).unwrap();
    wait_for("the cover to be finished", || {
        hasten(&batch);
        batch.run(&options).code == Some(0)
    });
    let ran = batch.call("follow", &DOWNLOAD).exit(0);
    assert_eq!(shelf(&ran), ["imgjpeg-a1 completed imgjpeg-a1-1.jpg"]);
    assert_ne!(fs::read(batch.path(FOLDER).join("imgjpeg-a1-1.jpg")).unwrap(), before);
    assert_eq!(images(&batch).len(), 2);
}

#[test]
fn an_ignored_row_is_neither_waited_for_nor_given_the_default_cover() {
    let service = quick(&["--generation", "1h"]);
    let batch = Batch::ids(["a", "code-404-b"]).to(&service.address);
    jpeg(&batch);
    let options = download(&["--default-cover", "default.jpg", "--wait-timeout", "1s"]);
    batch.run(&["--wait", "--wait-timeout", "1s"]).exit(4);
    let decide = |line: &str| batch.start_words(&line.split(' ').collect::<Vec<_>>()).finish().exit(0);
    decide("ignore a code-404-b");
    for ran in [batch.run(&options), batch.call("follow", &options)] {
        assert_eq!(shelf(&ran.exit(0)), ["a ignored", "code-404-b ignored"]);
    }
    assert!(images(&batch).is_empty());
    decide("ignore a --undo");
    assert!(decide("why a --json").json()["next_poll_at"].is_string(), "it is followed again");
    assert_eq!(shelf(&batch.run(&options).exit(4)), ["a submitted a-1.jpg yes", "code-404-b ignored"]);
}
