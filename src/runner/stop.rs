//! How a run is asked to end early: by a signal, a deadline, the service, or too many failures.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use crate::domain::Ended;

/// How much has been asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// Nothing new is submitted.
    Submitting,
    /// Nothing at all is begun any more.
    Everything,
}

/// A request to end, seen by everyone who holds a clone.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    submitting: CancellationToken,
    everything: CancellationToken,
    why: Arc<Mutex<Option<Ended>>>,
}

impl Stop {
    /// Asks for the end. Of several reasons the severest counts.
    pub fn request(&self, why: Ended) {
        let mut reason = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if reason.is_none_or(|before| severity(why) > severity(before)) {
            info!(?why, "nothing new is sent any more");
            *reason = Some(why);
        }
        drop(reason);
        self.submitting.cancel();
        if why.ends_following() {
            self.everything.cancel();
        }
    }

    /// Asks for the end at once, because the run cannot go on and will say so itself.
    pub fn abort(&self) {
        self.submitting.cancel();
        self.everything.cancel();
    }

    /// Asks for the end after some time, as long as the handle is kept.
    pub fn after(&self, wait: Duration, why: Ended) -> AbortOnDropHandle<()> {
        let stop = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            stop.request(why);
        }))
    }

    /// Whether the end was asked for: nothing new is submitted.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.submitting.is_cancelled()
    }

    /// Why the end was asked for, if there is a reason.
    #[must_use]
    pub fn requested(&self) -> Option<Ended> {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the end is asked for: nothing new is submitted.
    pub async fn wait(&self) {
        self.submitting.cancelled().await;
    }

    /// Whether nothing at all is begun any more, not even a poll of a cover.
    #[must_use]
    pub fn ends_everything(&self) -> bool {
        self.everything.is_cancelled()
    }

    /// How much has been asked to end so far.
    pub(super) fn asked(&self) -> Asked {
        match (self.is_requested(), self.ends_everything()) {
            (_, true) => Asked::Everything,
            (true, false) => Asked::Submitting,
            (false, false) => Asked::Nothing,
        }
    }

    /// Waits until more is asked to end than whoever waits has heard of.
    pub(super) async fn wait_for_more_than(&self, heard: Asked) {
        match heard {
            Asked::Nothing => self.wait().await,
            Asked::Submitting => self.wait_for_everything().await,
            Asked::Everything => pending().await,
        }
    }

    /// Waits until nothing at all is begun any more.
    pub async fn wait_for_everything(&self) {
        self.everything.cancelled().await;
    }
}

/// The order in which the exit codes of the contract win.
const fn severity(ended: Ended) -> u8 {
    match ended {
        Ended::Finished => 0,
        Ended::Deadline
        | Ended::Outage
        | Ended::TooManyFailures
        | Ended::Limit
        | Ended::Budget
        | Ended::BalanceUnknown
        | Ended::NotUnderstood => 1,
        Ended::Interrupted(_) => 2,
        Ended::Unauthorized | Ended::NoCredits | Ended::WrongAddress => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Signal;

    #[test]
    fn the_severest_reason_counts_whatever_came_first() {
        let stop = Stop::default();
        assert_eq!(stop.requested(), None);
        for (why, counts) in [
            (Ended::Deadline, Ended::Deadline),
            (Ended::Outage, Ended::Deadline),
            (Ended::Interrupted(Signal::Terminate), Ended::Interrupted(Signal::Terminate)),
            (Ended::NoCredits, Ended::NoCredits),
            (Ended::Interrupted(Signal::Interrupt), Ended::NoCredits),
            (Ended::NotUnderstood, Ended::NoCredits),
            (Ended::WrongAddress, Ended::NoCredits),
        ] {
            stop.request(why);
            assert_eq!(stop.requested(), Some(counts));
        }
    }
}
