//! Each exit code, and the words that come with it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use serde_json::Value;
use wiremock::Request;

use crate::story::{Batch, Scripted, StandIn, accepted, envelope, wait_for};

#[test]
fn all_settled_is_0() {
    Batch::ids(["a", "covered-b", "a"]).run(&["--sandbox"]).exit(0).silent().results(&[
        "a submitted accepted",
        "covered-b exists already_exists",
        "a submitted accepted",
    ]);
}

#[test]
fn wrong_usage_is_2_and_says_what_to_do() {
    let batch = Batch::ids(["a"]).env("SUNO_API_KEY", "some-key-or-other");
    let table: [(&[&str], &str, &str); 16] = [
        (&[], "the service demands a callback address", "--callback-url URL, or --no-callback"),
        (&["--callback-url", "x"], "--callback-url `x` cannot be called", "absolute http or https URL"),
        (&["--callback-url", "https://x.example/{id}"], "`{id}` is not filled in; only `{task_id}`", "as %7B or %7D"),
        (&["--callback-url", "http://localhost/x"], "means another one to the service", "--no-callback"),
        (&["--no-callback", "--wait-timeout", "5s"], "has no effect without --wait", "give --wait or --download DIR"),
        (&["--no-callback", "--timeout", "-5s"], "invalid value '-5s'", "such as `30s`"),
        (&["--no-callback", "--timeout", "0s"], "invalid value '0s'", "such as `30s`, more than zero"),
        (&["--no-callback", "--concurrency", "0"], "invalid value '0'", "at least 1"),
        (&["--default-cover", "songs.csv", "--download", "x", "--sandbox"], "as the default cover: it is", "PNG, JPEG"),
        (&["--callback-url", "https://x.example", "--no-callback"], "exclude each other", "give one of them"),
        (&["--no-callback", "--api-url", "http://api.example"], "the key would travel in clear", "https://api.kie.ai"),
        (&["--no-callback", "--api-key-file", "none"], "cannot read the API key file `none`", "check --api-key-file"),
        (&["--sandbox", "--rate", "20"], "invalid value '20' for '--rate", "such as `20/10s`"),
        (&["--sandbox", "--max-failures", "0"], "invalid value '0'", "a number of rows such as `10`"),
        (&["--sandbox", "--sandbaux"], "unexpected argument '--sandbaux'", "similar argument exists"),
        (&["--sandbox", "-o", "songs.csv"], "--results would replace the catalog", "name another path with --results"),
    ];
    for (options, problem, hint) in table {
        batch.run(options).exit(2).says("error: ").says(problem).says(hint);
    }
    batch.run(&["second.csv", "--sandbox"]).exit(2).says("unexpected argument 'second.csv'");
    assert_eq!(batch.listing(), ["songs.csv"]);
}

#[test]
fn a_command_that_there_is_not_is_2_and_leads_to_the_one_that_was_meant() {
    let batch = Batch::ids(["a"]);
    for (words, hint) in [
        (["rerun", "songs.csv"].as_slice(), "hint: a rerun is the same `coverbatch run` again"),
        (&["songs.csv"], "hint: did you mean `coverbatch run songs.csv`?"),
        (&["none.csv"], "hint: did you mean `coverbatch run none.csv`?"),
        (&["stats"], "tip: a similar subcommand exists: 'status'"),
    ] {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        batch.words(&words).exit(2).says("error: ").says(hint);
    }
}

#[test]
fn a_catalog_that_is_missing_is_told_before_a_key_and_by_its_whole_path() {
    let batch = Batch::ids(["a"]);
    fs::remove_file(batch.catalog()).unwrap();
    for command in ["run", "follow", "status"] {
        let ran = batch.call(command, if command == "run" { &["--no-callback"] } else { &[] }).exit(7);
        ran.complains(&format!(
            "error: cannot read `{}`\n  caused by: No such file or directory (os error 2)\n",
            batch.catalog().display()
        ));
    }
}

#[test]
fn no_key_is_2() {
    Batch::ids(["a"]).run(&["--no-callback"]).exit(2).complains(
        "error: there is no API key\nhint: put it into a file named by --api-key-file, or into SUNO_API_KEY; to try \
         without one: --sandbox\n",
    );
}

#[test]
fn a_ledger_of_another_api_is_2() {
    let batch = Batch::ids(["a"]);
    batch.run(&["--sandbox", "--ledger", "one.db"]).exit(0);
    let other = batch.env("SUNO_API_KEY", "some-key-or-other");
    let ran = other.run(&["--no-callback", "--ledger", "one.db"]).exit(2);
    ran.says(
        "it belongs to the API at sandbox, not to https://api.sunoapi.org\nhint: nothing was sent; name another one",
    );
}

