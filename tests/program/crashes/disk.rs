//! A disk that is full, and writes that fail, for the ledger and for the results.
//!
//! Writes fail with EFBIG by a limit on the length of files, which needs no rights, and with ENOSPC on a file system in
//! memory of a few hundred KiB, in a mount namespace of its own that ends with the run. Where such namespaces are not
//! allowed, those tests print a note and pass.

use std::fs;
use std::path::PathBuf;

use super::counting::Counting;
use super::known::{Known, LEDGER, OLD_RESULTS, finishes, repeated, strays};
use crate::story::{Batch, PROGRAM, Ran, Table, can_mount};

const IN_FLIGHT: usize = 16;

const OPTIONS: &str = "--concurrency 16 --rate 5000/1s";

/// Runs the batch with files limited to so many blocks of 512 bytes.
fn run_with_short_files(batch: &Batch, blocks: u32) -> Ran {
    batch.shell(&format!("trap '' XFSZ; ulimit -f {blocks}; exec {PROGRAM} run songs.csv {OPTIONS}"))
}

/// Runs with the folder `small` on a file system of so many KiB; what it holds at the end is copied to the disk.
fn run_with_small_disk(batch: &Batch, kib: u32, options: &str) -> Ran {
    let inside = format!(
        "mount -t tmpfs -o size={kib}k none small && {{ cp -a kept/. small/ 2>/dev/null; \
         {PROGRAM} run songs.csv {OPTIONS} {options}; code=$?; mkdir -p kept; cp -a small/. kept/; exit $code; }}"
    );
    fs::create_dir_all(batch.path("small")).unwrap();
    batch.shell(&format!("unshare --mount --map-root-user sh -c '{inside}'"))
}

/// After a failure of the ledger: all that the service was asked for is known, and no more than that is lost.
fn judged(batch: &Batch, service: &Counting, known: &Known) {
    service.reads_the_rest();
    let seen = service.total();
    assert!(seen < 200, "the disk was not full");
    known.holds_against(&service.asked(), &service.answered());
    assert!(known.settled.len() + IN_FLIGHT >= seen, "{} of {seen} are settled", known.settled.len());
    // The results say what the ledger knows if there is room for them; half of them is never there.
    let results = batch.results_path();
    assert!(!results.exists() || Table::read(&results, b',').len() == 200);
}

#[test]
fn a_ledger_that_cannot_grow_stops_the_run_and_the_next_one_with_room_finishes() {
    for blocks in [250, 400, 600] {
        let service = Counting::answering_within(1..=10);
        let batch = Batch::tracks(200).to(&service.address());
        let ran = run_with_short_files(&batch, blocks).exit(8);
        let ledger = batch.path(LEDGER).display().to_string();
        ran.says(&format!("error: cannot write to the ledger `{ledger}`\n  caused by: disk I/O error")).says(
            "hint: nothing more was sent and nothing settled is lost; once the ledger can be written, run the same",
        );
        let known = Known::of(&batch);
        judged(&batch, &service, &known);
        let seen = service.total();
        finishes(&batch, &[], 200);
        assert!(repeated(&service, seen).iter().all(|task| known.in_doubt.contains(task)));
    }
}

#[test]
fn a_disk_that_fills_up_stops_the_run_and_the_next_one_with_room_finishes() {
    if !can_mount() {
        return;
    }
    for kib in [300, 600] {
        let service = Counting::answering_within(1..=10);
        let batch = Batch::tracks(200).to(&service.address());
        let ledger = format!("--ledger small/{LEDGER}");
        let ran = run_with_small_disk(&batch, kib, &ledger).exit(8);
        ran.says(&format!("error: cannot write to the ledger `small/{LEDGER}`\n  caused by: database or disk is full"))
            .says(
                "hint: nothing more was sent and nothing settled is lost; once the ledger can be written, run the same",
            );
        let kept = batch.path("kept").join(LEDGER);
        let known = Known::at(&batch, &batch.path("kept"));
        judged(&batch, &service, &known);
        let seen = service.total();
        finishes(&batch, &["--ledger", kept.to_str().unwrap()], 200);
        assert!(repeated(&service, seen).iter().all(|task| known.in_doubt.contains(task)));
    }
}

