//! A service that counts: it remembers every music task it was ever asked for, and gives a cover once.
//!
//! The first request for a music task is answered by 200, every other one by 400 with the same cover id. What it was
//! asked counts from the moment it read the request, whether or not the asker lives to hear the answer.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::story::wait_for;

/// A service in threads of the test.
pub(crate) struct Counting {
    address: SocketAddr,
    desk: Arc<Desk>,
}

/// What the connections of a service share.
struct Desk {
    /// The music tasks asked for, in their order.
    asked: Mutex<Vec<String>>,
    /// When.
    times: Mutex<Vec<Instant>>,
    /// Requests that were refused because of maintenance.
    refused: Mutex<Vec<Instant>>,
    refuses: AtomicBool,
    /// The music tasks whose answer was about to be written.
    answered: Mutex<BTreeSet<String>>,
    open: AtomicUsize,
    holds: AtomicBool,
    millis: RangeInclusive<u64>,
}

impl Counting {
    /// One that takes so many milliseconds to answer.
    pub(crate) fn answering_within(millis: RangeInclusive<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (open, holds) = (AtomicUsize::new(0), AtomicBool::new(false));
        let desk = Arc::new(Desk {
            asked: Mutex::default(),
            times: Mutex::default(),
            refused: Mutex::default(),
            refuses: AtomicBool::new(false),
            answered: Mutex::default(),
            open,
            holds,
            millis,
        });
        let shared = Arc::clone(&desk);
        thread::spawn(move || {
            for connection in listener.incoming() {
                shared.open.fetch_add(1, Ordering::SeqCst);
                let desk = Arc::clone(&shared);
                thread::spawn(move || {
                    // Whoever hangs up in the middle has still been counted.
                    let _ = connection.and_then(|connection| desk.serve(connection));
                    desk.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, desk }
    }

    /// One that answers nothing until it is told to.
    pub(crate) fn holding() -> Self {
        let service = Self::answering_within(0..=0);
        service.hold();
        service
    }

    /// From now on nothing is answered until it is told to.
    pub(crate) fn hold(&self) {
        self.desk.holds.store(true, Ordering::SeqCst);
    }

    /// From now on everything is answered.
    pub(crate) fn let_go(&self) {
        self.desk.holds.store(false, Ordering::SeqCst);
    }

    /// Whether everyone is refused from now on, because of maintenance.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.desk.refuses.store(refuses, Ordering::SeqCst);
    }

    /// How many requests were refused.
    pub(crate) fn refused(&self) -> usize {
        self.desk.refused.lock().unwrap().len()
    }

    /// How long requests have been refused.
    pub(crate) fn outage(&self) -> Duration {
        let refused = self.desk.refused.lock().unwrap();
        refused.first().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// From its first submission to its last one.
    pub(crate) fn took(&self) -> Duration {
        let times = self.desk.times.lock().unwrap();
        times.first().zip(times.last()).map_or(Duration::ZERO, |(first, last)| last.duration_since(*first))
    }

    /// The most requests that it has read within any stretch of time of such a length, refused ones included.
    pub(crate) fn most_in(&self, length: Duration) -> usize {
        let mut times =
            [&*self.desk.times.lock().unwrap(), &*self.desk.refused.lock().unwrap()].map(Clone::clone).concat();
        times.sort_unstable();
        let within = |from: usize| times[from..].iter().take_while(|at| **at - times[from] < length).count();
        (0..times.len()).map(within).max().unwrap_or(0)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many submissions it has seen.
    pub(crate) fn total(&self) -> usize {
        self.desk.asked.lock().unwrap().len()
    }

    /// The submissions after the first `count`.
    pub(crate) fn after(&self, count: usize) -> Vec<String> {
        self.desk.asked.lock().unwrap()[count..].to_vec()
    }

    /// The music tasks it was asked for.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.after(0).into_iter().collect()
    }

    /// The music tasks whose cover it has told, or is about to.
    pub(crate) fn answered(&self) -> BTreeSet<String> {
        self.desk.answered.lock().unwrap().clone()
    }

    /// Waits until everything that dead processes have sent is read.
    pub(crate) fn reads_the_rest(&self) {
        // Connections are taken in their order, so once this one is answered all earlier ones are counted as open.
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(last.read(&mut [0; 64]).unwrap() > 0);
        drop(last);
        wait_for("the connections to end", || self.desk.open.load(Ordering::SeqCst) == 0);
    }
}

impl Desk {
    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut writer = connection.try_clone()?;
        let mut reader = BufReader::new(connection);
        while let Some(body) = request(&mut reader)? {
            let answer = self.answer(&body).to_string();
            writer.write_all(
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                    answer.len()
                )
                .as_bytes(),
            )?;
        }
        Ok(())
    }

    fn answer(&self, body: &[u8]) -> Value {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return json!({ "code": 404, "msg": "nothing is there", "data": null });
        };
        let task = body["taskId"].as_str().unwrap().to_owned();
        let cover = json!({ "taskId": cover_of(&task) });
        if self.refuses.load(Ordering::SeqCst) {
            self.refused.lock().unwrap().push(now());
            return json!({ "code": 455, "msg": "The service is under maintenance", "data": null });
        }
        let is_first = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(task.clone());
            self.times.lock().unwrap().push(now());
            let (last, before) = asked.split_last().unwrap();
            !before.contains(last)
        };
        while self.holds.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(2));
        }
        sleep(Duration::from_millis(fastrand::u64(self.millis.clone())));
        self.answered.lock().unwrap().insert(task);
        if is_first {
            json!({ "code": 200, "msg": "success", "data": cover })
        } else {
            json!({ "code": 400, "msg": "The cover has already been generated", "data": cover })
        }
    }
}

/// The body of the next request; `None` if there is none.
fn request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    while line.trim_end() != "" {
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

/// The one cover of a music task.
pub(crate) fn cover_of(task: &str) -> String {
    format!("cover-of-{task}")
}

#[expect(clippy::disallowed_methods, reason = "a real service lives in real time")]
fn now() -> Instant {
    Instant::now()
}
