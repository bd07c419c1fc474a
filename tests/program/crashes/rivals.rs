//! Several runs that write the same results: one wins, the others leave at once and send nothing.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::counting::Counting;
use super::known::{LEDGER, finishes};
use crate::story::{Batch, Ran, Running, wait_for};

/// How many start at once.
const RIVALS: usize = 50;

/// The longest a loser may take. Started alone it takes some ten milliseconds, here all 50 share the processors.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn of_fifty_runs_started_at_once_one_sends_and_the_others_name_it() {
    let service = Counting::holding();
    let batch = Batch::tracks(10).to(&service.address());
    leaves_a_dead_run(&batch, &service);
    let seen = service.total();
    let mut rivals = started(&batch);
    let mut losers = Vec::new();
    wait_for("all but one to leave", || {
        let over = rivals.extract_if(.., |(run, _)| run.is_over());
        losers.extend(over.map(|(run, begun)| (begun.elapsed(), run.finish())));
        rivals.len() <= 1
    });
    let (winner, _) = rivals.pop().unwrap();
    let holder = format!("another run writes the results `songs.results.csv`: pid {} on ", winner.pid());
    wait_for("the winner to send", || service.total() > seen);
    service.let_go();
    winner.finish().exit(0).silent();
    for (took, ran) in losers {
        judged(took, ran, &holder);
    }
    assert_eq!(service.total(), seen + 10);
    finishes(&batch, &[], 10);
}

#[track_caller]
fn judged(took: Duration, ran: Ran, holder: &str) {
    assert!(took < AT_ONCE, "left after {took:?}");
    ran.exit(6)
        .says(holder)
        .says(", started 20")
        .says("hint: nothing was sent; wait for that run, or stop it, and run again");
}

/// A run that is killed; its lock is free after it, and the ledger does not know yet.
fn leaves_a_dead_run(batch: &Batch, service: &Counting) {
    let run = batch.start(&[]);
    wait_for("its requests", || service.total() == 10);
    drop(run);
}

/// SQLite itself waits 5 s for it.
#[test]
fn another_program_that_keeps_the_ledger_locked_is_waited_for_as_long_as_an_outage_may_last() {
    let service = Counting::answering_within(1..=5);
    let batch = Batch::tracks(30).to(&service.address());
    let run = batch.start(&["--rate", "20/1s"]);
    wait_for("some requests", || service.total() >= 5);
    let other = Connection::open(batch.path(LEDGER)).unwrap();
    other.busy_timeout(Duration::from_secs(30)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let impatient = batch.start(&["-o", "other.csv", "--max-outage", "1s"]);
    wait_for("a word of it", || run.stderr_so_far().contains("another program keeps the ledger locked"));
    let before = service.total();
    impatient
        .finish()
        .exit(8)
        .says("caused by: database is locked")
        .says("hint: nothing was sent; once the ledger can be written, run again");
    assert_eq!(service.total(), before, "nothing can be announced");
    other.execute_batch("COMMIT").unwrap();
    let ran = run.finish().exit(0);
    assert_eq!(ran.stderr.matches("locked").count(), 1, "{ran:?}");
    assert_eq!(service.total(), 30);
    finishes(&batch, &[], 30);
    assert_eq!(service.total(), 30);
}

#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
fn started(batch: &Batch) -> Vec<(Running, Instant)> {
    (0..RIVALS).map(|_| (batch.start(&[]), Instant::now())).collect()
}

#[test]
fn a_stopped_holder_is_still_one_and_a_killed_one_is_none() {
    let service = Counting::holding();
    let batch = Batch::tracks(3).to(&service.address());
    let run = batch.start(&[]);
    wait_for("the requests", || service.total() == 3);
    super::known::freeze(&run);
    batch.run(&[]).exit(6).says(&format!("pid {} on ", run.pid()));
    drop(run);
    service.let_go();
    finishes(&batch, &[], 3);
    assert_eq!(service.total(), 6, "three were in doubt");
}
