//! `coverbatch check`: a line for each thing that a run needs, and nothing submitted or left.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, UNIX_EPOCH};

use coverbatch::clock::{Clock, UnixMillis};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::story::{Batch, Ran, Scripted, StandIn, envelope};

/// What is told of one thing.
fn told<'a>(ran: &'a Ran, what: &str) -> &'a str {
    let is_told = |line: &&str| line[8..].split(' ').next() == Some(what);
    ran.stdout.lines().find(is_told).unwrap_or_else(|| panic!("nothing of {what} in\n{}", ran.stdout))
}

/// An answer with this balance, from a clock that is so far ahead.
fn balance(credits: f64, ahead: Duration) -> ResponseTemplate {
    let now = Clock::start().unix().after(ahead);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + UnixMillis(0).until(now));
    envelope(200, "success", &json!(credits)).insert_header("date", date.as_str())
}

#[test]
fn everything_that_a_run_needs_has_its_line_and_nothing_is_left() {
    let service = Scripted::by(|_: &wiremock::Request| balance(812.5, Duration::ZERO));
    let batch = Batch::of("task_id\na\nb\na\n").to(&service.address());
    let before = batch.listing();
    let ran = batch.call("check", &["--download", "covers", "--failures", "f.csv", "--metrics-file", "m"]).exit(0);
    let things: Vec<&str> = ran.stdout.lines().map(|line| line[8..].split(' ').next().unwrap()).collect();
    assert_eq!(things.join(" "), "options catalog callback service clock key ledger results failures metrics images");
    assert!(ran.stdout.lines().all(|line| line.starts_with("ok ")), "{}", ran.stdout);
    assert!(told(&ran, "catalog").ends_with("songs.csv: 3 rows, 1 repeated, 0 that cannot be sent"));
    assert!(told(&ran, "key").contains("812.5 credits are left"));
    assert!(told(&ran, "clock").contains("agrees"));
    assert!(told(&ran, "ledger").contains("not there yet"));
    assert_eq!(batch.listing(), before);
    let asked: Vec<_> = service.requests().iter().map(|request| request.method.to_string()).collect();
    assert_eq!(asked, ["GET"], "the free read of the balance");
    batch.call("check", &["-q"]).exit(0).silent();
}

#[test]
fn the_ledger_that_is_there_is_read_and_left_as_it_is() {
    let service = StandIn::quick(&[]);
    let batch = Batch::ids(["a"]).to(&service.address);
    batch.run(&[]).exit(0);
    let (before, ledger) = (batch.listing(), fs::read(batch.path("songs.db")).unwrap());
    let ran = batch.call("check", &[]).exit(0);
    assert!(told(&ran, "ledger").ends_with("songs.db can be written"));
    assert_eq!((batch.listing(), fs::read(batch.path("songs.db")).unwrap()), (before, ledger));
    fs::write(batch.path("songs.db"), "something else").unwrap();
    assert!(told(&batch.call("check", &[]).exit(8), "ledger").starts_with("not ok"));
}

