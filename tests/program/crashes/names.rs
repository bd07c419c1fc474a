//! Ledgers that lose their names while they are in use, and ledgers that have several.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::counting::Counting;
use super::known::{Known, LEDGER, finishes, log_name};
use crate::story::{Batch, Table, wait_for};

const OPTIONS: [&str; 4] = ["--concurrency", "4", "--rate", "5000/1s"];

/// How a file loses its name.
type Loss = Box<dyn Fn()>;

/// What can happen to the files of a ledger, and the one that lost its name.
fn losses(batch: &Batch) -> Vec<(&'static str, PathBuf, Loss)> {
    let (ledger, log) = (batch.path(LEDGER), batch.path(log_name()));
    let (index, away) = (batch.path(format!("{LEDGER}-shm")), batch.path("away"));
    let removed = |path: &PathBuf| {
        let path = path.clone();
        Box::new(move || fs::remove_file(&path).unwrap()) as Loss
    };
    let renamed = {
        let (ledger, away) = (ledger.clone(), away.clone());
        Box::new(move || fs::rename(&ledger, &away).unwrap())
    };
    let replaced = {
        let (ledger, away) = (ledger.clone(), away.clone());
        Box::new(move || {
            fs::copy(&ledger, &away).unwrap();
            fs::rename(&away, &ledger).unwrap();
        })
    };
    vec![
        ("removed", ledger.clone(), removed(&ledger)),
        ("renamed", ledger.clone(), renamed),
        ("replaced", ledger, replaced),
        ("its log removed", log.clone(), removed(&log)),
        ("its index removed", index.clone(), removed(&index)),
    ]
}

#[test]
fn a_ledger_that_loses_its_name_ends_the_run_and_the_results_hold_what_it_knew() {
    for case in 0..5 {
        let service = Counting::answering_within(5..=10);
        let batch = Batch::tracks(2000).to(&service.address());
        let run = batch.start(&OPTIONS);
        wait_for("some answers", || service.answered().len() > 20);
        let (what, lost, happens) = losses(&batch).remove(case);
        happens();
        let seen = service.total();
        let ran = run.finish().exit(8);
        ran.says(&format!("cannot write to the ledger `{}`", batch.path(LEDGER).display()))
            .says(&format!("{}` was removed, renamed or replaced", lost.file_name().unwrap().to_str().unwrap()))
            .says("hint: nothing more was sent; put it back under its name");
        // A request is announced before it is sent, and each announcement is a write.
        assert!(service.total() <= seen + 8, "{what}: {} after {seen}", service.total());
        let table = Table::read(&batch.results_path(), b',');
        let known = Known::in_table(&table);
        assert_eq!(table.len(), 2000, "{what}");
        assert!(known.settled.len() + 8 >= seen, "{what}: {} of {seen}", known.settled.len());
        known.holds_against(&service.asked(), &service.answered());
    }
}

#[test]
fn a_link_that_is_turned_to_another_ledger_ends_the_run() {
    let service = Counting::answering_within(5..=10);
    let batch = Batch::tracks(2000).to(&service.address());
    for name in ["one.db", "two.db"] {
        batch.run(&["--ledger", name, "--deadline", "1ms"]).exit(4);
    }
    symlink("one.db", batch.path(LEDGER)).unwrap();
    let run = batch.start(&OPTIONS);
    wait_for("some answers", || service.answered().len() > 20);
    symlink("two.db", batch.path("next")).unwrap();
    fs::rename(batch.path("next"), batch.path(LEDGER)).unwrap();
    run.finish().exit(8).says(&format!("{LEDGER}` was removed, renamed or replaced"));
}

#[test]
fn two_names_of_a_ledger_are_one_lock_and_one_log() {
    let service = Counting::holding();
    let batch = Batch::tracks(3).to(&service.address());
    let run = batch.start(&[]);
    wait_for("the requests", || service.total() == 3);
    // It comes before the other one by its name, so that this is no accident.
    fs::hard_link(batch.path(LEDGER), batch.path("a.db")).unwrap();
    symlink("a.db", batch.path("link.db")).unwrap();
    for name in ["a.db", "link.db"] {
        batch.run(&["--ledger", name]).exit(6).says(&format!("pid {} on ", run.pid()));
        batch.call("status", &["--ledger", name]).exit(4).prints("  in_doubt          3\n");
    }
    drop(run);
    batch.run(&["--ledger", "a.db", "--in-doubt", "hold"]).exit(4);
    assert_eq!(service.total(), 3, "what the log beside the other name knows is known");
    service.let_go();
    finishes(&batch, &["--ledger", "link.db"], 3);
    finishes(&batch, &[], 3);
    assert_eq!(service.total(), 6);
}

#[test]
fn a_ledger_with_a_name_elsewhere_is_refused_until_that_is_gone() {
    let service = Counting::answering_within(0..=0);
    let batch = Batch::tracks(2).to(&service.address());
    batch.run(&[]).exit(0);
    fs::create_dir(batch.path("elsewhere")).unwrap();
    fs::hard_link(batch.path(LEDGER), batch.path("elsewhere/x.db")).unwrap();
    let words = "it has 2 names, not all of them in its folder";
    batch.run(&[]).exit(2).says(words).says("hint: nothing was sent; remove the other names");
    batch.call("status", &[]).exit(2).says(words);
    fs::remove_file(batch.path("elsewhere/x.db")).unwrap();
    finishes(&batch, &[], 2);
    assert_eq!(service.total(), 2);
}
