//! `receive`, called back by the stand-in and by strangers, alone and beside a run.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use coverbatch::clock::Clock;

use super::stage::{
    DOWNLOAD, FOLDER, LEDGER, Seeing, assert_images, exchange, hasten, images, learned_tracks, ledger, quick, receive,
};
use crate::story::{Batch, Ran, Running, Signal, wait_for};

const SECRET: &str = "a-secret-for-the-tests";

/// Rows of the ledger that are completed.
fn completed(batch: &Batch) -> u32 {
    let text = "SELECT count(*) FROM task WHERE state = 'completed' AND file_2 IS NOT NULL";
    ledger(batch).query_row(text, (), |row| row.get(0)).unwrap()
}

/// Runs the batch, to be called back at `address`.
fn run_called_back(batch: &Batch, address: &str, more: &[&str]) -> Ran {
    start_called_back(batch, address, more).finish().exit(0).silent()
}

fn start_called_back(batch: &Batch, address: &str, more: &[&str]) -> Running {
    let template = format!("{address}/callback/{{task_id}}/{{token}}");
    let options: Vec<&str> = ["--callback-url", &template].iter().chain(more).copied().collect();
    batch.start(&options)
}

/// Ends a receiver as a service manager does.
fn ends(receiver: Running) -> Ran {
    receiver.signal(Signal::Term);
    receiver.finish().exit(0)
}

#[test]
fn images_are_on_disk_soon_after_the_callback() {
    // Nothing has taught this ledger how long covers take: without hints nothing is looked at for a minute.
    let service = Seeing::with(|scenario| scenario.callbacks.as_mut().unwrap().repeats = 2);
    let batch = Batch::tracks(25).to(&service.address()).env("COVERBATCH_CALLBACK_SECRET", SECRET);
    let (receiver, address) = receive(&batch, &[]);
    run_called_back(&batch, &address, &[]);
    wait_for("all images", || completed(&batch) == 25);
    wait_for("the repeats", || service.stats().callbacks == 75);
    ends(receiver);
    let seen = service.stats();
    assert_eq!((seen.callbacks_answered_200, seen.images, seen.keys_at_images), (75, 50, 0));
    let times = from_end_to_file(&batch);
    println!("from the end of a cover, and its callback, to both files: {} ms, of {times:?}", times[times.len() / 2]);
    println!("{} reads for 25 covers, each called back 3 times", seen.reads);
    assert!(times[times.len() / 2] < 5000, "{times:?}");
    assert!(seen.reads <= 27, "{} reads", seen.reads);
    let ran = batch.call("results", &[]).exit(0);
    assert_eq!(ran.table().with("completed"), 25);
    assert_images(&batch, &ran);
}

