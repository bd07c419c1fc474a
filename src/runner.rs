//! The one loop: takes a row that is due, makes one call for it, writes down what came of it, and goes round again.
//!
//! There is no retry loop. A row that is to be sent again is put back with a later due time, so it holds no worker
//! while it waits. Rows that are due go before rows that have not been sent yet, and only so many may wait, so that
//! memory stays flat however much goes wrong.

mod flight;
mod stop;
mod waiting;

use std::collections::BTreeMap;
use std::future::pending;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::api::CoverApi;
use crate::clock::Clock;
use crate::domain::{Ended, MusicTaskId, Reason, RowState};
use crate::gate::{Gate, Permit};
use crate::ledger::{Ledger, LedgerError, RunId};
use crate::policy::{Jitter, MaxFailures, RowPolicy};
use crate::worklist::{Worklist, WorklistError};

use flight::{Fate, Landed, Pilot};
use waiting::Waiting;

pub use stop::Stop;

/// Rows that may wait for another attempt before no new ones are begun.
const MOST_WAITING: usize = 10_000;

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

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows that this run will not send again.
    pub done: u64,
    /// Those of them that were rejected or given up.
    pub failed: u64,
    /// Submissions made.
    pub sent: u64,
    /// Rows that wait for another attempt.
    pub waiting: u64,
    /// Answers by what they meant.
    pub outcomes: Outcomes,
}

/// How many answers meant what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Reason::ALL.len()]);

impl Outcomes {
    fn add(&mut self, reason: Reason) {
        for (count, each) in self.0.iter_mut().zip(Reason::ALL) {
            *count += u64::from(*each == reason);
        }
    }

    /// Each meaning that there was, and how often.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Reason, u64> {
        Reason::ALL.iter().copied().zip(self.0).filter(|(_, count)| *count > 0).collect()
    }
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
}

/// One run over one worklist.
pub struct Runner<A, L> {
    pilot: Arc<Pilot<A, L>>,
    worklist: Worklist,
    concurrency: usize,
    max_failures: MaxFailures,
    deadline: Option<Duration>,
    dice: fastrand::Rng,
    flights: JoinSet<Result<Landed, LedgerError>>,
    waiting: Waiting,
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
        Self {
            pilot: Arc::new(Pilot { api, ledger, gate, clock, run, policy: config.rows, stop }),
            worklist,
            concurrency: usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX),
            max_failures: config.max_failures,
            deadline: config.deadline,
            dice: fastrand::Rng::with_seed(config.seed),
            flights: JoinSet::new(),
            waiting: Waiting::default(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Where to read how far it has come, also while it runs.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Sends what is to be sent. When this returns, every answer that came is durable.
    ///
    /// # Errors
    /// [`RunError`]; answers still in flight are then lost, and the ledger knows which.
    pub async fn run(mut self) -> Result<Ended, RunError> {
        let timer = self.deadline.map(|deadline| self.pilot.stop.after(deadline, Ended::Deadline));
        let ended = self.send_all().await;
        if let Some(timer) = timer {
            timer.abort();
        }
        ended
    }

    async fn send_all(&mut self) -> Result<Ended, RunError> {
        while let Some(row) = self.next_row().await? {
            let Some(permit) = self.next_permit().await? else { break };
            let jitter = Jitter::new(self.dice.f64());
            self.flights.spawn(Arc::clone(&self.pilot).fly(row, permit, jitter));
        }
        while let Some(landed) = self.flights.join_next().await {
            self.land(landed??);
        }
        Ok(self.pilot.stop.requested().unwrap_or(Ended::Finished))
    }

    /// The next row to send, once there is one and room for its flight; `None` when nothing more is to be sent.
    async fn next_row(&mut self) -> Result<Option<Row>, RunError> {
        loop {
            while let Some(landed) = self.flights.try_join_next() {
                self.land(landed??);
            }
            if self.pilot.stop.requested().is_some() {
                return Ok(None);
            }
            if self.flights.len() < self.concurrency
                && let Some(row) = self.due_row().await?
            {
                return Ok(Some(row));
            }
            if self.is_idle() {
                return Ok(None);
            }
            self.news().await?;
        }
    }

    /// A row that waited long enough, else one that has not been sent in this run.
    async fn due_row(&mut self) -> Result<Option<Row>, RunError> {
        if let Some(row) = self.waiting.pop_due(self.pilot.clock.now()) {
            return Ok(Some(row));
        }
        if self.waiting.len() >= MOST_WAITING {
            return Ok(None);
        }
        let others_are_done = self.is_idle();
        let task = self.worklist.next(others_are_done).await?;
        Ok(task.map(|task| Row { task, failures: 0 }))
    }

    /// Whether no row is on its way or waiting.
    fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.waiting.len() == 0
    }

    /// Waits for a landing, a due row or the end.
    async fn news(&mut self) -> Result<(), RunError> {
        let has_room = self.flights.len() < self.concurrency;
        let due = self.waiting.next_due().filter(|_| has_room);
        let stop = self.pilot.stop.clone();
        let landed = tokio::select! {
            landed = self.flights.join_next(), if !self.flights.is_empty() => landed,
            () = wait_until(due) => None,
            () = stop.wait() => None,
        };
        if let Some(landed) = landed {
            self.land(landed??);
        }
        Ok(())
    }

    /// Leave to send one; `None` if the run ends before that.
    async fn next_permit(&mut self) -> Result<Option<Permit>, RunError> {
        let (gate, stop) = (Arc::clone(&self.pilot.gate), self.pilot.stop.clone());
        let mut ready = pin!(gate.ready());
        loop {
            let landed = tokio::select! {
                biased;
                () = stop.wait() => return Ok(None),
                permit = &mut ready => {
                    if permit.is_err() {
                        stop.request(Ended::Outage);
                    }
                    return Ok(permit.ok());
                }
                Some(landed) = self.flights.join_next(), if !self.flights.is_empty() => landed,
            };
            self.land(landed??);
        }
    }

    /// Counts what became of a flight; everything about it is durable already.
    fn land(&mut self, landed: Landed) {
        let mut progress = *self.progress.borrow();
        if let Some(reason) = landed.reason {
            progress.sent += 1;
            progress.outcomes.add(reason);
        }
        match landed.fate {
            Fate::Done(state) => {
                progress.done += 1;
                progress.failed += u64::from(matches!(state, RowState::Failed | RowState::GaveUp));
            }
            Fate::Again(row, due) => self.waiting.push(row, due),
            Fate::Stopped => {}
            Fate::Refused => progress.done += 1,
        }
        progress.waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.progress.send_replace(progress);
        if self.max_failures.reached(progress.failed, progress.done) {
            self.pilot.stop.request(Ended::TooManyFailures);
        }
    }
}

/// Waits until a time; for ever if there is none.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
