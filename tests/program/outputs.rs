//! Where outputs go: never over what is in use, never half, and with the owner and the rights of what was there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;
use std::time::Duration;

use coverbatch::domain::ResultColumn;
use wiremock::Request;

use crate::story::{Batch, PROGRAM, Ran, Scripted, StandIn, Table, accepted, wait_for};

/// Everything in the folder, with its content.
fn contents(batch: &Batch) -> Vec<(String, Vec<u8>)> {
    let names = batch.listing();
    names.into_iter().map(|name| (name.clone(), fs::read(batch.path(name)).unwrap_or_default())).collect()
}

/// The results of another catalog, longer than those that replace them.
fn long_results() -> String {
    let columns = ResultColumn::WORDS;
    format!("task_id,title,{}\nb,{},pending{}\n", columns.join(","), "x".repeat(9999), ",".repeat(columns.len() - 1))
}

/// A batch with a ledger, results, a key, a default cover, and links of many kinds.
fn crowded(service: &Scripted) -> Batch {
    let batch = Batch::ids(["a"]).env("COVERBATCH_API_URL", service.address()).env("COVERBATCH_NO_CALLBACK", "1");
    fs::write(batch.path("key"), "some-key-or-other\n").unwrap();
    fs::set_permissions(batch.path("key"), Permissions::from_mode(0o600)).unwrap();
    let batch = batch.env("COVERBATCH_API_KEY_FILE", "key");
    batch.run(&[]).exit(0).silent();
    fs::create_dir(batch.path("covers")).unwrap();
    image::RgbImage::new(8, 8).save(batch.path("covers/a-1.png")).unwrap();
    symlink("songs.csv", batch.path("link")).unwrap();
    symlink("songs.db-wal", batch.path("ahead")).unwrap();
    fs::hard_link(batch.catalog(), batch.path("hard")).unwrap();
    batch
}

#[test]
fn nothing_that_is_in_use_is_ever_replaced() {
    let service = Scripted::accepting();
    let batch = crowded(&service);
    let before = contents(&batch);
    let table = [
        ("run songs.csv -o songs.csv", "--results would replace the catalog"),
        ("run songs.csv -o covers/../songs.csv", "--results would replace the catalog"),
        ("run songs.csv -o link", "--results would replace the catalog"),
        ("run songs.csv -o hard", "--results would replace the catalog"),
        ("run link -o songs.csv", "--results would replace the catalog"),
        ("run - -o songs.csv <songs.csv", "--results would replace the catalog"),
        ("run songs.results.csv -o songs.results.csv", "--results would replace the catalog"),
        ("run songs.csv -o key", "--results would replace the API key file"),
        ("run songs.csv -o songs.db", "--results would replace the ledger"),
        ("run songs.csv -o songs.db-wal", "--results would replace a file that belongs to the ledger"),
        ("run songs.csv -o ahead", "--results would replace a file that belongs to the ledger"),
        ("run songs.csv -o songs.db.runs", "--results would replace a file that belongs to the ledger"),
        ("run songs.csv --failures songs.csv", "--failures would replace the catalog"),
        ("run songs.csv --failures songs.results.csv", "would replace the"),
        ("run songs.csv -o new --failures covers/../new", "would replace the"),
        ("run songs.csv --metrics-file songs.csv", "--metrics-file would replace the catalog"),
        ("run songs.csv --metrics-file songs.results.csv", "would replace the"),
        ("run songs.csv --metrics-file new.db --ledger new.db", "would replace the"),
        ("run songs.csv --metrics-file key", "--metrics-file would replace the API key file"),
        ("run songs.csv --ledger songs.csv", "--ledger would replace the catalog"),
        ("run songs.csv --ledger key", "--ledger would replace the API key file"),
        ("run songs.csv --callback-secret-file new --failures new", "replace the file of the callback secret"),
        (
            "run songs.csv --download covers --default-cover covers/a-1.png",
            "--download would replace the default cover `covers/a-1.png`",
        ),
        ("run songs.csv --download covers -o covers/b-2.webp", "--download would replace the results"),
        ("run songs.csv --download new -o new", "--download would replace the results"),
        ("run songs.csv --download c --default-cover d.png -o d.png", "--results would replace the default cover"),
        ("run songs.csv --sandbox -o songs.results.csv", "--results would replace an output of the real service"),
        ("run songs.csv --ledger -", "--ledger cannot be standard output"),
        ("run songs.csv --download -", "--download cannot be standard output"),
        ("run songs.csv -o - --json", "--results and --json both write to standard output"),
        ("run songs.csv -o - --failures /dev/stdout", "--results and --failures both write to standard output"),
        ("follow songs.csv -o songs.db-shm", "--results would replace a file that belongs to the ledger"),
        ("results songs.csv -o songs.db", "--results would replace the ledger"),
        ("results songs.csv --failures link", "--failures would replace the catalog"),
        ("report songs.csv -o link", "--output would replace the catalog"),
        ("report songs.csv -o songs.db", "--output would replace the ledger"),
        ("report songs.csv --download covers -o covers/a-1.png", "--download would replace the page"),
        ("receive --ledger key", "--ledger would replace the API key file"),
        ("receive --ledger covers/a-1.png --download covers", "--download would replace the ledger"),
    ];
    for (words, problem) in table {
        let ran = batch.shell(&format!("{PROGRAM} {words}"));
        let told = format!("{words}\n{}", ran.stderr);
        assert!(ran.code == Some(2) && ran.stderr.contains(problem) && ran.stderr.contains("\nhint: "), "{told}");
        assert_eq!(contents(&batch), before, "{words}");
    }
    assert_eq!(service.requests().len(), 1);
    let ordinary =
        "--download . --default-cover covers/a-1.png -o covers/a-1.csv --metrics-file m --failures f-1.csv -n";
    batch.shell(&format!("{PROGRAM} run songs.csv {ordinary}")).exit(0);
}

