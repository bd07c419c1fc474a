//! The ledger in a `PostgreSQL` database, for runs on several hosts. The only home of its driver.
//!
//! The server does the locking, the durability and the common clock. Whoever writes for an account locks its row, and only
//! answers to what is in flight may come before that; operations that wait together are done in one transaction, with
//! statements over sets of rows.

mod alive;
mod announce;
mod check;
mod claims;
mod columns;
mod connect;
mod copy;
mod counting;
mod cover_jobs;
mod decisions;
mod failure;
mod history;
mod job_outcomes;
mod look_up;
mod open;
mod operation;
mod pace;
mod place;
mod queue;
mod runs;
mod schema;
mod server_clock;
mod session;
mod settings;
mod settlements;
mod tasks;
mod tls;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::clock::UnixMillis;
use crate::domain::{Answer, Ended, MusicTaskId, Rate, Reason, RowState};
use crate::images::NameWords;
use crate::ledger::cover_job::{CoverKey, CoverScope, Due, JobKind, JobOutcome, PollStats, Waiter};
use crate::ledger::error::LedgerError;
use crate::ledger::record::{KnownState, Record};
use crate::ledger::run::{AttemptKey, Begin, NewRun, PastRun, RunId, RunResult};
use crate::ledger::submission::{Claim, ClaimRequest, Sends, Settled, Settlement, Submission};
use crate::ledger::traits::{FollowLedger, ReadLedger, SubmitLedger};

use connect::Access;
use failure::Failure;
use open::Wanted;
use operation::{Call, Operation};
use place::Place;
use queue::Queue;
use session::Session;

/// What is shown of a URL that cannot be understood.
const UNKNOWN: &str = "postgres://…";

/// How long to wait before it is looked again who is alive, after the server was started.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The ledger of one account in a `PostgreSQL` database.
#[derive(Debug)]
pub struct PostgresLedger {
    queue: Arc<Queue>,
    is_new: bool,
}

impl PostgresLedger {
    /// The SQL that makes the tables.
    pub const SCHEMA: &str = schema::SCRIPT;

    /// Whether `text` is the URL of a database.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// The database at `url` as people are shown it: without user and password.
    #[must_use]
    pub fn location(url: &str) -> String {
        // A URL that cannot be understood is not shown: who knows where the password is in it.
        place_at(url).map_or_else(|_| UNKNOWN.to_owned(), |place| place.location)
    }

    /// The URL without the password, to be used by whoever has that.
    #[must_use]
    pub fn without_password(url: &str) -> String {
        place_at(url).map_or_else(|_| UNKNOWN.to_owned(), |_| place::without_password(url))
    }

    /// The ledger of an account for the API at `api_url`, made if it is not there. Once it is open, calls wait for a server
    /// that is out of reach, each for `max_outage` at most.
    ///
    /// # Errors
    /// [`LedgerError`] if the server cannot be reached, refuses this user, cannot keep the promises, or holds something else,
    /// or the account is one of another API.
    pub async fn open(url: &str, account: &str, api_url: &str, max_outage: Duration) -> Result<Self, LedgerError> {
        let place = place_at(url)?;
        let opened = open::open(&place, Wanted::Make(account, api_url), max_outage).await;
        let opened = opened.and_then(|opened| opened.ok_or(Failure::Closed));
        opened.map(Self::new).map_err(|failure| failure.at("open", &place.location))
    }

    /// The same, if it is there; without a name that of the only account there; `api_url` is compared if it is given.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`PostgresLedger::open`].
    pub async fn open_existing(
        url: &str,
        account: Option<&str>,
        api_url: Option<&str>,
        max_outage: Duration,
    ) -> Result<Option<Self>, LedgerError> {
        let place = place_at(url)?;
        let opened = open::open(&place, Wanted::There(account, api_url), max_outage).await;
        let opened = opened.map_err(|failure| failure.at("open", &place.location))?;
        Ok(opened.map(Self::new))
    }

    /// The ledger of an account for reading beside a run, if there is one, without a name that of the only account there;
    /// `api_url` is compared if it is given. Needs no right to write.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`PostgresLedger::open`].
    pub async fn open_to_read(
        url: &str,
        account: Option<&str>,
        api_url: Option<&str>,
    ) -> Result<Option<Self>, LedgerError> {
        let place = place_at(url)?;
        let opened = open::open_to_read(&place, account, api_url).await;
        let opened = opened.map_err(|failure| failure.at("read", &place.location))?;
        Ok(opened.map(|queue| Self::new((queue, false))))
    }

