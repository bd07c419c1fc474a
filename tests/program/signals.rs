//! SIGINT and SIGTERM in the middle of a run, as from Ctrl-C, `systemctl stop` and a reboot.

use std::time::Duration;

use wiremock::{Request, ResponseTemplate};

use crate::story::{Batch, PROGRAM, Running, Scripted, Signal, accepted, wait_for};

/// A service that accepts everything, and takes its time.
fn slow(millis: u64) -> Scripted {
    Scripted::by(move |request: &Request| -> ResponseTemplate {
        accepted(request).set_delay(Duration::from_millis(millis))
    })
}

/// A run of 20 tracks of which a few are on their way.
fn begun(service: &Scripted) -> (Batch, Running) {
    let batch = Batch::tracks(20).to(&service.address());
    let run = batch.start(&["--concurrency", "4"]);
    wait_for("some requests", || service.requests().len() >= 4);
    (batch, run)
}

fn stops(signal: Signal, code: i32) {
    let service = slow(400);
    let (batch, run) = begun(&service);
    run.signal(signal);
    let ran = run.finish().exit(code).says("coverbatch: stopping; answers on their way are awaited");
    let ran = ran
        .says("coverbatch: stopped, interrupted by a signal;")
        .says("the next run goes on with what is left; to go on now");
    let (table, sent) = (ran.table(), service.requests().len());
    assert!(sent < 12, "{sent} requests for 20 tracks at 4 each 400 ms, stopped at once");
    assert_eq!(table.len(), 20);
    assert_eq!(table.with("submitted"), sent as u64, "what was on its way is awaited and written down");
    assert_eq!(table.with("pending"), 20 - sent as u64);
    assert_eq!(table.column("cover_reason").last(), Some(&"interrupted"));
    batch.shell(ran.next()).exit(0).silent();
    assert_eq!(service.requests().len(), 20, "nothing is sent twice");
}

#[test]
fn an_interrupt_ends_a_run_with_130_and_the_next_command_goes_on() {
    stops(Signal::Int, 130);
}

#[test]
fn a_termination_ends_a_run_with_143_and_the_next_command_goes_on() {
    stops(Signal::Term, 143);
}

#[test]
fn a_terminal_that_is_gone_ends_a_run_like_a_termination() {
    stops(Signal::Hup, 143);
}

#[test]
fn under_nohup_a_terminal_that_is_gone_changes_nothing() {
    let service = slow(400);
    let batch = Batch::tracks(8).to(&service.address());
    let run = batch.start_shell(&format!("trap '' HUP; exec {PROGRAM} run songs.csv --concurrency 4"));
    wait_for("some requests", || service.requests().len() >= 4);
    run.signal(Signal::Hup);
    run.finish().exit(0).silent();
    assert_eq!(service.requests().len(), 8);
}

#[test]
fn a_second_signal_leaves_at_once_and_the_next_run_knows_what_is_in_doubt() {
    let service = slow(20_000);
    let (batch, mut run) = begun(&service);
    run.signal(Signal::Int);
    wait_for("the first signal to be heard", || run.stderr_so_far().contains("stopping"));
    assert!(!run.is_over(), "answers are awaited");
    run.signal(Signal::Term);
    run.finish().exit(143);
    assert!(!batch.results_path().exists());
    let before = batch.listing();
    batch.call("status", &[]).exit(4).prints("  in_doubt          4\n").prints("  pending           16\n");
    batch.call("results", &[]).exit(4);
    let now: Vec<String> = batch.listing().into_iter().filter(|name| name != "songs.results.csv").collect();
    assert_eq!(now, before, "whoever reads leaves nothing beside the ledger");
}

#[test]
fn a_signal_while_the_service_is_down_is_heard_at_once() {
    let service = Scripted::always(455, "System maintenance");
    let batch = Batch::tracks(3).to(&service.address());
    let run = batch.start(&[]);
    wait_for("a refusal", || service.requests().len() >= 2);
    run.signal(Signal::Term);
    let ran = run.finish().exit(143);
    assert_eq!(ran.table().rows(&["cover_status", "cover_reason"]), ["pending interrupted"; 3]);
}

#[test]
fn a_sandbox_ends_well_when_it_is_interrupted() {
    let batch = Batch::ids(["a"]);
    let mut sandbox = batch.start_words(&["sandbox", "--listen", "127.0.0.1:0"]);
    wait_for("the address", || sandbox.stdout_so_far().starts_with("listening on http://127.0.0.1:"));
    assert!(!sandbox.is_over());
    sandbox.signal(Signal::Int);
    sandbox.finish().exit(0);
}
