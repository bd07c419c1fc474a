//! One file, one machine: the ledger in an embedded SQLite database. The only home of the SQLite driver.
//!
//! `synchronous=FULL`: in WAL mode anything less may lose the last commits when the power fails, and a lost claim is a
//! cover paid twice. Settings of SQLite stay in `open` and `schema`.

mod alive;
mod check;
mod columns;
mod copy;
mod cover_jobs;
mod decisions;
mod failure;
mod files;
mod history;
mod job_outcomes;
mod look_up;
mod open;
mod others;
mod pace;
mod runs;
mod schema;
mod submissions;
mod tasks;
#[cfg(test)]
mod tests;
mod write_queue;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::clock::UnixMillis;
use crate::domain::{Answer, Ended, MusicTaskId, Rate, Reason, RowState};
use crate::images::NameWords;
use crate::ledger::contradictions::Contents;
use crate::ledger::cover_job::{CoverKey, CoverScope, Due, JobKind, JobOutcome, PollStats, Waiter};
use crate::ledger::error::LedgerError;
use crate::ledger::record::{KnownState, Record};
use crate::ledger::run::{AttemptKey, Begin, NewRun, PastRun, RunId, RunResult};
use crate::ledger::submission::{Claim, ClaimRequest, Sends, Settled, Settlement, Submission};
use crate::ledger::tables::Part;
use crate::ledger::traits::{FollowLedger, ReadLedger, SubmitLedger};

use alive::Locks;
use failure::Failure;
use files::Watch;
use open::{Missing, Opened};
use others::Others;
use write_queue::{Access, WriteQueue};

/// The ledger in a SQLite database.
#[derive(Debug)]
pub struct SqliteLedger {
    queue: Arc<WriteQueue>,
    /// What is known of other runs; used inside transactions only.
    others: Arc<Mutex<Others>>,
    is_new: bool,
}

impl SqliteLedger {
    /// The ledger at `path` for the API at `api_url`, made if it is not there.
    ///
    /// # Errors
    /// [`LedgerError`] if the file cannot be opened or written, is no ledger, is damaged, of another version, or belongs
    /// to another API. It is never overwritten.
    pub fn open(path: &Path, api_url: &str) -> Result<Self, LedgerError> {
        let opened = Self::opened(path, Missing::Make(api_url))?;
        opened.ok_or_else(|| Failure::Closed.at("open", path))
    }

    /// The same, if it is there; `api_url` is compared if it is given.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`SqliteLedger::open`].
    pub fn open_existing(path: &Path, api_url: Option<&str>) -> Result<Option<Self>, LedgerError> {
        Self::opened(path, Missing::Leave(api_url))
    }

    fn opened(path: &Path, missing: Missing<'_>) -> Result<Option<Self>, LedgerError> {
        let opened = open::open(path, missing).map_err(|failure| failure.at("open", path))?;
        Ok(opened.map(|Opened { connection, watch, name, is_new }| {
            let queue = WriteQueue::new(path, (connection, watch), Access::Write);
            Self { is_new, ..Self::new(queue, Locks::beside(&name)) }
        }))
    }

    /// The same, but calls wait so long for another program that keeps the file locked, instead of a few seconds.
    #[must_use]
    pub fn waiting_for_others(self, max_outage: Duration) -> Self {
        self.queue.wait_for_others(max_outage);
        self
    }

    /// Whether it was made when it was opened.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The ledger at `path` for reading beside a run, if there is one; `api_url` is compared if it is given. Needs no right
    /// to write, and leaves nothing.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`SqliteLedger::open`].
    pub fn open_to_read(path: &Path, api_url: Option<&str>) -> Result<Option<Self>, LedgerError> {
        let opened = open::open_to_read(path, api_url).map_err(|failure| failure.unreadable(path))?;
        Ok(opened.map(|opened| Self::new(WriteQueue::new(path, opened, Access::Read), Locks::beside(path))))
    }

    /// The SQL that makes the tables.
    pub const SCHEMA: &str = schema::SCHEMA;

    /// The files of a ledger at `path`: itself, and those in which changes wait.
    pub fn files_at(path: &Path) -> impl Iterator<Item = PathBuf> {
        ["", files::LOG, files::JOURNAL].into_iter().map(|end| files::companion(path, end))
    }

    /// Makes a copy of the ledger as it is at one moment, while others write to it. Durable when this returns.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read, or the copy not be written; nothing is ever replaced by it.
    pub async fn copy(&self, to: &Path) -> Result<(), LedgerError> {
        let to = to.to_owned();
        self.call(move |connection| Ok::<_, Failure>(copy::copy(connection, &to))).await?
    }

