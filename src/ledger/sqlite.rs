//! One file, one machine: the ledger in an embedded SQLite database. The only home of the SQLite driver.
//!
//! One task owns the connection. It takes all operations that are waiting, runs them in one transaction, and answers
//! them only after the commit, so that one fsync serves many rows. `synchronous=FULL`: in WAL mode anything less may
//! lose the last commits when the power fails, and a lost announcement is a cover paid twice. The work happens in
//! `spawn_blocking`, which also stops a paused clock from running ahead of it.

mod damage;
mod follow;
mod look_up;
mod migrate;
mod night;
mod open;
mod pursued;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{SetOnce, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock::UnixMillis;
use crate::domain::{Answer, Ended, MusicTaskId, Rate, Reason, RowState};
use crate::ledger::{
    Claim, Due, FollowedBy, Follower, Lane, Ledger, LedgerError, Pursued, Record, RowKey, RunId, Settlement, Standing,
    Submission,
};

pub use night::{Attention, PastRun, Sends};
pub use open::OpenError;

/// Most operations in one commit.
const GROUP: usize = 1024;

/// Operations that may wait for the connection.
const QUEUE: usize = 4096;

/// Work inside a transaction, which leaves behind what to do once that is durable.
type Operation = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Answered> + Send>;

/// Tells the caller of an operation that it is durable.
type Answered = Box<dyn FnOnce() + Send>;

/// The ledger in a SQLite database.
#[derive(Debug)]
pub struct SqliteLedger {
    operations: mpsc::Sender<Operation>,
    failure: Arc<SetOnce<LedgerError>>,
    owner: JoinHandle<()>,
}

impl SqliteLedger {
    /// The ledger at `path` for the API at `api_url`, made if it is not there.
    ///
    /// # Errors
    /// [`LedgerError`] if the file cannot be opened or written, is no ledger, is damaged, of a newer version, or belongs
    /// to another API. It is never overwritten.
    pub fn open(path: &Path, api_url: &str) -> Result<Self, LedgerError> {
        let connection = open::open(path, api_url).map_err(|cause| cannot("open", path, cause))?;
        Ok(Self::own(path, connection, TransactionBehavior::Immediate))
    }

    /// The ledger at `path` for reading beside a run, if there is one; `api_url` is compared if it is given.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`SqliteLedger::open`].
    pub fn open_to_read(path: &Path, api_url: Option<&str>) -> Result<Option<Self>, LedgerError> {
        let connection = open::open_to_read(path, api_url).map_err(|cause| cannot("open", path, cause))?;
        Ok(connection.map(|connection| Self::own(path, connection, TransactionBehavior::Deferred)))
    }

    /// An empty ledger that ends with the process.
    ///
    /// # Errors
    /// [`LedgerError`] if SQLite has no memory.
    pub fn in_memory(api_url: &str) -> Result<Self, LedgerError> {
        let path = Path::new(":memory:");
        let connection = open::in_memory(api_url).map_err(|cause| cannot("open", path, cause))?;
        Ok(Self::own(path, connection, TransactionBehavior::Immediate))
    }

    /// Whether nothing has failed so far; after a failure nothing is written any more.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.failure.initialized()
    }

    /// Waits until all is done and the file is closed.
    pub async fn close(self) {
        drop(self.operations);
        // The owner only ends by itself; it has nothing to report that its callers were not told.
        let _ = self.owner.await;
    }

    fn own(path: &Path, connection: Connection, behavior: TransactionBehavior) -> Self {
        let (operations, waiting) = mpsc::channel(QUEUE);
        let failure = Arc::new(SetOnce::new());
        let owner = tokio::spawn(serve(connection, behavior, waiting, path.to_owned(), Arc::clone(&failure)));
        Self { operations, failure, owner }
    }

    /// Runs `work` in the next transaction; its result is durable when this returns.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, result) = oneshot::channel();
        let operation: Operation = Box::new(move |connection| {
            let value = work(connection)?;
            // A caller that has gone away needs no answer.
            Ok(Box::new(move || drop(reply.send(value))))
        });
        if self.operations.send(operation).await.is_err() {
            return Err(self.failure().await);
        }
        match result.await {
            Ok(value) => Ok(value),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Why nothing more can be written.
    async fn failure(&self) -> LedgerError {
        self.failure.wait().await.clone()
    }
}

/// An error about the ledger at `path`.
fn cannot(what: &'static str, path: &Path, cause: Box<dyn std::error::Error + Send + Sync>) -> LedgerError {
    LedgerError { path: path.to_owned(), what, cause: Arc::from(cause) }
}

/// Serves operations in groups until all callers are gone or one group fails; after that nothing is served.
async fn serve(
    mut connection: Connection,
    behavior: TransactionBehavior,
    mut waiting: mpsc::Receiver<Operation>,
    path: PathBuf,
    failure: Arc<SetOnce<LedgerError>>,
) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let operations = std::mem::take(&mut group);
        let work = spawn_blocking(move || {
            let committed = commit(&mut connection, behavior, operations);
            (connection, committed)
        });
        match work.await {
            Ok((back, Ok(answers))) => {
                connection = back;
                for answered in answers {
                    answered();
                }
            }
            Ok((_, Err(cause))) => return drop(failure.set(cannot("write to", &path, cause.into()))),
            Err(panic) => return drop(failure.set(cannot("write to", &path, panic.into()))),
        }
    }
}

/// Runs a group in one transaction. If any of them fails, none of them happened.
fn commit(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    operations: Vec<Operation>,
) -> Result<Vec<Answered>, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let answers = operations.into_iter().map(|operation| operation(&transaction)).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(answers)
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

    async fn claim(&self, run: RunId, task: &MusicTaskId, at: UnixMillis) -> Result<Claim, LedgerError> {
        let task = task.clone();
        self.call(move |connection| rows::claim(connection, run, &task, at)).await
    }

    async fn release(&self, row: RowKey) -> Result<(), LedgerError> {
        self.call(move |connection| rows::release(connection, row)).await
    }

    async fn settle(&self, row: RowKey, settlement: Settlement) -> Result<(), LedgerError> {
        self.call(move |connection| rows::settle(connection, row, &settlement)).await
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
