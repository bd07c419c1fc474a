//! The key: where it comes from, and that it comes out nowhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use wiremock::{Request, ResponseTemplate};

use crate::story::{Batch, Ran, Scripted, envelope, wait_for};

const CANARY: &str = "canary-7f3a91c2d84e";

/// A service that repeats the key in all it says.
fn talkative(code: i64) -> Scripted {
    Scripted::by(move |request: &Request| {
        let header = request.headers["authorization"].to_str().unwrap().to_owned();
        envelope(code, &format!("the key {header} is not liked"), &Value::Null)
    })
}

fn with_canary(service: &Scripted) -> Batch {
    Batch::tracks(2).to(&service.address()).env("SUNO_API_KEY", CANARY)
}

/// The key is in none of the outputs and in no file, in no form that a simple search finds.
#[track_caller]
fn assert_unseen(batch: &Batch, ran: &Ran) {
    let reversed: String = CANARY.chars().rev().collect();
    let hex = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let base64 = "Y2FuYXJ5LTdmM2E5MWMyZDg0ZQ";
    let mut places = vec![("stdout".to_owned(), ran.stdout.clone()), ("stderr".to_owned(), ran.stderr.clone())];
    for name in batch.listing().into_iter().filter(|name| name != "key") {
        places.push((name.clone(), String::from_utf8_lossy(&fs::read(batch.path(&name)).unwrap()).into_owned()));
    }
    for (place, text) in places {
        for form in [CANARY, "7f3a91c2d84e", &reversed, &hex, base64] {
            assert!(!text.contains(form), "the key is in {place}: {text}");
        }
    }
}

#[test]
fn the_key_comes_out_nowhere_whatever_is_asked_for() {
    let table: [(i64, &[&str], i32); 6] = [
        (500, &["--max-attempts", "1", "-vvv"], 4),
        (500, &["--max-attempts", "1", "-vvv", "--log-format", "json", "--json"], 4),
        (401, &["-vvv", "--json"], 5),
        (422, &["--failures", "left.csv", "-vvv"], 4),
        (12345, &["--max-attempts", "1"], 4),
        (500, &["--dry-run", "-vvv", "--json"], 0),
    ];
    for (code, options, exit) in table {
        let service = talkative(code);
        let batch = with_canary(&service).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        let ran = batch.run(options).exit(exit);
        assert_unseen(&batch, &ran);
        assert!(ran.code != Some(4) || ran.stderr.contains("the key Bearer *** is not liked"), "{}", ran.stderr);
        assert!(
            service.requests().iter().all(|request| request.headers["authorization"] == format!("Bearer {CANARY}"))
        );
    }
}

#[test]
fn the_key_does_not_come_out_of_an_error_page_either() {
    let service = Scripted::by(|request: &Request| {
        let header = request.headers["authorization"].to_str().unwrap().to_owned();
        ResponseTemplate::new(500).set_body_raw(format!("<html>{header}</html>"), "text/html")
    });
    let batch = with_canary(&service);
    assert_unseen(&batch, &batch.run(&["--max-attempts", "1", "-vvv"]).exit(4));
}

#[test]
fn the_key_does_not_come_out_of_a_wrong_command_line_or_a_lost_connection() {
    let batch = Batch::tracks(1).to("http://127.0.0.1:1").env("SUNO_API_KEY", CANARY).env("RUST_LOG", "trace");
    assert_unseen(&batch, &batch.run(&["--max-outage", "0s"]).exit(4));
    assert_unseen(&batch, &batch.run(&["--wrong"]).exit(2));
    assert_unseen(&batch, &batch.run(&["--help"]).exit(0));
    let broken = Batch::tracks(1).to("http://127.0.0.1:1").env("SUNO_API_KEY", format!("{CANARY} {CANARY}"));
    assert_unseen(&broken, &broken.run(&[]).exit(2).says("the environment variable SUNO_API_KEY holds no usable key"));
}

