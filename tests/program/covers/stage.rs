//! What these tests have in common: services whose covers are quick, ledgers that know it, and images to compare.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use coverbatch::clock::Clock;
use coverbatch::sandbox::{Sandbox, Scenario, Stats};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::story::{Batch, Ran, Running, StandIn};

/// Where the ledger of a batch is.
pub(crate) const LEDGER: &str = "songs.db";

/// Where its images go.
pub(crate) const FOLDER: &str = "covers";

/// Options that wait for covers and save their images, quickly.
pub(crate) const DOWNLOAD: [&str; 6] = ["--download", FOLDER, "--poll-rate", "1000/1s", "--timeout", "10s"];

/// [`DOWNLOAD`] and these.
pub(crate) fn download<'a>(more: &[&'a str]) -> Vec<&'a str> {
    DOWNLOAD.iter().chain(more).copied().collect()
}

/// A stand-in in a process of its own whose covers take no second.
pub(crate) fn quick(more: &[&str]) -> StandIn {
    let own = ["--image-pixels", "64", "--generation", "100ms..400ms", "--read-rate", "10000/1s"];
    let given = own.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten();
    StandIn::quick(&given.chain(more).copied().collect::<Vec<_>>())
}

/// A stand-in within the test, which can be asked what it has seen.
pub(crate) struct Seeing {
    runtime: Runtime,
    sandbox: Option<Sandbox>,
}

impl Seeing {
    /// One whose covers take no second, but for what `change` does.
    pub(crate) fn with(change: impl FnOnce(&mut Scenario)) -> Self {
        let ms = Duration::from_millis;
        let mut scenario = Scenario {
            limit: "10000/1s".parse().unwrap(),
            read_limit: "10000/1s".parse().unwrap(),
            latency: ms(1)..=ms(3),
            generation: ms(100)..=ms(400),
            image_pixels: 64,
            ..Scenario::default()
        };
        change(&mut scenario);
        let runtime = Runtime::new().unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sandbox = runtime.block_on(async { Sandbox::start(anywhere, scenario, Clock::start()).await.unwrap() });
        Self { runtime, sandbox: Some(sandbox) }
    }

    pub(crate) fn quick() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn address(&self) -> String {
        self.sandbox.as_ref().unwrap().base_url()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.sandbox.as_ref().unwrap().stats()
    }

    /// Requests that asked for a cover.
    pub(crate) fn submissions(&self) -> u64 {
        let stats = self.stats();
        stats.requests - stats.reads - stats.images
    }
}

impl Drop for Seeing {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.stop());
        }
    }
}

/// A batch of these ids for this service, with a ledger that knows how quick covers are.
pub(crate) fn learned<'a>(ids: impl IntoIterator<Item = &'a str>, address: &str) -> Batch {
    let batch = Batch::ids(ids).to(address);
    learns(&batch);
    batch
}

/// A batch of so many ordinary tracks.
pub(crate) fn learned_tracks(count: usize, address: &str) -> Batch {
    let ids: Vec<String> = (1..=count).map(|number| format!("track{number}")).collect();
    learned(ids.iter().map(String::as_str), address)
}

/// Teaches the ledger of a batch by a cover that is there already.
pub(crate) fn learns(batch: &Batch) {
    fs::write(batch.path("lesson.csv"), "task_id\ncovered-lesson\n").unwrap();
    let words = ["run", "lesson.csv", "--wait", "--ledger", LEDGER, "--poll-rate", "1000/1s"];
    batch.start_words(&words).finish().exit(0).silent();
    for name in ["lesson.csv", "lesson.results.csv"] {
        fs::remove_file(batch.path(name)).unwrap();
    }
}

/// The ledger of a batch, opened beside the program.
pub(crate) fn ledger(batch: &Batch) -> Connection {
    let connection = Connection::open(batch.path(LEDGER)).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

/// Has everything that is followed looked at now, as if the time until the next look had passed.
pub(crate) fn hasten(batch: &Batch) {
    ledger(batch).execute("UPDATE task SET due_at = due_at - 200000 WHERE due_at IS NOT NULL", ()).unwrap();
}

/// Makes the ledger of a batch, with nothing in it: only a run does so.
fn makes_ledger(batch: &Batch) {
    fs::write(batch.path("none.csv"), "task_id\n").unwrap();
    batch.start_words(&["run", "none.csv", "--allow-shrink", "--ledger", LEDGER]).finish().exit(0).silent();
    for name in ["none.csv", "none.results.csv"] {
        fs::remove_file(batch.path(name)).unwrap();
    }
}

/// The receiver of a batch, and where it listens.
pub(crate) fn receive(batch: &Batch, more: &[&str]) -> (Running, String) {
    if !batch.path(LEDGER).exists() {
        makes_ledger(batch);
    }
    let own = ["receive", "--ledger", LEDGER, "--listen", "127.0.0.1:0"];
    let words: Vec<&str> = own.iter().chain(&DOWNLOAD).chain(more).copied().collect();
    let process = batch.start_words(&words);
    crate::story::wait_for("the receiver to listen", || process.stdout_so_far().ends_with('\n'));
    let address = process.stdout_so_far().trim().strip_prefix("listening on ").unwrap().to_owned();
    (process, address)
}

/// The status and the body of an answer to a request that is told whole.
pub(crate) fn exchange(address: &str, head: &str, body: &str) -> (u16, Vec<u8>) {
    let host = address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = Vec::new();
    // Whoever refuses a request early may break off.
    let _ = stream.read_to_end(&mut answer);
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[at + 4..].to_vec())
}

/// What is at an address of the stand-in.
pub(crate) fn get(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    assert!(answer[9..].starts_with(b"200 "), "{}", answer[..at].escape_ascii());
    answer[at + 4..].to_vec()
}

/// The names of the images, in order; nothing else may be in the folder.
pub(crate) fn images(batch: &Batch) -> Vec<String> {
    let entries = fs::read_dir(batch.path(FOLDER)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every image that the results name is on disk byte for byte as the service has it, and nothing else is there.
#[track_caller]
pub(crate) fn assert_images(batch: &Batch, ran: &Ran) {
    let table = ran.table();
    let mut named = Vec::new();
    for number in ["1", "2"] {
        let files = table.column(if number == "1" { "cover_file_1" } else { "cover_file_2" });
        let urls = table.column(if number == "1" { "cover_image_1" } else { "cover_image_2" });
        for (file, url) in files.into_iter().zip(urls).filter(|(file, _)| !file.is_empty()) {
            let kept = fs::read(batch.path(FOLDER).join(file)).unwrap();
            assert!(kept == get(url), "{file} is not what {url} has");
            named.push(file.to_owned());
        }
    }
    named.sort();
    assert_eq!(images(batch), named);
}
