//! The ledger of the account: where it is, who makes it, and what is taken over where it does not know enough.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use wiremock::Request;

use crate::story::{Batch, PROGRAM, Scripted, StandIn, Table, envelope};

/// Every command but `run`, on its catalog.
const READERS: [&str; 4] = ["results", "status", "report", "follow"];

/// A service that gives no id where a cover is there already.
fn without_second_answers() -> Scripted {
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    Scripted::by(move |request: &Request| {
        let body: Value = request.body_json().unwrap();
        let task = body["taskId"].as_str().unwrap().to_owned();
        let cover = json!({ "taskId": format!("cover-of-{task}") });
        let is_new = seen.lock().unwrap().insert(task);
        if is_new { envelope(200, "success", &cover) } else { envelope(400, "there is one", &Value::Null) }
    })
}

#[test]
fn a_lost_ledger_costs_no_cover_id_and_no_second_request() {
    let service = without_second_answers();
    let batch = Batch::ids(["a", "b", "c"]).to(&service.address());
    batch.run(&[]).exit(0).silent();
    let results = fs::read(batch.results_path()).unwrap();
    let ledger = fs::read(batch.path("songs.db")).unwrap();
    // Gone, and as a backup may have it that copies the file alone.
    for left in [None, Some(&[][..])] {
        fs::remove_file(batch.path("songs.db")).unwrap();
        if let Some(bytes) = left {
            fs::write(batch.path("songs.db"), bytes).unwrap();
        }
        let plan = batch.run(&["-n", "--json"]).exit(0).json();
        assert_eq!((&plan["rows"]["settled"], &plan["rows"]["to_send"]), (&json!(3), &json!(0)));
        let ran = batch.run(&["--json"]).exit(0).says("music_tasks=3");
        assert_eq!((&ran.json()["ledger_is_new"], &ran.json()["taken_over"]), (&json!(true), &json!(3)));
        assert_eq!(fs::read(batch.results_path()).unwrap(), results);
    }
    batch.run(&[]).exit(0).silent();
    assert_eq!(service.requests().len(), 3);
    assert!(fs::read(batch.path("songs.db")).unwrap().len() >= ledger.len() / 2);
}

#[test]
fn rows_that_are_in_the_catalog_no_more_are_taken_over_too() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a", "b"]).to(&service.address());
    batch.run(&[]).exit(0).silent();
    fs::remove_file(batch.path("songs.db")).unwrap();
    fs::write(batch.catalog(), "task_id\nb\nc\n").unwrap();
    let ran = batch.run(&["--json"]).exit(0);
    assert_eq!(ran.json()["taken_over"], 2);
    fs::write(batch.catalog(), "task_id\na\nb\nc\n").unwrap();
    let rows = ["a submitted accepted", "b submitted accepted", "c submitted accepted"];
    batch.run(&[]).exit(0).silent().results(&rows);
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn results_that_tell_more_than_the_ledger_are_not_replaced_by_less() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a", "b"]).to(&service.address());
    batch.run(&[]).exit(0).silent();
    let results = fs::read(batch.results_path()).unwrap();
    fs::remove_file(batch.path("songs.db")).unwrap();
    fs::write(batch.path("other.csv"), "task_id\nz\n").unwrap();
    batch.words(&["run", "other.csv"].map(OsStr::new)).exit(0).silent();
    batch.call("results", &[]).exit(2).says("tell of music tasks that the ledger does not know");
    assert_eq!(fs::read(batch.results_path()).unwrap(), results);
    batch.call("results", &["-o", "now.csv"]).exit(4);
    batch.call("follow", &["--wait-timeout", "0s", "--max-attempts", "1", "--json"]).says("music_tasks=2");
    let covers = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("cover-of-").count();
    assert_eq!(covers(&fs::read(batch.results_path()).unwrap()), covers(&results));
}

#[test]
fn what_is_no_results_csv_is_not_replaced_by_one() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address());
    batch.run(&["-o", "good.csv"]).exit(0).silent();
    let good = fs::read_to_string(batch.path("good.csv")).unwrap();
    for (what, bytes) in [
        ("notes", "not a table at all\n".to_owned()),
        ("another table", "task_id,title\na,x\n".to_owned()),
        ("a quote that is not closed", good.replace("\na,", "\na,\"")),
    ] {
        fs::write(batch.results_path(), &bytes).unwrap();
        for command in ["run", "results", "follow"] {
            let ran = batch.call(command, &[]).exit(2);
            ran.says("`songs.results.csv` cannot be read as a results CSV, and what it holds would be lost");
        }
        batch.run(&["-n"]).exit(2);
        assert_eq!(fs::read_to_string(batch.results_path()).unwrap(), bytes, "{what}");
    }
    fs::write(batch.results_path(), "").unwrap();
    batch.run(&[]).exit(0).silent().results(&["a submitted accepted"]);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn only_run_makes_a_ledger_and_its_folder() {
    let service = StandIn::quick(&[]);
    let state = tempfile::tempdir().unwrap();
    let home = state.path().join("home");
    let batch = Batch::ids(["a"]).to(&service.address).env("STATE_DIRECTORY", "").env("HOME", &home);
    let secret = batch.env("COVERBATCH_CALLBACK_SECRET", "0123456789abcdef0123456789abcdef");
    let refused = |words: &[&str]| {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let ran = secret.words(&words).exit(2);
        ran.says("error: no ledger at `")
            .says("/home/.local/state/coverbatch/songs.db`\nhint: the first `coverbatch run`");
    };
    for command in READERS {
        refused(&[command, "songs.csv"]);
    }
    for words in [&["why", "a"][..], &["receive", "--listen", "127.0.0.1:0"], &["ledger", "check"]] {
        refused(words);
    }
    secret.run(&["-n"]).exit(0).prints("songs.db (not there yet)\n");
    assert!(!home.exists() && secret.listing() == ["songs.csv"]);
    secret.run(&[]).exit(0).silent();
    let folder = home.join(".local/state/coverbatch");
    assert!(folder.join("songs.db").exists());
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    secret.call("status", &[]).exit(0);
    assert_eq!(secret.listing(), ["songs.csv", "songs.results.csv"]);
}