    /// Sends what a copy of the ledger takes along, as it is at one moment, while others write to it.
    pub(super) async fn send(&self, parts: Sender<Part>) -> Result<(), LedgerError> {
        self.call(move |connection| copy::send(connection, &parts)).await
    }

    /// Makes a ledger at `to` of what a copy takes along. Durable when this returns; nothing is ever replaced by it.
    pub(super) async fn receive(to: &Path, parts: Receiver<Part>) -> Result<(), LedgerError> {
        let (to, path) = (to.to_owned(), to);
        let made = spawn_blocking(move || copy::receive(&to, parts)).await;
        made.unwrap_or_else(|_| Err(Failure::Panicked.at("make", path)))
    }

    /// Makes sure that the ledger is sound and does not contradict itself, whatever its size, and counts what it holds.
    ///
    /// # Errors
    /// [`LedgerError`], damaged if it is not so.
    pub async fn check(&self) -> Result<Contents, LedgerError> {
        self.call(check::check_whole).await
    }

    /// An empty ledger that ends with the process.
    ///
    /// # Errors
    /// [`LedgerError`] if SQLite has no memory, or temporary files cannot be made.
    pub fn in_memory(api_url: &str) -> Result<Self, LedgerError> {
        let path = Path::new(":memory:");
        let failed = |failure: Failure| failure.at("open", path);
        let connection = open::in_memory(api_url).map_err(failed)?;
        let locks = Locks::temporary().map_err(|error| failed(error.into()))?;
        Ok(Self::new(WriteQueue::new(path, (connection, Watch::default()), Access::Write), locks))
    }

    fn new(queue: Arc<WriteQueue>, locks: Locks) -> Self {
        Self { queue, others: Arc::new(Mutex::new(Others::new(locks))), is_new: false }
    }

    /// What a ledger that has failed still holds, to be read; the file may have another name now, or none.
    #[must_use]
    pub fn left_to_read(&self) -> Option<Self> {
        let connection = self.queue.take_connection()?;
        let path = self.queue.path();
        let queue = WriteQueue::new(path, (connection, Watch::default()), Access::Read);
        Some(Self::new(queue, Locks::beside(path)))
    }

    /// As [`Self::call`], for work that needs to know of the other runs.
    async fn call_beside_others<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Others) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let others = Arc::clone(&self.others);
        self.call_numbered(move |connection, transaction| {
            let mut others = lock(&others);
            others.note_transaction(transaction);
            work(connection, &mut others)
        })
        .await
    }

    /// Runs `work` in the next transaction; its result is durable when this returns.
    async fn call<T: Send + 'static, E: Into<Failure>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.call_numbered(|connection, _| work(connection)).await
    }

    /// The same, for work that is told the number of the transaction.
    async fn call_numbered<T: Send + 'static, E: Into<Failure>>(
        &self,
        work: impl FnOnce(&Connection, u64) -> Result<T, E> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, result) = oneshot::channel();
        self.queue.submit(Box::new(move |connection, transaction| {
            let value = work(connection, transaction).map_err(Into::into)?;
            // A caller that has gone away needs no answer.
            Ok(Box::new(move || drop(reply.send(value))))
        }));
        // An operation is dropped without an answer only if it failed, or one before it or together with it.
        match result.await {
            Ok(value) => Ok(value),
            Err(_) => Err(self.queue.failure().await),
        }
    }
}