    fn new((queue, is_new): (Arc<Queue>, bool)) -> Self {
        Self { queue, is_new }
    }

    /// Whether it was made when it was opened.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Does something in the next transaction; its result is durable when this returns.
    async fn write<A, T, F>(&self, values: A, work: fn(Session, A) -> F) -> Result<T, LedgerError>
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.call(Access::Write, values, work).await
    }

    /// Reads something.
    async fn read<A, T, F>(&self, values: A, work: fn(Session, A) -> F) -> Result<T, LedgerError>
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.call(Access::Read, values, work).await
    }

    async fn call<A, T, F>(&self, access: Access, values: A, work: fn(Session, A) -> F) -> Result<T, LedgerError>
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let call: Box<dyn Operation> = Box::new(Call { access, values, work, result: None, reply });
        self.queue.submit(|group| group.calls.push(call));
        self.answer(result).await
    }

    /// What became of an operation. It is dropped without an answer only if it failed, or one before it or together with it.
    async fn answer<T>(&self, result: oneshot::Receiver<T>) -> Result<T, LedgerError> {
        match result.await {
            Ok(value) => Ok(value),
            Err(_) => Err(self.queue.failure().await),
        }
    }
}

fn place_at(url: &str) -> Result<Place, LedgerError> {
    Place::new(url, |name| env::var_os(name)).map_err(|bad| Failure::from(bad).at("open", UNKNOWN))
}

impl ReadLedger for PostgresLedger {
    async fn look_up(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<Record>>, LedgerError> {
        self.read(tasks, look_up::records).await
    }

    async fn states(&self, tasks: Vec<MusicTaskId>) -> Result<Vec<Option<KnownState>>, LedgerError> {
        self.read(tasks, look_up::states).await
    }

    async fn beginning_with(&self, start: &MusicTaskId, most: u32) -> Result<Vec<MusicTaskId>, LedgerError> {
        self.read((start.clone(), most), look_up::beginning_with).await
    }

    async fn history(&self, task: &MusicTaskId) -> Result<Vec<Submission>, LedgerError> {
        self.read(task.clone(), history::submissions).await
    }

    async fn poll_stats(&self, task: &MusicTaskId) -> Result<Option<PollStats>, LedgerError> {
        self.read(task.clone(), history::poll_stats).await
    }

    async fn last_end(&self, catalog: &str) -> Result<Option<Reason>, LedgerError> {
        self.read(catalog.to_owned(), history::last_end).await
    }

    async fn past_runs(&self, catalog: &str, most: u32) -> Result<Vec<PastRun>, LedgerError> {
        self.read((catalog.to_owned(), most), history::past_runs).await
    }

    async fn sends_between(
        &self,
        between: (UnixMillis, UnixMillis),
        stretch: Duration,
    ) -> Result<Vec<Sends>, LedgerError> {
        self.read((between, stretch), history::sends_between).await
    }

    async fn generation_times(&self) -> Result<Vec<Duration>, LedgerError> {
        self.read((), history::generation_times).await
    }

    fn is_healthy(&self) -> bool {
        self.queue.is_healthy()
    }

    async fn close(self) {
        self.queue.close().await;
    }
}

impl SubmitLedger for PostgresLedger {
    async fn import(&self, rows: Vec<(MusicTaskId, Record)>) -> Result<(), LedgerError> {
        self.write(rows, tasks::import).await
    }

