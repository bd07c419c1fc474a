//! Callers who want nobody else to be served.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream as BlockingStream;
use std::process::Command;
use std::time::Duration;

use coverbatch::callback::{MAX_CONNECTIONS, Rejection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::stage::{PATIENCE, Stage, hear_out, status};

/// The service gives up after 15 s; there shall be much left of them.
const IN_TIME: Duration = Duration::from_secs(5);

/// Runs an ignored test of this file in a process of its own, which may open so many files.
fn run_with_open_files(most: u32, test: &str) {
    let script = format!("ulimit -n {most} && exec \"$0\" --exact callback::floods::{test} --ignored --nocapture");
    let run = Command::new("sh").args(["-c", &script]).arg(env::current_exe().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn a_thousand_silent_connections_lock_nobody_out() {
    run_with_open_files(4096, "inside_a_thousand_silent_connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "opens many files; run with a limit by the test before it"]
async fn inside_a_thousand_silent_connections() {
    let stage = Stage::start().await;
    let mut crowd = Vec::new();
    for nth in 0..1_000 {
        crowd.push(stage.connect().await);
        if nth % 100 == 99 {
            let answer = timeout(IN_TIME, stage.ask(stage.callback(&format!("m-{nth}")))).await;
            assert_eq!(answer.as_deref().map(status), Ok(200), "after {nth}");
        }
    }
    let stats = stage.stats();
    assert_eq!(stage.noted().len(), 10);
    assert_eq!(stats.most_connections, MAX_CONNECTIONS);
    assert!(stats.connections <= MAX_CONNECTIONS, "{stats:?}");
    assert!(stats.dropped >= 1_000 - MAX_CONNECTIONS as u64, "{stats:?}");
    drop(crowd);
    stage.stop(PATIENCE).await;
}

#[tokio::test]
async fn slow_senders_of_all_kinds_are_ended_while_others_are_served() {
    let stage = Stage::start().await;
    let path = stage.path("m-slow");
    let beginnings = [
        String::new(),
        "POST /call".to_owned(),
        format!("POST {path} HTTP/1.1\r\nX-Slow: "),
        format!("POST {path} HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{{"),
        format!("POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"),
    ];
    let mut slow = Vec::new();
    for beginning in &beginnings {
        let mut stream = stage.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let chunk_or_bytes = ["", "x", "x", " ", "1\r\n \r\n"];
    for nth in 0..4 {
        sleep(Duration::from_secs(1)).await;
        for (stream, more) in slow.iter_mut().zip(chunk_or_bytes) {
            stream.write_all(more.as_bytes()).await.unwrap();
        }
        let answer = timeout(IN_TIME, stage.ask(stage.callback(&format!("m-{nth}")))).await;
        assert_eq!(answer.as_deref().map(status), Ok(200));
    }
    let mut statuses = Vec::new();
    for mut stream in slow {
        statuses.push(status(&hear_out(&mut stream).await));
    }
    assert_eq!(statuses, [0, 0, 0, 408, 408]);
    assert_eq!(stage.noted(), ["m-0", "m-1", "m-2", "m-3"]);
    assert_eq!(stage.rejected(Rejection::TooSlow), 2);
}

#[tokio::test]
async fn who_waits_for_us_is_not_driven_out_by_a_flood() {
    let stage = Stage::start().await;
    stage.hold_hints().await;
    let mut early = stage.connect().await;
    early.write_all(stage.callback("m-1").as_bytes()).await.unwrap();
    stage.hint_begun().await;
    let mut crowd = Vec::new();
    for _ in 0..MAX_CONNECTIONS + 50 {
        crowd.push(stage.connect().await);
    }
    let are_dropped = async {
        while stage.stats().dropped < 50 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(IN_TIME, are_dropped).await.expect("a flood is let go");
    stage.let_hints_pass();
    assert_eq!(status(&hear_out(&mut early).await), 200);
    assert_eq!(stage.stats().most_connections, MAX_CONNECTIONS);
}

#[tokio::test]
async fn many_at_once_are_all_answered() {
    let stage = Stage::start().await;
    let ids: Vec<String> = (0..100).map(|nth| format!("m-{nth}")).collect();
    // One thread: nothing is accepted until the first `await` below, and then all are there at once.
    let callers: Vec<_> = ids
        .iter()
        .map(|id| {
            let mut caller = BlockingStream::connect(stage.address()).unwrap();
            caller.write_all(stage.callback(id).as_bytes()).unwrap();
            caller.set_nonblocking(true).unwrap();
            TcpStream::from_std(caller).unwrap()
        })
        .collect();
    for mut caller in callers {
        assert_eq!(status(&hear_out(&mut caller).await), 200);
    }
    let mut noted = stage.noted();
    noted.sort_by_key(|id| id[2..].parse::<u32>().unwrap());
    assert_eq!(noted, ids);
}

#[test]
fn a_lack_of_open_files_neither_ends_nor_spins_it() {
    run_with_open_files(80, "inside_a_lack_of_open_files");
}

#[tokio::test]
#[ignore = "needs a small limit of open files; run with one by the test before it"]
async fn inside_a_lack_of_open_files() {
    let stage = Stage::start().await;
    // One thread: nothing is accepted until the first `await` below.
    let knocking: Vec<_> = (0..10).map(|_| BlockingStream::connect(stage.address()).unwrap()).collect();
    let mut files = Vec::new();
    let full = loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(full) => break full,
        }
    };
    assert_eq!(full.raw_os_error(), Some(24), "EMFILE: {full}");
    sleep(Duration::from_secs(1)).await;
    let failures = stage.stats().accept_failures;
    assert!((2..=11).contains(&failures), "{failures} in a second");
    drop((files, knocking));
    let answer = timeout(IN_TIME, stage.ask(stage.callback("m-1"))).await;
    assert_eq!(answer.as_deref().map(status), Ok(200));
}
