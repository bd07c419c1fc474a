//! A process that was begun, and can be watched, signalled and waited for.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Ran;

/// The longest any one process may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A signal to send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Hup,
    Int,
    Term,
}

/// A process; killed if the test leaves it.
pub(crate) struct Running {
    child: Child,
    stdout: fs::File,
    stderr: fs::File,
    results: PathBuf,
}

impl Running {
    pub(crate) fn begin(mut command: Command, results: PathBuf) -> Self {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        Self { child: command.spawn().unwrap(), stdout, stderr, results }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, to this process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Hup => "HUP",
            Signal::Int => "INT",
            Signal::Term => "TERM",
        };
        let line = format!("kill -{name} {}", self.pid());
        assert!(Command::new("/bin/sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn stdout_so_far(&self) -> String {
        text_of(&self.stdout)
    }

    pub(crate) fn stderr_so_far(&self) -> String {
        text_of(&self.stderr)
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Ran {
        wait_for("the process to end", || self.is_over());
        let code = self.child.wait().unwrap().code();
        let (stdout, stderr) = (text_of(&self.stdout), text_of(&self.stderr));
        Ran { code, stdout, stderr, results: self.results.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that was written, read without moving the position that the writer shares.
fn text_of(file: &fs::File) -> String {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until something is so.
#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(5));
    }
}
