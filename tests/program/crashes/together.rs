//! Several runs of one account at the same time, each a process of its own: they share the rows, the limit and the pauses.
//!
//! Told of a file and, by `tests/postgres`, of a database. The long forms: `COVERBATCH_TEST_KILLS=100`, `COVERBATCH_TEST_ROWS=2000`,
//! `COVERBATCH_TEST_SECONDS=30 cargo test --test program together::`, or `--test postgres together::`.

use std::collections::BTreeSet;
use std::env;
use std::time::Duration;

use super::counting::Counting;
use super::engine::{known, with_ledger, with_one_ledger, with_two_accounts};
use super::known::{finishes, freeze, repeated, signal};
use crate::story::{Batch, Running, Table, wait_for};

/// A number that makes a story longer than usual.
fn number(variable: &str, usual: usize) -> usize {
    env::var(variable).map_or(usual, |count| count.parse().unwrap())
}

/// Starts so many runs over the batch's catalog, each with results of its own.
fn started(batch: &Batch, count: usize, options: &[&str]) -> Vec<Running> {
    let start = |n| {
        let results = format!("results-{n}.csv");
        batch.start(&[&["-o", &results], options].concat())
    };
    (0..count).map(start).collect()
}

/// Every row settled, whichever run's results are read.
#[track_caller]
fn all_settled(batch: &Batch, runs: usize, rows: usize) {
    for n in 0..runs {
        let table = Table::read(&batch.path(format!("results-{n}.csv")), b',');
        assert_eq!(table.len(), rows);
    }
    finishes(batch, &[], rows);
}

#[track_caller]
fn asked_once(service: &Counting, rows: usize) {
    assert_eq!(repeated(service, 0), Vec::<String>::new());
    assert_eq!(service.total(), rows);
}

#[test]
fn four_runs_over_one_catalog_send_each_row_once_and_keep_one_limit() {
    let rows = number("COVERBATCH_TEST_ROWS", 60);
    let service = Counting::answering_within(5..=20);
    let batch = with_ledger(Batch::tracks(rows).to(&service.address()));
    let mut runs = started(&batch, 4, &["--rate", "20/1s"]);
    // Longer than one process is waited for, if it is many rows.
    while !runs.iter_mut().all(Running::is_over) && service.total() < rows {
        std::thread::sleep(Duration::from_millis(50));
    }
    for run in runs {
        run.finish().exit(0).silent();
    }
    asked_once(&service, rows);
    let most = service.most_in(Duration::from_secs(1));
    assert!(most <= 20, "{most} in one second");
    // A few rows say nothing of the pace.
    let ideal = Duration::from_secs(1) * u32::try_from(rows - 1).unwrap() / 20;
    let used = ideal.div_duration_f64(service.took());
    assert!(rows < 1_000 || used >= 0.95, "{used} of the limit was used");
    all_settled(&batch, 4, rows);
}

#[test]
fn two_catalogs_that_share_rows_are_one_account() {
    let service = Counting::answering_within(1..=10);
    let [first, second] = [40, 60].map(|rows| Batch::tracks(rows).to(&service.address()));
    let (first, second) = with_one_ledger(first, second);
    let (one, two) = (first.start(&["--rate", "50/1s"]), second.start(&["--rate", "50/1s"]));
    one.finish().exit(0).silent();
    two.finish().exit(0).silent();
    asked_once(&service, 60);
    assert!(service.most_in(Duration::from_secs(1)) <= 50);
}

#[test]
fn a_small_catalog_that_begins_later_has_its_share_of_the_pace() {
    let service = Counting::answering_within(5..=20);
    let small: Vec<_> = (1..=20).map(|n| format!("small{n}")).collect();
    let batches = [Batch::tracks(1_000), Batch::ids(small.iter().map(String::as_str))];
    let [first, second] = batches.map(|batch| batch.to(&service.address()));
    let (first, second) = with_one_ledger(first, second);
    let large = first.start(&["--rate", "40/1s"]);
    wait_for("some requests", || service.total() >= 5);
    second.start(&["--rate", "40/1s"]).finish().exit(0).silent();
    let asked = service.after(0);
    drop(large);
    let is_small = |id: &String| id.starts_with("small");
    let (begin, end) = (asked.iter().position(is_small).unwrap(), asked.iter().rposition(is_small).unwrap());
    let between = end + 1 - begin - small.len();
    assert!(asked.len() < 1_000 && between < 3 * small.len(), "{between} between the first and the last of a few");
}

#[test]
fn two_accounts_side_by_side_share_nothing() {
    let services = [1, 2].map(|_| Counting::answering_within(1..=10));
    let [first, second] = [&services[0], &services[1]].map(|service| Batch::tracks(40).to(&service.address()));
    let (first, second) = with_two_accounts(first, second);
    for run in [first.start(&["--rate", "50/1s"]), second.start(&["--rate", "50/1s"])] {
        run.finish().exit(0).silent();
    }
    for service in &services {
        asked_once(service, 40);
        assert!(service.most_in(Duration::from_secs(1)) <= 50);
    }
}