#[test]
fn rows_that_no_rerun_sends_are_3() {
    let batch = Batch::of("task_id,x\na\n,y\ntwo words\n");
    let ran = batch.run(&["--sandbox"]).exit(3).says("next: correct these rows in the catalog, then\n");
    ran.results(&["a submitted accepted", "invalid bad_row", "two words invalid bad_row"]);
}

#[test]
fn a_row_rejected_in_three_runs_turns_4_into_3() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-404-a"]).to(&service.address);
    let codes: Vec<_> = (0..4).map(|_| batch.run(&[]).code.unwrap()).collect();
    assert_eq!(codes, [4, 4, 3, 3]);
    assert_eq!(batch.run(&[]).table().column("cover_attempts"), ["3"]);
    batch.run(&["--retry", "all"]).exit(3);
    assert_eq!(batch.run(&[]).table().column("cover_attempts"), ["4"]);
}

#[test]
fn rows_that_a_rerun_sends_are_4() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["code-500x1-a"]).to(&service.address);
    batch.run(&["--max-attempts", "1"]).exit(4).results(&["code-500x1-a gave_up server_error"]);
    batch.run(&["--max-attempts", "1"]).exit(0).silent().results(&["code-500x1-a submitted accepted"]);
}

#[test]
fn a_deadline_an_outage_and_too_many_failures_are_4_and_name_themselves() {
    let service = StandIn::quick(&["--latency", "100ms"]);
    let slow = Batch::tracks(20).to(&service.address);
    let late = slow.run(&["--deadline", "200ms", "--rate", "10/1s"]).exit(4).says("stopped, --deadline passed");
    assert_eq!(late.table().column("cover_reason").last(), Some(&"deadline"));
    let nobody = Batch::ids(["a"]).to("http://127.0.0.1:1");
    let alone = nobody.run(&["--max-outage", "0s"]).exit(4).results(&["a pending outage"]);
    alone.says("the service refused every request for 0s (--max-outage)").says("Connection refused");
    let bad = Batch::ids(["code-404-a", "code-404-b", "c", "d"]).to(&service.address);
    let stopped = bad.run(&["--max-failures", "1", "--concurrency", "1"]).exit(4);
    stopped.says("too many rows failed (--max-failures)").says("look at the causes above").results(&[
        "code-404-a failed not_found",
        "code-404-b pending too_many_failures",
        "c pending too_many_failures",
        "d pending too_many_failures",
    ]);
}

#[test]
fn a_refused_key_and_empty_accounts_are_5_and_the_rest_is_pending() {
    let table = [
        ("code-401-x", "unauthorized", "next: check the API key, then\n"),
        ("http-401-x", "unauthorized", "the service refuses the key or this machine"),
        ("http-403-x", "unauthorized", "blocked before the API, by its CDN"),
        ("code-402-x", "no_credits", "next: top up the account, then\n"),
        ("code-433-x", "no_credits", "the account has no credits left"),
        ("broke-x", "no_credits", "The current credits are insufficient"),
    ];
    let service = StandIn::quick(&[]);
    for (id, reason, words) in table {
        let batch = Batch::ids(["a", id, "b", "c"]).to(&service.address);
        let ran = batch.run(&["--concurrency", "1"]).exit(5).says(words);
        let rest = |task: &str| format!("{task} pending {reason}");
        let first = ran.table().rows(&["task_id", "cover_status"])[0].clone();
        assert!(first == "a submitted" || first == "a exists", "{first}");
        assert_eq!(ran.table().rows(&["task_id", "cover_status", "cover_reason"])[1..], [id, "b", "c"].map(rest));
    }
}

#[test]
fn the_first_refusal_of_the_key_is_the_last_request() {
    let service = Scripted::always(401, "You do not have access permissions");
    Batch::tracks(50).to(&service.address()).run(&["--concurrency", "2"]).exit(5);
    assert!(service.requests().len() <= 2, "{}", service.requests().len());
}

#[test]
fn a_second_run_with_the_same_results_is_6_and_names_the_first() {
    let service = StandIn::quick(&["--latency", "1500ms"]);
    let batch = Batch::ids(["a"]).to(&service.address);
    let first = batch.start(&[]);
    wait_for("the first run to be alive", || batch.path("songs.db.runs").exists());
    let second = batch.run(&[]).exit(6).says(&format!("the results `songs.results.csv`: pid {} on ", first.pid()));
    second.says(", started 20").says("hint: nothing was sent; wait for that run");
    first.finish().exit(0).silent();
}

