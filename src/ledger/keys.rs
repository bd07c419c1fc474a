//! How the ledger numbers what it holds.

use std::fmt;

use crate::clock::UnixMillis;

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

/// A music task and its cover: one whose cover is forgotten may have another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoverKey {
    /// The music task.
    pub task: i64,
    /// Since when the cover is known.
    pub since: Option<UnixMillis>,
}
