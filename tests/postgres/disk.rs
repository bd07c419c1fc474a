//! A server whose disk is full: a tablespace on a small file system in memory, which is mounted where only the server sees it.

use std::process::Command;
use std::time::Duration;

use crate::counting::Counting;
use crate::known::{Known, finishes, repeated};
use crate::server::Server;
use crate::story::Batch;

const IN_FLIGHT: usize = 16;

const OPTIONS: [&str; 4] = ["--concurrency", "16", "--rate", "5000/1s"];

/// A place for tables with little room, most of which is taken up by something else.
const SETUP: &str = "mkdir -m 700 /mnt/tables && head -c 6M /dev/zero >/mnt/ballast";

fn can_mount() -> bool {
    let words = ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"];
    let can = Command::new("unshare").args(words).output().is_ok_and(|output| output.status.success());
    if !can {
        println!("not tested: file systems cannot be mounted here");
    }
    can
}

#[test]
fn a_server_whose_disk_fills_up_stops_the_run_and_the_next_one_with_room_finishes() {
    if !can_mount() {
        return;
    }
    let server = Server::set_up(SETUP, &[("SMALL_DISK", "7M".to_owned())], 5432);
    server.sql("postgres", "CREATE TABLESPACE small LOCATION '/mnt/tables'");
    let url = server.database("filled", "ALTER DATABASE filled SET default_tablespace = small");
    let service = Counting::answering_within(0..=2);
    let batch = Batch::tracks(3_000).to(&service.address()).env("COVERBATCH_LEDGER", url);
    let ran = batch.run(&OPTIONS).exit(8);
    ran.says("error: cannot write to the ledger `postgres://")
        .says("caused by: could not extend file \"pg_tblspc/")
        .says("No space left on device")
        .says("hint: nothing more was sent and nothing settled is lost; once the ledger can be written, run the same");
    service.reads_the_rest();
    let seen = service.total();
    assert!((1..3_000).contains(&seen), "{seen}");
    let known = Known::told(&batch, &[]);
    known.holds_against(&service.asked(), &service.answered());
    assert!(known.settled.len() + 3 * IN_FLIGHT >= seen, "{} of {seen} are settled", known.settled.len());
    // The row is read before anything is removed: a program that ends earlier breaks the server's pipe, at times.
    server.sql("postgres", "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null && rm /mnt/ballast'");
    finishes(&batch, &OPTIONS, 3_000);
    assert!(repeated(&service, seen).iter().all(|task| known.in_doubt.contains(task)));
    assert!(service.most_in(Duration::from_secs(1)) <= 5_000);
}