#[test]
fn twenty_runs_that_start_at_once_on_no_ledger_share_one() {
    let service = Counting::answering_within(0..=5);
    let batch = with_ledger(Batch::tracks(60).to(&service.address()));
    for run in started(&batch, 20, &["--rate", "100/1s"]) {
        run.finish().exit(0);
    }
    asked_once(&service, 60);
    assert!(service.most_in(Duration::from_secs(1)) <= 100);
}

/// Kills one of four runs, and half as often as is asked for again; the others are told nothing, and find out by its lock.
/// Returns by how many rows it was asked for again, and how many are in doubt in the end, at each kill.
fn killed_among_four(in_doubt: &str) -> Vec<(usize, usize)> {
    let kills = number("COVERBATCH_TEST_KILLS", 4).div_ceil(2);
    let kill = |_| {
        let service = Counting::answering_within(5..=60);
        let batch = with_ledger(Batch::tracks(80).to(&service.address()));
        let options = ["--rate", "100/1s", "--concurrency", "4", "--in-doubt", in_doubt];
        let mut runs = started(&batch, 4, &options);
        let until = fastrand::usize(1..70);
        wait_for("some requests", || service.total() >= until);
        drop(runs.swap_remove(fastrand::usize(..4)));
        for run in runs {
            let ran = run.finish();
            assert!(matches!(ran.code, Some(0 | 3 | 4)), "{ran:?}");
        }
        let again: BTreeSet<String> = repeated(&service, 0).into_iter().collect();
        let known = known(&batch);
        known.holds_against(&service.asked(), &service.answered());
        finishes(&batch, &[], 80);
        assert!(service.most_in(Duration::from_secs(1)) <= 100);
        assert_eq!(service.asked().len(), 80);
        (again.len(), known.in_doubt.len())
    };
    (0..kills).map(kill).collect()
}

#[test]
fn of_four_runs_one_is_killed_and_only_its_rows_in_doubt_are_sent_again() {
    let counts = killed_among_four("resend");
    assert!(counts.iter().all(|(again, _)| *again <= 4), "{counts:?}");
}

#[test]
fn of_four_runs_one_is_killed_and_only_its_rows_in_doubt_are_held() {
    let counts = killed_among_four("hold");
    assert!(counts.iter().all(|(again, in_doubt)| *again == 0 && *in_doubt <= 4), "{counts:?}");
}

#[test]
fn a_run_that_stands_still_keeps_its_rows_and_the_others_go_on() {
    let service = Counting::holding();
    let batch = with_ledger(Batch::tracks(40).to(&service.address()));
    let frozen = started(&batch, 1, &["--rate", "100/1s", "--concurrency", "3"]).remove(0);
    wait_for("its requests", || service.total() == 3);
    freeze(&frozen);
    service.let_go();
    let other = batch.start(&["-o", "other.csv", "--rate", "100/1s"]);
    wait_for("the other rows", || service.total() == 40);
    std::thread::sleep(Duration::from_secs(number("COVERBATCH_TEST_SECONDS", 0) as u64));
    signal(&frozen, "CONT");
    frozen.finish().exit(0).silent();
    other.finish().exit(0).silent();
    asked_once(&service, 40);
}

#[test]
fn a_run_over_named_rows_leaves_those_of_a_killed_run_alone() {
    let service = Counting::holding();
    let batch = with_ledger(Batch::tracks(3).to(&service.address()));
    let run = batch.start(&["-o", "other.csv", "--only", "track3"]);
    wait_for("the named row", || service.total() == 1);
    // It begins after the other: what is in doubt before a run begins is none that it looks for.
    let killed = started(&batch, 1, &["--concurrency", "2"]).remove(0);
    wait_for("its requests", || service.total() == 3);
    drop(killed);
    service.let_go();
    run.finish().exit(0).silent();
    asked_once(&service, 3);
}

#[test]
fn an_outage_that_four_runs_meet_is_probed_by_one_request_at_a_time() {
    let service = Counting::answering_within(20..=20);
    let batch = with_ledger(Batch::tracks(60).to(&service.address()));
    let runs = started(&batch, 4, &["--rate", "50/1s"]);
    wait_for("some requests", || service.total() >= 10);
    service.refuse(true);
    let outage = Duration::from_secs(number("COVERBATCH_TEST_SECONDS", 4) as u64);
    wait_for("an outage of some seconds", || service.refused() >= 4 && service.outage() > outage);
    let refused = service.refused();
    service.refuse(false);
    for run in runs {
        // One may end while another has a row that was refused still before it.
        let ran = run.finish();
        assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    }
    finishes(&batch, &[], 60);
    // What was on its way when it began, then probes after 1, 2, 4, 8 and 16 seconds, each shortened by up to half.
    assert!(refused <= 4 + if outage > Duration::from_secs(4) { 7 } else { 4 }, "{refused} requests in an outage");
    assert_eq!(service.asked().len(), 60);
}
