//! Rows that are out of the ordinary: odd ids, a catalog from a pipe, music that is not ready, and the sample batch.

use std::fs;
use std::path::Path;

use super::stage::{DOWNLOAD, FOLDER, LEDGER, Seeing, assert_images, download, images, learned, learns, quick};
use crate::story::{Batch, Ran, Table};

#[test]
fn no_id_leads_out_of_the_folder_and_no_two_share_a_file() {
    let service = quick(&[]);
    let long = "L".repeat(128);
    let slashes = "/".repeat(128);
    let ids = [
        "a/b",
        "a%2Fb",
        "..",
        ".",
        "../../outside",
        "/tmp/outside",
        "-rf",
        "con.x",
        "~home",
        "Case",
        "case",
        "a\\b",
        "*?",
        &long,
        &slashes,
    ];
    let batch = learned(ids, &service.address);
    let before = fs::read_dir(batch.folder().parent().unwrap()).unwrap().count();
    let ran = batch.run(&DOWNLOAD).exit(0);
    assert_eq!(ran.table().with("completed"), 15);
    assert_images(&batch, &ran);
    let names = images(&batch);
    assert_eq!(names.len(), 30, "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with('.') && name.len() < 256), "{names:?}");
    assert!(names.contains(&"a%2Fb-1.png".to_owned()) && names.contains(&"%2E.-2.png".to_owned()), "{names:?}");
    let all = names.iter().all(|name| batch.path(FOLDER).join(name).is_file());
    assert!(all && !Path::new("/tmp/outside-1.png").exists());
    let others: Vec<_> = batch.listing().into_iter().filter(|name| !name.starts_with("songs.")).collect();
    assert_eq!(others, [FOLDER]);
    let after = fs::read_dir(batch.folder().parent().unwrap())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("outside"));
    assert_eq!(after.count(), 0, "of {before}");
}

#[test]
fn a_catalog_from_a_pipe_and_a_folder_named_relatively_and_with_spaces() {
    let service = quick(&[]);
    let batch = Batch::ids(["unused"]).to(&service.address).input("task_id,title\na1,One\nb2,Two\n");
    learns(&batch);
    let options = ["run", "-", "--ledger", LEDGER, "-o", "songs.results.csv", "--poll-rate", "1000/1s"];
    let words: Vec<&str> = options.iter().copied().chain(["--download", "./deep er/still/cov ers"]).collect();
    let ran = batch.start_words(&words).finish().exit(0);
    assert_eq!(ran.table().column("cover_file_2"), ["a1-2.png", "b2-2.png"]);
    assert_eq!(fs::read_dir(batch.path("deep er/still/cov ers")).unwrap().count(), 4);
}

#[test]
fn music_that_is_not_ready_waits_and_music_that_failed_is_never_asked_a_cover_for() {
    let service = Seeing::quick();
    let batch = learned(["a1", "unfinished-b2", "unfinishedx1-c3", "musicfail-d4"], &service.address());
    let options = download(&["--check-music"]);
    let ends = |ran: &Ran| ran.table().rows(&["cover_status", "cover_reason", "cover_attempts"]);
    let first = batch.run(&options).exit(4);
    let waits = "pending music_not_ready 0";
    assert_eq!(ends(&first), ["completed generated 1", waits, waits, "failed music_failed 0"]);
    assert_eq!(service.stats().accepted, 1);
    let second = batch.run(&options).exit(4);
    assert_eq!(ends(&second), ["completed generated 1", waits, "completed generated 1", "failed music_failed 0"]);
    assert_eq!(service.stats().accepted, 2);
    assert_images(&batch, &second);
    let third = batch.run(&options).exit(4);
    assert_eq!(third.table().column("cover_retryable"), ["no", "yes", "no", "no"]);
}

#[test]
fn the_sample_of_covers_ends_as_its_column_says() {
    let service = quick(&[]);
    let batch = Batch::sample("covers.csv").to(&service.address);
    learns(&batch);
    let options = ["--wait", "--check-music", "--ledger", LEDGER, "--wait-timeout", "3s"];
    let ran = batch.run(&[DOWNLOAD.as_slice(), &options].concat()).exit(4);
    let table = Table::read(&ran.results, b',');
    assert_eq!(table.rows(&["cover_status", "cover_reason"]), table.rows(&["expected"]));
    assert_eq!(images(&batch).len(), 16);
}
