//! `run --download` and `follow`, to their ends and to the end of their patience.

use std::fs;

use coverbatch::clock::Clock;

use super::stage::{
    DOWNLOAD, FOLDER, LEDGER, Seeing, assert_images, download, hasten, images, learned, learned_tracks, ledger, quick,
};
use crate::story::{Batch, Ran, Signal, wait_for};

/// Statuses and reasons of the rows, one after the other.
fn ends(ran: &Ran) -> Vec<String> {
    ran.table().rows(&["cover_status", "cover_reason"])
}

#[test]
fn a_run_that_downloads_ends_with_two_images_of_every_cover_byte_for_byte() {
    let service = quick(&[]);
    let batch = learned(["a1", "b2", "covered-c3"], &service.address);
    let ran = batch.run(&DOWNLOAD).exit(0).silent();
    assert_eq!(ends(&ran), ["completed generated"; 3]);
    assert_eq!(
        images(&batch),
        ["a1-1.png", "a1-2.png", "b2-1.png", "b2-2.png", "covered-c3-1.png", "covered-c3-2.png"]
    );
    assert_images(&batch, &ran);
    let table = ran.table();
    for (name, start) in [("cover_image_1", service.address.as_str()), ("cover_image_2", &service.address)] {
        assert!(table.column(name).iter().all(|cell| cell.starts_with(start)), "{name}");
    }
    assert_eq!(table.column("cover_file_1"), ["a1-1.png", "b2-1.png", "covered-c3-1.png"]);
    assert_eq!(table.column("cover_file_2"), ["a1-2.png", "b2-2.png", "covered-c3-2.png"]);
    assert_eq!(table.column("cover_fallback"), [""; 3]);
    assert!(table.column("cover_expires_at").iter().all(|cell| cell.ends_with('Z')), "14 days from now");
}

#[test]
fn a_rerun_of_finished_covers_asks_nobody_and_writes_the_same_results() {
    let service = Seeing::quick();
    let batch = learned_tracks(20, &service.address());
    let ran = batch.run(&DOWNLOAD).exit(0).silent();
    let (results, seen) = (fs::read(&ran.results).unwrap(), service.stats());
    assert_eq!((seen.accepted, seen.images, seen.keys_at_images), (20, 40, 0));
    assert_eq!(service.submissions(), 21);
    let rows = || {
        let text = "SELECT group_concat(id || state || submissions || polls || coalesce(due_at, '') || answered_at)";
        ledger(&batch).query_row(&format!("{text} FROM task"), (), |row| row.get::<_, String>(0)).unwrap()
    };
    let known = rows();
    for command in ["run", "follow"] {
        let again = batch.call(command, &DOWNLOAD).exit(0).silent();
        assert_eq!(service.stats(), seen, "{command}");
        assert_eq!(fs::read(again.results).unwrap(), results, "{command}");
        assert_eq!(rows(), known, "{command}");
    }
    println!("{} reads for 21 finished covers", seen.reads);
    assert!(seen.reads <= 23, "{} reads for 21 covers", seen.reads);
}

#[test]
fn covers_that_a_run_left_are_brought_home_by_follow() {
    let service = quick(&[]);
    let batch = learned(["a1", "genfail-b2", "covered-c3", "conflict-d4"], &service.address);
    assert_eq!(ends(&batch.run(&[]).exit(0))[0], "submitted accepted");
    let ran = batch.call("follow", &download(&["--json"]));
    let ran = ran.exit(4);
    let expected =
        ["completed generated", "generation_failed generation_failed", "completed generated", "exists conflict"];
    assert_eq!(ends(&ran), expected);
    assert_images(&batch, &ran);
    let document = ran.json();
    let covers = &document["covers"];
    let counts = ["finished", "failed", "images_saved", "without_id", "not_in_hand"].map(|name| covers[name].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(4), Some(1), Some(0)], "{document}");
    assert_eq!((&document["requests"], &document["exit_code"]), (&serde_json::Value::Null, &4.into()), "{document}");
}

#[test]
fn follow_takes_up_what_a_run_beside_it_has_accepted_meanwhile() {
    let service = Seeing::quick();
    let batch = learned_tracks(30, &service.address());
    let mut run = batch.start(&["--rate", "30/1s"]);
    wait_for("the first covers", || service.stats().accepted >= 3);
    let ran = batch.call("follow", &download(&["-o", "followed.csv"])).exit(0).silent();
    assert!(run.is_over(), "follow went on for as long as there was something to follow");
    run.finish().exit(0);
    let ran = Ran { results: batch.path("followed.csv"), ..ran };
    assert_eq!(ran.table().with("completed"), 30);
    let seen = service.stats();
    assert_eq!((service.submissions(), seen.images, seen.keys_at_images), (31, 60, 0));
    assert_images(&batch, &ran);
}

/// The run that waits for both covers of a batch, once there is one.
fn waiter(batch: &Batch) -> Option<i64> {
    // Who looks for it too early would make it.
    batch.path(LEDGER).exists().then(|| {
        let sql = "SELECT min(waiter) FROM task WHERE due_at IS NOT NULL HAVING count(waiter) = 2";
        ledger(batch).query_row(sql, (), |row| row.get(0)).ok()
    })?
}

