//! One file, one machine: the ledger in an embedded SQLite database. The only home of the SQLite driver.
//!
//! `synchronous=FULL`: in WAL mode anything less may lose the last commits when the power fails, and a lost announcement
//! is a cover paid twice.

mod damage;
mod desk;
mod follow;
mod id_key;
mod look_up;
mod migrate;
mod night;
mod open;
mod pursued;
mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::clock::UnixMillis;
use crate::domain::{Answer, Ended, MusicTaskId, Rate, Reason, RowState};
use crate::ledger::{
    Claim, Due, FollowedBy, Follower, Lane, Ledger, LedgerError, Pursued, Record, RowKey, RunId, Settlement, Standing,
    Submission,
};

use desk::Desk;

pub use night::{Attention, PastRun, Sends};
pub use open::OpenError;

/// The ledger in a SQLite database.
#[derive(Debug)]
pub struct SqliteLedger {
    desk: Arc<Desk>,
}

impl SqliteLedger {
    /// The ledger at `path` for the API at `api_url`, made if it is not there.
    ///
    /// # Errors
    /// [`LedgerError`] if the file cannot be opened or written, is no ledger, is damaged, of a newer version, or belongs
    /// to another API. It is never overwritten.
    pub fn open(path: &Path, api_url: &str) -> Result<Self, LedgerError> {
        let connection = open::open(path, api_url).map_err(|cause| cannot("open", path, cause))?;
        Ok(Self::of(path, connection, TransactionBehavior::Immediate))
    }

    /// The ledger at `path` for reading beside a run, if there is one; `api_url` is compared if it is given.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`SqliteLedger::open`].
    pub fn open_to_read(path: &Path, api_url: Option<&str>) -> Result<Option<Self>, LedgerError> {
        let connection = open::open_to_read(path, api_url).map_err(|cause| cannot("open", path, cause))?;
        Ok(connection.map(|connection| Self::of(path, connection, TransactionBehavior::Deferred)))
    }

    /// An empty ledger that ends with the process.
    ///
    /// # Errors
    /// [`LedgerError`] if SQLite has no memory.
    pub fn in_memory(api_url: &str) -> Result<Self, LedgerError> {
        let path = Path::new(":memory:");
        let connection = open::in_memory(api_url).map_err(|cause| cannot("open", path, cause))?;
        Ok(Self::of(path, connection, TransactionBehavior::Immediate))
    }

    fn of(path: &Path, connection: Connection, behavior: TransactionBehavior) -> Self {
        Self { desk: Desk::new(path, connection, behavior) }
    }

    /// Whether nothing has failed so far; after a failure nothing is written any more.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.desk.is_well()
    }

    /// Waits until all is done and closes the file.
    pub async fn close(self) {
        self.desk.close().await;
    }

    /// Runs `work` in the next transaction; its result is durable when this returns.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, result) = oneshot::channel();
        self.desk.hand_in(Box::new(move |connection| {
            let value = work(connection)?;
            // A caller that has gone away needs no answer.
            Ok(Box::new(move || drop(reply.send(value))))
        }));
        // An operation is dropped without an answer only if it failed, or one before it or together with it.
        match result.await {
            Ok(value) => Ok(value),
            Err(_) => Err(self.desk.failure().await),
        }
    }
}

/// An error about the ledger at `path`.
fn cannot(what: &'static str, path: &Path, cause: Box<dyn std::error::Error + Send + Sync>) -> LedgerError {
    LedgerError { path: path.to_owned(), what, cause: Arc::from(cause) }
}

impl Ledger for SqliteLedger {
    async fn look_up(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Record>>, LedgerError> {
        self.call(move |connection| look_up::look_up(connection, &tasks)).await
    }

    async fn standings(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Standing>>, LedgerError> {
        self.call(move |connection| look_up::look_up(connection, &tasks)).await
    }

    async fn adopt(&self, rows: Vec<(MusicTaskId, Record)>) -> Result<(), LedgerError> {
        self.call(move |connection| rows::adopt(connection, &rows)).await
    }

    async fn begin_run(&self, catalog: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        let catalog = catalog.to_owned();
        self.call(move |connection| rows::begin_run(connection, &catalog, at)).await
    }

    async fn write(
        &self,
        run: RunId,
        settled: Vec<(RowKey, Settlement)>,
        claimed: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> Result<Vec<Claim>, LedgerError> {
        let write = move |connection: &Connection| {
            rows::settle(connection, &settled)?;
            rows::claim(connection, run, &claimed, at)
        };
        self.call(write).await
    }

    async fn release(&self, row: RowKey) -> Result<(), LedgerError> {
        self.call(move |connection| rows::release(connection, row)).await
    }

    async fn sends_since(&self, since: UnixMillis) -> Result<Vec<UnixMillis>, LedgerError> {
        self.call(move |connection| rows::sends_since(connection, since)).await
    }

    async fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(move |connection| rows::end_run(connection, run, ended, at)).await
    }

    async fn history(&self, task: &MusicTaskId) -> Result<Vec<Submission>, LedgerError> {
        let task = task.clone();
        self.call(move |connection| rows::history(connection, &task)).await
    }

    async fn leave(&self, run: RunId, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(move |connection| rows::leave(connection, run, at)).await
    }

    async fn begin_follow(&self, catalog: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        let catalog = catalog.to_owned();
        self.call(move |connection| rows::open_run(connection, &catalog, "follow", at)).await
    }

    async fn note_music(
        &self,
        task: &MusicTaskId,
        state: RowState,
        said: (Reason, Answer),
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let task = task.clone();
        self.call(move |connection| follow::note_music(connection, &task, state, (said.0, &said.1), at)).await
    }

    async fn follow(&self, by: FollowedBy, tasks: Vec<MusicTaskId>, at: UnixMillis) -> Result<u64, LedgerError> {
        self.call(move |connection| follow::follow(connection, by, &tasks, at)).await
    }

    async fn next_due(
        &self,
        who: Follower,
        at: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError> {
        self.call(move |connection| follow::next_due(connection, who, at)).await
    }

    async fn claim_due(
        &self,
        who: Follower,
        lane: Lane,
        at: UnixMillis,
        lease: Duration,
        pace: Rate,
    ) -> Result<Due, LedgerError> {
        self.call(move |connection| follow::claim_due(connection, (who, lane), at, lease, pace)).await
    }

    async fn claim_read(&self, at: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, LedgerError> {
        self.call(move |connection| follow::claim_read(connection, at, pace)).await
    }

    async fn settle_pursuit(&self, row: RowKey, pursued: Pursued, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(move |connection| pursued::settle_pursuit(connection, row, &pursued, at)).await
    }

    async fn hint(&self, task: &MusicTaskId, at: UnixMillis) -> Result<(), LedgerError> {
        let task = task.clone();
        self.call(move |connection| follow::hint(connection, &task, at)).await
    }

    async fn generation_times(&self) -> Result<Vec<Duration>, LedgerError> {
        self.call(follow::generation_times).await
    }

    async fn looks_since(&self, since: UnixMillis) -> Result<Vec<UnixMillis>, LedgerError> {
        self.call(move |connection| follow::looks_since(connection, since)).await
    }

    async fn fall_back(&self, rows: Vec<(MusicTaskId, String)>) -> Result<(), LedgerError> {
        self.call(move |connection| follow::fall_back(connection, &rows)).await
    }

    async fn last_end(&self, catalog: &str) -> Result<Option<Reason>, LedgerError> {
        let catalog = catalog.to_owned();
        self.call(move |connection| rows::last_end(connection, &catalog)).await
    }
}
