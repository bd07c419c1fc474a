//! How the rows are looked at.

use crate::clock::UnixMillis;
use crate::domain::Reason;
use crate::join::Trust;
use crate::policy::InDoubt;

/// What is wanted of a row that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Nothing more.
    Accepted,
    /// That its images are known.
    Images,
    /// That its images are on disk.
    Files,
}

/// What to make of the rows.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Why rows that were not reached were not.
    pub unreached: Option<Reason>,
    /// What the next run does with rows in doubt.
    pub in_doubt: InDoubt,
    /// Which earlier results count where the ledger knows nothing.
    pub trust: Trust,
    /// What is wanted of accepted rows.
    pub goal: Goal,
    /// When it is looked at.
    pub now: UnixMillis,
}
