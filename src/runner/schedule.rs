//! Which reads and downloads may be begun, and when.
//!
//! Due times live in the ledger and not here, so memory does not grow with the covers that are waited for, and whatever
//! another process writes there, such as the hint of a callback, is seen within a [`TICK`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::{Clock, UnixMillis};
use crate::domain::Rate;
use crate::images::ImageFolder;
use crate::ledger::{CoverJob, CoverScope, JobKind, Ledger, LedgerError, RunId, Waiter};
use crate::policy::PollPolicy;
use crate::ratelimit::Gate;

/// How often the ledger is asked for news that others wrote.
const TICK: Duration = Duration::from_secs(1);

/// Images that are fetched at a time.
pub(super) const DOWNLOADS: usize = 4;

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
    fn lease(&self, kind: JobKind) -> Duration {
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

/// The polls and downloads of a run.
#[derive(Debug)]
pub(super) struct CoverJobs {
    pub(super) tracking: Arc<CoverTracking>,
    /// When the next of each kind is due, as far as the ledger was asked.
    poll: Option<UnixMillis>,
    download: Option<UnixMillis>,
    asked: Option<Instant>,
    /// Those that are on their way.
    pub(super) polls: usize,
    pub(super) downloads: usize,
}

impl CoverJobs {
    pub(super) fn new(tracking: CoverTracking) -> Self {
        let tracking = Arc::new(tracking);
        Self { tracking, poll: None, download: None, asked: None, polls: 0, downloads: 0 }
    }

    /// Asks the ledger what is due, unless it was asked a moment ago and nothing has happened since.
    pub(super) async fn refresh<L: Ledger>(&mut self, ledger: &L, clock: Clock) -> Result<(), LedgerError> {
        if self.asked.is_some_and(|asked| clock.now() - asked < TICK) {
            return Ok(());
        }
        let (poll, download) = ledger.next_due(self.tracking.scope, clock.unix()).await?;
        self.poll = poll;
        self.download = download.filter(|_| self.tracking.images.is_some());
        self.asked = Some(clock.now());
        Ok(())
    }

    /// Claims the job that has been due for longest.
    pub(super) async fn claim<L: Ledger>(
        &mut self,
        ledger: &L,
        kind: JobKind,
        at: UnixMillis,
    ) -> Result<Option<CoverJob>, LedgerError> {
        let CoverTracking { scope, pace, .. } = *self.tracking;
        let due = ledger.claim_job(scope, kind, at, self.tracking.lease(kind), pace).await?;
        match kind {
            JobKind::Poll => self.poll = due.next,
            JobKind::Download => self.download = due.next,
        }
        if due.next.is_none() {
            // Another process may have moved the last cover from one kind to the other since the ledger was asked.
            self.invalidate();
        }
        Ok(due.job)
    }

    /// Something has happened: the ledger is to be asked again.
    pub(super) const fn invalidate(&mut self) {
        self.asked = None;
    }

    /// A cover is due at a time, as the one who wrote that down tells.
    pub(super) fn expect_poll(&mut self, poll: UnixMillis) {
        self.poll = Some(self.poll.map_or(poll, |before| before.min(poll)));
    }

    /// When the next poll is due, as far as is known.
    pub(super) const fn next_poll(&self) -> Option<UnixMillis> {
        self.poll
    }

    /// Whether a poll is due.
    pub(super) fn is_poll_due(&self, now: UnixMillis) -> bool {
        self.poll.is_some_and(|due| due <= now)
    }

    /// Whether a download is due, and there is room for it.
    pub(super) fn is_download_due(&self, now: UnixMillis) -> bool {
        self.downloads < DOWNLOADS && self.download.is_some_and(|due| due <= now)
    }

    /// Whether anything is left to follow, now or later.
    pub(super) fn is_left(&self) -> bool {
        self.tracking.scope == CoverScope::All || self.poll.is_some() || self.download.is_some()
    }

    /// How long until the ledger is worth asking again.
    pub(super) fn wait(&self, now: UnixMillis) -> Duration {
        let next = [self.poll, self.download].into_iter().flatten().filter(|next| *next > now).min();
        next.map_or(TICK, |next| now.until(next).clamp(Duration::from_millis(1), TICK))
    }
}
