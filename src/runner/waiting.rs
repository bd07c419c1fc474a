//! Rows that wait for another attempt.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tokio::time::Instant;

use super::Row;

/// Rows by due time; those due at one time keep their order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    heap: BinaryHeap<Reverse<Due>>,
    turns: u64,
}

/// A row that is due at a time, in its turn.
#[derive(Debug)]
struct Due {
    at: Instant,
    turn: u64,
    row: Row,
}

impl Waiting {
    /// Lets a row wait until it is due.
    pub(super) fn push(&mut self, row: Row, at: Instant) {
        self.turns += 1;
        self.heap.push(Reverse(Due { at, turn: self.turns, row }));
    }

    /// The row that has been due for longest, if one is.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Row> {
        self.next_due().filter(|due| *due <= now)?;
        self.heap.pop().map(|Reverse(due)| due.row)
    }

    /// When the next row is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(due)| due.at)
    }

    /// How many rows wait.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
