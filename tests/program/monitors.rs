//! What unattended jobs are expected to offer: metrics, a monitor that is told, and the story of one row.

use std::ffi::OsStr;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wiremock::{Request, ResponseTemplate};

use crate::story::{Batch, PROGRAM, Scripted, Signal, StandIn, accepted, wait_for};

/// The value of a metric in the text format.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_metrics_tell_of_the_last_run_and_of_the_last_success() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a", "b", "covered-c"]).to(&service.address);
    let read = || fs::read_to_string(batch.path("covers.prom")).unwrap();
    batch.run(&["--metrics-file", "covers.prom"]).exit(0).silent();
    let good = read();
    assert_eq!(metric(&good, "coverbatch_rows{status=\"submitted\"}"), Some(2.0));
    assert_eq!(metric(&good, "coverbatch_requests{outcome=\"already_exists\"}"), Some(1.0));
    assert_eq!(metric(&good, "coverbatch_exit_code"), Some(0.0));
    assert_eq!(metric(&good, "coverbatch_limit_requests_in_any_window"), Some(500.0));
    assert_eq!(good.matches("# TYPE ").count(), good.matches("# HELP ").count());
    let success = metric(&good, "coverbatch_last_success_timestamp_seconds");
    assert_eq!(success, metric(&good, "coverbatch_last_run_timestamp_seconds"));

    fs::write(batch.catalog(), "task_id\ncode-404-x\na\n").unwrap();
    batch.run(&["--metrics-file", "covers.prom"]).exit(4);
    let bad = read();
    assert_eq!(metric(&bad, "coverbatch_last_success_timestamp_seconds"), success);
    assert_eq!(metric(&bad, "coverbatch_rows{status=\"failed\"}"), Some(1.0));
    assert_eq!(metric(&bad, "coverbatch_exit_code"), Some(4.0));
}

/// The exit code that the metrics tell of.
fn told(batch: &Batch) -> Option<f64> {
    metric(&fs::read_to_string(batch.path("m.prom")).unwrap_or_default(), "coverbatch_exit_code")
}

#[test]
fn every_end_is_in_the_metrics() {
    let service = StandIn::quick(&["--latency", "300ms"]);
    let batch = Batch::ids(["a"]).to(&service.address).env("COVERBATCH_METRICS_FILE", "m.prom");
    batch.run(&[]).exit(0);
    let read = || fs::read_to_string(batch.path("m.prom")).unwrap();
    let success = metric(&read(), "coverbatch_last_success_timestamp_seconds");
    assert!(success.is_some());
    let lines = [
        ("$P run songs.csv --rate 20", 2),
        ("$P run songs.csv --no-such-option", 2),
        ("$P run", 2),
        ("COVERBATCH_TIMEOUT=long $P run songs.csv", 2),
        ("SUNO_API_KEY= $P run songs.csv", 2),
        ("$P run songs.csv -o songs.csv", 2),
        ("$P run songs.csv --ping-url ftp://x.example", 2),
        ("$P run none.csv", 7),
        ("$P follow none.csv", 7),
        ("$P run songs.csv -o none/r.csv", 8),
        ("$P run songs.csv --json >/dev/full", 8),
        ("$P run songs.csv", 0),
        ("$P run songs.csv --api-url http://127.0.0.1:1 --ledger other.db --max-outage 0s", 4),
    ];
    for (line, code) in lines {
        fs::remove_file(batch.path("m.prom")).unwrap();
        fs::write(
            batch.path("m.prom"),
            "coverbatch_last_run_timestamp_seconds 7\ncoverbatch_last_success_timestamp_seconds 7\n",
        )
        .unwrap();
        batch.shell(&line.replace("$P", PROGRAM)).exit(code);
        assert_eq!(told(&batch), Some(f64::from(code)), "{line}");
        let success = metric(&read(), "coverbatch_last_success_timestamp_seconds").unwrap();
        assert_eq!(success > 7.0, code == 0, "{line}");
        assert!(metric(&read(), "coverbatch_last_run_timestamp_seconds") > Some(7.0), "{line}");
    }
}