#[test]
fn the_stand_in_can_be_checked_without_a_key() {
    let batch = Batch::ids(["a"]);
    let ran = batch.call("check", &["--sandbox"]).exit(0);
    assert!(ran.stdout.lines().all(|line| line.starts_with("ok ")), "{}", ran.stdout);
    assert_eq!(batch.listing(), ["songs.csv"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_the_severest_is_the_exit_code() {
    let refusing = Scripted::always(401, "unauthorized");
    let batch = Batch::of("title\na\n").to(&refusing.address());
    let ran = batch.call("check", &["-o", "nowhere/r.csv", "--wait-timeout", "5s"]).exit(8);
    for (what, words) in [
        ("options", "--wait-timeout has no effect without --wait; give --wait"),
        ("catalog", "`title`"),
        ("key", "the service refuses it"),
        ("results", "there is no folder `nowhere`"),
    ] {
        let line = told(&ran, what);
        assert!(line.starts_with("not ok") && line.contains(words), "{line}");
    }
    assert!(told(&ran, "service").starts_with("ok "), "it answers");
    assert!(told(&batch.call("check", &[]).exit(7), "catalog").starts_with("not ok"));
    Batch::ids(["a"]).to(&refusing.address()).call("check", &[]).exit(5);
    let json = Batch::ids(["a"]).to(&refusing.address()).call("check", &["--json"]).exit(5).json();
    let key = json["checks"].as_array().unwrap().iter().find(|found| found["what"] == "key").unwrap().clone();
    assert_eq!((&json["exit_code"], &key["ok"]), (&json!(5), &Value::Bool(false)));
}

#[test]
fn an_empty_account_is_5_and_a_service_out_of_reach_is_2() {
    let empty = Scripted::by(|_: &wiremock::Request| balance(0.0, Duration::ZERO));
    let ran = Batch::ids(["a"]).to(&empty.address()).call("check", &[]).exit(5);
    assert!(told(&ran, "key").contains("no credits are left; buy some"));
    let ran = Batch::ids(["a"]).to("http://127.0.0.1:9").call("check", &[]).exit(2);
    assert!(told(&ran, "service").contains("not ok  service   http://127.0.0.1:9: connection: "), "{}", ran.stdout);
    assert!(told(&ran, "key").starts_with("? ") && told(&ran, "clock").starts_with("? "));
    let maintained = Scripted::always(455, "under maintenance");
    let ran = Batch::ids(["a"]).to(&maintained.address()).call("check", &[]).exit(2);
    assert!(told(&ran, "service").contains("maintenance: "), "{}", ran.stdout);
    let ran = Batch::ids(["a"]).env("COVERBATCH_NO_CALLBACK", "1").call("check", &[]).exit(2);
    assert!(told(&ran, "key").contains("there is no API key"));
}

#[test]
fn a_clock_that_is_far_off_is_told() {
    for (seconds, exit, state) in
        [(0, 0, "ok      clock     agrees"), (30, 0, "ok      clock     "), (400, 2, "not ok  clock     ")]
    {
        let ahead = move |_: &wiremock::Request| balance(9.0, Duration::from_secs(seconds));
        let service = Scripted::by(ahead);
        let ran = Batch::ids(["a"]).to(&service.address()).call("check", &[]).exit(exit);
        let line = told(&ran, "clock");
        assert!(line.starts_with(state) && line.contains("behind that of") == (seconds > 0), "{line}");
    }
}

#[test]
fn a_callback_address_that_the_service_cannot_reach_is_told() {
    let batch = Batch::ids(["a"]).env("SUNO_API_KEY", "a-key").env("COVERBATCH_TIMEOUT", "1s");
    let batch = batch.env("HTTPS_PROXY", "http://127.0.0.1:9");
    for (url, words) in [
        ("http://localhost/x", "names this machine by an address that means another one"),
        ("https://10.0.0.7/x", "`10.0.0.7` of --callback-url is 10.0.0.7, which the service cannot reach"),
        ("https://[fd00::7]/x", "is fd00::7, which the service cannot reach"),
        ("https://no-such-host.invalid/x", "`no-such-host.invalid` of --callback-url is not found"),
        ("https://x.example/{id}", "`{id}` is not filled in"),
        ("ftp://x.example/", "only http and https are called"),
    ] {
        let ran = batch.call("check", &["--callback-url", url]).exit(2);
        let line = told(&ran, "callback");
        assert!(line.starts_with("not ok") && line.contains(words), "{line}");
    }
    let ran = batch.call("check", &["--callback-url", "https://8.8.8.8/{task_id}"]).exit(2);
    assert!(told(&ran, "callback").ends_with("`8.8.8.8` is 8.8.8.8"), "{}", ran.stdout);
    assert!(told(&ran, "service").contains("HTTPS_PROXY is http://127.0.0.1:9"), "{}", ran.stdout);
}

#[test]
fn a_folder_of_images_that_cannot_be_made_is_8() {
    let batch = Batch::ids(["a"]);
    fs::create_dir(batch.path("closed")).unwrap();
    fs::set_permissions(batch.path("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    let is_root = fs::write(batch.path("closed/x"), "").is_ok();
    let ran = batch.call("check", &["--sandbox", "--download", "closed/covers"]);
    assert_eq!(told(&ran, "images").starts_with("not ok"), !is_root, "{}", ran.stdout);
    let ran = batch.call("check", &["--sandbox", "--download", "songs.csv/covers"]).exit(2);
    assert!(told(&ran, "images").contains("is a file"), "{}", ran.stdout);
}

#[test]
fn a_name_template_that_no_column_fits_is_told() {
    let batch = Batch::of("task_id,title\na,So What\n");
    let template = |words| batch.call("check", &["--sandbox", "--download", "covers", "--name-template", words]);
    let ran = template("{artist} - {title}").exit(2);
    let line = told(&ran, "catalog");
    assert!(line.starts_with("not ok") && line.contains("the catalog has no column `artist`; put names"), "{line}");
    assert!(told(&template("{title}").exit(0), "catalog").starts_with("ok "));
}
