//! Durable rows: what is known of every music task ever sent for one account.
//!
//! The trait says what may be assumed when each call returns; the promises "nothing lost" and "nothing sent twice"
//! rest on these sentences. A call that fails means that nothing more may be sent.

pub mod lock;
pub mod sqlite;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Ended, Images, MAX_IMAGES, MusicTaskId, Outcome, Reason, RowState, Verdict};

pub use lock::{LockError, RunLock};
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

/// What the ledger holds of a music task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub state: RowState,
    /// Why, if anything happened yet.
    pub reason: Option<Reason>,
    /// The last answer.
    pub answer: Answer,
    /// Its cover, if the service gave an id.
    pub cover: Option<CoverTaskId>,
    /// Submissions made for it, all runs together.
    pub submissions: u32,
    /// Runs in which the service rejected it.
    pub failed_runs: u32,
    /// When it was sent for the first time.
    pub first_sent_at: Option<UnixMillis>,
    /// When it came to the state it is in; `None` while it is still to be sent.
    pub finished_at: Option<UnixMillis>,
    /// Its cover in hand, as far as that has come.
    pub artwork: Artwork,
}

/// A cover from its images to its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Artwork {
    /// Where its images are; `None` until it is finished.
    pub images: Option<Images>,
    /// When it was finished; the service forgets the images some time after that.
    pub completed_at: Option<UnixMillis>,
    /// The file of each image, relative to the folder of downloads; `None` if it has none.
    pub files: [Option<String>; MAX_IMAGES],
    /// The copy of the default cover that stands in for it.
    pub fallback: Option<String>,
}

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
            | Verdict::Rejected
            | Verdict::Troubled
            | Verdict::Lost => None,
        };
        Self { state, reason: outcome.reason, answer: outcome.answer, cover, sent_at, at }
    }
}

/// Durable rows.
pub trait Ledger: Send + Sync + 'static {
    /// What is known of each of these music tasks, in their order.
    fn look_up(&self, tasks: Vec<MusicTaskId>)
    -> impl Future<Output = Result<Vec<Option<Record>>, LedgerError>> + Send;

    /// Takes over what an earlier results CSV says of music tasks that the ledger does not know. Durable when this
    /// returns.
    fn adopt(&self, rows: Vec<(MusicTaskId, Record)>) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Opens a run over a catalog. When this returns, every submission of an earlier run whose answer was not recorded
    /// is known to be in doubt. Only for the holder of the [`RunLock`].
    fn begin_run(&self, catalog: &str, at: UnixMillis) -> impl Future<Output = Result<RunId, LedgerError>> + Send;

    /// Announces a submission and counts it. Durable when this returns: if it is granted and the program dies, the next
    /// run knows the row to be in doubt.
    fn claim(
        &self,
        run: RunId,
        task: &MusicTaskId,
        at: UnixMillis,
    ) -> impl Future<Output = Result<Claim, LedgerError>> + Send;

    /// Takes an announcement back, because nothing was sent; the row is as it was before. Durable when this returns.
    fn release(&self, row: RowKey) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records what became of a claimed row. Durable when this returns: only then may it be counted or shown.
    fn settle(&self, row: RowKey, settlement: Settlement) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// When submissions were made at or after `since`, oldest first; where that is not known, when they were announced.
    fn sends_since(&self, since: UnixMillis) -> impl Future<Output = Result<Vec<UnixMillis>, LedgerError>> + Send;

    /// Records how a run ended. Durable when this returns.
    fn end_run(&self, run: RunId, ended: Ended, at: UnixMillis)
    -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Every submission of a music task that was made with this ledger, oldest first.
    fn history(&self, task: &MusicTaskId) -> impl Future<Output = Result<Vec<Submission>, LedgerError>> + Send;

    /// Why the last run over a catalog did not reach all of its rows; `None` if it did, or if there was none.
    fn last_end(&self, catalog: &str) -> impl Future<Output = Result<Option<Reason>, LedgerError>> + Send;
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
