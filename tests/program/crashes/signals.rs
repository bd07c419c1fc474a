//! SIGINT and SIGTERM at any moment: while a large catalog is checked, in the middle, during the last write, and twice.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::counting::Counting;
use super::known::{Known, LEDGER, OLD_RESULTS, finishes, freeze, signal, strays};
use crate::story::{Batch, Running, Table, wait_for};

const OPTIONS: [&str; 4] = ["--concurrency", "16", "--rate", "5000/1s"];

/// Rows of a catalog that takes a while to be checked and to be written.
const LARGE: usize = 60_000;

/// A large catalog for a service; all of its rows are the same music task, so that few are sent.
fn large(rows: usize, service: &Counting) -> Batch {
    Batch::of(format!("task_id,note\n{}", format!("one,{}\n", "x".repeat(100)).repeat(rows))).to(&service.address())
}

/// Waits for the last write of a run to have begun, into another file than those that are there.
fn wait_for_the_last_write(batch: &Batch, run: &mut Running, earlier: &[PathBuf]) {
    let has_begun = |path: &PathBuf| !earlier.contains(path) && fs::metadata(path).is_ok_and(|file| file.len() > 0);
    wait_for("the last write", || run.is_over() || strays(batch.folder()).iter().any(has_begun));
    assert!(!run.is_over(), "the last write went by too fast to be seen");
}

#[test]
fn one_signal_at_any_moment_leaves_no_row_in_doubt_and_the_next_run_repeats_nothing() {
    let service = Counting::answering_within(1..=20);
    let batch = Batch::tracks(200).to(&service.address());
    for name in ["INT", "TERM"].into_iter().cycle().take(12) {
        let run = batch.start(&OPTIONS);
        sleep(Duration::from_millis(fastrand::u64(0..120)));
        signal(&run, name);
        let ran = run.finish();
        // Before it listens the signal ends it; after the last row it has nothing to stop.
        let code = if name == "INT" { 130 } else { 143 };
        assert!(ran.code.is_none_or(|found| found == code || found == 0), "{ran:?}");
        let known = Known::of(&batch);
        assert!(known.in_doubt.is_empty(), "{:?}", known.in_doubt);
        if ran.code.is_some() {
            assert_eq!(ran.table().len(), 200, "the results are written");
        }
    }
    finishes(&batch, &OPTIONS, 200);
    assert_eq!(service.total(), 200, "nothing is sent twice");
}

#[test]
fn two_signals_at_any_moment_leave_at_once_and_the_ledger_is_safe() {
    let service = Counting::answering_within(10..=60);
    let batch = Batch::tracks(200).to(&service.address());
    let mut doubted = 0;
    for _ in 0..8 {
        let seen = service.total();
        let mut run = batch.start(&OPTIONS);
        wait_for("some requests", || service.total() > seen + 10 || run.is_over());
        if run.is_over() {
            break;
        }
        signal(&run, "INT");
        wait_for("the first to be heard", || run.stderr_so_far().contains("stopping"));
        let answers_are_awaited = !run.is_over();
        signal_if_alive(&run);
        let code = run.finish().code;
        assert!(code == Some(143) && answers_are_awaited || code == Some(130), "{code:?}");
        service.reads_the_rest();
        let known = Known::of(&batch);
        known.holds_against(&service.asked(), &service.answered());
        doubted += known.in_doubt.len();
    }
    finishes(&batch, &OPTIONS, 200);
    assert!(service.total() <= 200 + doubted, "{} submissions, {doubted} in doubt", service.total());
}

/// A second signal, unless the first was enough.
fn signal_if_alive(run: &Running) {
    let line = format!("kill -TERM {} 2>/dev/null || true", run.pid());
    assert!(std::process::Command::new("/bin/sh").args(["-c", &line]).status().unwrap().success());
}

#[test]
fn a_signal_while_the_catalog_is_checked_sends_nothing() {
    let service = Counting::answering_within(1..=1);
    let batch = large(LARGE, &service);
    let run = batch.start(&OPTIONS);
    wait_for("the program to listen", || listens(&run));
    signal(&run, "TERM");
    let ran = run.finish().exit(143).says("stopped, interrupted by a signal;");
    assert_eq!(ran.table().with("pending"), LARGE as u64);
    assert_eq!(service.total(), 0);
}

#[test]
fn two_signals_while_the_catalog_is_checked_leave_at_once_and_leave_nothing() {
    let service = Counting::answering_within(1..=1);
    let batch = large(5 * LARGE, &service);
    let run = batch.start(&OPTIONS);
    wait_for("the program to listen", || listens(&run));
    signal(&run, "TERM");
    wait_for("the first to be heard", || run.stderr_so_far().contains("stopping"));
    assert!(!batch.path(LEDGER).exists(), "the catalog was checked too fast for this test");
    signal(&run, "INT");
    run.finish().exit(130);
    assert_eq!(batch.listing(), ["songs.csv"]);
    assert_eq!(service.total(), 0);
}

/// Whether a process handles SIGTERM itself.
fn listens(run: &Running) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (15 - 1) != 0
}

#[test]
fn a_signal_during_the_last_write_lets_it_finish() {
    let service = Counting::answering_within(1..=1);
    let batch = large(LARGE, &service);
    let mut run = batch.start(&OPTIONS);
    wait_for_the_last_write(&batch, &mut run, &[]);
    signal(&run, "TERM");
    let ran = run.finish().exit(143);
    assert_eq!(ran.table().with("submitted"), LARGE as u64);
    assert_eq!(strays(batch.folder()), Vec::<PathBuf>::new());
}

#[test]
fn a_last_write_cut_short_leaves_the_old_results_whole_and_no_litter_after_the_next_run() {
    let service = Counting::answering_within(1..=1);
    let batch = large(LARGE, &service);
    fs::write(batch.results_path(), OLD_RESULTS).unwrap();
    for ending in ["KILL", "INT"] {
        let earlier = strays(batch.folder());
        let mut run = batch.start(&OPTIONS);
        wait_for_the_last_write(&batch, &mut run, &earlier);
        signal(&run, ending);
        if ending == "INT" {
            wait_for("the first to be heard", || run.stderr_so_far().contains("stopping"));
            signal(&run, "INT");
        }
        let code = run.finish().code;
        assert!(matches!((ending, code), ("KILL", None) | ("INT", Some(130))), "{ending}: {code:?}");
        assert_eq!(fs::read(batch.results_path()).unwrap(), OLD_RESULTS.as_bytes());
    }
    batch.run(&OPTIONS).exit(0).silent();
    assert_eq!(Table::read(&batch.results_path(), b',').len(), LARGE);
    assert_eq!(strays(batch.folder()), Vec::<PathBuf>::new());
    assert_eq!(service.total(), 1);
}

/// For longer than the timeout of its requests.
#[test]
fn a_run_that_stood_still_hears_what_was_said_meanwhile() {
    let service = Counting::holding();
    let batch = Batch::tracks(3).to(&service.address());
    let run = batch.start(&["--timeout", "3s"]);
    wait_for("its requests", || service.total() == 3);
    freeze(&run);
    service.let_go();
    sleep(Duration::from_secs(4));
    signal(&run, "CONT");
    run.finish().exit(0).silent();
    assert_eq!(service.total(), 3);
}