#[test]
fn without_a_folder_for_it_the_ledger_has_to_be_named() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address()).env("STATE_DIRECTORY", "relative");
    for ran in [batch.run(&[]), batch.call("status", &[]), batch.words(&["why", "a"].map(OsStr::new))] {
        ran.exit(2).says("there is no folder for the ledger").says("hint: name the ledger with --ledger");
    }
    assert!(service.requests().is_empty());
    batch.run(&["--ledger", "l.db"]).exit(0).silent();
    batch.run(&["--account", "../x"]).exit(2).says("expected letters, digits");
}

#[test]
fn the_password_of_a_database_is_never_shown() {
    let batch = Batch::ids(["a"]).env("SUNO_API_KEY", "a-key-for-the-tests");
    for address in ["postgres://me:hidden@127.0.0.1:1/covers", "PostgreSQL://me:hidden@127.0.0.1:1/covers?sslmode=no"] {
        for words in [
            &["run", "songs.csv", "--no-callback", "--ledger", address][..],
            &["status", "songs.csv", "--ledger", address],
            &["why", "a", "--ledger", address],
            &["ledger", "copy", address, "copy.db"],
            &["ledger", "copy", "songs.db", address],
        ] {
            let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            let ran = batch.words(&words).says("error: ").says("hint: ");
            assert!(matches!(ran.code, Some(2 | 8)), "{ran:?}");
            assert!(!ran.stderr.contains("hidden") && !ran.stdout.contains("hidden"), "{}", ran.stderr);
        }
    }
    assert_eq!(batch.listing(), ["songs.csv"]);
}

#[test]
fn catalogs_of_one_account_share_a_ledger_and_other_accounts_have_their_own() {
    let service = Scripted::accepting();
    let batch = Batch::ids(["a"]).to(&service.address());
    batch.run(&[]).exit(0).silent();
    fs::write(batch.path("tomorrow.csv"), "task_id\na\nb\n").unwrap();
    batch.words(&["run", "tomorrow.csv"].map(OsStr::new)).exit(0).silent();
    assert_eq!(service.requests().len(), 2, "`a` is known by then");
    batch.run(&["--account", "second", "-o", "second.csv"]).exit(0).silent();
    assert_eq!(service.requests().len(), 3);
    batch.call("status", &["--account", "third"]).exit(2).says("there is `second.db`, `songs.db`; name one");
}

#[test]
fn the_failures_as_a_catalog_need_no_ledger_named() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a", "code-500x1-b"]).to(&service.address);
    batch.run(&["--max-attempts", "1", "--failures", "left.csv"]).exit(4);
    batch.words(&["run", "left.csv"].map(OsStr::new)).exit(0).silent();
    assert_eq!(
        Table::read(&batch.path("left.results.csv"), b',').rows(&["task_id", "cover_status"]),
        ["code-500x1-b submitted"]
    );
    batch.run(&[]).exit(0).silent();
    assert_eq!(batch.call("status", &["--json"]).exit(0).json()["rows"]["submitted"], 2);
}

#[test]
fn why_takes_the_beginning_of_an_id_and_finds_the_only_ledger() {
    let service = Scripted::accepting();
    let ids = ["ab", "abc1", "abc2", "abc3", "abc4", "abc5", "abc6", "x_y", "x%z"];
    let batch = Batch::ids(ids).to(&service.address());
    batch.run(&[]).exit(0).silent();
    let why = |batch: &Batch, id: &str| batch.words(&["why", id].map(OsStr::new));
    why(&batch, "x_").exit(0).prints("music task   x_y\n");
    why(&batch, "x%").exit(0).prints("music task   x%z\n");
    why(&batch, "ab").exit(0).prints("music task   ab\n");
    let ran = why(&batch, "abc").exit(2);
    ran.says("several music tasks begin with `abc`: abc1, abc2, abc3, abc4, abc5 …\nhint: give more of the one");
    why(&batch, "x").exit(2).says("several music tasks begin with `x`: x%z, x_y\n");
    why(&batch, "ac").exit(2).says("knows nothing of `ac`");
    let elsewhere = Batch::ids(["a"]).env("STATE_DIRECTORY", batch.folder());
    let why = |more: &str| elsewhere.shell(&format!("unset COVERBATCH_ACCOUNT; {PROGRAM} why abc1 {more}"));
    why("").exit(0).prints("music task   abc1\n");
    why("--provider kie").exit(2).says("api.kie.ai.db`\nhint: there is `songs.db`; name one");
}