    async fn begin_run(&self, run: NewRun) -> Result<Begin, LedgerError> {
        let clock = self.queue.context.clock;
        let asked_at = clock.now();
        loop {
            // When it begins, not when that was asked for: what others send meanwhile is not of a clock that was set back since.
            let at = run.at.after(clock.now().duration_since(asked_at));
            match self.write(NewRun { at, ..run.clone() }, runs::begin).await? {
                Some(begin) => return Ok(begin),
                None => sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn recover(
        &self,
        run: RunId,
        seen: AttemptKey,
        at: UnixMillis,
    ) -> Result<(Vec<MusicTaskId>, AttemptKey), LedgerError> {
        self.write((run, seen, at), runs::recover_for).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claim, LedgerError> {
        let (reply, claim) = oneshot::channel();
        self.queue.submit(|group| group.claims.push(request, reply));
        self.answer(claim).await
    }

    async fn settle(&self, attempt: AttemptKey, settlement: Settlement) -> Result<Settled, LedgerError> {
        let (reply, settled) = oneshot::channel();
        self.queue.submit(|group| group.settlements.push((attempt, settlement), reply));
        self.answer(settled).await
    }

    async fn release(&self, attempt: AttemptKey) -> Result<(), LedgerError> {
        self.write(attempt, settlements::release).await
    }

    async fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis) -> Result<(), LedgerError> {
        self.write((run, ended, at), runs::end).await?;
        // Only now: until it is written down, the lock tells that the run is alive. One that cannot be let go ends with the
        // process.
        let _ = self.queue.context.locks.release().await;
        Ok(())
    }

    async fn note_result(&self, run: RunId, result: RunResult) -> Result<(), LedgerError> {
        self.write((run, result), history::note_result).await
    }

    async fn note_music(
        &self,
        task: &MusicTaskId,
        state: RowState,
        said: (Reason, Answer),
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        self.write((task.clone(), state, said, at), tasks::note_music).await
    }

    async fn note_default_covers(&self, rows: Vec<(MusicTaskId, String)>) -> Result<(), LedgerError> {
        self.write(rows, tasks::note_default_covers).await
    }
}

impl FollowLedger for PostgresLedger {
    async fn begin_follow(&self, catalog: &str, command: &str, at: UnixMillis) -> Result<RunId, LedgerError> {
        let (catalog, command) = (catalog.to_owned(), command.to_owned());
        let new = NewRun { catalog, is_partial: false, results: None, command, at };
        self.write(new, runs::begin_follow).await
    }

    async fn name_files(&self, rows: Vec<(MusicTaskId, NameWords)>) -> Result<Vec<Option<NameWords>>, LedgerError> {
        self.write(rows, tasks::name_files).await
    }

    async fn watch(&self, waiter: Waiter, tasks: Vec<MusicTaskId>, at: UnixMillis) -> Result<u64, LedgerError> {
        self.write((waiter, tasks, at), cover_jobs::watch).await
    }

    async fn next_due(
        &self,
        scope: CoverScope,
        at: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError> {
        self.read((scope, at), cover_jobs::next_due).await
    }

    async fn claim_job(
        &self,
        scope: CoverScope,
        kind: JobKind,
        at: UnixMillis,
        lease: Duration,
        pace: Rate,
    ) -> Result<Due, LedgerError> {
        self.write((scope, kind, at, lease, pace), cover_jobs::claim_job).await
    }

    async fn claim_read(&self, at: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, LedgerError> {
        self.write((at, pace), cover_jobs::claim_read).await
    }

    async fn settle_job(&self, key: CoverKey, outcome: JobOutcome, at: UnixMillis) -> Result<(), LedgerError> {
        self.write((key, outcome, at), job_outcomes::settle_job).await
    }

    async fn wake(&self, task: &MusicTaskId, at: UnixMillis) -> Result<(), LedgerError> {
        self.write((task.clone(), at), cover_jobs::wake).await
    }

    async fn release_jobs(&self, run: RunId, at: UnixMillis) -> Result<(), LedgerError> {
        self.write((run, at), cover_jobs::release_jobs).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_from_a_file_and_shown_without_what_is_secret_in_it() {
        for (text, is_url) in [
            ("postgres://me:secret@db.example/covers", true),
            ("PostgreSQL://db.example", true),
            ("postgres.db", false),
            ("folder/postgres://db.example", false),
        ] {
            assert_eq!(PostgresLedger::is_url(text), is_url, "{text}");
        }
        let (good, bad) = ("postgres://me:secret@db.example/covers", "postgres://me:secret@db.example:port/covers");
        assert_eq!(PostgresLedger::location(good), "postgres://db.example:5432/covers");
        assert_eq!(PostgresLedger::without_password(good), "postgres://me@db.example/covers");
        assert_eq!([PostgresLedger::location(bad), PostgresLedger::without_password(bad)], [UNKNOWN, UNKNOWN]);
    }
}
