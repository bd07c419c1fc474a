//! Where operations wait for the connection. One thread at a time serves them: it takes all that are waiting, and some of those
//! that come meanwhile, runs them in one transaction in the order in which they came, and answers them only after the commit,
//! so that one fsync serves many rows.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::SetOnce;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::failure::Failure;
use super::files::Watch;
use super::open::LONGEST_WAIT;
use crate::ledger::error::LedgerError;

/// Once so many operations are in a transaction, none that come meanwhile join it. If all that are under way were in one, nobody
/// would send while it is committed, and nobody would write while they send. With 64 requests under way, of two operations each,
/// 32 to 48 are 14 % quicker than no limit (docs/performance.md).
pub(super) const JOIN_UNTIL: usize = 40;

/// Work inside a transaction of this number, which leaves behind what to do once that is durable.
pub(super) type Operation = Box<dyn FnOnce(&Connection, u64) -> Result<Answered, Failure> + Send>;

/// Tells the caller of an operation that it is durable.
pub(super) type Answered = Box<dyn FnOnce() + Send>;

/// The connection, and what waits for it.
pub(super) struct WriteQueue {
    path: PathBuf,
    access: Access,
    watch: Watch,
    /// Held while operations are served; empty once it is closed.
    connection: Mutex<Option<Connection>>,
    queue: Mutex<Queue>,
    /// Why nothing more is served.
    failure: SetOnce<LedgerError>,
}

/// What the operations do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// They only read.
    Read,
    /// They may write.
    Write,
}

impl Access {
    const fn behavior(self) -> TransactionBehavior {
        match self {
            Self::Read => TransactionBehavior::Deferred,
            Self::Write => TransactionBehavior::Immediate,
        }
    }

    fn error(self, failure: Failure, path: &Path) -> LedgerError {
        match self {
            Self::Read => failure.unreadable(path),
            Self::Write => failure.at("write to", path),
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Operation>,
    is_served: bool,
    /// How long another program may keep the file locked, if that is longer than SQLite itself waits.
    max_outage: Duration,
    /// Transactions so far.
    transactions: u64,
}

impl WriteQueue {
    pub(super) fn new(path: &Path, (connection, watch): (Connection, Watch), access: Access) -> Arc<Self> {
        let (connection, queue, failure) = (Mutex::new(Some(connection)), Mutex::default(), SetOnce::new());
        Arc::new(Self { path: path.to_owned(), access, watch, connection, queue, failure })
    }

    /// Has an operation done in the next transaction; after a failure it is dropped. The work happens in
    /// `spawn_blocking`, which also stops a paused clock from running ahead of it.
    pub(super) fn submit(self: &Arc<Self>, operation: Operation) {
        let mut queue = self.queue();
        if self.failure.initialized() {
            return;
        }
        queue.waiting.push(operation);
        if !std::mem::replace(&mut queue.is_served, true) {
            let this = Arc::clone(self);
            drop(spawn_blocking(move || this.serve()));
        }
    }

    /// Waits so long for another program that keeps the file locked.
    pub(super) fn wait_for_others(&self, max_outage: Duration) {
        self.queue().max_outage = max_outage;
    }

    /// Where the ledger is, as its user names it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing has failed so far.
    pub(super) fn is_healthy(&self) -> bool {
        !self.failure.initialized()
    }

    /// Why nothing more is served, once that is so.
    pub(super) async fn failure(&self) -> LedgerError {
        self.failure.wait().await.clone()
    }

    /// The connection, for others to read what a queue that has failed leaves.
    pub(super) fn take_connection(&self) -> Option<Connection> {
        self.connection().take()
    }

    /// Waits until all is done and closes the file.
    pub(super) async fn close(self: Arc<Self>) {
        let closed = spawn_blocking(move || {
            self.serve();
            drop(self.connection().take());
        });
        // Whoever waited for an operation was told how that ended; there is nothing to add.
        let _ = closed.await;
    }

    /// Serves operations in groups until none is waiting or one group fails; after that nothing is served.
    fn serve(&self) {
        let connection = self.connection();
        while let Some(number) = self.next_transaction() {
            match self.commit(connection.as_ref(), number) {
                Ok(answers) => give(answers),
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// The number of the next transaction, if an operation is waiting.
    fn next_transaction(&self) -> Option<u64> {
        let mut queue = self.queue();
        queue.is_served = !queue.waiting.is_empty();
        queue.transactions += 1;
        queue.is_served.then_some(queue.transactions)
    }

    /// Runs all that are waiting in one transaction. If any of them fails, none of them happened.
    fn commit(&self, connection: Option<&Connection>, number: u64) -> Result<Vec<Answered>, Failure> {
        let connection = connection.ok_or(Failure::Closed)?;
        let committed = catch_unwind(AssertUnwindSafe(|| {
            let transaction = self.begin(connection)?;
            let mut answers = Vec::new();
            while answers.len() < JOIN_UNTIL
                && let Some(group) = self.waiting()
            {
                for operation in group {
                    answers.push(operation(&transaction, number)?);
                }
            }
            self.watch.check()?;
            transaction.commit()?;
            Ok(answers)
        }));
        committed.unwrap_or(Err(Failure::Panicked))
    }

    /// All that are waiting, if any are.
    fn waiting(&self) -> Option<Vec<Operation>> {
        Some(std::mem::take(&mut self.queue().waiting)).filter(|group| !group.is_empty())
    }

    /// Begins a transaction, once no other program keeps the file locked.
    fn begin<'a>(&self, connection: &'a Connection) -> Result<Transaction<'a>, Failure> {
        let (max_outage, mut waited) = (self.queue().max_outage, Duration::ZERO);
        loop {
            let begun = Transaction::new_unchecked(connection, self.access.behavior()).map_err(Failure::from);
            let is_busy = begun.as_ref().is_err_and(Failure::is_busy);
            if is_busy {
                waited += LONGEST_WAIT;
            }
            if !is_busy || waited >= max_outage {
                if !waited.is_zero() && begun.is_ok() {
                    info!(ledger = %self.path.display(), "the ledger is back");
                }
                return begun;
            }
            if waited == LONGEST_WAIT {
                warn!(ledger = %self.path.display(), "another program keeps the ledger locked; nothing is sent meanwhile");
            }
        }
    }

    fn fail(&self, failure: Failure) {
        let mut queue = self.queue();
        // Of several the first counts.
        let _ = self.failure.set(self.access.error(failure, &self.path));
        queue.waiting.clear();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the runtime tell the callers, which is woken once for all of them.
fn give(answers: Vec<Answered>) {
    drop(tokio::spawn(async {
        for answered in answers {
            answered();
        }
    }));
}

impl fmt::Debug for WriteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteQueue").field("path", &self.path).finish_non_exhaustive()
    }
}
