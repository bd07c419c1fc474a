//! How the covers of a run are followed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::UnixMillis;
use crate::domain::Rate;
use crate::images::ImageFolder;
use crate::ledger::{CoverScope, JobKind, RunId, Waiter};
use crate::policy::PollPolicy;
use crate::ratelimit::Gate;

/// What a lease is longer than its call.
const SPARE: Duration = Duration::from_secs(5);

/// What a run does with covers once they are accepted.
#[derive(Debug, Clone)]
pub struct CoverTracking {
    /// Whose covers.
    pub scope: CoverScope,
    /// Where polls wait.
    pub gate: Arc<Gate>,
    /// The pace that the gate keeps, which other processes share.
    pub pace: Rate,
    /// How long they are followed.
    pub policy: PollPolicy,
    /// Where their images go, if they are wanted on disk.
    pub images: Option<ImageFolder>,
    /// Longest time for one poll.
    pub timeout: Duration,
    /// Longest time for one download.
    pub longest_download: Duration,
    /// When the command began: it waits for each cover from then or from its acceptance.
    pub began: UnixMillis,
    /// Told when this process has written a hint, which is then seen at once.
    pub woken: Arc<Notify>,
}

impl CoverTracking {
    /// How long a claim of a job lasts if nothing comes of it.
    pub(super) fn lease(&self, kind: JobKind) -> Duration {
        let longest = match kind {
            JobKind::Poll => self.timeout,
            JobKind::Download => self.longest_download,
        };
        longest.saturating_add(SPARE)
    }

    /// Who waits for rows that are submitted by the same run, if anyone does.
    pub(super) fn waiter(&self) -> Option<Waiter> {
        match self.scope {
            CoverScope::OfRun(run) => {
                let longest = self.policy.wait.unwrap_or(Duration::MAX);
                Some(Waiter { run, wants_files: self.images.is_some(), began: self.began, longest })
            }
            CoverScope::All => None,
        }
    }

    /// The run that gives a cover up for others to follow; nobody, if covers are followed for ever.
    pub(super) const fn gives_up(&self) -> Option<RunId> {
        match self.scope {
            CoverScope::OfRun(run) if self.policy.wait.is_some() => Some(run),
            CoverScope::OfRun(_) | CoverScope::All => None,
        }
    }
}
