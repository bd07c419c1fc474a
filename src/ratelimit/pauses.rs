//! When the gate was closed, and why: for the digest.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Reason;

/// Pauses told apart; more than these are only counted and added up.
const MOST_PAUSES: usize = 100;

/// A time in which nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// What the service said first.
    pub reason: Reason,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub until: Instant,
}

/// All pauses so far.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    ended: Vec<Pause>,
    total: Duration,
    now: Option<(Reason, Instant)>,
}

impl Pauses {
    /// A pause begins, unless there is one.
    pub(super) fn begin(&mut self, reason: Reason, at: Instant) {
        self.now.get_or_insert((reason, at));
    }

    /// The pause ends, if there is one.
    pub(super) fn end(&mut self, until: Instant) {
        let Some((reason, from)) = self.now.take() else { return };
        self.total += until - from;
        if self.ended.len() < MOST_PAUSES {
            self.ended.push(Pause { reason, from, until });
        }
    }

    /// How long nothing was sent, until `now`.
    pub(super) fn total(&self, now: Instant) -> Duration {
        self.total + self.now.map_or(Duration::ZERO, |(_, from)| now - from)
    }

    /// Every pause, the one that lasts included.
    pub(super) fn all(&self, now: Instant) -> Vec<Pause> {
        let lasting = self.now.map(|(reason, from)| Pause { reason, from, until: now });
        self.ended.iter().copied().chain(lasting).collect()
    }
}
