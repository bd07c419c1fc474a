//! The real ledger behind a store that fails, is slow, or is shared with a run that stands still.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use coverbatch::clock::{Clock, UnixMillis};
use coverbatch::domain::{Answer, Ended, MusicTaskId, Rate, Reason, RowState};
use coverbatch::images::NameWords;
use coverbatch::ledger::{
    AttemptKey, Begin, Claim, ClaimRequest, CoverKey, CoverScope, Due, FollowLedger, JobKind, JobOutcome, KnownState,
    LedgerError, LedgerErrorKind, NewRun, PastRun, PollStats, ReadLedger, Record, RunId, RunResult, Sends, Settled,
    Settlement, SqliteLedger, Submission, SubmitLedger, Waiter,
};
use tokio::time::Instant;

/// What is wrong with a store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// This call, counted from 1, and every later one fails.
    Before(usize),
    /// The same, but this call is done nevertheless.
    After(usize),
    /// Writing down claims and answers takes so long.
    SlowWrites(Duration),
    /// Asking what is due, and claiming a read, takes so long.
    SlowQuestions(Duration),
    /// For so long another run has every row on its way.
    Elsewhere(Duration),
    /// After so long another run is dead, which leaves this row in doubt.
    Left(Duration, &'static str),
}

/// The last submission of a run that died.
const LEFT: AttemptKey = AttemptKey(1_000_000);

/// A ledger with a fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<SqliteLedger>,
    clock: Clock,
    fault: Fault,
    calls: AtomicUsize,
    /// How often `next_due` was called since the last other call.
    idle: AtomicUsize,
    failed_at: OnceLock<Instant>,
    /// When runs that died were looked for.
    looks: Mutex<Vec<Instant>>,
}

impl Faulty {
    pub(crate) fn new(inner: &Arc<SqliteLedger>, clock: Clock, fault: Fault) -> Arc<Self> {
        let (inner, calls, idle) = (Arc::clone(inner), AtomicUsize::new(0), AtomicUsize::new(0));
        let (failed_at, looks) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { inner, clock, fault, calls, idle, failed_at, looks })
    }

    /// When the first call failed, if one did.
    pub(crate) fn failed_at(&self) -> Option<Instant> {
        self.failed_at.get().copied()
    }

    /// When runs that died were looked for, since the night began.
    pub(crate) fn looks(&self) -> Vec<Duration> {
        let start = self.clock.now() - self.clock.elapsed();
        self.looks.lock().unwrap().iter().map(|at| *at - start).collect()
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, LedgerError>> + Send) -> Result<T, LedgerError> {
        self.idle.store(0, Ordering::Relaxed);
        self.counted(work).await
    }

    async fn counted<T>(&self, work: impl Future<Output = Result<T, LedgerError>> + Send) -> Result<T, LedgerError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fault {
            Fault::Before(first) if call >= first => Err(self.fail()),
            Fault::After(first) if call > first => Err(self.fail()),
            Fault::After(first) if call == first => {
                work.await?;
                Err(self.fail())
            }
            Fault::Before(_)
            | Fault::After(_)
            | Fault::SlowWrites(_)
            | Fault::SlowQuestions(_)
            | Fault::Elsewhere(_)
            | Fault::Left(_, _) => work.await,
        }
    }

    /// A call that writes a claim or an answer.
    async fn write<T>(&self, work: impl Future<Output = Result<T, LedgerError>> + Send) -> Result<T, LedgerError> {
        if let Fault::SlowWrites(time) = self.fault {
            tokio::time::sleep(time).await;
        }
        self.call(work).await
    }

    /// A question about what is due.
    async fn ask(&self) {
        if let Fault::SlowQuestions(time) = self.fault {
            tokio::time::sleep(time).await;
        }
    }

    fn fail(&self) -> LedgerError {
        self.failed_at.get_or_init(|| self.clock.now());
        let cause = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let (location, kind) = ("full.db".to_owned(), LedgerErrorKind::Unavailable);
        LedgerError { location, what: "write to", kind, cause: Arc::new(cause) }
    }
}

