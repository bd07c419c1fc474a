//! What a caller gets from the gate: leave for one submission, and the duty to report what came of it.
//!
//! Dropping either leaves the gate in order, so a caller that gives up or dies holds up nobody.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use super::{Gate, Refused};
use crate::domain::{Brief, Reason};
use crate::policy::{GATE_BACKOFF, Jitter, Refusal};

/// Leave for one submission, soon.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    given: Instant,
    closings: u64,
    pub(super) probe: bool,
}

impl Permit {
    pub(super) fn new(gate: &Arc<Gate>, probe: bool) -> Self {
        Self { gate: Arc::clone(gate), given: gate.clock.now(), closings: gate.state().closings, probe }
    }

    /// Whether it may still be used: a permit kept too long would crowd a later window.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.gate.clock.now() - self.given <= self.gate.freshness()
    }

    /// Whether it is from before a pause, which it would break.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.gate.state().closings != self.closings
    }

    /// Notes that the submission is being made now.
    #[must_use]
    pub fn depart(self) -> Departure {
        let mut state = self.gate.state();
        let now = self.gate.clock.now();
        state.made.note(now);
        drop(state);
        Departure { permit: self }
    }
}

/// A probe that is not used must not leave the others waiting for its return.
impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe {
            let now = self.gate.clock.now();
            self.gate.state().close(now, now, Refusal::Unavailable, Reason::Connection);
            self.gate.changed.notify_waiters();
        }
    }
}

/// A submission on its way; what came of it has to be reported.
#[derive(Debug)]
pub struct Departure {
    permit: Permit,
}

impl Departure {
    /// The service answered, whatever it said of the row: it is there, and not too busy.
    pub fn answered(mut self) {
        let gate = Arc::clone(&self.permit.gate);
        let now = gate.clock.now();
        let mut state = gate.state();
        state.last_answer = Some(now);
        if self.permit.closings == state.closings {
            state.refusals = 0;
        }
        if std::mem::take(&mut self.permit.probe) {
            state.open(now);
            info!(paused = %Brief(state.pauses.total(now)), "the service answers again");
        }
        drop(state);
        gate.changed.notify_waiters();
    }

    /// The service refused everyone: closes the gate, for longer each time.
    pub fn refused(mut self, refused: Refused, jitter: Jitter) {
        let gate = Arc::clone(&self.permit.gate);
        let now = gate.clock.now();
        let mut state = gate.state();
        self.permit.probe = false;
        if self.permit.closings == state.closings {
            state.refuse(now, refused, jitter);
        } else if let Some(asked) = refused.retry_after {
            state.prolong(now + asked.min(GATE_BACKOFF.cap));
        }
        drop(state);
        gate.changed.notify_waiters();
    }
}

impl Departure {
    /// No answer came. That says nothing of the others, unless this was the probe they wait for.
    pub fn lost(self, jitter: Jitter) {
        if self.permit.probe {
            let refused = Refused { refusal: Refusal::Unavailable, reason: Reason::Connection, retry_after: None };
            self.refused(refused, jitter);
        }
    }
}
