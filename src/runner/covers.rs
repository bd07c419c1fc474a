//! What a run follows: which polls and downloads of covers may be begun, and when.
//!
//! Due times live in the ledger and not here, so memory does not grow with the covers that are waited for, and whatever
//! another process writes there, such as the hint of a callback, is seen within a [`TICK`].

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::cover_task::CoverTask;
use super::progress::Covers;
use super::task::{JobResult, RunError, TaskContext, Tasks};
use super::tracking::CoverTracking;
use crate::api::CoverApi;
use crate::clock::{Clock, UnixMillis};
use crate::ledger::{CoverJob, CoverScope, JobKind, JobStep, Ledger, LedgerError};
use crate::policy::{GenerationEstimate, Jitter};
use crate::ratelimit::Reservation;

/// How often the ledger is asked for news that others wrote.
const TICK: Duration = Duration::from_secs(1);

/// Images that are fetched at a time.
const DOWNLOADS: usize = 4;

/// The polls and downloads of a run.
#[derive(Debug)]
pub(super) struct CoverJobs {
    pub(super) tracking: Arc<CoverTracking>,
    /// When the next of each kind is due, as far as the ledger was asked.
    poll: Option<UnixMillis>,
    download: Option<UnixMillis>,
    asked: Option<Instant>,
    /// Those that are on their way.
    polls: usize,
    downloads: usize,
}

impl CoverJobs {
    pub(super) fn new(tracking: CoverTracking) -> Self {
        let tracking = Arc::new(tracking);
        Self { tracking, poll: None, download: None, asked: None, polls: 0, downloads: 0 }
    }

    /// Begins the poll of the cover that has been due for longest, if other processes leave one.
    pub(super) async fn poll<A: CoverApi, L: Ledger>(
        &mut self,
        context: &Arc<TaskContext<A, L>>,
        tasks: &mut Tasks,
        reservation: Reservation,
        jitter: Jitter,
    ) -> Result<(), RunError> {
        if let Some(job) = self.claim(&*context.ledger, JobKind::Poll, context.clock.unix()).await? {
            self.polls += 1;
            tasks.spawn(self.task(context, job).poll(reservation, jitter));
        }
        Ok(())
    }

    /// Finds out which covers are due, and begins to fetch images, which waits for no gate.
    pub(super) async fn start_downloads<A: CoverApi, L: Ledger>(
        &mut self,
        context: &Arc<TaskContext<A, L>>,
        tasks: &mut Tasks,
        rng: &mut Rng,
    ) -> Result<(), RunError> {
        let (ledger, clock) = (&*context.ledger, context.clock);
        self.refresh(ledger, clock).await?;
        while let Some(folder) = self.tracking.images.clone()
            && self.is_download_due(clock.unix())
        {
            let Some(job) = self.claim(ledger, JobKind::Download, clock.unix()).await? else { continue };
            let JobStep::Download { number, url } = job.step.clone() else { continue };
            self.downloads += 1;
            tasks.spawn(self.task(context, job).download(number, url, folder, Jitter::new(rng.f64())));
        }
        Ok(())
    }

    fn task<A, L>(&self, context: &Arc<TaskContext<A, L>>, job: CoverJob) -> CoverTask<A, L> {
        CoverTask { context: Arc::clone(context), tracking: Arc::clone(&self.tracking), job }
    }

    /// Counts what came of a job; nothing, if its image could not be saved.
    pub(super) fn note(
        &mut self,
        kind: JobKind,
        result: Option<JobResult>,
        counts: &mut Covers,
        estimate: &mut GenerationEstimate,
    ) {
        self.invalidate();
        match kind {
            JobKind::Poll => self.polls -= 1,
            JobKind::Download => self.downloads -= 1,
        }
        match result {
            None | Some(JobResult::Later) => {}
            Some(JobResult::GivenUp) => counts.given_up += 1,
            Some(JobResult::Failed) => counts.failed += 1,
            Some(JobResult::Saved) => counts.saved += 1,
            Some(JobResult::Generated(took)) => {
                counts.generated += 1;
                if let Some(took) = took {
                    estimate.learn(took);
                }
            }
        }
    }

    /// Polls that are on their way.
    pub(super) const fn polls(&self) -> usize {
        self.polls
    }

    /// Asks the ledger what is due, unless it was asked a moment ago and nothing has happened since.
    async fn refresh<L: Ledger>(&mut self, ledger: &L, clock: Clock) -> Result<(), LedgerError> {
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
    async fn claim<L: Ledger>(
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
    fn is_download_due(&self, now: UnixMillis) -> bool {
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
