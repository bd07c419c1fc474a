//! What may be assumed of a ledger when each of its calls returns. Callers ask for the smallest trait that they need.
//!
//! "Durable" means that neither the death of the process nor that of the machine undoes it.

use std::future::Future;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, Ended, ManualKind, MusicTaskId, Rate, Reason, RowState};
use crate::images::NameWords;
use crate::ledger::cover_job::{CoverKey, CoverScope, Due, JobKind, JobOutcome, PollStats, Waiter};
use crate::ledger::error::LedgerError;
use crate::ledger::record::{KnownState, ManualDecision, PastDecision, Record};
use crate::ledger::run::{AttemptKey, Begin, NewRun, PastRun, RunId, RunResult};
use crate::ledger::submission::{Claim, ClaimRequest, Sends, Settled, Settlement, Submission};
use crate::policy::Judgement;

/// What is read, also beside runs that are going on.
pub trait ReadLedger: Send + Sync + 'static {
    /// What is known of each of these music tasks, in their order; `None` for one that the ledger does not know.
    fn look_up(&self, tasks: Vec<MusicTaskId>)
    -> impl Future<Output = Result<Vec<Option<Record>>, LedgerError>> + Send;

    /// How far each of these music tasks has come, in their order; `None` for one that the ledger does not know.
    fn states(
        &self,
        tasks: Vec<MusicTaskId>,
    ) -> impl Future<Output = Result<Vec<Option<KnownState>>, LedgerError>> + Send;

    /// The music tasks whose ids begin with this one, in the order of their ids, at most so many.
    fn beginning_with(
        &self,
        start: &MusicTaskId,
        most: u32,
    ) -> impl Future<Output = Result<Vec<MusicTaskId>, LedgerError>> + Send;

    /// Every submission of a music task that was made with this ledger, oldest first.
    fn history(&self, task: &MusicTaskId) -> impl Future<Output = Result<Vec<Submission>, LedgerError>> + Send;

    /// How often the cover of a music task was polled; `None` if it never was and is not due.
    fn poll_stats(&self, task: &MusicTaskId) -> impl Future<Output = Result<Option<PollStats>, LedgerError>> + Send;

    /// Why the last run over a catalog did not reach all of its rows, [`Reason::Interrupted`] if it has not ended; `None`
    /// if it did, or if there was none. Commands that only follow covers do not count.
    fn last_end(&self, catalog: &str) -> impl Future<Output = Result<Option<Reason>, LedgerError>> + Send;

    /// The last runs over a catalog, those that only followed covers included: latest first, at most so many.
    fn past_runs(&self, catalog: &str, most: u32) -> impl Future<Output = Result<Vec<PastRun>, LedgerError>> + Send;

    /// The submissions between two times, counted by stretches of time and by what they came to; earliest first.
    fn sends_between(
        &self,
        between: (UnixMillis, UnixMillis),
        stretch: Duration,
    ) -> impl Future<Output = Result<Vec<Sends>, LedgerError>> + Send;

    /// How long the last 100 covers took whose time the service told, latest first.
    fn generation_times(&self) -> impl Future<Output = Result<Vec<Duration>, LedgerError>> + Send;

    /// Whether nothing has failed so far. After a failure every call fails, and nothing is written.
    fn is_healthy(&self) -> bool;

    /// Waits until what was asked for is done, and lets the ledger go.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What a run does that submits music tasks. What is asked for earlier is durable earlier, or together with what is asked for
/// later: an answer, for one, and the next claim.
pub trait SubmitLedger: ReadLedger {
    /// Takes over what an earlier results CSV says of music tasks that the ledger does not know. A cover that is known and
    /// whose images are not is due since its acceptance. Durable when this returns.
    fn import(&self, rows: Vec<(MusicTaskId, Record)>) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Opens a run, unless one is alive that writes the same results file on the same host. A run is alive while it holds a
    /// lock that ends with its process; nobody compares clocks to find the dead. When this returns, runs that died are
    /// known to be interrupted, as after [`recover`](Self::recover). One that was begun before with the same value is over.
    fn begin_run(&self, run: NewRun) -> impl Future<Output = Result<Begin, LedgerError>> + Send;

    /// Looks for runs that died. When this returns, their covers are left to others, and every submission of theirs whose
    /// answer was not recorded is known to be in doubt; the pace counts it from `at`, since it may have been sent at any
    /// moment before.
    ///
    /// Returns the music tasks that are in doubt because another run over the catalog of `run` died after the submission
    /// `seen`, and the last submission of all: what is claimed with that is known to be in doubt.
    fn recover(
        &self,
        run: RunId,
        seen: AttemptKey,
        at: UnixMillis,
    ) -> impl Future<Output = Result<(Vec<MusicTaskId>, AttemptKey), LedgerError>> + Send;

    /// Announces and counts a submission of a music task, unless that is settled or in flight, another run has sent it since
    /// it was decided to send it, or other runs of the account leave no room for it. Durable when this returns: only then
    /// may it be sent, and if the program dies, others know the music task to be in doubt.
    fn claim(&self, request: ClaimRequest) -> impl Future<Output = Result<Claim, LedgerError>> + Send;

