//! What the ledger tells of the past: its runs, its submissions over time, and how often a cover was polled.

use crate::clock::UnixMillis;
use crate::domain::Reason;

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

/// How much a ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Music tasks.
    pub music_tasks: u64,
    /// Submissions that were made with it.
    pub submissions: u64,
    /// Runs, and commands that followed covers.
    pub runs: u64,
}

/// Submissions of one stretch of time that came to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sends {
    /// When the stretch begins.
    pub at: UnixMillis,
    /// What their answers meant; `None` if there were none.
    pub reason: Option<Reason>,
    /// How many.
    pub count: u64,
}

/// How often a cover was polled, and when it will be next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollStats {
    /// Records read of it.
    pub polls: u32,
    /// When it is due, if it is followed.
    pub due_at: Option<UnixMillis>,
}
