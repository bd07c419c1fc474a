//! A folder of images that hangs, as a network share whose server is gone: nothing but its own images waits for it.
//!
//! `strace` holds up each call that synchronises the folder, which is the last one before an image counts as saved. It
//! holds the threads that made them even after the program has ended, so the end is seen at its first thread. Where
//! calls cannot be held up, the tests print a note and pass.

use std::fs;
use std::process::Command;

use coverbatch::clock::Clock;

use super::stage::{FOLDER, LEDGER, Seeing, exchange, learned_tracks, ledger};
use crate::story::{Batch, PROGRAM, Running, wait_for};

const ROWS: u32 = 60;

/// Longest time for one request; the folder has four times as long before it is given up.
const TIMEOUT: &str = "10s";

/// A batch whose service makes covers in no time.
fn batch(service: &Seeing) -> Option<Batch> {
    let batch =
        learned_tracks(ROWS as usize, &service.address()).env("COVERBATCH_CALLBACK_SECRET", "a-secret-for-the-tests");
    fs::create_dir(batch.path(FOLDER)).unwrap();
    if batch.shell("strace -f -o calls -e inject=fsync:delay_enter=1 /bin/true").code != Some(0) {
        println!("not tested: system calls cannot be held up here");
        return None;
    }
    Some(batch)
}

/// This command, whose folder of images hangs for a minute at a time.
fn hangs(batch: &Batch, words: &str) -> Running {
    let folder = batch.path(FOLDER).display().to_string();
    batch.start_shell(&format!(
        "exec strace -f -o calls -P {folder} -e trace=fsync -e inject=fsync:delay_enter=60000000 \
         {PROGRAM} {words} --download {FOLDER} --poll-rate 1000/1s --timeout {TIMEOUT}"
    ))
}

/// Asks the program under `strace` to end, which it does soon; what it has said.
#[track_caller]
fn ends(traced: &Running) -> String {
    let clock = Clock::start();
    let children = format!("/proc/{0}/task/{0}/children", traced.pid());
    let program = fs::read_to_string(children).unwrap().trim().to_owned();
    assert!(Command::new("kill").args(["-TERM", &program]).status().unwrap().success());
    let status = || fs::read_to_string(format!("/proc/{program}/status")).unwrap_or_default();
    wait_for("the program to end", || status().is_empty() || status().contains("State:\tZ"));
    assert!(clock.elapsed().as_secs() < 5, "{:?}", clock.elapsed());
    traced.stderr_so_far()
}

/// Whether something holds up the folder now.
fn is_hanging(batch: &Batch) -> bool {
    fs::read_to_string(batch.path("calls")).is_ok_and(|calls| calls.contains("fsync("))
}

#[test]
fn submissions_go_on_while_the_folder_hangs_and_a_signal_ends_the_run() {
    let service = Seeing::quick();
    let Some(batch) = batch(&service) else { return };
    let run = hangs(&batch, "run songs.csv --rate 20/1s");
    wait_for("the folder to hang", || is_hanging(&batch));
    let before = service.submissions();
    assert!(before < 30, "{before} of {ROWS} rows were sent before");
    let settled = || {
        let sql = "SELECT count(*) FROM task WHERE state = 'submitted' AND id LIKE 'track%'";
        ledger(&batch).query_row(sql, (), |row| row.get::<_, u32>(0)).unwrap()
    };
    wait_for("all submissions", || settled() == ROWS);
    assert!(ends(&run).contains("coverbatch: stopped, interrupted by a signal; 60 of 60 rows have no cover yet"));
    assert!(batch.results_path().exists());
    assert_eq!(settled(), ROWS, "none is saved");
}

#[test]
fn a_receiver_whose_folder_hangs_answers_and_ends_when_asked_to() {
    let service = Seeing::quick();
    let Some(batch) = batch(&service) else { return };
    batch.run(&[]).exit(0);
    let receiver = hangs(&batch, &format!("receive --ledger {LEDGER} --listen 127.0.0.1:0"));
    wait_for("the receiver to listen", || receiver.stdout_so_far().ends_with('\n'));
    let address = receiver.stdout_so_far().trim().strip_prefix("listening on ").unwrap().to_owned();
    super::stage::hasten(&batch);
    wait_for("the folder to hang", || is_hanging(&batch));
    let clock = Clock::start();
    assert_eq!(exchange(&address, "GET /healthz", "").0, 200);
    assert!(clock.elapsed().as_secs() < 2, "{:?}", clock.elapsed());
    ends(&receiver);
}