#[test]
fn the_key_is_not_in_the_list_of_processes_nor_in_a_file_while_it_runs() {
    let service =
        Scripted::by(|_: &Request| envelope(422, "no", &Value::Null).set_delay(std::time::Duration::from_millis(500)));
    let batch = with_canary(&service);
    let run = batch.start(&[]);
    wait_for("the request", || !service.requests().is_empty());
    let line = fs::read(format!("/proc/{}/cmdline", run.pid())).unwrap();
    assert!(line.starts_with(crate::story::PROGRAM.as_bytes()));
    assert!(!String::from_utf8_lossy(&line).contains(CANARY));
    assert!(batch.listing().iter().any(|name| name.ends_with("-wal")));
    for name in batch.listing().into_iter().filter(|name| batch.path(name).is_file()) {
        assert!(!String::from_utf8_lossy(&fs::read(batch.path(&name)).unwrap()).contains(CANARY), "{name}");
    }
    run.finish().exit(4);
}

/// The keys that the service was shown.
fn shown(service: &Scripted) -> Vec<String> {
    let requests = service.requests();
    requests.iter().map(|request| request.headers["authorization"].to_str().unwrap().to_owned()).collect()
}

fn key_file(batch: &Batch, mode: u32) {
    fs::write(batch.path("key"), format!("  {CANARY}\t\r\n# rotated in May\n")).unwrap();
    fs::set_permissions(batch.path("key"), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_key_is_the_first_line_of_a_file_and_that_wins_over_the_environment() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1).to(&service.address());
    key_file(&batch, 0o600);
    batch.run(&["--api-key-file", "key"]).exit(0).silent();
    assert_eq!(shown(&service), [format!("Bearer {CANARY}")]);
}

#[test]
fn a_key_file_that_others_can_read_is_a_warning() {
    let service = Scripted::accepting();
    for mode in [0o640, 0o604, 0o644] {
        let batch = Batch::tracks(1).to(&service.address());
        key_file(&batch, mode);
        let ran = batch.run(&["--api-key-file", "key"]).exit(0);
        assert_unseen(&batch, &ran);
        let ran = ran.says("WARN others can read the API key file; chmod 600 it file=key");
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn a_key_that_was_handed_over_or_lies_behind_a_closed_folder_is_no_warning() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1).to(&service.address());
    // As containers mount secrets: for all, and for nobody to write.
    for mode in [0o444, 0o440, 0o400] {
        key_file(&batch, mode);
        batch.run(&["--api-key-file", "key"]).exit(0).silent();
        fs::remove_file(batch.path("key")).unwrap();
    }
    key_file(&batch, 0o644);
    let mounted = "mount --bind key key && mount -o remount,bind,ro key";
    if batch.shell(&format!("unshare -m sh -c '{mounted}'")).code == Some(0) {
        let run = format!("{} run songs.csv --api-key-file key", crate::story::PROGRAM);
        batch.shell(&format!("unshare -m sh -c '{mounted} && {run}'")).exit(0).silent();
    }
    fs::set_permissions(batch.folder(), Permissions::from_mode(0o700)).unwrap();
    batch.run(&["--api-key-file", "key"]).exit(0).silent();
}

#[test]
fn the_service_manager_can_hand_over_the_key() {
    let service = Scripted::accepting();
    let batch = Batch::tracks(1).env("COVERBATCH_API_URL", service.address()).env("COVERBATCH_NO_CALLBACK", "1");
    fs::create_dir(batch.path("credentials")).unwrap();
    let file = batch.path("credentials/suno_api_key");
    fs::write(&file, format!("{CANARY}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
    let batch = batch.env("CREDENTIALS_DIRECTORY", "credentials");
    batch.run(&[]).exit(0).silent();
    assert_eq!(shown(&service), [format!("Bearer {CANARY}")]);
}

#[test]
fn an_empty_key_is_none_and_an_empty_file_is_refused() {
    let batch = Batch::tracks(1).env("SUNO_API_KEY", "");
    batch.run(&["--no-callback"]).exit(2).says("error: there is no API key");
    fs::write(batch.path("key"), "\nthe-second-line\n").unwrap();
    let ran = batch.run(&["--no-callback", "--api-key-file", "key"]).exit(2);
    ran.says("the API key file `key` holds no usable key: it is empty")
        .says("hint: put the key there and nothing else");
}
