//! The order of system calls, which is what power loss goes by: what was synchronised before it is there after it. And
//! calls that fail: a disk that takes bytes and then cannot keep them.
//!
//! Needs `strace` and leave to use it; where it is missing, the tests print a note and pass. With
//! `synchronous=OFF` it fails, and so it does if results are renamed before they are synchronised.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::counting::Counting;
use super::known::{Known, finishes, strays};
use crate::story::{Batch, PROGRAM, Ran};

const ROWS: usize = 40;

const CALLS: &str = "pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync,rename,renameat,renameat2";

/// A run of a new batch under `strace` with these options; `None` where that cannot be had.
fn watched(service: &Counting, options: &str) -> Option<(Batch, Ran)> {
    watched_over(ROWS, service, options)
}

fn watched_over(rows: usize, service: &Counting, options: &str) -> Option<(Batch, Ran)> {
    let batch = Batch::tracks(rows).to(&service.address());
    if batch.shell("strace -f -o calls /bin/true").code != Some(0) {
        println!("not tested: system calls cannot be watched here");
        return None;
    }
    let command = format!("{PROGRAM} run songs.csv --concurrency 8 --rate 5000/1s");
    let ran = batch.shell(&format!("strace -f -o calls {options} {command}"));
    Some((batch, ran))
}

/// The calls of a whole run, in the order in which they began or came back.
fn calls(service: &Counting) -> Option<(Batch, String)> {
    let (batch, ran) = watched(service, &format!("-y -s 70000 -e trace={CALLS}"))?;
    ran.exit(0);
    let calls = String::from_utf8_lossy(&fs::read(batch.path("calls")).unwrap()).into_owned();
    Some((batch, calls))
}

/// The music tasks that a page written to the log announces.
fn announced(call: &str) -> impl Iterator<Item = String> {
    let ids = call.split("in_flight").filter_map(|before| before.rsplit_once("track"));
    ids.map(|(_, number)| format!("track{number}"))
}

/// The music task that a call submits.
fn submitted(call: &str) -> Option<&str> {
    let (_, rest) = call.split_once(r#"taskId\":\""#).filter(|_| call.contains("POST /"))?;
    rest.split_once('\\').map(|(task, _)| task)
}

#[test]
fn every_announcement_is_synchronised_before_its_first_byte_is_sent() {
    let service = Counting::answering_within(1..=10);
    let Some((_batch, calls)) = calls(&service) else { return };
    let (mut written, mut durable) = (BTreeSet::new(), BTreeSet::new());
    let mut under_way: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut sent = 0;
    for (thread, call) in calls.lines().filter_map(|line| line.split_once(' ')) {
        let is_sync = call.trim_start().starts_with(['f', '<']) && call.contains("sync");
        if call.contains("pwrite64(") && call.contains("-wal>") {
            written.extend(announced(call));
        } else if is_sync && call.contains("-wal>") && call.contains("unfinished") {
            under_way.insert(thread, written.clone());
        } else if is_sync && call.contains("-wal>") {
            durable.extend(written.iter().cloned());
        } else if is_sync && call.contains("resumed") {
            durable.extend(under_way.remove(thread).unwrap_or_default());
        } else if let Some(task) = submitted(call) {
            assert!(durable.contains(task), "{task} was sent before its announcement was durable");
            sent += 1;
        }
    }
    assert_eq!(sent, ROWS);
}

#[test]
fn the_results_are_synchronised_before_they_take_their_place_and_the_folder_after() {
    let service = Counting::answering_within(1..=1);
    let Some((batch, calls)) = calls(&service) else { return };
    let folder = format!("{}>", real(batch.folder()));
    let calls: Vec<&str> = calls.lines().collect();
    let at = |name: &str, words: &str| calls.iter().rposition(|call| call.contains(name) && call.contains(words));
    let (file, renamed) = (at(" fsync(", ".coverbatch-csv-"), at(" rename", "songs.results.csv"));
    let folder = at(" fsync(", &folder);
    assert!(file.is_some() && file < renamed && renamed < folder, "{file:?} {renamed:?} {folder:?}");
}

fn real(folder: &Path) -> String {
    folder.canonicalize().unwrap().display().to_string()
}

#[test]
fn a_log_that_cannot_be_synchronised_stops_the_run_and_the_next_one_finishes() {
    let service = Counting::answering_within(1..=10);
    // Each thread counts its calls for itself, and one commit serves many rows.
    let (rows, failing) = (20 * ROWS, "-e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=10+");
    let Some((batch, ran)) = watched_over(rows, &service, failing) else { return };
    ran.exit(8).says("cannot write to the ledger").says("disk I/O error").says("hint: nothing more was sent");
    service.reads_the_rest();
    assert!(service.total() < rows, "nothing failed");
    Known::of(&batch).holds_against(&service.asked(), &service.answered());
    finishes(&batch, &[], rows);
}

#[test]
fn results_that_cannot_take_their_place_are_said_to_and_leave_nothing_behind() {
    let service = Counting::answering_within(1..=1);
    let calls = "rename,renameat,renameat2";
    let Some((batch, ran)) = watched(&service, &format!("-e trace={calls} -e inject={calls}:error=EIO")) else {
        return;
    };
    ran.exit(8).says("songs.results.csv`\n  caused by: Input/output error").says("hint: the ledger holds every answer");
    assert!(!batch.results_path().exists());
    assert_eq!(strays(batch.folder()), Vec::<PathBuf>::new());
    finishes(&batch, &[], ROWS);
    assert_eq!(service.total(), ROWS);
}

/// Calls by which a row gets into the ledger, onto the disk, to the service, and into the results.
const WRITE_PATH: [&str; 4] =
    ["pwrite64", "fsync,fdatasync", "write,writev,sendto,sendmsg", "rename,renameat,renameat2"];

/// Calls of one thread that are tried, one run each; all of them in the long form.
fn tried() -> Vec<u32> {
    let short = (1..=8).chain((10..40).step_by(6)).collect();
    std::env::var("COVERBATCH_TEST_KILLS").map_or(short, |_| (1..=120).collect())
}

#[test]
fn killed_at_any_call_of_the_write_path_the_next_run_needs_no_repair() {
    const FEW: usize = 3;
    for calls in WRITE_PATH {
        let mut kills = 0;
        for nth in tried() {
            let service = Counting::answering_within(1..=1);
            let options = format!("-e trace={calls} -e inject={calls}:signal=KILL:when={nth}");
            let Some((batch, ran)) = watched_over(FEW, &service, &options) else { return };
            if ran.code == Some(0) {
                break;
            }
            kills += 1;
            service.reads_the_rest();
            Known::of(&batch).holds_against(&service.asked(), &service.answered());
            let before = service.total();
            finishes(&batch, &[], FEW);
            let repeated = service.total() - FEW;
            assert!(repeated <= before.min(FEW), "{calls} {nth}: {repeated} repeated");
            assert_eq!(strays(batch.folder()), Vec::<PathBuf>::new());
        }
        assert!(kills > 0, "no run was killed at {calls}");
        println!("{calls}: killed at {kills} calls");
    }
}