#[test]
fn the_end_of_a_run_that_may_not_begin_and_of_one_that_is_cut_short_is_in_the_metrics() {
    let slow = |request: &Request| accepted(request).set_delay(std::time::Duration::from_secs(20));
    let service = Scripted::by(slow);
    let batch = Batch::ids(["a"]).to(&service.address()).env("COVERBATCH_METRICS_FILE", "m.prom");
    let run = batch.start(&[]);
    wait_for("the request", || !service.requests().is_empty());
    batch.run(&[]).exit(6);
    assert_eq!(told(&batch), Some(6.0));
    run.signal(Signal::Int);
    wait_for("the first signal to be heard", || run.stderr_so_far().contains("stopping"));
    run.signal(Signal::Term);
    run.finish().exit(143);
    assert_eq!(told(&batch), Some(143.0));
}

#[test]
fn metrics_are_written_by_no_dry_run_and_over_nothing_else() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    batch.run(&["-n", "--metrics-file", "m.prom"]).exit(0);
    batch.run(&["-n", "--metrics-file", "m.prom", "--rate", "20"]).exit(2);
    assert!(!batch.path("m.prom").exists());
    for (options, code) in [(&["--metrics-file", "notes"][..], 0), (&["--metrics-file", "notes", "--rate", "20"], 2)] {
        fs::write(batch.path("notes"), "what somebody wrote\n").unwrap();
        let ran = batch.run(options).exit(code);
        assert!(code != 0 || ran.stderr.contains("it holds something else than metrics"), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(batch.path("notes")).unwrap(), "what somebody wrote\n");
    }
    batch.run(&["--metrics-file", "-"]).exit(0).prints("\ncoverbatch_exit_code 0\n");
}

#[test]
fn metrics_that_cannot_be_written_do_not_fail_the_run() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    let ran = batch.run(&["--metrics-file", "no/such/folder/x.prom"]).exit(0);
    assert!(ran.stderr.contains("the metrics could not be written"), "{}", ran.stderr);
}

#[test]
fn a_monitor_is_told_of_the_start_and_of_the_end_with_the_digest() {
    let service = StandIn::quick(&[]);
    let monitor = Scripted::by(|_: &Request| ResponseTemplate::new(200));
    let batch = Batch::ids(["a", "code-404-b"]).to(&service.address);
    let address = format!("{}/hook", monitor.address());
    let ran = batch.run(&["--ping-url", &address]).exit(4);
    let told: Vec<_> = monitor.requests().iter().map(|request| request.url.path().to_owned()).collect();
    assert_eq!(told, ["/hook/start", "/hook/4"]);
    let digest = String::from_utf8(monitor.requests()[1].body.clone()).unwrap();
    assert_eq!(digest, ran.stderr);

    batch.run(&["--ping-url", &address, "--api-key-file", "missing"]).exit(2);
    let last = monitor.requests().pop().unwrap();
    assert_eq!(last.url.path(), "/hook/2");
    assert!(String::from_utf8(last.body).unwrap().contains("cannot read the API key file"));
}

/// How often a monitor that answers so is told of the end of a run.
fn tries(answers: &'static [u16]) -> usize {
    let service = StandIn::quick(&[]);
    let ends = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ends);
    let monitor = Scripted::by(move |request: &Request| {
        let is_end = !request.url.path().ends_with("/start");
        let at = if is_end { count.fetch_add(1, Ordering::Relaxed) } else { usize::MAX };
        ResponseTemplate::new(answers.get(at).copied().unwrap_or(200))
    });
    let ran = Batch::ids(["a"]).to(&service.address).run(&["--ping-url", &monitor.address()]).exit(0);
    let is_told = !ran.stderr.contains("the monitor could not be told");
    let tries = ends.load(Ordering::Relaxed);
    assert_eq!(is_told, answers.get(tries - 1).is_none(), "{}", ran.stderr);
    tries
}

#[test]
fn the_end_is_told_again_to_a_monitor_that_was_away_for_a_moment() {
    assert_eq!(tries(&[503, 429]), 3);
    assert_eq!(tries(&[404, 404]), 1, "an address that is wrong stays wrong");
}

