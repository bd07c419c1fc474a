//! `kill -9` at random moments, again and again over one batch, and no repair between.

use std::env;
use std::thread::sleep;
use std::time::Duration;

use super::counting::Counting;
use super::known::{Known, finishes, repeated, strays};
use crate::story::{Batch, Running};

/// How many kills if nothing else is asked for, and over how many rows.
const SHORT: (usize, usize) = (15, 300);

/// Over how many rows if more kills are asked for.
const LONG_ROWS: usize = 2000;

/// A row has its slot from before it is announced until its answer is durable, so no more than these come into doubt.
const IN_FLIGHT: usize = 16;

const OPTIONS: [&str; 4] = ["--concurrency", "16", "--rate", "5000/1s"];

/// What came of the kills.
#[derive(Debug, Default)]
struct Figures {
    batches: usize,
    kills: usize,
    submissions: usize,
    repeats: usize,
    most_new_doubts: usize,
}

#[test]
fn killed_at_random_moments_nothing_is_lost_and_only_what_is_in_doubt_is_sent_twice() {
    let asked_for = env::var("COVERBATCH_TEST_KILLS").ok().map(|number| number.parse().unwrap());
    let (kills, rows) = asked_for.map_or(SHORT, |kills| (kills, LONG_ROWS));
    let mut figures = Figures::default();
    while figures.kills < kills {
        survives(rows, kills, &mut figures);
    }
    println!("{rows} rows a batch: {figures:?}");
}

/// One batch, killed until `kills` are reached or nothing is left to do.
fn survives(rows: usize, kills: usize, figures: &mut Figures) {
    let service = Counting::answering_within(1..=20);
    let batch = Batch::tracks(rows).to(&service.address());
    let mut before = Known::default();
    let begun_with = figures.kills;
    figures.batches += 1;
    while figures.kills < kills {
        let seen = service.total();
        let run = batch.start(&OPTIONS);
        let left = rows - before.settled.len();
        let was_killed = is_killed(run, &service, seen + fastrand::usize(0..=2 * left / (kills - figures.kills)));
        before = judged(&batch, &service, seen, &before, figures);
        if !was_killed {
            break;
        }
        figures.kills += 1;
    }
    let seen = service.total();
    finishes(&batch, &OPTIONS, rows);
    judged(&batch, &service, seen, &before, figures);
    let repeats = service.total() - rows;
    assert!(repeats <= IN_FLIGHT * (figures.kills - begun_with), "{repeats} repeats");
    assert_eq!(service.asked().len(), rows);
    assert_eq!(strays(batch.folder()), Vec::<std::path::PathBuf>::new());
    figures.submissions += service.total();
    figures.repeats += repeats;
}

/// Kills a run at some moment of its start, or once the service has seen so many submissions; `false` if the run was
/// over before.
fn is_killed(mut run: Running, service: &Counting, submissions: usize) -> bool {
    if fastrand::u8(0..4) > 0 {
        while service.total() < submissions && !run.is_over() {
            sleep(Duration::from_millis(1));
        }
    }
    sleep(Duration::from_micros(fastrand::u64(0..60_000)));
    if run.is_over() {
        run.finish().exit(0);
        return false;
    }
    drop(run);
    true
}

/// What the ledger knows after a run, which sent again only what had been in doubt before it, and nothing twice.
fn judged(batch: &Batch, service: &Counting, seen: usize, before: &Known, figures: &mut Figures) -> Known {
    service.reads_the_rest();
    let mut again = repeated(service, seen);
    let known = Known::of(batch);
    for task in &again {
        assert!(before.in_doubt.contains(task), "{task} was sent again, and nobody doubted it");
    }
    let count = again.len();
    again.sort();
    again.dedup();
    assert_eq!(again.len(), count, "one run sent a row twice");
    known.holds_against(&service.asked(), &service.answered());
    assert!(before.settled.is_subset(&known.settled), "{:?} was settled", before.settled.difference(&known.settled));
    let new_doubts = known.in_doubt.difference(&before.in_doubt).count();
    assert!(new_doubts <= IN_FLIGHT, "{new_doubts} rows came into doubt by one kill");
    figures.most_new_doubts = figures.most_new_doubts.max(new_doubts);
    known
}
