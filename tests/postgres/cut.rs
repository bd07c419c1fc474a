//! The way to the server is cut in both directions: nothing of what is said arrives, and nobody is told so.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use tempfile::TempDir;

use super::server::{Server, url};
use crate::counting::Counting;
use crate::engine::known;
use crate::known::{finishes, repeated};
use crate::story::{Batch, wait_for};

/// A way to the server that can swallow everything.
struct Way {
    folder: TempDir,
    is_cut: Arc<AtomicBool>,
}

impl Way {
    fn to(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (is_cut, server) = (Arc::new(AtomicBool::new(false)), server.folder().join(".s.PGSQL.5432"));
        let shared = Arc::clone(&is_cut);
        spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&server).unwrap());
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&shared));
                pass(server, client, Arc::clone(&shared));
            }
        });
        Self { folder, is_cut }
    }

    fn url(&self, database: &str) -> String {
        url("postgres", self.folder.path(), database)
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// Passes on what comes, or swallows it. A connection that lost something passes nothing any more, as both ends wait.
fn pass(mut from: UnixStream, mut to: UnixStream, is_cut: Arc<AtomicBool>) {
    spawn(move || {
        let (mut bytes, mut has_lost) = (vec![0; 1 << 16], false);
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            has_lost |= is_cut.load(Ordering::SeqCst);
            if !has_lost && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn a_run_that_is_cut_off_sends_nothing_twice_and_the_others_go_on() {
    let server = Server::shared();
    let (way, direct) = (Way::to(server), server.database("cut_off", ""));
    let through = way.url("cut_off");
    let service = Counting::answering_within(20..=200);
    let batch = Batch::tracks(200).to(&service.address()).env("COVERBATCH_LEDGER", &direct);
    let options = ["--rate", "20/1s", "--in-doubt", "hold", "-v"];
    let cut_off = batch.start(&[&["-o", "cut.csv", "--ledger", &through], &options[..]].concat());
    wait_for("its requests", || service.total() >= 10);
    let other = batch.start(&[&["-o", "other.csv"], &options[..]].concat());
    wait_for("some more", || service.total() >= 40);
    way.cut(true);
    sleep(Duration::from_secs(20));
    let before = service.total();
    assert!(before > 100, "the other one goes on: {before}");
    way.cut(false);
    for (run, was_cut_off) in [(other, false), (cut_off, true)] {
        let ran = run.finish();
        assert!(matches!(ran.code, Some(0 | 3 | 4)), "{ran:?}");
        for said in ["the ledger is out of reach", "the ledger is back"] {
            assert_eq!(ran.stderr.contains(said), was_cut_off, "{said}: {ran:?}");
        }
    }
    assert_eq!(repeated(&service, 0), Vec::<String>::new());
    known(&batch).holds_against(&service.asked(), &service.answered());
    finishes(&batch, &[], 200);
}