#[test]
fn a_dash_is_standard_output() {
    let batch = Batch::ids(["a", "code-404-b"]);
    let ran = batch.run(&["--sandbox", "-o", "-", "--failures", "left.csv"]).exit(4);
    let ran = ran.says("  results  standard output\n").says("/left.csv\n");
    assert_eq!(batch.listing(), ["left.csv", "songs.csv", "songs.sandbox.db"]);
    let printed = |ran: &Ran| {
        fs::write(batch.path("printed"), &ran.stdout).unwrap();
        Table::read(&batch.path("printed"), b',').rows(&["task_id", "cover_status"])
    };
    assert_eq!(printed(&ran), ["a submitted", "code-404-b failed"]);
    assert_eq!(printed(&batch.call("results", &["--sandbox", "-o", "/dev/stdout"]).exit(4)), printed(&ran));
    let left = batch.call("results", &["--sandbox", "--failures", "-"]).exit(4);
    assert_eq!(printed(&left), ["code-404-b failed"]);
    batch.call("report", &["--sandbox", "-o", "-"]).exit(4).prints("<!DOCTYPE html>").prints("</html>");
    let full = batch.shell(&format!("{PROGRAM} results songs.csv --sandbox -o - >/dev/full")).exit(8);
    full.says("error: cannot write to standard output\n  caused by: No space left on device");
    assert!(!batch.path("-").exists());
    batch.call("results", &["--sandbox", "-o", "./-"]).exit(4);
    assert!(batch.path("-").exists(), "a file of that name has another name");
}

#[test]
fn a_catalog_from_another_pipe_has_its_files_in_the_working_folder() {
    let batch = Batch::ids(["a"]);
    batch.shell(&format!("cat songs.csv | {PROGRAM} run /dev/stdin --sandbox")).exit(0).silent();
    let files = ["songs.csv", "stdin.sandbox.db", "stdin.sandbox.results.csv"];
    assert_eq!(batch.listing(), files);
}