#[test]
fn a_catalog_that_cannot_be_used_is_7_and_nothing_is_sent() {
    let service = Scripted::accepting();
    let table: [(&[u8], &str); 7] = [
        (b"", "`songs.csv` is empty; it needs a header row"),
        (b"artist,title\nA,B\n", "or `id`; its columns are `artist`, `title`"),
        (b"t\0a\0", "is UTF-16 without a byte order mark; export it as \"CSV UTF-8\""),
        (b"PK\x03\x04\x14\0", "looks like an Excel workbook"),
        (b"id\na\0b\n", "holds NUL bytes"),
        (b"id,note\na,\"open\n", "line 2 of `songs.csv` opens a quote that is never closed"),
        (b"0123456789abcdef0123456789abcdef,x\n", "has no header row: its first row already holds a task id"),
    ];
    for (bytes, words) in table {
        let batch = Batch::of(bytes).to(&service.address());
        batch.run(&[]).exit(7).says("error: ").says(words);
        assert_eq!(batch.listing(), ["songs.csv"]);
    }
    let batch = Batch::ids(["a"]).to(&service.address());
    fs::create_dir(batch.path("folder.csv")).unwrap();
    batch.shell(&format!("{} run folder.csv", crate::story::PROGRAM)).exit(7).says("caused by: is a directory");
    batch.shell(&format!("{} run none.csv", crate::story::PROGRAM)).exit(7).says("No such file or directory");
    assert!(service.requests().is_empty());
}

#[test]
fn results_that_cannot_be_written_are_8_before_anything_is_sent() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address());
    fs::write(batch.path("file"), "").unwrap();
    let table = [
        (vec!["-o", "none/r.csv"], "caused by: there is no folder `none`"),
        (vec!["-o", "file/r.csv"], "error: cannot write `file/r.csv`"),
        (vec!["-o", "."], "caused by: is a directory"),
        (vec!["-o", "new/"], "caused by: there is no folder `new/`"),
        (vec!["--failures", "none/f.csv"], "error: cannot write `none/f.csv`"),
        (vec!["--ledger", "none/l.db"], "error: cannot open the ledger `none/l.db`"),
    ];
    for (options, words) in table {
        batch.run(&options).exit(8).says(words).says("hint: nothing was sent");
    }
    assert_eq!(batch.listing(), ["file", "songs.csv"]);
    assert!(service.requests().is_empty());
}

#[test]
fn a_pipe_or_a_device_is_never_replaced_by_results() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    let pipe = batch.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    batch.run(&["-o", "pipe"]).exit(8).says("caused by: it is not a regular file");
    batch.run(&["--failures", "pipe"]).exit(8).says("caused by: it is not a regular file");
    batch.run(&[]).exit(0).silent();
    batch.call("results", &["-o", "pipe"]).exit(8);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn a_file_that_is_no_ledger_is_8_and_stays_as_it_is() {
    let batch = Batch::ids(["a"]);
    fs::write(batch.path("notes.txt"), "not a ledger, but somebody's notes, long enough to be looked at\n".repeat(99))
        .unwrap();
    let before = fs::read(batch.path("notes.txt")).unwrap();
    let ran = batch.run(&["--sandbox", "--ledger", "notes.txt"]).exit(8);
    let ran = ran.says("error: cannot open the ledger `notes.txt`\n  caused by: file is not a database\nhint: ");
    assert!(!ran.stderr.contains("Error code"), "{}", ran.stderr);
    assert_eq!(fs::read(batch.path("notes.txt")).unwrap(), before);
}

#[test]
fn results_that_became_unwritable_during_the_run_are_8_and_can_be_made_later() {
    let service = Scripted::by(|request: &Request| accepted(request).set_delay(std::time::Duration::from_millis(700)));
    let batch = Batch::ids(["a"]).to(&service.address());
    let run = batch.start(&[]);
    wait_for("the request", || !service.requests().is_empty());
    fs::create_dir(batch.results_path()).unwrap();
    let ran = run.finish().exit(8).says("is a directory");
    ran.says("hint: the ledger holds every answer; once the file can be written, `coverbatch results`");
    fs::remove_dir(batch.results_path()).unwrap();
    batch.call("results", &[]).exit(0).results(&["a submitted accepted"]);
}

#[test]
fn an_unreadable_word_of_the_service_stops_nothing() {
    let service = Scripted::by(envelope(400, "=cmd|' /C calc'!A1\u{202e}\r\nnext", &Value::Null));
    let batch = Batch::ids(["a"]).to(&service.address());
    let ran = batch.run(&[]).exit(0).silent();
    assert_eq!(ran.table().column("cover_message"), ["'=cmd|' /C calc'!A1 next"]);
}
