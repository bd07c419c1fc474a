//! A small HTTP server that notes when it was asked what: one thread a connection, an answer at once or after a while.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::trouble::Trouble;

/// What the service says of a submission it took. Each has a cover of its own.
pub(crate) fn accepted(cover: &str) -> String {
    format!(r#"{{"code":200,"msg":"success","data":{{"taskId":"cover-{cover}"}}}}"#)
}

/// What the service says to those who ask too often.
const REFUSED: &str = r#"{"code":429,"msg":"Your call frequency is too high. Please try again later.","data":null}"#;

/// How a server answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Time from a request to its answer.
    pub(crate) takes: Duration,
    /// At most so many in any window of this length.
    pub(crate) limit: Option<(usize, Duration)>,
}

/// A submission as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// When all of it was there.
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) is_accepted: bool,
}

/// A server; ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    desk: Arc<Desk>,
    listening: Option<JoinHandle<()>>,
}

/// What the threads of a server share.
struct Desk {
    manner: Manner,
    submissions: Mutex<Vec<Submission>>,
    accepted: Mutex<VecDeque<Instant>>,
    is_closed: AtomicBool,
}

impl Server {
    /// Listens when this returns.
    pub(crate) fn start(address: SocketAddr, manner: Manner) -> Result<Self, Trouble> {
        let listener = TcpListener::bind(address)?;
        let desk = Arc::new(Desk {
            manner,
            submissions: Mutex::default(),
            accepted: Mutex::default(),
            is_closed: AtomicBool::new(false),
        });
        let listening = Some(thread::spawn({
            let desk = Arc::clone(&desk);
            move || listen(&listener, &desk)
        }));
        Ok(Self { address, desk, listening })
    }

    /// What came in until now, in this order.
    pub(crate) fn submissions(&self) -> Vec<Submission> {
        locked(&self.desk.submissions).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.desk.is_closed.store(true, Ordering::SeqCst);
        // Wakes the one who waits for connections.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Submission {
    /// The music task it names.
    pub(crate) fn task(&self) -> &str {
        let rest = self.body.split_once(r#""taskId":""#).map_or("", |(_, rest)| rest);
        rest.split('"').next().unwrap_or_default()
    }
}

impl Desk {
    /// Whether one more is within the limit. What is refused does not count.
    fn admits(&self, now: Instant) -> bool {
        let Some((most, window)) = self.manner.limit else { return true };
        let mut accepted = locked(&self.accepted);
        while accepted.front().is_some_and(|at| *at + window <= now) {
            accepted.pop_front();
        }
        let admits = accepted.len() < most;
        if admits {
            accepted.push_back(now);
        }
        admits
    }

    /// Notes a request; the answer to it.
    fn answer(&self, path: String, body: String) -> String {
        let mut submissions = locked(&self.submissions);
        let at = Instant::now();
        let is_accepted = self.admits(at);
        let answer = if is_accepted { accepted(&submissions.len().to_string()) } else { REFUSED.to_owned() };
        submissions.push(Submission { at, path, body, is_accepted });
        answer
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(listener: &TcpListener, desk: &Arc<Desk>) {
    for connection in listener.incoming() {
        if desk.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let desk = Arc::clone(desk);
        // Ends with its connection, whose other end is a program that has ended when it is looked at.
        thread::spawn(move || serve(&connection, &desk));
    }
}

/// Answers what comes over one connection, until that is closed.
fn serve(connection: &TcpStream, desk: &Desk) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some((path, body)) = read_request(&mut reader)? {
        let answer = desk.answer(path, body);
        thread::sleep(desk.manner.takes);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", answer.len());
        (&mut &*connection).write_all(format!("{head}\r\n\r\n{answer}").as_bytes())?;
    }
    Ok(())
}

/// Path and body of the next request; `None` when there are no more.
fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<(String, String)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0_usize;
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((path, String::from_utf8_lossy(&body).into_owned())))
}