/// However little is lacking at the end of a run: what it has sent it does not deny.
#[test]
fn a_run_whose_end_cannot_be_noted_does_not_say_that_nothing_was_sent() {
    let mut is_met = false;
    for blocks in (200..520).step_by(4) {
        let service = Counting::answering_within(1..=1);
        let batch = Batch::tracks(1).to(&service.address());
        let ran = run_with_short_files(&batch, blocks);
        if service.total() == 0 {
            continue;
        }
        if ran.code == Some(0) {
            break;
        }
        let ran = ran.exit(8);
        assert!(!ran.stderr.contains("nothing was sent"), "{}", ran.stderr);
        let is_settled = ran.results.exists() && ran.table().column("cover_status") == ["submitted"];
        is_met |= is_settled && ran.stderr.contains("hint: nothing more was sent and nothing settled is lost");
    }
    assert!(is_met, "the end could always be noted");
}

#[test]
fn without_room_for_a_ledger_nothing_is_sent() {
    for blocks in [0, 1, 8, 40] {
        let service = Counting::answering_within(1..=1);
        let batch = Batch::tracks(20).to(&service.address());
        let ran = run_with_short_files(&batch, blocks).exit(8);
        // With less its words do not fit into a file either.
        if blocks > 1 {
            ran.says(LEDGER).says("caused by: ").says("hint: nothing was sent; ");
        }
        assert_eq!(service.total(), 0, "{blocks} blocks");
        finishes(&batch, &[], 20);
        assert_eq!(service.total(), 20);
    }
}

/// A batch whose results are longer than its ledger's log, settled; its service would see anything sent again.
fn settled(service: &Counting) -> Batch {
    let rows: Vec<String> = (1..=150).map(|number| format!("track{number},{}\n", "x".repeat(5000))).collect();
    let batch = Batch::of(format!("task_id,note\n{}", rows.concat())).to(&service.address());
    batch.run(&["--rate", "5000/1s"]).exit(0).silent();
    batch
}

#[test]
fn results_that_do_not_fit_leave_the_old_ones_byte_for_byte() {
    let service = Counting::answering_within(1..=1);
    let batch = settled(&service);
    let whole = fs::read(batch.results_path()).unwrap();
    for old in [Some(OLD_RESULTS.as_bytes()), Some(&whole), None] {
        match old {
            Some(old) => fs::write(batch.results_path(), old).unwrap(),
            None => fs::remove_file(batch.results_path()).unwrap(),
        }
        let ran = run_with_short_files(&batch, 1000).exit(8);
        ran.says("songs.results.csv`\n  caused by: File too large (os error 27)")
            .says("hint: the ledger holds every answer");
        assert_eq!(fs::read(batch.results_path()).ok().as_deref(), old);
        assert_eq!(strays(batch.folder()), Vec::<PathBuf>::new());
    }
    batch.call("results", &[]).exit(0);
    assert_eq!(fs::read(batch.results_path()).unwrap(), whole);
    assert_eq!(service.total(), 150);
}

#[test]
fn results_on_a_full_disk_leave_the_old_ones_and_every_answer_is_in_the_ledger() {
    if !can_mount() {
        return;
    }
    let service = Counting::answering_within(1..=1);
    let batch = settled(&service);
    fs::remove_file(batch.path(LEDGER)).unwrap();
    fs::create_dir(batch.path("kept")).unwrap();
    fs::write(batch.path("kept/r.csv"), OLD_RESULTS).unwrap();
    let ran = run_with_small_disk(&batch, 500, "-o small/r.csv").exit(8);
    ran.says("small/r.csv`\n  caused by: No space left on device").says("hint: the ledger holds every answer");
    assert_eq!(fs::read(batch.path("kept/r.csv")).unwrap(), OLD_RESULTS.as_bytes());
    assert_eq!(strays(&batch.path("kept")), Vec::<PathBuf>::new());
    assert_eq!(Known::of(&batch).settled.len(), 150, "every answer is kept");
    batch.call("results", &[]).exit(0);
    assert_eq!(service.total(), 300);
}
