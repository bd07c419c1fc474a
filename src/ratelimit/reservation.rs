//! What a caller gets from the gate: leave for one request, and the duty to report what came of it.
//!
//! Dropping either leaves the gate in order, so a caller that gives up or dies holds up nobody.

use std::sync::Arc;

use tokio::time::Instant;

use super::breaker::Epoch;
use super::{Feedback, Gate};
use crate::domain::Reason;
use crate::policy::{Jitter, Refusal};

/// What a request counts as until it is over.
#[derive(Debug)]
struct Place {
    gate: Arc<Gate>,
    epoch: Epoch,
    is_probe: bool,
    /// When it was sent, once it was.
    sent: Option<Instant>,
}

/// Leave for one request. It counts against the limit until it is dropped, or answered.
#[derive(Debug)]
pub struct Reservation(Place);

impl Reservation {
    pub(super) const fn new(gate: Arc<Gate>, epoch: Epoch, is_probe: bool) -> Self {
        Self(Place { gate, epoch, is_probe, sent: None })
    }

    /// Notes that the request is being made now; `None` if a pause began since it was reserved, which it would break.
    #[must_use]
    pub fn depart(self) -> Option<InFlight> {
        let Self(mut place) = self;
        place.sent = Some(place.gate.depart(place.epoch)?);
        Some(InFlight(place))
    }
}

/// A request on its way; what came of it has to be reported.
#[derive(Debug)]
pub struct InFlight(Place);

impl InFlight {
    /// Tells the gate what came of it, at once: it may have to pause everyone.
    pub fn report(self, feedback: Feedback, jitter: Jitter) {
        let Self(mut place) = self;
        let is_probe = std::mem::take(&mut place.is_probe);
        let feedback = match feedback {
            // Everyone waits for the answer of a probe: no answer is one too.
            Feedback::Lost if is_probe => {
                Feedback::Refused { refusal: Refusal::Unavailable, reason: Reason::Connection, retry_after: None }
            }
            Feedback::Lost | Feedback::Answered | Feedback::Refused { .. } => feedback,
        };
        place.gate.report(place.epoch, is_probe, feedback, jitter);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.free(self.sent, self.is_probe);
    }
}