#[test]
fn a_monitor_that_is_not_there_does_not_fail_the_run() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    let ran = batch.run(&["--ping-url", "http://127.0.0.1:9/hook"]).exit(0);
    assert!(ran.stderr.contains("the monitor could not be told"), "{}", ran.stderr);
    let ran = batch.run(&["--ping-url", "ftp://me:secret@example.org/x?key=secret"]).exit(2);
    let ran = ran.says("--ping-url `ftp://***@example.org/x?***` cannot be called");
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
}

#[test]
fn a_pause_is_told_with_its_reason_and_its_time() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-455x1-a", "b"]).to(&service.address);
    let ran = batch.run(&["--json"]).exit(0);
    let pauses = &ran.json()["pauses"];
    assert_eq!(pauses[0]["reason"], "maintenance");
    assert!(pauses[0]["from"].as_str() < pauses[0]["until"].as_str());
}

#[test]
fn why_tells_every_submission_of_one_music_task() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-500x1-a", "b"]).to(&service.address);
    batch.run(&[]).exit(0);
    let why = |id: &str| batch.words(&[OsStr::new("why"), OsStr::new(id)]);
    why("code-500x1-a")
        .exit(0)
        .prints("music task   code-500x1-a\nstatus       submitted (accepted)\ncover task   ")
        .prints("submissions  2\n")
        .prints("  run 1  server_error, HTTP 200, code 500, after ")
        .prints("  run 1  accepted, HTTP 200, code 200, after ");
    batch.run(&["--sandbox"]).exit(0);
    why("b").exit(0);
    fs::rename(batch.path("songs.db"), batch.path("other.db")).unwrap();
    why("b").exit(2).says("error: no ledger at `").says("hint: there is `other.db`, `songs.sandbox.db`; name one with");
    fs::rename(batch.path("other.db"), batch.path("songs.db")).unwrap();
    let unknown = why("never-sent").exit(2);
    assert!(unknown.stderr.contains("knows nothing of `never-sent`"), "{}", unknown.stderr);
}

#[test]
fn the_command_that_is_notified_reads_the_summary_and_knows_no_key() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a", "code-404-b"]).to(&service.address).env("COVERBATCH_CALLBACK_SECRET", "hidden");
    let command = "cat > told.json; env > told.env; echo out; echo err >&2";
    let ran = batch.run(&["--notify-command", command, "--json"]).exit(4);
    let read = |name: &str| fs::read_to_string(batch.path(name)).unwrap();
    let told: serde_json::Value = serde_json::from_str(&read("told.json")).unwrap();
    assert_eq!(told, ran.json(), "and standard output is the summary alone");
    assert_eq!(told["digest"], ran.stderr, "the mail is the digest alone");
    assert!(!ran.stderr.contains("told.json"), "the next command leaves it out: {}", ran.stderr);
    let env = read("told.env");
    assert!(env.contains("PWD=") && !env.contains("SUNO_API_KEY") && !env.contains("hidden"), "{env}");

    batch.run(&["--notify-command", command, "--only", "a"]).exit(0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("told.json")).unwrap(), told, "it speaks of all rows");
    fs::write(batch.catalog(), "title\nx\n").unwrap();
    let ran = batch.run(&["--notify-command", command]).exit(7);
    let told: serde_json::Value = serde_json::from_str(&read("told.json")).unwrap();
    assert_eq!((&told["ended"], &told["exit_code"]), (&"error".into(), &7.into()));
    assert_eq!(told["digest"], ran.stderr);
}

#[test]
fn a_command_that_cannot_be_notified_fails_no_run_and_is_one_line() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    for (command, problem) in [
        ("echo first >&2; echo second >&2; exit 3", "exit status: 3: first"),
        ("no-such-program", "exit status: 127: "),
        ("exec <&-; kill -9 $$", "signal: 9"),
    ] {
        let ran = batch.run(&["--notify-command", command]).exit(0).says("--notify-command did not do what it should");
        let ran = ran.says(problem);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    // Nothing is read of it, and nothing is said.
    batch.run(&["--notify-command", "true"]).exit(0).silent();
}
