//! Durable rows: what is known of every music task ever sent for one account.
//!
//! The trait says what may be assumed when each call returns; the promises "nothing lost" and "nothing sent twice"
//! rest on these sentences. A call that fails means that nothing more may be sent.

mod follow;
pub mod lock;
mod record;
pub mod sqlite;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Ended, MusicTaskId, Outcome, Rate, Reason, RowState, Verdict};

pub use follow::{Due, FollowedBy, Follower, IMAGES_LAST, Lane, Pursued, Pursuit, Step};
pub use lock::{LockError, RunLock};
pub use record::{Artwork, Record, Standing};
pub use sqlite::SqliteLedger;

/// A durable read or write failed, or the file is not one to write to.
#[derive(Debug, Clone, Error)]
#[error("cannot {what} the ledger `{}`", path.display())]
pub struct LedgerError {
    /// The file.
    pub path: PathBuf,
    /// What could not be done.
    pub what: &'static str,
    /// Why.
    #[source]
    pub cause: Arc<dyn std::error::Error + Send + Sync>,
}

/// One run of the program, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId(pub i64);

/// A claimed row, as the ledger numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey(pub i64);

/// One submission of a music task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// In which run; `None` if that is only known from an earlier results CSV.
    pub run: Option<RunId>,
    /// When it was announced.
    pub sent_at: UnixMillis,
    /// When its answer was recorded; `None` if none was.
    pub answered_at: Option<UnixMillis>,
    /// What the answer meant.
    pub reason: Option<Reason>,
    /// What was said.
    pub answer: Answer,
}

/// Whether a row may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It may, once.
    Granted(RowKey),
    /// It is settled, or on its way already.
    Refused,
}

/// What became of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Where the row stands now; [`RowState::Pending`] puts it back, in doubt if it was so before.
    pub state: RowState,
    /// Why.
    pub reason: Reason,
    /// What the service said.
    pub answer: Answer,
    /// The cover, if the answer gave its id.
    pub cover: Option<CoverTaskId>,
    /// When it was made: some time after it was announced if the disk was slow or the gate closed meanwhile.
    pub sent_at: UnixMillis,
    /// When the answer came.
    pub at: UnixMillis,
    /// When to look at the cover, if its id is known.
    pub look_at: UnixMillis,
    /// The run that waits for it, if one does.
    pub followed: Option<FollowedBy>,
}

impl Settlement {
    /// The settlement of a row that was sent at a time and that `outcome` moves to `state` at another.
    #[must_use]
    pub fn new(state: RowState, outcome: Outcome, sent_at: UnixMillis, at: UnixMillis) -> Self {
        let cover = match outcome.verdict {
            Verdict::Accepted(cover) => Some(cover),
            Verdict::Covered(cover) => cover,
            Verdict::Throttled
            | Verdict::Unavailable
            | Verdict::NoCredits
            | Verdict::Unauthorized
            | Verdict::WrongAddress
            | Verdict::Rejected
            | Verdict::Troubled
            | Verdict::Lost => None,
        };
        Self { state, reason: outcome.reason, answer: outcome.answer, cover, sent_at, at, look_at: at, followed: None }
    }

    /// The same, with its cover looked at after the usual time of generation and waited for by a run.
    #[must_use]
    pub fn followed(self, usual: Duration, followed: Option<FollowedBy>) -> Self {
        // A cover that was there before may well be finished.
        let wait = if self.state == RowState::Submitted { usual } else { Duration::ZERO };
        Self { look_at: self.at.after(wait), followed, ..self }
    }
}