fn lock(others: &Mutex<Others>) -> MutexGuard<'_, Others> {
    others.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReadLedger for SqliteLedger {
    async fn look_up(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Record>>, LedgerError> {
        self.call(move |connection| look_up::look_up(connection, &tasks)).await
    }

    async fn states(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<KnownState>>, LedgerError> {
        self.call(move |connection| look_up::look_up(connection, &tasks)).await
    }

    async fn beginning_with(&self, start: &MusicTaskId, most: u32) -> Result<Vec<MusicTaskId>, LedgerError> {
        let start = start.clone();
        self.call(move |connection| history::beginning_with(connection, &start, most)).await
    }

    async fn history(&self, task: &MusicTaskId) -> Result<Vec<Submission>, LedgerError> {
        let task = task.clone();
        self.call(move |connection| history::history(connection, &task)).await
    }

    async fn poll_stats(&self, task: &MusicTaskId) -> Result<Option<PollStats>, LedgerError> {
        let task = task.clone();
        self.call(move |connection| history::poll_stats(connection, &task)).await
    }

    async fn last_end(&self, catalog: &str) -> Result<Option<Reason>, LedgerError> {
        let catalog = catalog.to_owned();
        self.call(move |connection| history::last_end(connection, &catalog)).await
    }

    async fn past_runs(&self, catalog: &str, most: u32) -> Result<Vec<PastRun>, LedgerError> {
        let catalog = catalog.to_owned();
        self.call(move |connection| history::past_runs(connection, &catalog, most)).await
    }

    async fn sends_between(
        &self,
        between: (UnixMillis, UnixMillis),
        stretch: Duration,
    ) -> Result<Vec<Sends>, LedgerError> {
        self.call(move |connection| history::sends_between(connection, between, stretch)).await
    }

    async fn generation_times(&self) -> Result<Vec<Duration>, LedgerError> {
        self.call(history::generation_times).await
    }

    fn is_healthy(&self) -> bool {
        self.queue.is_healthy()
    }

    async fn close(self) {
        self.queue.close().await;
    }
}

impl SubmitLedger for SqliteLedger {
    async fn import(&self, rows: Vec<(MusicTaskId, Record)>) -> Result<(), LedgerError> {
        self.call(move |connection| tasks::import(connection, &rows)).await
    }

    async fn begin_run(&self, run: NewRun) -> Result<Begin, LedgerError> {
        self.call_beside_others(move |connection, others| others.begin(connection, &run)).await
    }

    async fn recover(
        &self,
        run: RunId,
        seen: AttemptKey,
        at: UnixMillis,
    ) -> Result<(Vec<MusicTaskId>, AttemptKey), LedgerError> {
        self.call_beside_others(move |connection, others| {
            runs::recover(connection, &others.locks, at)?;
            Ok(runs::left_in_doubt(connection, run, seen)?)
        })
        .await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claim, LedgerError> {
        self.call_beside_others(move |connection, others| submissions::claim(connection, others, &request)).await
    }

    async fn settle(&self, attempt: AttemptKey, settlement: Settlement) -> Result<Settled, LedgerError> {
        self.call(move |connection| submissions::settle(connection, attempt, &settlement)).await
    }

    async fn release(&self, attempt: AttemptKey) -> Result<(), LedgerError> {
        self.call(move |connection| submissions::release(connection, attempt)).await
    }

    async fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(move |connection| runs::end_run(connection, run, ended, at)).await?;
        // Only now: until it is written down, the lock tells that the run is alive.
        lock(&self.others).locks.release();
        Ok(())
    }

    async fn note_result(&self, run: RunId, result: RunResult) -> Result<(), LedgerError> {
        self.call(move |connection| history::note_result(connection, run, result)).await
    }

    async fn note_music(
        &self,
        task: &MusicTaskId,
        state: RowState,
        said: (Reason, Answer),
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let task = task.clone();
        self.call(move |connection| tasks::note_music(connection, &task, state, &said, at)).await
    }

    async fn note_default_covers(&self, rows: Vec<(MusicTaskId, String)>) -> Result<(), LedgerError> {
        self.call(move |connection| tasks::note_default_covers(connection, &rows)).await
    }
}

impl FollowLedger for SqliteLedger {
    async fn begin_follow(&self, catalog: &str, command: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        let (catalog, command) = (catalog.to_owned(), command.to_owned());
        let new = NewRun { catalog, is_partial: false, results: None, command, at };
        self.call(move |connection| runs::open_run(connection, &new, "follow", None)).await
    }

    async fn name_files(&self, rows: Vec<(MusicTaskId, NameWords)>) -> Result<Vec<Option<NameWords>>, LedgerError> {
        self.call(move |connection| tasks::name_files(connection, &rows)).await
    }

    async fn watch(&self, waiter: Waiter, tasks: Vec<MusicTaskId>, at: UnixMillis) -> Result<u64, LedgerError> {
        self.call(move |connection| cover_jobs::watch(connection, waiter, &tasks, at)).await
    }

    async fn next_due(
        &self,
        scope: CoverScope,
        at: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError> {
        self.call(move |connection| cover_jobs::next_due(connection, scope, at)).await
    }

    async fn claim_job(
        &self,
        scope: CoverScope,
        kind: JobKind,
        at: UnixMillis,
        lease: Duration,
        pace: Rate,
    ) -> Result<Due, LedgerError> {
        self.call(move |connection| cover_jobs::claim_job(connection, (scope, kind), at, lease, pace)).await
    }

    async fn claim_read(&self, at: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, LedgerError> {
        self.call(move |connection| cover_jobs::claim_read(connection, at, pace)).await
    }

    async fn settle_job(&self, key: CoverKey, outcome: JobOutcome, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(move |connection| job_outcomes::settle_job(connection, key, &outcome, at)).await
    }

    async fn wake(&self, task: &MusicTaskId, at: UnixMillis) -> Result<(), LedgerError> {
        let task = task.clone();
        self.call(move |connection| cover_jobs::wake(connection, &task, at)).await
    }

    async fn release_jobs(&self, run: RunId, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(move |connection| cover_jobs::release_jobs(connection, run, at)).await
    }
}
