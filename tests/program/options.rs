//! Every option as an environment variable, and flags before them.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::Request;

use crate::story::{Batch, Scripted, StandIn, Table, accepted};

/// The callback address of the first request.
fn callback(service: &Scripted) -> String {
    let body: Value = service.requests()[0].body_json().unwrap();
    body["callBackUrl"].as_str().unwrap().to_owned()
}

#[test]
fn every_option_can_be_set_by_the_environment() {
    let service = Scripted::accepting();
    let batch = Batch::of("a|b\ncovered|x\n")
        .env("COVERBATCH_API_URL", service.address())
        .env("COVERBATCH_PROVIDER", "kie")
        .env("COVERBATCH_API_KEY_FILE", "key")
        .env("COVERBATCH_CALLBACK_URL", "https://x.example/{task_id}")
        .env("COVERBATCH_RESULTS", "out.csv")
        .env("COVERBATCH_FAILURES", "left.csv")
        .env("COVERBATCH_LEDGER", "my.db")
        .env("COVERBATCH_ID_COLUMN", "b")
        .env("COVERBATCH_DELIMITER", "|")
        .env("COVERBATCH_RATE", "7/1s")
        .env("COVERBATCH_CONCURRENCY", "1")
        .env("COVERBATCH_TIMEOUT", "5s")
        .env("COVERBATCH_MAX_ATTEMPTS", "2")
        .env("COVERBATCH_MAX_OUTAGE", "1m")
        .env("COVERBATCH_DEADLINE", "1m")
        .env("COVERBATCH_RETRY", "all")
        .env("COVERBATCH_IN_DOUBT", "hold")
        .env("COVERBATCH_MAX_FAILURES", "10%")
        .env("COVERBATCH_JSON", "true")
        .env("COVERBATCH_LOG_FORMAT", "json")
        .env("COVERBATCH_VERBOSE", "1")
        .env("COVERBATCH_QUIET", "yes");
    fs::write(batch.path("key"), "from-the-file\n").unwrap();
    let ran = batch.run(&[]).exit(0);
    assert_eq!(ran.json()["requests"]["limit"], "7/1s");
    assert_eq!(callback(&service), "https://x.example/x");
    assert_eq!(service.requests()[0].headers["authorization"], "Bearer from-the-file");
    let names = ["key", "left.csv", "my.db", "out.csv", "songs.csv"];
    assert_eq!(batch.listing(), names);
    assert_eq!(Table::read(&batch.path("out.csv"), b'|').rows(&["b", "cover_status"]), ["x submitted"]);
}

#[test]
fn a_flag_wins_over_the_environment() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1).to(&service.address()).env("COVERBATCH_RESULTS", "env.csv");
    let ran = batch.run(&["--rate", "3/1s", "-o", "flag.csv", "--json", "--callback-url", "https://flag.example/"]);
    assert_eq!(ran.exit(0).json()["requests"]["limit"], "3/1s");
    assert_eq!(callback(&service), "https://flag.example/", "over COVERBATCH_NO_CALLBACK");
    assert!(batch.path("flag.csv").exists() && !batch.path("env.csv").exists());
}

#[test]
fn no_callback_wins_over_an_address_in_the_environment() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1)
        .env("COVERBATCH_API_URL", service.address())
        .env("SUNO_API_KEY", "some-key-or-other")
        .env("COVERBATCH_CALLBACK_URL", "https://env.example/");
    batch.run(&["--no-callback"]).exit(0).silent();
    assert_eq!(callback(&service), "https://no-callback.invalid/");
}

#[test]
fn the_environment_can_start_the_sandbox_and_a_dry_run_and_can_say_no() {
    let batch = Batch::ids(["a"]).env("COVERBATCH_SANDBOX", "1").env("COVERBATCH_DRY_RUN", "1");
    batch.run(&[]).exit(0).prints("dry run: nothing is sent or written");
    assert_eq!(batch.listing(), ["songs.csv"]);
    let batch = Batch::ids(["a"]).env("COVERBATCH_SANDBOX", "1").env("COVERBATCH_DRY_RUN", "0");
    batch.run(&[]).exit(0).silent();
    assert!(batch.path("songs.sandbox.db").exists());
}

#[test]
fn a_bad_value_in_the_environment_is_2_too() {
    let ran = Batch::ids(["a"]).env("COVERBATCH_RATE", "fast").run(&["--sandbox"]).exit(2);
    ran.says("invalid value 'fast' for '--rate <N/PERIOD>'")
        .says("hint: the value comes from the variable COVERBATCH_RATE");
    let ran = Batch::ids(["a"]).env("COVERBATCH_RATE", "1/1s").run(&["--sandbox", "--rate", "fast"]).exit(2);
    assert!(!ran.stderr.contains("COVERBATCH_RATE"), "{}", ran.stderr);
}

