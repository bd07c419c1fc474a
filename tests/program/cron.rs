//! What cron, containers and careless scripts leave out: no variables, no streams, no folder, hardly any files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use coverbatch::runner::BLOCKING_THREADS;

use crate::story::{Batch, PROGRAM, Scripted, wait_for};

/// Exit code of the first program of a line, which `line` calls `$P`.
fn code_of(batch: &Batch, line: &str) -> String {
    let _ = fs::remove_file(batch.path("code"));
    let ran = batch.shell(&format!("P={PROGRAM}; {line}"));
    let code = fs::read_to_string(batch.path("code")).unwrap_or_else(|_| format!("{:?}\n", ran.code));
    format!("{}{}", code.trim_end(), if ran.stderr.contains("panicked") { " in panic" } else { "" })
}

#[test]
fn whatever_becomes_of_the_streams_the_work_is_done_and_the_exit_code_is_right() {
    let lines = [
        "$P run songs.csv --sandbox <&-; echo $? >code",
        "$P run songs.csv --sandbox >&-; echo $? >code",
        "$P run songs.csv --sandbox 2>&-; echo $? >code",
        "$P run songs.csv --sandbox --json -vv <&- >&- 2>&-; echo $? >code",
        "{ $P run songs.csv --sandbox --json; echo $? >code; } | :",
        "{ $P run songs.csv --sandbox -vvv --log-format json 2>&1; echo $? >code; } | :",
        "{ head -c 65536 /dev/zero; $P run songs.csv --sandbox --json -vv 2>&1; echo $? >code; } | sleep 1",
        "$P run songs.csv --sandbox -vv 2>/dev/full; echo $? >code",
    ];
    for line in lines {
        let batch = Batch::ids(["a", "code-404-b"]).env("COVERBATCH_RATE", "20/1s");
        assert_eq!(code_of(&batch, line), "4", "{line}");
        let ran = batch.run(&["--sandbox", "--retry", "none"]);
        ran.exit(4).results(&["a submitted accepted", "code-404-b failed not_found"]);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let batch = Batch::ids(["a"]);
    batch.run(&["--sandbox"]).exit(0);
    for words in [
        "status songs.csv --sandbox",
        "run songs.csv --sandbox --dry-run",
        "run songs.csv --sandbox --dry-run --json",
        "results songs.csv --sandbox",
        "results songs.csv --sandbox -o -",
        "report songs.csv --sandbox -o -",
        "why a --ledger songs.sandbox.db",
        "completions bash",
        "completions zsh",
        "--help",
        "--version",
    ] {
        let line = format!("{{ sleep 0.05; $P {words}; echo $? >code; }} | :");
        assert_eq!(code_of(&batch, &line), "0", "{words}");
    }
    let line = "{ sleep 0.05; $P run none.csv --sandbox 2>&1; echo $? >code; } | :";
    assert_eq!(code_of(&batch, line), "7", "an error that nobody reads");
}

#[test]
fn standard_output_that_cannot_be_written_is_8() {
    let batch = Batch::ids(["a"]);
    for words in ["run songs.csv --sandbox --json", "status songs.csv --sandbox", "run songs.csv --sandbox -n"] {
        let ran = batch.shell(&format!("{PROGRAM} {words} >/dev/full")).exit(8);
        ran.complains("error: cannot write to standard output\n  caused by: No space left on device (os error 28)\n");
    }
    batch.call("results", &["--sandbox"]).exit(0).results(&["a submitted accepted"]);
}

#[test]
fn odd_variables_change_nothing() {
    for (name, value) in [
        ("LANG", "C"),
        ("LC_ALL", "no_SUCH.locale"),
        ("TZ", "Nowhere/Else"),
        ("TZ", ":/etc/passwd"),
        ("TMPDIR", "/no/such/folder"),
        ("TMPDIR", ""),
        ("HOME", "/no/such/folder"),
        ("TERM", "dumb"),
        ("COLUMNS", "0"),
        ("RUST_LOG", "=,=["),
        ("PATH", ""),
    ] {
        let batch = Batch::ids(["a"]).env(name, value);
        batch.run(&["--sandbox"]).exit(0).silent().results(&["a submitted accepted"]);
    }
    let batch = Batch::ids(["a"]).env("TMPDIR", "/no/such/folder").input("task_id\na\n");
    let line = "$P run - --sandbox";
    assert_eq!(code_of(&batch, line), "Some(8)");
    batch.shell(&format!("{PROGRAM} run - --sandbox")).says("temporary space in `/no/such/folder`");
}

#[test]
fn a_working_folder_that_is_gone_matters_only_to_those_who_write_there() {
    let batch = Batch::ids(["a"]).input("task_id\nb\n");
    let gone = "here=$PWD; mkdir gone && cd gone && rmdir ../gone &&";
    assert_eq!(code_of(&batch, &format!("{gone} $P run $here/songs.csv --sandbox")), "Some(0)");
    assert_eq!(code_of(&batch, &format!("{gone} $P run songs.csv --sandbox")), "Some(7)");
    assert_eq!(code_of(&batch, &format!("{gone} $P run - --sandbox")), "Some(8)");
    let elsewhere = format!("{gone} $P run - --sandbox -o $here/o.csv --ledger $here/l.db --failures $here/f.csv");
    assert_eq!(code_of(&batch, &elsewhere), "Some(0)");
    assert!(fs::read_to_string(batch.path("o.csv")).unwrap().contains("\nb,submitted,"));
}

#[test]
fn files_are_as_private_as_the_umask_says() {
    for (mask, mode) in [("077", 0o600), ("027", 0o640), ("022", 0o644)] {
        let batch = Batch::ids(["code-404-a"]);
        let line = format!("umask {mask}; $P run songs.csv --sandbox --failures failures.csv");
        assert_eq!(code_of(&batch, &line), "Some(4)");
        let files = ["songs.sandbox.results.csv", "songs.sandbox.db", "failures.csv"].map(|file| (file, mode));
        for (file, mode) in files {
            let found = fs::metadata(batch.path(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{file} under {mask}: {found:o}");
        }
    }
}

/// 300,000 rows go through temporary files when repeated ids are looked for.
#[test]
fn few_open_files_are_enough_and_too_few_are_an_error() {
    use std::fmt::Write as _;
    let batch = Batch::ids(["a"]);
    assert_eq!(code_of(&batch, "ulimit -n 24; $P run songs.csv --sandbox"), "Some(0)");
    let few = code_of(&batch, "ulimit -n 11; $P run songs.csv --sandbox");
    assert!(["Some(8)", "Some(1)", "Some(2)"].contains(&&*few), "{few}");
    let mut large = "task_id\n".to_owned();
    for row in 0..300_000 {
        writeln!(large, "track{row}").unwrap();
    }
    let batch = Batch::of(large);
    assert_eq!(code_of(&batch, "ulimit -n 64; $P run songs.csv --sandbox --dry-run"), "Some(0)");
    assert_eq!(code_of(&batch, "ulimit -n 32; $P run songs.csv --sandbox --dry-run"), "Some(8)");
}

#[test]
fn a_run_keeps_to_a_few_threads() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(8000).to(&service.address());
    let mut run = batch.start(&["--rate", "100000/1s", "--concurrency", "64"]);
    let tasks = format!("/proc/{}/task", run.pid());
    let mut most = 0;
    wait_for("the run to end", || {
        most = most.max(fs::read_dir(&tasks).map_or(0, Iterator::count));
        run.is_over()
    });
    run.finish().exit(0);
    assert!((2..=1 + BLOCKING_THREADS).contains(&most), "{most} threads");
}
