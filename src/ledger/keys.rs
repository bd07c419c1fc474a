//! How the ledger numbers what it holds.

use std::fmt;

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

/// A music task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskKey(pub i64);