/// Durable rows.
pub trait Ledger: Send + Sync + 'static {
    /// What is known of each of these music tasks, in their order.
    fn look_up(&self, tasks: Vec<MusicTaskId>)
    -> impl Future<Output = Result<Vec<Option<Record>>, LedgerError>> + Send;

    /// How far each of these music tasks has come, in their order; none that the ledger does not know.
    fn standings(
        &self,
        tasks: Vec<MusicTaskId>,
    ) -> impl Future<Output = Result<Vec<Option<Standing>>, LedgerError>> + Send;

    /// Takes over what an earlier results CSV says of music tasks that the ledger does not know. Durable when this
    /// returns.
    fn adopt(&self, rows: Vec<(MusicTaskId, Record)>) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Opens a command that follows covers and submits nothing; needs no lock.
    fn begin_follow(&self, catalog: &str, at: UnixMillis) -> impl Future<Output = Result<RunId, LedgerError>> + Send;

    /// Opens a run over a catalog. When this returns, every submission of an earlier run whose answer was not recorded
    /// is known to be in doubt. Only for the holder of the [`RunLock`].
    fn begin_run(&self, catalog: &str, at: UnixMillis) -> impl Future<Output = Result<RunId, LedgerError>> + Send;

    /// Records what became of claimed rows, and announces submissions and counts them, all in one transaction; says for
    /// each submission, in their order, whether it may be made. Durable when this returns: only then may an answer be
    /// counted or shown, and if a submission is granted and the program dies, the next run knows the row to be in doubt.
    fn write(
        &self,
        run: RunId,
        settled: Vec<(RowKey, Settlement)>,
        claimed: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Claim>, LedgerError>> + Send;

    /// Takes an announcement back, because nothing was sent; the row is as it was before. Durable when this returns.
    fn release(&self, row: RowKey) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// When submissions were made at or after `since`, oldest first; where that is not known, when they were announced.
    fn sends_since(&self, since: UnixMillis) -> impl Future<Output = Result<Vec<UnixMillis>, LedgerError>> + Send;

    /// Lets others go on at once with the covers that a run waited for, which cannot go on itself.
    fn leave(&self, run: RunId, at: UnixMillis) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records how a run ended, which leaves its covers. Durable when this returns.
    fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis)
    -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Every submission of a music task that was made with this ledger, oldest first.
    fn history(&self, task: &MusicTaskId) -> impl Future<Output = Result<Vec<Submission>, LedgerError>> + Send;

    /// Records what the music of a task that is still to be sent says: pending or failed. Durable when this returns.
    fn note_music(
        &self,
        task: &MusicTaskId,
        state: RowState,
        said: (Reason, Answer),
        at: UnixMillis,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Takes up the covers of these music tasks that are not finished, for a run that waits for them and began at `at`;
    /// with files, also those whose images are not on disk and are not forgotten by the service yet. One that was looked
    /// at since is left to whoever did. Returns how many.
    fn follow(
        &self,
        followed: FollowedBy,
        tasks: Vec<MusicTaskId>,
        at: UnixMillis,
    ) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// When the next cover is to be looked at, and when the next image is to be fetched, if any is.
    fn next_due(
        &self,
        who: Follower,
        at: UnixMillis,
    ) -> impl Future<Output = Result<(Option<UnixMillis>, Option<UnixMillis>), LedgerError>> + Send;

    /// Claims the cover that has been due for longest, if one is. Durable when this returns: nobody else gets it before
    /// `lease` is over, and if the program dies it is due again then. `pace` holds looks back that would be one too many
    /// in a window, counted over all processes.
    fn claim_due(
        &self,
        who: Follower,
        lane: Lane,
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

    /// Records what came of a claimed cover. Durable when this returns.
    fn settle_pursuit(
        &self,
        row: RowKey,
        pursued: Pursued,
        at: UnixMillis,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A hint that a cover has news: it is due now, unless it was looked at a moment ago. Durable when this returns.
    fn hint(&self, task: &MusicTaskId, at: UnixMillis) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// How long the last covers took, latest first.
    fn generation_times(&self) -> impl Future<Output = Result<Vec<Duration>, LedgerError>> + Send;

    /// When records were read at or after `since`, by whichever process, oldest first.
    fn looks_since(&self, since: UnixMillis) -> impl Future<Output = Result<Vec<UnixMillis>, LedgerError>> + Send;

    /// Records which copy of the default cover stands in for each of these. Durable when this returns.
    fn fall_back(&self, rows: Vec<(MusicTaskId, String)>) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Why the last run over a catalog did not reach all of its rows; `None` if it did, or if there was none.
    fn last_end(&self, catalog: &str) -> impl Future<Output = Result<Option<Reason>, LedgerError>> + Send;
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
