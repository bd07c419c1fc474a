//! Hosts whose clocks disagree: an hour ahead, and an hour behind. Clocks that are set: of a host, and of the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coverbatch::clock::UnixMillis;
use coverbatch::ledger::{AttemptKey, Begun, Claim, ClaimRequest, PostgresLedger, SubmitLedger as _};
use coverbatch::ratelimit::Asking;
use tokio::time::{sleep, timeout};

use crate::counting::Counting;
use crate::engine::with_one_ledger;
use crate::known::{finishes, repeated};
use crate::rows::{begin, rejection, request};
use crate::server::Server;
use crate::story::{Batch, wait_for};
use crate::{API, MAX_OUTAGE};

/// What a program asks for the time of day by, as many seconds off as a file says; time that only moves forward is left alone.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, which, time);
    if (result == 0 && which == CLOCK_REALTIME) {
        char seconds[16] = "";
        int file = open(getenv("SECONDS_AHEAD"), O_RDONLY);
        if (read(file, seconds, sizeof seconds - 1) > 0) time->tv_sec += atol(seconds);
        close(file);
    }
    return result;
}
"#;

/// The library that is this clock, made in a folder.
fn made(folder: &Path) -> PathBuf {
    let (source, clock) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&clock).arg(&source).status().unwrap();
    assert!(compiled.success());
    clock
}

/// A batch on a host whose clock is so many seconds ahead.
fn ahead(batch: Batch, clock: &Path, seconds: i64) -> Batch {
    set(&batch, seconds);
    let file = batch.path("seconds");
    batch.env("LD_PRELOAD", clock).env("SECONDS_AHEAD", file)
}

/// Sets the clock of a batch's host so many seconds ahead.
fn set(batch: &Batch, seconds: i64) {
    let file = batch.path("seconds");
    fs::write(file.with_extension("new"), seconds.to_string()).unwrap();
    fs::rename(file.with_extension("new"), file).unwrap();
}

#[test]
fn hosts_whose_clocks_are_hours_apart_keep_one_limit_and_one_pause() {
    let folder = tempfile::tempdir().unwrap();
    let clock = made(folder.path());
    let service = Counting::answering_within(20..=20);
    let batches = [Batch::tracks(100), Batch::tracks(100)].map(|batch| batch.to(&service.address()));
    let [first, second] = batches;
    let (first, second) = with_one_ledger(first, second);
    let (first, second) = (ahead(first, &clock, 3_600), ahead(second, &clock, -3_600));
    let runs = [&first, &second].map(|batch| batch.start(&["--rate", "20/1s"]));
    wait_for("some requests", || service.total() >= 40);
    service.refuse(true);
    wait_for("probes", || service.refused() >= 4 && service.outage() > Duration::from_secs(3));
    let refused = service.refused();
    service.refuse(false);
    for run in runs {
        // One may end while the other has a row that was refused still before it.
        let ran = run.finish();
        assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    }
    assert_eq!(repeated(&service, 0), Vec::<String>::new());
    assert_eq!(service.total(), 100);
    let most = service.most_in(Duration::from_secs(1));
    assert!(most <= 20, "{most} in one second");
    // What was on its way, and probes after 1, 2 and 4 seconds, each shortened by up to half.
    assert!(refused <= 2 + 5, "{refused} requests in an outage");
    // One that is ahead believes the clock of the server to be a little later than one that is behind.
    let table = second.run(&[]).exit(0).table();
    let mut sent: Vec<_> = table.column("cover_first_sent_at").into_iter().map(UnixMillis::from_rfc3339).collect();
    sent.sort_unstable();
    assert!(sent[9].unwrap().until(sent[90].unwrap()) > Duration::from_secs(7_000), "each has its share: {sent:?}");
    finishes(&second, &[], 100);
}

/// By what it did before, it would seem to have filled everyone's window of the next hour, or of an hour ago.
#[test]
fn a_host_whose_clock_is_set_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let clock = made(folder.path());
    let service = Counting::answering_within(20..=20);
    let batches = [Batch::tracks(200), Batch::tracks(200)].map(|batch| batch.to(&service.address()));
    let [first, second] = batches;
    let (first, second) = with_one_ledger(first, second);
    let first = ahead(first, &clock, 0);
    let runs = [&first, &second].map(|batch| batch.start(&["--rate", "20/1s"]));
    for (requests, seconds) in [(40, 3_600), (80, 0), (120, -3_600)] {
        wait_for("some requests", || service.total() >= requests);
        set(&first, seconds);
    }
    for run in runs {
        let ran = run.finish();
        assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    }
    assert_eq!(repeated(&service, 0), Vec::<String>::new());
    finishes(&second, &[], 200);
}

/// By what was done before, the window of the next hour would be full.
#[tokio::test]
async fn a_server_whose_clock_is_set_back_holds_up_nobody_for_longer_than_a_window() {
    let server = Server::shared();
    let url = server.database("set_back", "");
    let open = || PostgresLedger::open(&url, "main", API, MAX_OUTAGE);
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    let shows = |seconds: u32| {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION coverbatch.clock_timestamp() RETURNS timestamptz LANGUAGE sql
             AS 'SELECT pg_catalog.clock_timestamp() + make_interval(secs => {seconds})'"
        );
        server.sql("set_back", &sql);
    };
    shows(3_600);
    let (run, _) = (begin(&one).await, begin(&two).await);
    for id in ["a", "b"] {
        let attempt = claim_slowly(&one, run, id).await;
        one.settle(attempt, rejection()).await.unwrap();
    }
    shows(0);
    // As long as what was measured before is believed.
    sleep(Duration::from_secs(10)).await;
    timeout(Duration::from_secs(30), claim_slowly(&one, run, "c")).await.expect("it is not held up for an hour");
}

/// Claims at a rate of two in two seconds.
async fn claim_slowly(ledger: &PostgresLedger, run: Begun, id: &str) -> AttemptKey {
    let mut asking = Asking { rate: "2/2s".parse().unwrap(), is_probe: false, promised: None };
    loop {
        match ledger.claim(ClaimRequest { asking, ..request(run, id) }).await.unwrap() {
            Claim::Granted(attempt) => return attempt,
            Claim::NotYet(not_yet) => {
                asking.promised = not_yet.promised;
                sleep(not_yet.wait).await;
            }
            claim @ (Claim::Refused | Claim::InFlight) => panic!("{id}: {claim:?}"),
        }
    }
}