    /// Records what became of a claimed submission, and when it was sent. Durable when this returns: only then may the
    /// answer be counted or shown. That of a run which was believed dead moves its music task unless that was sent again
    /// since; one that a person has had ignored meanwhile stays so, unless the answer settles it. An error if the submission has an answer.
    fn settle(
        &self,
        attempt: AttemptKey,
        settlement: Settlement,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Takes a claim back, because nothing was sent to the service; the music task is as it was before. Durable when this
    /// returns. One whose run was believed dead stays in doubt. An error if the submission has an answer.
    fn release(&self, attempt: AttemptKey) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records how a run ended, which leaves its covers to others. Durable when this returns.
    fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis)
    -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records what came of a run that has ended, for whoever looks back. Durable when this returns.
    fn note_result(&self, run: RunId, result: RunResult) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records what the music of a task that may be sent says: `state` is pending, failed or given up. One in flight, in
    /// doubt or settled stays as it is. Durable when this returns.
    fn note_music(
        &self,
        task: &MusicTaskId,
        state: RowState,
        said: (Reason, Answer),
        at: UnixMillis,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records which copy of the default cover stands in for each of these. Durable when this returns.
    fn note_default_covers(
        &self,
        rows: Vec<(MusicTaskId, String)>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// What is done by whoever follows accepted covers to their images; needs no lock.
pub trait FollowLedger: ReadLedger {
    /// Opens a command over a catalog that follows covers and submits nothing; `command` goes on with it.
    fn begin_follow(
        &self,
        catalog: &str,
        command: &str,
        at: UnixMillis,
    ) -> impl Future<Output = Result<RunId, LedgerError>> + Send;

    /// Notes in which words the files of these music tasks are to be called; in which they are from now on, in their order.
    /// No two are called the same, whatever their case: where others have the words, the id stands behind them, and none
    /// are given if that is taken too. One of which an image is on disk keeps what it has, if only its id. Durable when
    /// this returns.
    fn name_files(
        &self,
        rows: Vec<(MusicTaskId, NameWords)>,
    ) -> impl Future<Output = Result<Vec<Option<NameWords>>, LedgerError>> + Send;

    /// Takes up the covers of these music tasks that are not finished, for a run that waits for them, from others that do;
    /// with files, also those whose images are not on disk and not known to be forgotten. One that this run has given up, or
    /// waits for no longer at `at`, is left to others. Whoever begins to wait gives each all of its attempts; whoever takes one
    /// back from others goes on with those that are left. Returns how many. Durable when this returns.
    fn watch(
        &self,
        waiter: Waiter,
        tasks: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// When the next cover is to be polled, and when the next image is to be downloaded, if any is. One that is claimed is due
    /// when its lease is over: as long as anyone works on it, it counts as left.
    fn next_due(
        &self,
        scope: CoverScope,
        at: UnixMillis,
    ) -> impl Future<Output = Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError>> + Send;

    /// Claims the cover that has been due for longest, if one is. Durable when this returns: nobody else gets it before
    /// `lease` is over, and if the program dies it is due again then. `pace` holds polls back that would be one too many
    /// in a window, counted over all processes.
    fn claim_job(
        &self,
        scope: CoverScope,
        kind: JobKind,
        at: UnixMillis,
        lease: Duration,
        pace: Rate,
    ) -> impl Future<Output = Result<Due, LedgerError>> + Send;

    /// Counts a read that is about to be made and is not of a cover. Durable when this returns `None`; else it would be
    /// one too many for `pace` in a window, counted over all processes, until the time that is returned.
    fn claim_read(
        &self,
        at: UnixMillis,
        pace: Rate,
    ) -> impl Future<Output = Result<Option<UnixMillis>, LedgerError>> + Send;

    /// Records what came of a claimed cover, unless someone else has finished it meanwhile, or it was forgotten. Durable when
    /// this returns.
    fn settle_job(
        &self,
        key: CoverKey,
        outcome: JobOutcome,
        at: UnixMillis,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A hint that a cover has news: if its images are not known it is due now, unless it was claimed a moment ago. One
    /// that comes before the answer with the id of the cover is remembered for that. Durable when this returns.
    fn wake(&self, task: &MusicTaskId, at: UnixMillis) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Lets others go on at once with the covers that a run waited for, which cannot go on itself. Durable when this
    /// returns.
    fn release_jobs(&self, run: RunId, at: UnixMillis) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// What people decide about single music tasks, beside whatever runs are going on.
pub trait DecideLedger: ReadLedger {
    /// Carries a decision out for all of these music tasks, each of which is named once, or for none of them if one is
    /// refused; what comes of each, in their order. Durable when this returns: what a run decided before it is not sent any
    /// more if the ledger forbids it now.
    fn decide(
        &self,
        decision: ManualDecision,
        tasks: Vec<MusicTaskId>,
    ) -> impl Future<Output = Result<Vec<Judgement>, LedgerError>> + Send;

    /// Takes the last decision about each of these music tasks back, if it is of this kind, in the same way: what was known
    /// before is known again. Durable when this returns.
    fn undo(
        &self,
        kind: ManualKind,
        tasks: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Judgement>, LedgerError>> + Send;

    /// What was decided about a music task, oldest first.
    fn decisions(&self, task: &MusicTaskId) -> impl Future<Output = Result<Vec<PastDecision>, LedgerError>> + Send;
}

/// A ledger for a run that submits music tasks and follows their covers.
pub trait Ledger: SubmitLedger + FollowLedger {}

impl<L: SubmitLedger + FollowLedger> Ledger for L {}