#[test]
fn what_the_stand_in_said_is_kept_apart_from_what_the_service_said() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    batch.run(&[]).exit(0);
    let real = fs::read(batch.results_path()).unwrap();
    for command in ["run", "results", "report"] {
        batch.call(command, &["--sandbox"]).exit(0);
    }
    assert_eq!(fs::read(batch.results_path()).unwrap(), real);
    assert!(batch.path("songs.sandbox.results.csv").exists() && batch.path("songs.sandbox.report.html").exists());
    batch.run(&["--sandbox", "--api-url", &service.address]).exit(2).says("--sandbox and --api-url exclude each other");
    let nightly = batch.env("COVERBATCH_RESULTS", "night.csv").env("COVERBATCH_DOWNLOAD", "covers");
    nightly.run(&["--sandbox"]).exit(2).says("--results would replace an output of the real service `night.csv`");
    nightly.run(&["--sandbox", "-o", "new.csv"]).exit(2).says("--download would replace an output of the real service");
    nightly.run(&["--sandbox", "-o", "new.csv", "--download", "new", "-n"]).exit(0);
    let both = Batch::ids(["a"]).to(&service.address).env("COVERBATCH_SANDBOX", "1");
    both.run(&[]).exit(2).says("--sandbox and --api-url exclude each other");
}

#[test]
fn a_results_file_keeps_its_mode_and_its_owner() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    for name in ["songs.results.csv", "left.csv", "page.html", "m.prom"] {
        fs::write(batch.path(name), "").unwrap();
        fs::set_permissions(batch.path(name), Permissions::from_mode(0o662)).unwrap();
    }
    // Only root can give files away; everybody else keeps their own.
    let _ =
        Command::new("chown").args(["12345:54321"]).args(["songs.results.csv"]).current_dir(batch.folder()).status();
    let before = fs::metadata(batch.results_path()).unwrap();
    let line =
        "umask 077; $P run songs.csv --failures left.csv --metrics-file m.prom && $P report songs.csv -o page.html";
    batch.shell(&line.replace("$P", PROGRAM)).exit(0).silent();
    for name in ["songs.results.csv", "left.csv", "page.html", "m.prom"] {
        let after = fs::metadata(batch.path(name)).unwrap();
        assert!(after.len() > 0 && after.mode() & 0o777 == 0o662, "{name}: {:o}", after.mode());
    }
    let after = fs::metadata(batch.results_path()).unwrap();
    assert_ne!(after.ino(), before.ino(), "it was replaced as a whole");
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
}

/// A command line as a user who is not root, whoever runs the tests.
fn unprivileged(batch: &Batch, line: &str) -> Ran {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let drop = if is_root { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "" };
    batch.shell(&format!("{drop} {PROGRAM} {line}"))
}

fn set_mode(batch: &Batch, name: &str, mode: u32) {
    fs::set_permissions(batch.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_may_be_written_in_a_folder_that_may_not_is_written_in_place() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address());
    for folder in ["out", "state"] {
        fs::create_dir(batch.path(folder)).unwrap();
    }
    set_mode(&batch, ".", 0o755);
    set_mode(&batch, "state", 0o777);
    fs::write(batch.path("out/results.csv"), long_results()).unwrap();
    set_mode(&batch, "out/results.csv", 0o666);
    set_mode(&batch, "out", 0o555);
    let before = fs::metadata(batch.path("out/results.csv")).unwrap();
    let line = "run songs.csv --ledger state/l.db -o out/results.csv";
    unprivileged(&batch, line).exit(0).silent();
    assert_eq!(Table::read(&batch.path("out/results.csv"), b',').rows(&["task_id", "cover_status"]), ["a submitted"]);
    assert_eq!(fs::metadata(batch.path("out/results.csv")).unwrap().ino(), before.ino());
    assert_eq!(fs::read_dir(batch.path("out")).unwrap().count(), 1);
    // Neither the one nor the other: refused before anything is sent.
    set_mode(&batch, "out/results.csv", 0o444);
    fs::write(batch.catalog(), "task_id\nb\n").unwrap();
    for target in ["out/results.csv", "out/new.csv"] {
        let ran = unprivileged(&batch, &format!("run songs.csv --ledger state/l.db -o {target}")).exit(8);
        ran.says(&format!("error: cannot write `{target}`\n  caused by: Permission denied"))
            .says("hint: nothing was sent");
    }
    assert_eq!(service.requests().len(), 1);
    set_mode(&batch, "out", 0o755);
}

