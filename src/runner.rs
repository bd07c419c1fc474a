//! The one loop: takes a row that is due, makes one call for it, writes down what came of it, and goes round again.
//!
//! There is no retry loop. A row that is to be sent again is put back with a later due time, so it holds no worker
//! while it waits. Rows that are due go before rows that have not been sent yet, and only so many may wait, so that
//! memory stays flat however much goes wrong.

mod attempt;
mod checks;
mod cover_task;
mod covers;
mod event_loop;
mod progress;
mod queue;
mod recovery;
mod rounds;
mod stop;
mod submissions;
mod task;
mod tracking;

use std::num::NonZeroU32;
use std::sync::Arc;

use fastrand::Rng;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinSet;

use crate::api::CoverApi;
use crate::clock::Clock;
use crate::files::FileError;
use crate::ledger::Ledger;
use crate::policy::GenerationEstimate;

use covers::CoverJobs;
use task::{TaskContext, Tasks};

pub use progress::{Covers, Failure, Outcomes, Progress};
pub use rounds::Rounds;
pub use stop::Stop;
pub use submissions::{Submissions, SubmitConfig};
pub use task::RunError;
pub use tracking::CoverTracking;

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

/// What a run is set to, whatever it does.
#[derive(Debug, Clone, Copy)]
pub struct RunConfig {
    /// Rows and covers that have a request on its way, or an answer that the ledger has not been told of, at most.
    pub concurrency: NonZeroU32,
    /// What the random numbers start from.
    pub seed: u64,
}

/// One run: what it submits, what it follows, or both.
pub struct Runner<A, L> {
    context: Arc<TaskContext<A, L>>,
    submissions: Option<Submissions>,
    /// The polls and downloads of covers that are followed, if any are.
    covers: Option<CoverJobs>,
    /// Slots that no row has.
    slots: Arc<Semaphore>,
    estimate: GenerationEstimate,
    rng: Rng,
    tasks: Tasks,
    /// Why images cannot be saved any more; what is on its way is awaited before that is told.
    failure: Option<FileError>,
    progress: watch::Sender<Progress>,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// A run that has nothing to do.
    #[must_use]
    pub fn new(Parts { api, ledger, clock, stop }: Parts<A, L>, config: RunConfig) -> Self {
        let slots = usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            context: Arc::new(TaskContext { api, ledger, clock, stop, failures: broadcast::Sender::new(MOST_UNTOLD) }),
            submissions: None,
            covers: None,
            slots: Arc::new(Semaphore::new(slots)),
            estimate: GenerationEstimate::default(),
            rng: Rng::with_seed(config.seed),
            tasks: JoinSet::new(),
            failure: None,
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// The same, submitting rows.
    #[must_use]
    pub fn submitting(self, submissions: Submissions) -> Self {
        Self { submissions: Some(submissions), ..self }
    }

    /// The same, knowing how long covers usually take.
    #[must_use]
    pub fn knowing(self, estimate: GenerationEstimate) -> Self {
        Self { estimate, ..self }
    }

    /// The same, following covers to their images.
    #[must_use]
    pub fn tracking(self, tracking: CoverTracking) -> Self {
        Self { covers: Some(CoverJobs::new(tracking)), ..self }
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
