//! What the tasks of a run have in common, and what they come back with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::Instant;

use super::Stop;
use super::progress::Failure;
use super::queue::Row;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Credits, MusicTaskId, Reason, RowState};
use crate::ledger::Begun;
use crate::policy::{Observer, RowPolicy};

/// What every task of a run is given.
pub(super) struct TaskContext<A, L> {
    pub(super) api: Arc<A>,
    pub(super) ledger: Arc<L>,
    pub(super) clock: Clock,
    /// The run, as it is open in the ledger.
    pub(super) run: Begun,
    pub(super) policy: RowPolicy,
    /// What the answers so far tell beside one another.
    pub(super) observer: Mutex<Observer>,
    /// Where failures are told.
    pub(super) failures: broadcast::Sender<Failure>,
    pub(super) stop: Stop,
    /// When the run began.
    pub(super) began: UnixMillis,
}

impl<A, L> TaskContext<A, L> {
    /// Tells of a music task that has come to this state, if it has failed.
    pub(super) fn tell_failure(&self, task: &MusicTaskId, state: RowState, reason: Reason, message: &str) {
        if matches!(state, RowState::Failed | RowState::GaveUp | RowState::GenerationFailed) {
            // That nobody listens is no reason to fail.
            let _ = self.failures.send(Failure { task: task.clone(), reason, message: message.to_owned() });
        }
    }
}

/// One of the places for rows that are under way; it is free again once this is dropped.
pub(super) type Slot = OwnedSemaphorePermit;

/// What a task comes back with. Everything about it is durable.
#[derive(Debug)]
pub(super) enum TaskOutput {
    /// A row that was to be submitted.
    Submission(Submitted),
    /// A row whose music was to be finished: its next step, unless it may be submitted now.
    MusicCheck(Row, Option<Disposition>),
    /// The balance that was to be read.
    Balance(BalanceRead),
    /// A cover whose record was read.
    Poll(JobResult),
    /// A cover of which an image was to be fetched.
    Download(JobResult),
}

/// What became of a row that was to be submitted.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) row: Row,
    pub(super) disposition: Disposition,
    /// What its answer meant; `None` if it was not sent.
    pub(super) reason: Option<Reason>,
    /// When its cover is to be polled, if it has one.
    pub(super) poll_at: Option<UnixMillis>,
}

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It will not be sent again in this run.
    Done(RowState),
    /// It is sent, or sent again, once it is due; whether the answer before counts as one of its attempts.
    Again { due: Instant, counts: bool },
    /// Another run is sending it: what became of it is asked once it is due.
    Elsewhere { due: Instant },
    /// Other runs leave no room for it yet: it is the next one.
    NotYet,
    /// Its answer stops the run.
    Stopped,
    /// The ledger does not let it be sent: it is settled, or another run has dealt with it.
    Refused,
}

/// What became of a cover that was polled, or of an image of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobResult {
    /// It is due again later.
    Later,
    /// This run follows it no more.
    GivenUp,
    /// Its images are known; how long it took, if that is known too.
    Generated(Option<Duration>),
    /// It will never be finished.
    Failed,
    /// An image of it is on disk.
    Saved,
}

/// What became of a read of the balance.
#[derive(Debug, Clone, Copy)]
pub(super) enum BalanceRead {
    /// It is so much.
    Known(Credits),
    /// It is to be read again, from a time on; whether the answer counts as one of its attempts.
    Later { at: UnixMillis, counts: bool },
    /// The run stops.
    Stopped,
}