impl ReadLedger for Faulty {
    async fn look_up(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Record>>, LedgerError> {
        self.call(self.inner.look_up(tasks)).await
    }

    async fn states(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<KnownState>>, LedgerError> {
        self.call(self.inner.states(tasks)).await
    }

    async fn beginning_with(&self, start: &MusicTaskId, most: u32) -> Result<Vec<MusicTaskId>, LedgerError> {
        self.call(self.inner.beginning_with(start, most)).await
    }

    async fn history(&self, task: &MusicTaskId) -> Result<Vec<Submission>, LedgerError> {
        self.call(self.inner.history(task)).await
    }

    async fn poll_stats(&self, task: &MusicTaskId) -> Result<Option<PollStats>, LedgerError> {
        self.call(self.inner.poll_stats(task)).await
    }

    async fn last_end(&self, catalog: &str) -> Result<Option<Reason>, LedgerError> {
        self.call(self.inner.last_end(catalog)).await
    }

    async fn past_runs(&self, catalog: &str, most: u32) -> Result<Vec<PastRun>, LedgerError> {
        self.call(self.inner.past_runs(catalog, most)).await
    }

    async fn sends_between(
        &self,
        between: (UnixMillis, UnixMillis),
        stretch: Duration,
    ) -> Result<Vec<Sends>, LedgerError> {
        self.call(self.inner.sends_between(between, stretch)).await
    }

    async fn generation_times(&self) -> Result<Vec<Duration>, LedgerError> {
        self.call(self.inner.generation_times()).await
    }

    fn is_healthy(&self) -> bool {
        self.failed_at().is_none() && self.inner.is_healthy()
    }

    /// The night goes on with the ledger behind it.
    async fn close(self) {}
}

impl SubmitLedger for Faulty {
    async fn import(&self, rows: Vec<(MusicTaskId, Record)>) -> Result<(), LedgerError> {
        self.call(self.inner.import(rows)).await
    }

    async fn begin_run(&self, run: NewRun) -> Result<Begin, LedgerError> {
        self.call(self.inner.begin_run(run)).await
    }

    async fn recover(
        &self,
        run: RunId,
        seen: AttemptKey,
        at: UnixMillis,
    ) -> Result<(Vec<MusicTaskId>, AttemptKey), LedgerError> {
        self.looks.lock().unwrap().push(self.clock.now());
        let (mut left, last) = self.call(self.inner.recover(run, seen, at)).await?;
        if let Fault::Left(died, task) = self.fault
            && self.clock.elapsed() >= died
            && seen < LEFT
        {
            left.push(MusicTaskId::new(task).unwrap());
            return Ok((left, LEFT));
        }
        Ok((left, last))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claim, LedgerError> {
        if matches!(self.fault, Fault::Elsewhere(time) if self.clock.elapsed() < time) {
            return Ok(Claim::InFlight);
        }
        self.write(self.inner.claim(request)).await
    }

    async fn settle(&self, attempt: AttemptKey, settlement: Settlement) -> Result<Settled, LedgerError> {
        self.write(self.inner.settle(attempt, settlement)).await
    }

    async fn release(&self, attempt: AttemptKey) -> Result<(), LedgerError> {
        self.call(self.inner.release(attempt)).await
    }

    async fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.end_run(run, ended, at)).await
    }

    async fn note_result(&self, run: RunId, result: RunResult) -> Result<(), LedgerError> {
        self.call(self.inner.note_result(run, result)).await
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

    async fn note_default_covers(&self, rows: Vec<(MusicTaskId, String)>) -> Result<(), LedgerError> {
        self.call(self.inner.note_default_covers(rows)).await
    }
}

impl FollowLedger for Faulty {
    async fn begin_follow(&self, catalog: &str, command: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        self.call(self.inner.begin_follow(catalog, command, at)).await
    }

    async fn name_files(&self, rows: Vec<(MusicTaskId, NameWords)>) -> Result<Vec<Option<NameWords>>, LedgerError> {
        self.call(self.inner.name_files(rows)).await
    }

    async fn watch(&self, waiter: Waiter, tasks: Vec<MusicTaskId>, at: UnixMillis) -> Result<u64, LedgerError> {
        self.call(self.inner.watch(waiter, tasks, at)).await
    }

    async fn next_due(
        &self,
        scope: CoverScope,
        at: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError> {
        self.ask().await;
        let work = self.inner.next_due(scope, at);
        // While nothing is due this is asked each second, of a ledger in which nothing changes: failing once more would
        // show nothing new, and half of all calls are such.
        let is_idle = self.idle.fetch_add(1, Ordering::Relaxed) > 1;
        if is_idle && self.failed_at().is_none() { work.await } else { self.counted(work).await }
    }

    async fn claim_job(
        &self,
        scope: CoverScope,
        kind: JobKind,
        at: UnixMillis,
        lease: Duration,
        pace: Rate,
    ) -> Result<Due, LedgerError> {
        self.ask().await;
        self.call(self.inner.claim_job(scope, kind, at, lease, pace)).await
    }

    async fn claim_read(&self, at: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, LedgerError> {
        self.ask().await;
        self.call(self.inner.claim_read(at, pace)).await
    }

    async fn settle_job(&self, key: CoverKey, outcome: JobOutcome, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.settle_job(key, outcome, at)).await
    }

    async fn wake(&self, task: &MusicTaskId, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.wake(task, at)).await
    }

    async fn release_jobs(&self, run: RunId, at: UnixMillis) -> Result<(), LedgerError> {
        self.call(self.inner.release_jobs(run, at)).await
    }
}
