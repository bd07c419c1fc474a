//! The one loop: takes a row that is due, makes one call for it, writes down what came of it, and goes round again.
//!
//! There is no retry loop. A row that is to be sent again is put back with a later due time, so it holds no worker
//! while it waits. Rows that are due go before rows that have not been sent yet, and only so many may wait, so that
//! memory stays flat however much goes wrong.

mod attempt;
mod download;
mod event_loop;
mod poll;
mod progress;
mod queue;
mod recovery;
mod rounds;
mod schedule;
mod stop;
mod task;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use thiserror::Error;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::{JoinError, JoinSet};

use crate::api::CoverApi;
use crate::clock::{Clock, UnixMillis};
use crate::files::FileError;
use crate::ledger::{AttemptKey, Begun, CoverScope, Ledger, LedgerError, RunId};
use crate::policy::{Budget, GenerationEstimate, InDoubt, MaxFailures, RowPolicy};
use crate::ratelimit::Gate;
use crate::worklist::{Worklist, WorklistError};

use queue::Queue;
use recovery::Recovery;
use schedule::{BalanceChecks, CoverJobs, MusicChecks};
use task::{TaskContext, TaskOutput};

pub use progress::{Covers, Failure, Outcomes, Progress};
pub use rounds::Rounds;
pub use schedule::CoverTracking;
pub use stop::Stop;

/// Threads that a runtime needs for work that blocks: reading the catalog ahead, the ledger, and the results or work on
/// images. Each keeps memory that the allocator gave it, so that without a limit a long run would need more than a short one.
pub const BLOCKING_THREADS: usize = 3;

/// Failures that are kept for whoever is slow to hear of them.
const MOST_UNTOLD: usize = 256;

/// What a run works with.
pub struct Parts<A, L> {
    /// Who is asked.
    pub api: Arc<A>,
    /// Where that is written down.
    pub ledger: Arc<L>,
    /// The time.
    pub clock: Clock,
    /// Who asks for the end.
    pub stop: Stop,
}

impl<A, L> Clone for Parts<A, L> {
    fn clone(&self) -> Self {
        let Self { api, ledger, clock, stop } = self;
        Self { api: Arc::clone(api), ledger: Arc::clone(ledger), clock: *clock, stop: stop.clone() }
    }
}

/// What a run is set to.
#[derive(Debug, Clone, Copy)]
pub struct RunConfig {
    /// Rows and covers that have a request on its way, or an answer that the ledger has not been told of, at most.
    pub concurrency: NonZeroU32,
    /// When a row is given up.
    pub rows: RowPolicy,
    /// When the run is.
    pub max_failures: MaxFailures,
    /// What the random numbers start from.
    pub seed: u64,
}

/// What a run that only follows covers is set to.
#[derive(Debug, Clone, Copy)]
pub struct FollowConfig {
    /// Requests in flight at most.
    pub concurrency: NonZeroU32,
    /// Calls for one cover in trouble, one after the other, before it is given up for this run.
    pub max_attempts: NonZeroU32,
    /// When the command began: it waits for each cover from then or from its acceptance.
    pub began: UnixMillis,
    /// What the random numbers start from.
    pub seed: u64,
}