/// Milliseconds from the end of each cover to its second file, in order; it is called back at its end.
fn from_end_to_file(batch: &Batch) -> Vec<i64> {
    let ledger = ledger(batch);
    let mut query = ledger.prepare("SELECT completed_at, file_2 FROM task").unwrap();
    let rows = query.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut times: Vec<i64> = rows
        .map(|row| {
            let (end, file): (i64, String) = row.unwrap();
            let written = fs::metadata(batch.path(FOLDER).join(file)).unwrap().modified().unwrap();
            i64::try_from(written.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() - end
        })
        .collect();
    times.sort_unstable();
    times
}

/// It has no catalog, and so no words: the ledger has them from the run.
#[test]
fn images_have_the_names_that_the_run_has_given_them() {
    let service = Seeing::quick();
    let batch = Batch::of("task_id,artist,title\na1,Miles Davis,So What\nb2,AC/DC,T.N.T.\n");
    let batch = batch.to(&service.address()).env("COVERBATCH_CALLBACK_SECRET", SECRET);
    let (receiver, address) = receive(&batch, &[]);
    run_called_back(&batch, &address, &["--name-template", "{artist} - {title}"]);
    wait_for("all images", || completed(&batch) == 2);
    ends(receiver);
    let names =
        ["AC_DC - T.N.T._1.png", "AC_DC - T.N.T._2.png", "Miles Davis - So What_1.png", "Miles Davis - So What_2.png"];
    assert_eq!(images(&batch), names);
    assert_images(&batch, &batch.call("results", &[]).exit(0));
}

#[test]
fn strangers_are_not_found_and_change_nothing() {
    let service = Seeing::with(|scenario| scenario.callbacks = None);
    let batch = Batch::tracks(2).to(&service.address()).env("COVERBATCH_CALLBACK_SECRET", SECRET);
    let (receiver, address) = receive(&batch, &[]);
    run_called_back(&batch, &address, &[]);
    let reads = service.stats().reads;
    for path in ["/callback/track1/wrong", "/callback/track1/", "/callback/track1", "/", "/callback/../healthz"] {
        assert_eq!(exchange(&address, &format!("POST {path}"), r#"{"taskId":"track1"}"#).0, 404, "{path}");
    }
    assert_eq!(exchange(&address, "GET /healthz", "").0, 200);
    let hinted: u32 = ledger(&batch).query_row("SELECT count(woken_at) FROM task", (), |row| row.get(0)).unwrap();
    assert_eq!((hinted, service.stats().reads), (0, reads));
    ends(receiver);
}

#[test]
fn with_a_webhook_key_only_what_is_signed_with_it_is_a_hint() {
    for (signs_with, taken) in [(Some("the-right-key"), true), (Some("another-key"), false), (None, false)] {
        let service = Seeing::with(|scenario| {
            let callbacks = scenario.callbacks.as_mut().unwrap();
            callbacks.signing_key = signs_with.map(|key| key.parse().unwrap());
        });
        let batch = Batch::tracks(3)
            .to(&service.address())
            .env("COVERBATCH_CALLBACK_SECRET", SECRET)
            .env("COVERBATCH_WEBHOOK_KEY", "the-right-key");
        let (receiver, address) = receive(&batch, &[]);
        run_called_back(&batch, &address, &[]);
        wait_for("the callbacks", || service.stats().callbacks >= 3);
        if taken {
            wait_for("all images", || completed(&batch) == 3);
        }
        let hinted: u32 = ledger(&batch).query_row("SELECT count(woken_at) FROM task", (), |row| row.get(0)).unwrap();
        assert_eq!(hinted, if taken { 3 } else { 0 }, "{signs_with:?}");
        assert_eq!(service.stats().callbacks_answered_200 > 0, taken, "{signs_with:?}");
        let ran = ends(receiver);
        for secret in [SECRET, "the-right-key", "a-key-for-the-tests"] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran:?}");
        }
    }
}

#[test]
fn a_receiver_and_a_run_that_waits_share_a_ledger_and_fetch_every_image_once() {
    let service = Seeing::quick();
    let batch = learned_tracks(40, &service.address()).env("COVERBATCH_CALLBACK_SECRET", SECRET);
    let (receiver, address) = receive(&batch, &[]);
    let run = start_called_back(&batch, &address, &[DOWNLOAD.as_slice(), &["--rate", "40/1s"]].concat());
    let ran = run.finish().exit(0).silent();
    assert_eq!(ran.table().with("completed"), 40);
    assert_images(&batch, &Ran { results: ran.results.clone(), ..ends(receiver) });
    let seen = service.stats();
    println!("{} reads for 40 covers, {} callbacks", seen.reads, seen.callbacks_answered_200);
    assert_eq!((seen.images - 80, seen.accepted, seen.keys_at_images), (80, 40, 0));
}

#[test]
fn asked_to_end_in_the_middle_of_its_work_a_receiver_ends_well_and_the_next_one_goes_on() {
    let service = quick(&["--generation", "100ms..900ms"]);
    let batch = Batch::tracks(40).to(&service.address).env("COVERBATCH_CALLBACK_SECRET", SECRET);
    let (receiver, address) = receive(&batch, &[]);
    run_called_back(&batch, &address, &[]);
    wait_for("some images", || completed(&batch) > 3);
    ends(receiver);
    assert!(images(&batch).iter().all(|name| !name.starts_with('.')), "{:?}", images(&batch));
    let port = address.strip_prefix("http://").unwrap();
    let listen = ["receive", "--ledger", LEDGER, "--listen", port];
    let words: Vec<&str> = listen.iter().chain(&DOWNLOAD).copied().collect();
    let receiver = batch.start_words(&words);
    let clock = Clock::start();
    // What was not called back while nobody listened is looked at when its time has come.
    wait_for("all images", || {
        let at = clock.unix().0;
        ledger(&batch)
            .execute("UPDATE task SET due_at = min(due_at, ?1) WHERE due_at IS NOT NULL AND image_1 IS NULL", [at])
            .unwrap();
        completed(&batch) == 40
    });
    ends(receiver);
    assert_images(&batch, &batch.call("results", &[]).exit(0));
}

#[test]
fn a_receiver_without_a_secret_or_with_an_address_in_use_does_not_begin() {
    let service = quick(&[]);
    let batch = Batch::tracks(1).to(&service.address);
    let words = ["receive", "--ledger", LEDGER, "--listen", "127.0.0.1:0"];
    batch.start_words(&words).finish().exit(2).says("COVERBATCH_CALLBACK_SECRET");
    let batch = batch.env("COVERBATCH_CALLBACK_SECRET", SECRET);
    let (receiver, address) = receive(&batch, &[]);
    let host = address.strip_prefix("http://").unwrap();
    let ran = batch.start_words(&["receive", "--ledger", LEDGER, "--listen", host]).finish().says(host);
    assert!(ran.code != Some(0), "{ran:?}");
    ends(receiver);
}

#[test]
fn covers_that_only_a_results_file_knew_are_followed_by_a_receiver() {
    let service = Seeing::with(|scenario| scenario.generation = Duration::ZERO..=Duration::ZERO);
    let batch = Batch::tracks(3).to(&service.address()).env("COVERBATCH_CALLBACK_SECRET", SECRET);
    batch.run(&[]).exit(0).silent();
    // What the stand-in says of itself is not believed.
    let results = fs::read_to_string(batch.results_path()).unwrap().replace("(sandbox)", "");
    fs::write(batch.catalog(), results).unwrap();
    fs::remove_file(batch.path(LEDGER)).unwrap();
    batch.run(&[]).exit(0).silent();
    assert_eq!(service.submissions(), 3, "the new ledger took over what the old one knew");
    hasten(&batch);
    let (receiver, _) = receive(&batch, &[]);
    wait_for("all images", || completed(&batch) == 3);
    ends(receiver);
}
