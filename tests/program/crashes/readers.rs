//! Commands that only read, asked by a user who may not write: they answer, agree with the runs' own user, and leave
//! nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::counting::Counting;
use super::known::{LEDGER, copy_ledger, finishes, log_name};
use crate::story::{Batch, PROGRAM, Running, wait_for};

/// Makes everything in the folder of a batch read-only for the user `nobody`, whom the tests are when they are root.
fn asked_by_another(batch: &Batch, command: &str) -> crate::story::Ran {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let user = if is_root { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "" };
    fs::set_permissions(batch.folder(), Permissions::from_mode(0o555)).unwrap();
    let ran = batch.shell(&format!("{user} {PROGRAM} {command}"));
    fs::set_permissions(batch.folder(), Permissions::from_mode(0o755)).unwrap();
    ran
}

/// Every command that reads gives another user what it gives the runs' own user of a copy, and leaves nothing.
#[track_caller]
fn answers(batch: &Batch) {
    let (copy, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(out.path(), Permissions::from_mode(0o777)).unwrap();
    copy_ledger(batch, copy.path());
    let (theirs, ours) = (out.path().join("theirs"), out.path().join("ours"));
    let before = batch.listing();
    for command in ["status songs.csv", "why track2", "results songs.csv", "report songs.csv", "run -n songs.csv"] {
        let writes = command.starts_with("results") || command.starts_with("report");
        let output = |path| if writes { format!("-o {path}") } else { String::new() };
        let own_ledger = copy.path().join(LEDGER).display().to_string();
        let own = batch.shell(&format!("{PROGRAM} {command} --ledger {own_ledger} {}", output(ours.display())));
        let ran = asked_by_another(batch, &format!("{command} --ledger {LEDGER} {}", output(theirs.display())));
        assert_eq!(ran.code, own.code, "{command}: {ran:?}");
        assert_eq!(timeless(&ran.stdout), timeless(&own.stdout.replace(&own_ledger, LEDGER)), "{command}: {ran:?}");
        if command.starts_with("results") {
            assert_eq!(fs::read(&theirs).unwrap(), fs::read(&ours).unwrap(), "{command}");
        }
    }
    assert_eq!(batch.listing(), before, "something was left");
}

/// The lines that do not tell when a run that begins now would be over.
fn timeless(told: &str) -> Vec<&str> {
    told.lines().filter(|line| !line.starts_with("takes ")).collect()
}

/// A batch with three rows settled and three in flight, and the run that waits for them.
fn under_way(service: &Counting) -> (Batch, Running) {
    let batch = Batch::tracks(3).to(&service.address());
    service.let_go();
    batch.run(&[]).exit(0);
    service.hold();
    let rows: Vec<String> = (1..=6).map(|number| format!("track{number}\n")).collect();
    fs::write(batch.catalog(), format!("task_id\n{}", rows.concat())).unwrap();
    let seen = service.total();
    let run = batch.start(&[]);
    wait_for("the requests", || service.total() == seen + 3);
    (batch, run)
}

#[test]
fn a_ledger_at_rest_needs_no_right_to_write() {
    let service = Counting::answering_within(0..=0);
    let batch = Batch::tracks(3).to(&service.address());
    batch.run(&[]).exit(0);
    answers(&batch);
}

#[test]
fn a_run_that_goes_on_can_be_watched_without_the_right_to_write() {
    let service = Counting::holding();
    let (batch, run) = under_way(&service);
    answers(&batch);
    asked_by_another(&batch, &format!("status songs.csv --ledger {LEDGER}")).prints("  in_doubt          3\n");
    service.let_go();
    run.finish().exit(0);
}

#[test]
fn what_a_killed_run_left_in_its_log_is_read_without_the_right_to_write() {
    for keeps_index in [true, false] {
        let service = Counting::holding();
        let (batch, run) = under_way(&service);
        drop(run);
        if !keeps_index {
            fs::remove_file(batch.path(format!("{LEDGER}-shm"))).unwrap();
        }
        answers(&batch);
        asked_by_another(&batch, &format!("status songs.csv --ledger {LEDGER}")).prints("  in_doubt          3\n");
        assert!(fs::metadata(batch.path(log_name())).unwrap().len() > 0, "the log is still there");
        service.let_go();
        finishes(&batch, &[], 6);
    }
}

#[test]
fn a_ledger_that_may_not_be_read_is_said_to_be_there_and_out_of_reach() {
    let service = Counting::answering_within(0..=0);
    let batch = Batch::tracks(1).to(&service.address());
    batch.run(&[]).exit(0);
    for (path, closed, open) in [(LEDGER, 0o600, 0o644), ("closed", 0o700, 0o755)] {
        fs::create_dir_all(batch.path("closed")).unwrap();
        let ledger = if path == LEDGER { LEDGER.to_owned() } else { format!("closed/{LEDGER}") };
        copy_ledger(&batch, &batch.path("closed"));
        fs::set_permissions(batch.path(path), Permissions::from_mode(closed)).unwrap();
        let ran = asked_by_another(&batch, &format!("status songs.csv --ledger {ledger}")).exit(8);
        ran.says(&format!("cannot read the ledger `{ledger}`"))
            .says("hint: nothing was changed; ask again, or as the user");
        fs::set_permissions(batch.path(path), Permissions::from_mode(open)).unwrap();
    }
}