#[test]
fn a_file_that_is_mounted_at_its_place_is_written_in_place() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address());
    fs::write(batch.path("outside.csv"), long_results()).unwrap();
    fs::write(batch.path("results.csv"), "").unwrap();
    let mounted = "mount --bind outside.csv results.csv";
    if batch.shell(&format!("unshare -m sh -c '{mounted}'")).code != Some(0) {
        // Whoever may not mount files meets none that somebody has mounted for the test.
        return;
    }
    let run = format!("{PROGRAM} run songs.csv -o results.csv");
    batch.shell(&format!("unshare -m sh -c '{mounted} && {run}'")).exit(0).silent();
    assert_eq!(Table::read(&batch.path("outside.csv"), b',').rows(&["task_id", "cover_status"]), ["a submitted"]);
    let read_only = format!("{mounted} && mount -o remount,bind,ro results.csv && {run}");
    batch
        .shell(&format!("unshare -m sh -c '{read_only}'"))
        .exit(8)
        .says("Read-only file system")
        .says("nothing was sent");
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn results_are_written_though_the_failures_cannot_be() {
    let service = Scripted::by(|request: &Request| accepted(request).set_delay(Duration::from_millis(700)));
    let batch = Batch::ids(["a"]).to(&service.address());
    let run = batch.start(&["--failures", "left.csv"]);
    wait_for("the request", || !service.requests().is_empty());
    fs::create_dir(batch.path("left.csv")).unwrap();
    let ran = run.finish().exit(8).says("error: cannot write `left.csv`\n  caused by: is a directory");
    ran.results(&["a submitted accepted"]);
}

#[test]
fn a_limit_of_the_size_of_files_is_like_a_full_disk() {
    let service = StandIn::quick(&[]);
    let batch = Batch::tracks(1500).to(&service.address);
    batch.run(&[]).exit(0);
    let results = fs::read(batch.results_path()).unwrap();
    // In units of 512 or 1024 bytes, as the shell likes it.
    let limited = |words: &str| batch.shell(&format!("ulimit -f 128; {PROGRAM} {words}"));
    let ran = limited("results songs.csv").exit(8);
    ran.says("error: cannot write `songs.results.csv`\n  caused by: File too large");
    assert_eq!(fs::read(batch.results_path()).unwrap(), results);
    // The results of a run are written though its ledger cannot be.
    let few: Vec<String> = (1..=300).map(|number| format!("few{number}")).collect();
    let batch = Batch::ids(few.iter().map(String::as_str)).to(&service.address);
    let line = format!("ulimit -f 512; {PROGRAM} run songs.csv --concurrency 4 --ledger new.db");
    let table = batch.shell(&line).exit(8).says("`new.db`").table();
    assert_eq!(table.len(), 300);
    assert!(table.with("submitted") > 0 && table.with("pending") > 0);
    assert_eq!(table.column("cover_reason").last(), Some(&"interrupted"));
}

#[test]
fn what_the_service_says_stands_in_a_log_beside_what_happened() {
    let service = Scripted::always(599, "who is there");
    let batch = Batch::ids(["a"]).to(&service.address());
    let ran = batch.run(&["--max-attempts", "1", "--log-format", "json"]).exit(4);
    let line = ran.stderr.lines().find(|line| line.starts_with('{')).unwrap();
    let fields: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(fields["message"], "the service answers with a code that is not documented");
    assert_eq!((&fields["said"], &fields["code"]), (&"who is there".into(), &599.into()));
}
