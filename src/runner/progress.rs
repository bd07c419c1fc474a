//! How far a run has come, in numbers.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, Reason};
use crate::policy::Spending;

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows that this run will not send again.
    pub done: u64,
    /// Those of them that were rejected or given up.
    pub failed: u64,
    /// Submissions made.
    pub sent: u64,
    /// Rows that wait for another attempt.
    pub waiting: u64,
    /// Answers by what they meant.
    pub outcomes: Outcomes,
    /// Reads: of records of music and of covers, and of the balance.
    pub reads: u64,
    /// What came of covers that were followed.
    pub covers: Covers,
    /// Whether covers are not followed any more, though rows were submitted: the service does not let their records be read.
    pub has_given_up_covers: bool,
    /// What was spent, if the run may spend only so much.
    pub spending: Option<Spending>,
    /// When a cover was last accepted that is followed from then on.
    pub last_accepted: Option<UnixMillis>,
    /// When the next cover is polled, if one is waited for.
    pub next_poll: Option<UnixMillis>,
}

impl Progress {
    /// With the reads and the covers of a round more.
    #[must_use]
    pub fn and(mut self, round: Self) -> Self {
        self.reads += round.reads;
        self.covers += round.covers;
        self
    }
}

/// A row that failed in this run, as the ledger knows by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The music task.
    pub task: MusicTaskId,
    /// Why.
    pub reason: Reason,
    /// What was said of it.
    pub message: String,
}

/// What came of covers that were followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covers {
    /// Covers that were accepted in this run and are followed.
    pub accepted: u64,
    /// Records of covers that were read.
    pub polls: u64,
    /// Covers whose images became known.
    pub generated: u64,
    /// Covers that the service could not make.
    pub failed: u64,
    /// Covers that were not finished in time, or not readable.
    pub given_up: u64,
    /// Images on disk.
    pub saved: u64,
}

impl AddAssign for Covers {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.polls += more.polls;
        self.generated += more.generated;
        self.failed += more.failed;
        self.given_up += more.given_up;
        self.saved += more.saved;
    }
}

/// How many answers meant what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Reason::ALL.len()]);

impl Outcomes {
    pub(super) fn add(&mut self, reason: Reason) {
        for (count, each) in self.0.iter_mut().zip(Reason::ALL) {
            *count += u64::from(*each == reason);
        }
    }

    /// Each meaning that there was, and how often.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Reason, u64> {
        Reason::ALL.iter().copied().zip(self.0).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_covers_adds_up_number_by_number() {
        let mut covers = Covers { accepted: 1, polls: 2, generated: 3, failed: 4, given_up: 5, saved: 6 };
        covers += Covers { accepted: 10, polls: 20, generated: 30, failed: 40, given_up: 50, saved: 60 };
        let sum = Covers { accepted: 11, polls: 22, generated: 33, failed: 44, given_up: 55, saved: 66 };
        assert_eq!(covers, sum);
        let one = Progress { reads: 3, covers, ..Progress::default() };
        let both = one.and(Progress { reads: 4, covers: Covers::default(), ..Progress::default() });
        assert_eq!((both.reads, both.covers), (7, covers));
    }
}