#[test]
fn the_last_of_two_equal_options_counts() {
    let service = StandIn::quick(&[]);
    let batch = Batch::tracks(1).to(&service.address);
    let ran = batch.run(&["--rate", "1/1s", "-vv", "--rate", "9/1s", "-v", "--json", "--json"]).exit(0);
    assert_eq!(ran.json()["requests"]["limit"], "9/1s");
}

#[test]
fn runs_one_after_the_other_keep_within_the_rate_that_the_service_enforces() {
    let service = StandIn::quick(&["--rate", "5/2s"]);
    let batch = Batch::tracks(1).to(&service.address);
    for number in 1..=8 {
        fs::write(batch.catalog(), format!("task_id\ntrack{number}\n")).unwrap();
        let summary = batch.run(&["--rate", "5/2s", "--json"]).exit(0).json();
        assert_eq!(summary["requests"]["sent"], 1);
        assert_eq!(summary["pauses"], json!([]), "run {number} met a 429: {summary}");
        let most = summary["requests"]["most_in_any_window"].as_u64().unwrap();
        assert_eq!(most, 1, "run {number}");
    }
}

#[test]
fn a_proxy_is_not_asked_for_this_machine_and_never_sees_the_key() {
    let (service, proxy) = (Scripted::accepting(), Scripted::accepting());
    let mut batch = Batch::tracks(1).to(&service.address());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        batch = batch.env(name, proxy.address());
    }
    batch.run(&[]).exit(0).silent();
    assert_eq!((service.requests().len(), proxy.requests().len()), (1, 0));
}

#[test]
fn a_timeout_is_about_one_request_and_its_row() {
    let service = Scripted::by(|request: &Request| accepted(request).set_delay(Duration::from_secs(3)));
    let batch = Batch::ids(["a"]).to(&service.address());
    let ran = batch.run(&["--timeout", "200ms", "--max-attempts", "1"]).exit(4).results(&["a gave_up timeout"]);
    assert_eq!(ran.table().column("cover_message"), ["no answer within 200ms"]);
}

/// The longest that a signed 64-bit number of seconds holds, and what is just too long.
#[test]
fn a_duration_that_no_clock_can_add_is_2() {
    let batch = Batch::ids(["a"]);
    let options = ["--max-outage", "--timeout", "--deadline", "--wait-timeout"];
    for option in options {
        for endless in ["9223372036854775807s", "8760h 1ms"] {
            let ran = batch.run(&["--sandbox", "--wait", option, endless]).exit(2);
            ran.says(&format!("invalid value '{endless}' for '{option}")).says("at most 8760h (a year)");
        }
        batch.run(&["--sandbox", "--wait", option, "8760h"]).exit(0);
    }
}

#[test]
fn a_column_without_a_single_id_is_questioned_before_anything_is_sent() {
    let service = Scripted::accepting();
    let batch = Batch::of("task_id,title\na,Blue Hour\nb,Slow Tide\n").to(&service.address());
    let ran = batch.run(&["--id-column", "title"]).exit(7);
    ran.says("error: is `title` the column of ids in `songs.csv`? no row has one there: line 2: the id holds a space");
    assert_eq!(batch.listing(), ["songs.csv"]);
    let one = Batch::of("task_id,title\na b,x\nc,y\n").to(&service.address());
    one.run(&["--id-column", "task_id"]).exit(3);
    let none = Batch::of("task_id,title\na b,x\n").to(&service.address());
    none.run(&[]).exit(3).says("bad_row");
}

#[test]
fn a_brace_in_a_callback_address_that_means_nothing_is_told_with_those_that_do() {
    let batch = Batch::ids(["a"]).env("SUNO_API_KEY", "a-key-for-the-tests");
    let ran = batch.run(&["--callback-url", "https://x.example/{id}"]).exit(2);
    ran.says("`{id}` is not filled in; only `{task_id}` and `{token}` are")
        .says("hint: write a brace that is meant as such");
    batch.run(&["--callback-url", "ftp://x.example"]).exit(2).says("hint: give an absolute http or https URL");
}

#[test]
fn the_ledger_of_the_stand_in_is_named_where_there_is_no_other() {
    let batch = Batch::ids(["a"]).env("STATE_DIRECTORY", "/no/such/folder");
    batch.run(&["--sandbox"]).exit(0);
    let ran = batch.words(&["why".as_ref(), "a".as_ref()]).exit(2);
    ran.says("error: no ledger at `").says("hint: in this folder there is `songs.sandbox.db`; name one with --ledger");
}
