//! Runs: how the ledger numbers them and their submissions, how one begins, and what is remembered of it.

use std::fmt;

use rustix::system::uname;

use crate::clock::UnixMillis;
use crate::domain::Reason;

/// One run of the program, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A claimed submission, counted over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey(pub i64);

/// What a run is begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The catalog, by the name that tells it from others.
    pub catalog: String,
    /// Whether it takes up some of the rows only.
    pub is_partial: bool,
    /// The results file, by its full name on this host; `None` if it is no file.
    pub results: Option<String>,
    /// The command line that goes on with it, ready for a shell.
    pub command: String,
    /// When it begins.
    pub at: UnixMillis,
}

/// Whether a run may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// It may, and has.
    Begun(Begun),
    /// Another run is alive that writes the same results file.
    ResultsInUse(RunHolder),
}

/// A run that is open in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Its number.
    pub run: RunId,
    /// The last submission before it began, by whichever run.
    pub seen: AttemptKey,
}

/// A run that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHolder {
    /// Its process.
    pub pid: u32,
    /// Where that is.
    pub host: String,
    /// When it began.
    pub started: UnixMillis,
}

/// The name of this machine.
pub(super) fn host() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// A run over a catalog, as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Whether it submitted anything, or only followed covers.
    pub submits: bool,
    /// Whether it took up some of the rows only.
    pub is_partial: bool,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended; `None` if it goes on, or if it was killed.
    pub ended: Option<UnixMillis>,
    /// Why it did not reach all of its rows, [`Reason::Interrupted`] if it was killed; `None` if it did, or goes on.
    pub cut_short: Option<Reason>,
    /// What came of it, if that was written down: it is not of one that goes on or could not end well.
    pub result: Option<RunResult>,
    /// The command line that goes on with it, ready for a shell.
    pub command: String,
}

/// What came of a run, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunResult {
    /// Submissions made.
    pub sent: u64,
    /// Rows that have a cover and had none before.
    pub new_covers: u64,
    /// Rows without a cover because they failed, in this run or before.
    pub failed: u64,
    /// The exit code.
    pub exit_code: u8,
}
