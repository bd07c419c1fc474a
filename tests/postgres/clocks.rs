//! Hosts whose clocks disagree: an hour ahead, and an hour behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use coverbatch::clock::UnixMillis;

use crate::counting::Counting;
use crate::engine::with_one_ledger;
use crate::known::{finishes, repeated};
use crate::story::{Batch, wait_for};

/// What a program asks for the time of day by, some seconds off; time that only moves forward is left alone.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, which, time);
    if (result == 0 && which == CLOCK_REALTIME) time->tv_sec += atol(getenv("SECONDS_AHEAD"));
    return result;
}
"#;

/// A batch on a host whose clock is so many seconds ahead.
fn ahead(batch: Batch, clock: &Path, seconds: i64) -> Batch {
    batch.env("LD_PRELOAD", clock).env("SECONDS_AHEAD", seconds.to_string())
}

#[test]
fn hosts_whose_clocks_are_hours_apart_keep_one_limit_and_one_pause() {
    let folder = tempfile::tempdir().unwrap();
    let (source, clock) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
    std::fs::write(&source, CLOCK).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&clock).arg(&source).status().unwrap();
    assert!(compiled.success());
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
