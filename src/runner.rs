//! The one loop: takes a row that is due, makes one call for it, writes down what came of it, and goes round again.
//!
//! There is no retry loop. A row that is to be sent again is put back with a later due time, so it holds no worker
//! while it waits. Rows that are due go before rows that have not been sent yet, and only so many may wait, so that
//! memory stays flat however much goes wrong.

mod flight;
mod following;
mod landing;
mod progress;
mod pursuit;
mod round;
mod stop;
mod submissions;
mod waiting;
mod writing;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::api::CoverApi;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Ended, MusicTaskId};
use crate::files::FileError;
use crate::gate::Gate;
use crate::ledger::{Follower, Ledger, LedgerError, RowKey, RunId};
use crate::policy::{GenerationEstimate, InDoubt, MaxFailures, RowPolicy};
use crate::worklist::{Worklist, WorklistError};

use flight::{Answered, Departing, Landed, Pilot};
use following::Horizon;
use submissions::Submissions;

pub use following::Following;
pub use progress::{Covers, Outcomes, Progress};
pub use stop::Stop;

/// Threads that a runtime needs for work that blocks: reading the catalog ahead, the ledger, and the results or work on
/// images. Each keeps memory that the allocator gave it, so that without a limit a long run would need more than a short one.
pub const BLOCKING_THREADS: usize = 3;

/// What a run is set to.
#[derive(Debug, Clone, Copy)]
pub struct RunConfig {
    /// Requests in flight at most.
    pub concurrency: NonZeroU32,
    /// When a row is given up.
    pub rows: RowPolicy,
    /// When the run is.
    pub max_failures: MaxFailures,
    /// After how long nothing new is sent.
    pub deadline: Option<Duration>,
    /// What the dice start from.
    pub seed: u64,
}

/// What a run that only follows covers is set to.
#[derive(Debug, Clone, Copy)]
pub struct FollowConfig {
    /// Requests in flight at most.
    pub concurrency: NonZeroU32,
    /// Calls for one cover in trouble, one after the other, before it is given up for this run.
    pub max_attempts: NonZeroU32,
    /// What the dice start from.
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

/// A music task on its way through this run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    task: MusicTaskId,
    /// Answers about it in this run that settled nothing.
    failures: u32,
    /// Whether its music is known to be finished.
    is_checked: bool,
}

/// One run over one worklist, or over the covers it follows.
pub struct Runner<A, L> {
    pilot: Arc<Pilot<A, L>>,
    submissions: Submissions,
    /// Where rows wait whose music is checked first; `None` if that is not wanted.
    music: Option<Arc<Gate>>,
    /// Until when other processes have used up the pace of reads, if a check found that.
    music_held: Option<UnixMillis>,
    following: Option<Arc<Following>>,
    /// Whether covers are not followed any more although rows are submitted: nobody reads their records to us.
    has_left_covers: bool,
    /// Why images cannot be saved any more; what is on its way is awaited before that is told.
    failure: Option<FileError>,
    horizon: Horizon,
    usual: GenerationEstimate,
    concurrency: usize,
    max_failures: MaxFailures,
    /// Failures that are not written down yet.
    unwritten: u64,
    deadline: Option<Duration>,
    dice: fastrand::Rng,
    /// Answers to be written down.
    answered: Vec<Answered>,
    /// Whether the ledger is busy with what came before.
    is_writing: bool,
    /// Rows that are announced and wait for a place, since when.
    announced: VecDeque<(RowKey, Departing, Instant)>,
    flights: JoinSet<Result<Landed, RunError>>,
    /// Looks and downloads that are on their way.
    looks: usize,
    fetches: usize,
    progress: watch::Sender<Progress>,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// A run that has not begun; `run` is open in the ledger.
    #[must_use]
    pub fn new(
        (api, ledger): (Arc<A>, Arc<L>),
        (gate, clock): (Arc<Gate>, Clock),
        (run, worklist): (RunId, Worklist),
        config: RunConfig,
        stop: Stop,
    ) -> Self {
        let began = clock.unix();
        Self {
            pilot: Arc::new(Pilot {
                api,
                ledger,
                gate,
                clock,
                run,
                policy: config.rows,
                observer: Mutex::default(),
                stop,
                began,
            }),
            submissions: Submissions::of(worklist),
            music: None,
            music_held: None,
            following: None,
            has_left_covers: false,
            failure: None,
            horizon: Horizon::default(),
            usual: GenerationEstimate::default(),
            concurrency: usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX),
            max_failures: config.max_failures,
            unwritten: 0,
            deadline: config.deadline,
            dice: fastrand::Rng::with_seed(config.seed),
            answered: Vec::new(),
            is_writing: false,
            announced: VecDeque::new(),
            flights: JoinSet::new(),
            looks: 0,
            fetches: 0,
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// One that submits nothing and follows covers.
    #[must_use]
    pub fn follower(
        (api, ledger): (Arc<A>, Arc<L>),
        (following, clock): (Following, Clock),
        config: FollowConfig,
        stop: Stop,
    ) -> Self {
        let run = match following.who {
            Follower::Run(run) => run,
            Follower::Everyone => RunId(0),
        };
        let rows = RowPolicy { max_attempts: config.max_attempts, in_doubt: InDoubt::Hold };
        let config = RunConfig {
            concurrency: config.concurrency,
            rows,
            max_failures: MaxFailures::Percent(100),
            deadline: None,
            seed: config.seed,
        };
        let gates = (Arc::clone(&following.gate), clock);
        Self::new((api, ledger), gates, (run, Worklist::empty()), config, stop).following(following)
    }

    /// The same, knowing how long covers usually take.
    #[must_use]
    pub fn knowing(self, usual: GenerationEstimate) -> Self {
        Self { usual, ..self }
    }

    /// The same, following covers to their images.
    #[must_use]
    pub fn following(self, following: Following) -> Self {
        Self { following: Some(Arc::new(following)), ..self }
    }

    /// The same, submitting only what has finished music, whose record is read through `gate`.
    #[must_use]
    pub fn checking_music(self, gate: Arc<Gate>) -> Self {
        Self { music: Some(gate), ..self }
    }

    /// Where to read how far it has come, also while it runs.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Does what is to be done. When this returns, every answer that came is durable.
    ///
    /// # Errors
    /// [`RunError`]; answers still in flight are then lost, and the ledger knows which.
    pub async fn run(mut self) -> Result<Ended, RunError> {
        let timer = self.deadline.map(|deadline| self.pilot.stop.after(deadline, Ended::Deadline));
        let ended = self.go_round().await;
        if let Some(timer) = timer {
            timer.abort();
        }
        ended
    }
}
