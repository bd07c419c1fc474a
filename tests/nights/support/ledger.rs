//! The real ledger behind a store that fails or is slow.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use coverbatch::clock::{Clock, UnixMillis};
use coverbatch::domain::{Answer, Ended, MusicTaskId, Rate, Reason, RowState};
use coverbatch::ledger::{
    Claim, Due, FollowedBy, Follower, Lane, Ledger, LedgerError, Pursued, Record, RowKey, RunId, Settlement,
    SqliteLedger, Standing, Submission,
};
use tokio::time::Instant;

/// What is wrong with a store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// This call, counted from 1, and every later one fails.
    Before(usize),
    /// The same, but this call is done nevertheless.
    After(usize),
    /// Writing down announcements and answers takes so long.
    SlowWrites(Duration),
}

/// A ledger with a fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<SqliteLedger>,
    clock: Clock,
    fault: Fault,
    calls: AtomicUsize,
    failed_at: OnceLock<Instant>,
}

impl Faulty {
    pub(crate) fn new(inner: &Arc<SqliteLedger>, clock: Clock, fault: Fault) -> Arc<Self> {
        let (inner, calls, failed_at) = (Arc::clone(inner), AtomicUsize::new(0), OnceLock::new());
        Arc::new(Self { inner, clock, fault, calls, failed_at })
    }

    /// When the first call failed, if one did.
    pub(crate) fn failed_at(&self) -> Option<Instant> {
        self.failed_at.get().copied()
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, LedgerError>> + Send) -> Result<T, LedgerError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fault {
            Fault::Before(first) if call >= first => Err(self.fail()),
            Fault::After(first) if call > first => Err(self.fail()),
            Fault::After(first) if call == first => {
                work.await?;
                Err(self.fail())
            }
            Fault::Before(_) | Fault::After(_) | Fault::SlowWrites(_) => work.await,
        }
    }

    fn fail(&self) -> LedgerError {
        self.failed_at.get_or_init(|| self.clock.now());
        let cause = std::io::Error::from(std::io::ErrorKind::StorageFull);
        LedgerError { path: PathBuf::from("full.db"), what: "write to", cause: Arc::new(cause) }
    }
}

impl Ledger for Faulty {
    async fn look_up(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Record>>, LedgerError> {
        self.call(self.inner.look_up(tasks)).await
    }

    async fn standings(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Standing>>, LedgerError> {
        self.call(self.inner.standings(tasks)).await
    }

    async fn adopt(&self, rows: Vec<(MusicTaskId, Record)>) -> Result<(), LedgerError> {
        self.call(self.inner.adopt(rows)).await
    }

    async fn begin_run(&self, catalog: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        self.call(self.inner.begin_run(catalog, at)).await
    }

    async fn write(
        &self,
        run: RunId,
        settled: Vec<(RowKey, Settlement)>,
        claimed: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> Result<Vec<Claim>, LedgerError> {
        if let Fault::SlowWrites(time) = self.fault {
            tokio::time::sleep(time).await;
        }
        self.call(self.inner.write(run, settled, claimed, at)).await
    }

    async fn release(&self, row: RowKey) -> Result<(), LedgerError> {
        self.call(self.inner.release(row)).await
    }

    async fn sends_since(&self, since: UnixMillis) -> Result<Vec<UnixMillis>, LedgerError> {
        self.call(self.inner.sends_since(since)).await
    }

    async fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.end_run(run, ended, at)).await
    }

    async fn history(&self, task: &MusicTaskId) -> Result<Vec<Submission>, LedgerError> {
        self.call(self.inner.history(task)).await
    }

    async fn last_end(&self, catalog: &str) -> Result<Option<Reason>, LedgerError> {
        self.call(self.inner.last_end(catalog)).await
    }

    async fn leave(&self, run: RunId, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.leave(run, at)).await
    }

    async fn begin_follow(&self, catalog: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        self.call(self.inner.begin_follow(catalog, at)).await
    }

    async fn note_music(
        &self,
        task: &MusicTaskId,
        state: RowState,
        said: (Reason, Answer),
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        self.call(self.inner.note_music(task, state, said, at)).await
    }

    async fn follow(&self, by: FollowedBy, tasks: Vec<MusicTaskId>, at: UnixMillis) -> Result<u64, LedgerError> {
        self.call(self.inner.follow(by, tasks, at)).await
    }

    async fn next_due(
        &self,
        who: Follower,
        at: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError> {
        self.call(self.inner.next_due(who, at)).await
    }

    async fn claim_due(
        &self,
        who: Follower,
        lane: Lane,
        at: UnixMillis,
        lease: Duration,
        pace: Rate,
    ) -> Result<Due, LedgerError> {
        self.call(self.inner.claim_due(who, lane, at, lease, pace)).await
    }

    async fn claim_read(&self, at: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, LedgerError> {
        self.call(self.inner.claim_read(at, pace)).await
    }

    async fn settle_pursuit(&self, row: RowKey, pursued: Pursued, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.settle_pursuit(row, pursued, at)).await
    }

    async fn hint(&self, task: &MusicTaskId, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.hint(task, at)).await
    }

    async fn generation_times(&self) -> Result<Vec<Duration>, LedgerError> {
        self.call(self.inner.generation_times()).await
    }

    async fn looks_since(&self, since: UnixMillis) -> Result<Vec<UnixMillis>, LedgerError> {
        self.call(self.inner.looks_since(since)).await
    }

    async fn fall_back(&self, rows: Vec<(MusicTaskId, String)>) -> Result<(), LedgerError> {
        self.call(self.inner.fall_back(rows)).await
    }
}