/// Why a run cannot go on; nothing is sent after it.
#[derive(Debug, Error)]
pub enum RunError {
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The list of rows to send cannot be read.
    #[error(transparent)]
    Worklist(#[from] WorklistError),
    /// An image cannot be put into its file.
    #[error(transparent)]
    Image(#[from] FileError),
    /// A defect of this program.
    #[error("a submission ended in a defect of this program")]
    Defect(#[from] JoinError),
}

/// One run over one worklist, or over the covers it follows.
pub struct Runner<A, L> {
    context: Arc<TaskContext<A, L>>,
    /// Where submissions wait.
    gate: Arc<Gate>,
    queue: Queue,
    /// The look for rows that other runs leave behind when they die, if this one submits any.
    recovery: Option<Recovery>,
    /// The check of a row's music before it is submitted, if that is wanted.
    music: Option<MusicChecks>,
    /// The read of the balance, if only so much may be spent.
    balance: Option<BalanceChecks>,
    /// The polls and downloads of covers that are followed, if any are.
    covers: Option<CoverJobs>,
    /// Slots that no row has.
    slots: Arc<Semaphore>,
    max_failures: MaxFailures,
    estimate: GenerationEstimate,
    rng: fastrand::Rng,
    tasks: JoinSet<Result<TaskOutput, RunError>>,
    /// Why images cannot be saved any more; what is on its way is awaited before that is told.
    failure: Option<FileError>,
    progress: watch::Sender<Progress>,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// A run that has not begun; `run` is open in the ledger.
    #[must_use]
    pub fn new(parts: Parts<A, L>, gate: Arc<Gate>, run: Begun, worklist: Worklist, config: RunConfig) -> Self {
        let began = parts.clock.unix();
        Self::begun(parts, gate, run, worklist, config, began)
    }

    fn begun(
        Parts { api, ledger, clock, stop }: Parts<A, L>,
        gate: Arc<Gate>,
        run: Begun,
        worklist: Worklist,
        config: RunConfig,
        began: UnixMillis,
    ) -> Self {
        let slots = usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            context: Arc::new(TaskContext {
                api,
                ledger,
                clock,
                run,
                policy: config.rows,
                observer: Mutex::default(),
                failures: broadcast::Sender::new(MOST_UNTOLD),
                stop,
                began,
            }),
            gate,
            queue: Queue::of(worklist),
            recovery: Some(Recovery::new(run.seen, clock.now())),
            music: None,
            balance: None,
            covers: None,
            slots: Arc::new(Semaphore::new(slots)),
            max_failures: config.max_failures,
            estimate: GenerationEstimate::default(),
            rng: fastrand::Rng::with_seed(config.seed),
            tasks: JoinSet::new(),
            failure: None,
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// One that submits nothing and follows covers.
    #[must_use]
    pub fn follower(parts: Parts<A, L>, tracking: CoverTracking, config: FollowConfig) -> Self {
        let run = match tracking.scope {
            CoverScope::OfRun(run) => run,
            CoverScope::All => RunId(0),
        };
        let run = Begun { run, seen: AttemptKey::default() };
        let rows = RowPolicy { max_attempts: config.max_attempts, in_doubt: InDoubt::Hold };
        let FollowConfig { concurrency, began, seed, .. } = config;
        let config = RunConfig { concurrency, rows, max_failures: MaxFailures::Percent(100), seed };
        let gate = Arc::clone(&tracking.gate);
        let runner = Self::begun(parts, gate, run, Worklist::default(), config, began);
        runner.tracking(tracking).confined()
    }

    /// The same, knowing how long covers usually take.
    #[must_use]
    pub fn knowing(self, estimate: GenerationEstimate) -> Self {
        Self { estimate, ..self }
    }

    /// The same, submitting only what its worklist names: rows that other runs leave in doubt are left to others.
    #[must_use]
    pub fn confined(self) -> Self {
        Self { recovery: None, ..self }
    }

    /// The same, following covers to their images.
    #[must_use]
    pub fn tracking(self, tracking: CoverTracking) -> Self {
        Self { covers: Some(CoverJobs::new(tracking)), ..self }
    }

    /// The same, submitting only what has finished music, whose record is read through `gate`.
    #[must_use]
    pub fn checking_music(self, gate: Arc<Gate>) -> Self {
        Self { music: Some(MusicChecks::new(gate)), queue: self.queue.checking_music(), ..self }
    }

    /// The same, spending no more than this as far as the balance tells, which is read through `gate`.
    #[must_use]
    pub fn spending(self, budget: Budget, gate: Arc<Gate>) -> Self {
        Self { balance: Some(BalanceChecks::new(gate, budget)), ..self }
    }

    /// Where to read how far it has come, also while it runs.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Where to hear of each failure once it is durable. Whoever is slow misses some.
    #[must_use]
    pub fn failures(&self) -> broadcast::Receiver<Failure> {
        self.context.failures.subscribe()
    }
}