#[test]
fn two_runs_that_wait_for_one_cover_both_have_it_in_hand() {
    let service = quick(&["--generation", "1ms"]);
    // Nothing has taught this ledger how long covers take: nothing is looked at for a minute, unless it is hastened.
    let batch = Batch::ids(["a1", "b2"]).to(&service.address);
    let first = batch.start(&["--wait", "-o", "first.csv"]);
    wait_for("the covers to be waited for", || waiter(&batch).is_some());
    let before = waiter(&batch);
    let second = batch.start(&["--wait", "-o", "second.csv"]);
    wait_for("the second to take them over", || waiter(&batch) > before);
    wait_for("the first to take them back", || waiter(&batch) == before);
    hasten(&batch);
    for (run, results) in [(first, "first.csv"), (second, "second.csv")] {
        let ran = run.finish().exit(0).silent();
        let ran = Ran { results: batch.path(results), ..ran };
        assert_eq!(ends(&ran), ["completed generated"; 2], "{results}");
    }
}

/// Waits with this command for less time than covers take, and then as it says.
fn not_in_hand_in_time(batch: &Batch, command: &str) {
    let ran = batch.call(command, &download(&["--wait-timeout", "1s"])).exit(4);
    assert_eq!(ends(&ran), ["submitted accepted"; 2]);
    assert_eq!(images(batch), Vec::<String>::new());
    let line = ran.next().to_owned();
    assert_eq!(ran.stderr.trim_end().lines().last().unwrap().trim(), line);
    wait_for("the covers to be finished", || {
        hasten(batch);
        let again = batch.shell(&line);
        assert!(again.stdout.is_empty() && matches!(again.code, Some(0 | 4)), "{again:?}");
        again.code == Some(0)
    });
    let done = batch.call("results", &[]).exit(0);
    assert_eq!(ends(&done), ["completed generated"; 2]);
    assert_images(batch, &done);
}

#[test]
fn a_deadline_also_ends_a_run_that_goes_on_with_what_others_took_up() {
    let service = quick(&["--generation", "300s"]);
    let batch = learned(["a1", "b2"], &service.address);
    let run = batch.start(&["--wait", "--deadline", "4s", "--wait-timeout", "40s"]);
    wait_for("the covers to be waited for", || {
        let taken = "UPDATE task SET waiter = NULL WHERE id IN ('a1', 'b2') AND waiter IS NOT NULL";
        ledger(&batch).execute(taken, ()).unwrap() == 2
    });
    hasten(&batch);
    let ran = run.finish().exit(4).says("stopped, --deadline passed");
    assert_eq!(ends(&ran), ["submitted accepted"; 2]);
}

#[test]
fn covers_not_in_hand_in_time_are_an_exit_of_4_with_a_command_that_brings_them() {
    let service = quick(&["--generation", "4s"]);
    not_in_hand_in_time(&learned(["a1", "b2"], &service.address), "run");
}

#[test]
fn covers_not_followed_in_time_are_an_exit_of_4_with_a_command_that_brings_them() {
    let service = quick(&["--generation", "4s"]);
    let batch = learned(["a1", "b2"], &service.address);
    batch.run(&[]).exit(0);
    not_in_hand_in_time(&batch, "follow");
}

#[test]
fn a_wait_timeout_is_kept_also_when_the_first_look_would_come_later() {
    let service = quick(&[]);
    // Nothing has taught this ledger how long covers take: the first look would come after a minute, later ones after
    // half of one.
    let batch = Batch::ids(["a1", "stuck-b2"]).to(&service.address);
    let clock = Clock::start();
    for command in ["run", "run", "follow"] {
        let ran = batch.call(command, &download(&["--wait-timeout", "1s"])).exit(4);
        assert_eq!(ends(&ran), ["completed generated", "submitted accepted"], "{command}");
        assert_images(&batch, &ran);
    }
    assert!(clock.elapsed().as_secs() < 25, "waited {:?}", clock.elapsed());
}

#[test]
fn a_failed_cover_is_asked_for_anew_by_later_runs_and_no_more_than_three_fail() {
    let service = Seeing::quick();
    let batch = learned(["genfailx1-a1", "genfail-b2"], &service.address());
    assert_eq!(ends(&batch.run(&DOWNLOAD).exit(4)), ["generation_failed generation_failed"; 2]);
    let second = batch.run(&DOWNLOAD).exit(4);
    assert_eq!(ends(&second), ["completed generated", "generation_failed generation_failed"]);
    assert_images(&batch, &second);
    batch.run(&DOWNLOAD).exit(3);
    let submitted = service.submissions();
    let last = batch.run(&DOWNLOAD).exit(3);
    assert_eq!(service.submissions(), submitted);
    assert_eq!(last.table().column("cover_attempts"), ["2", "3"]);
    assert_images(&batch, &last);
}

#[test]
fn interrupted_while_it_waits_a_run_leaves_at_once_and_the_next_one_finishes() {
    let service = quick(&["--generation", "2s"]);
    let batch = learned(["a1", "b2"], &service.address);
    let run = batch.start(&DOWNLOAD);
    wait_for("both covers", || {
        ledger(&batch).query_row("SELECT count(*) FROM task WHERE state = 'submitted'", (), |row| row.get(0)) == Ok(2)
    });
    run.signal(Signal::Int);
    let ran = run.finish().exit(130);
    assert_eq!(ends(&ran), ["submitted accepted"; 2]);
    wait_for("the covers to be finished", || {
        hasten(&batch);
        batch.run(&download(&["--wait-timeout", "1s"])).code == Some(0)
    });
    assert_images(&batch, &ran);
    assert!(batch.listing().iter().all(|name| name.starts_with("songs") || name == FOLDER), "{:?}", batch.listing());
    assert!(batch.path(LEDGER).exists());
}
