//! `kill -9` of runs and receivers at random moments, again and again over one batch, and no repair between.

use std::collections::BTreeMap;
use std::env;
use std::thread::sleep;
use std::time::Duration;

use super::stage::{DOWNLOAD, Seeing, assert_images, hasten, images, learned_tracks, ledger, receive};
use crate::story::{Batch, Running, Signal, wait_for};

/// How many kills if nothing else is asked for, and over how many rows.
const SHORT: (usize, usize) = (12, 150);

/// Over how many rows if more kills are asked for.
const LONG_ROWS: usize = 600;

/// What a run may be killed over.
const IN_FLIGHT: u64 = 16;

/// What is known of each music task: its state, its submissions and its files.
type Known = BTreeMap<String, (String, u64, u64)>;

/// What the ledger says, read beside the program.
fn known(batch: &Batch) -> Known {
    let ledger = ledger(batch);
    let mut query =
        ledger.prepare("SELECT id, state, submissions, (file_1 IS NOT NULL) + (file_2 IS NOT NULL) FROM task").unwrap();
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, u32>(at).map(u64::from);
    let rows = query.query_map((), |row| Ok((row.get(0)?, (row.get(1)?, number(row, 2)?, number(row, 3)?)))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn is_settled(state: &str) -> bool {
    matches!(state, "submitted" | "exists" | "completed")
}

/// A kill -9 brings nothing back: what was settled is not sent again, what was on disk stays there.
#[track_caller]
fn holds(before: &Known, after: &Known) {
    for (task, (state, submissions, files)) in before {
        let (state_after, submissions_after, files_after) = &after[task];
        if is_settled(state) {
            assert!(is_settled(state_after), "{task} was {state} and is {state_after}");
            assert_eq!(submissions_after, submissions, "{task} was settled and is sent again");
        }
        assert!(files_after >= files, "{task} has lost a file");
    }
}

fn begin(batch: &Batch, address: &str) -> Running {
    let template = format!("{address}/callback/{{task_id}}/{{token}}");
    let own = ["--callback-url", template.as_str(), "--concurrency", "16", "--rate", "150/1s"];
    batch.start(&[DOWNLOAD.as_slice(), &own].concat())
}

#[test]
fn killed_at_random_moments_every_image_is_on_disk_and_nothing_settled_is_sent_again() {
    let asked_for = env::var("COVERBATCH_TEST_KILLS").ok().map(|number| number.parse().unwrap());
    let (kills, rows) = asked_for.map_or(SHORT, |kills| (kills, LONG_ROWS));
    let mut done = 0;
    while done < kills {
        done += survives(rows, kills - done);
    }
}

/// One batch, killed at most so often; returns how often it was.
fn survives(rows: usize, most: usize) -> usize {
    let service = Seeing::quick();
    let batch = learned_tracks(rows, &service.address()).env("COVERBATCH_CALLBACK_SECRET", "a-secret-for-the-tests");
    let (mut receiver, mut address) = receive(&batch, &[]);
    let (mut kills, mut runs, mut before) = (0, 1, known(&batch));
    let mut run = begin(&batch, &address);
    while kills < most && !run.is_over() {
        sleep(Duration::from_millis(fastrand::u64(0..600)));
        let victims = fastrand::u8(1..4);
        let (kills_run, kills_receiver) = (victims & 1 > 0, victims & 2 > 0);
        if kills_run {
            drop(run);
            before = judged(&batch, &before);
            run = begin(&batch, &address);
            runs += 1;
        }
        if kills_receiver {
            drop(receiver);
            before = judged(&batch, &before);
            (receiver, address) = receive(&batch, &[]);
        }
        kills += usize::from(kills_run) + usize::from(kills_receiver);
    }
    drop(run);
    finishes(&batch, &address, rows);
    receiver.signal(Signal::Term);
    receiver.finish().exit(0);
    judged(&batch, &before);
    let seen = service.stats();
    let repeats = service.submissions() - u64::try_from(rows).unwrap() - 1;
    println!("{rows} rows, {kills} kills: {repeats} submissions repeated, {seen:?}");
    assert!(repeats <= IN_FLIGHT * runs, "{repeats} repeats");
    assert_eq!((seen.accepted, seen.keys_at_images), (u64::try_from(rows).unwrap(), 0));
    let results = batch.call("results", &[]).exit(0);
    assert_images(&batch, &results);
    assert_eq!(images(&batch).len(), 2 * rows);
    kills
}

fn judged(batch: &Batch, before: &Known) -> Known {
    let now = known(batch);
    holds(before, &now);
    now
}

/// Runs to the end; what killed processes had claimed is due again when its time has come.
fn finishes(batch: &Batch, address: &str, rows: usize) {
    let mut run = begin(batch, address);
    wait_for("all images", || {
        hasten(batch);
        sleep(Duration::from_millis(200));
        run.is_over()
    });
    let ran = run.finish().exit(0).silent();
    let table = ran.table();
    assert_eq!((table.len(), table.with("completed")), (rows, u64::try_from(rows).unwrap()));
}
