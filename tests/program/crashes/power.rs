//! Power loss, as far as a test can go: the files as they are between any two writes, and with a torn end.
//!
//! Tested: the run is stopped with all its threads (SIGSTOP) at random moments, its files are copied, and it goes on.
//! Every copy, opened later without the index of its log, knows every submission that the service had seen before the
//! copy began (the intent is written before the first byte is sent), and holds as settled all but as many as may be in
//! flight (a flight makes room for another only when its outcome is written) and all that `results` had shown before.
//! Then the end of the log is cut off or scrambled at random places, as by a write that power loss has cut short: such
//! a ledger opens without repair, holds a part of the truth and nothing false, and a run on it finishes.
//!
//! Not tested: no real power was cut, so a copy holds what was written, not what was synchronised. That a commit
//! survives power loss rests on `synchronous=FULL`, on SQLite's order of writes, and on a disk that does what `fsync`
//! says; with `synchronous=OFF` these tests stay green. What is synchronised before what, `order` looks at.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use super::counting::Counting;
use super::known::{Known, LEDGER, copy_ledger, finishes, freeze, log_name, signal};
use crate::story::Batch;

const ROWS: usize = 240;

/// A row has its slot from before it is announced until its answer is durable, so no more than these come into doubt.
const IN_FLIGHT: usize = 16;

const OPTIONS: [&str; 4] = ["--concurrency", "16", "--rate", "5000/1s"];

/// The files at one moment, and what was certain before it.
struct Moment {
    folder: TempDir,
    asked: BTreeSet<String>,
    answered: BTreeSet<String>,
    shown: BTreeSet<String>,
}

/// A run that was stopped and copied again and again, and its service.
fn moments() -> (Batch, Counting, Vec<Moment>) {
    let service = Counting::answering_within(10..=40);
    let batch = Batch::tracks(ROWS).to(&service.address());
    let mut run = batch.start(&OPTIONS);
    let mut moments = Vec::new();
    let mut shown = BTreeSet::new();
    while !run.is_over() {
        sleep(Duration::from_millis(fastrand::u64(0..50)));
        if moments.len() % 4 == 3 && batch.path(LEDGER).exists() {
            shown = shown_now(&batch);
        }
        let asked = service.asked();
        if run.is_over() {
            break;
        }
        freeze(&run);
        let folder = tempfile::tempdir().unwrap();
        copy_ledger(&batch, folder.path());
        let answered = service.answered();
        signal(&run, "CONT");
        moments.push(Moment { folder, asked, answered, shown: shown.clone() });
    }
    run.finish().exit(0).silent();
    (batch, service, moments)
}

/// What `results` shows as settled while the run goes on.
fn shown_now(batch: &Batch) -> BTreeSet<String> {
    let now = batch.call("results", &["-o", "now.csv"]);
    assert!(matches!(now.code, Some(0 | 4)), "{now:?}");
    Known::in_table(&crate::story::Table::read(&batch.path("now.csv"), b',')).settled
}

#[test]
fn in_the_files_of_any_moment_every_submission_is_known_and_every_counted_answer_settled() {
    let (batch, _service, moments) = moments();
    assert!(moments.len() >= 5, "only {} moments", moments.len());
    for Moment { folder, asked, answered, shown } in &moments {
        let known = Known::at(&batch, folder.path());
        known.holds_against(asked, answered);
        assert!(known.settled.len() + IN_FLIGHT >= asked.len(), "{} of {}", known.settled.len(), asked.len());
        assert!(shown.is_subset(&known.settled), "lost: {:?}", shown.difference(&known.settled));
        assert!(known.in_doubt.len() <= IN_FLIGHT, "{:?}", known.in_doubt);
    }
}

#[test]
fn a_log_with_a_torn_end_is_a_part_of_the_truth_and_a_run_on_it_finishes() {
    let (batch, _service, moments) = moments();
    for (number, Moment { folder, .. }) in moments.iter().filter(|moment| has_log(moment.folder.path())).enumerate() {
        // First, because looking at the ledger may move the log into it.
        let torn = torn(folder.path());
        let whole = Known::at(&batch, folder.path());
        let known = Known::at(&batch, torn.path());
        assert!(known.settled.is_subset(&whole.settled), "moment {number}");
        if number % 5 == 0 {
            // They would tell the ledger what it has lost.
            let _ = fs::remove_file(batch.results_path());
            let ledger = torn.path().join(LEDGER);
            finishes(&batch, &[&["--ledger", ledger.to_str().unwrap()], &OPTIONS[..]].concat(), ROWS);
        }
    }
}

fn has_log(folder: &Path) -> bool {
    fs::metadata(folder.join(log_name())).is_ok_and(|file| file.len() > 0)
}

/// A copy whose log ends too early or in garbage.
fn torn(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    if folder.join(LEDGER).exists() {
        fs::copy(folder.join(LEDGER), copy.path().join(LEDGER)).unwrap();
    }
    let mut log = fs::read(folder.join(log_name())).unwrap();
    let end = fastrand::usize(0..log.len());
    if fastrand::bool() {
        log.truncate(end);
    } else {
        fastrand::fill(&mut log[end..]);
    }
    fs::write(copy.path().join(log_name()), log).unwrap();
    copy
}
