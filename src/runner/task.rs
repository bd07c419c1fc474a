//! What the tasks of a run have in common, and what they come back with.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::Stop;
use super::progress::Failure;
use super::queue::Row;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Credits, Found, MusicTaskId, Reading, Reason, RowState};
use crate::files::FileError;
use crate::ledger::LedgerError;
use crate::policy::Refusal;
use crate::ratelimit::{Feedback, InFlight, Refused, Reservation};
use crate::worklist::WorklistError;

/// Why a run cannot go on; nothing is sent after it.
#[derive(Debug, Error)]
pub enum RunError {
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The list of rows to send cannot be read.
    #[error(transparent)]
    Worklist(#[from] WorklistError),
    /// An image cannot be put into its file.
    #[error(transparent)]
    Image(#[from] FileError),
    /// A defect of this program.
    #[error("a step of the run ended in a defect of this program")]
    Defect(#[from] JoinError),
}

/// What is on its way.
pub(super) type Tasks = JoinSet<Result<TaskOutput, RunError>>;

/// What every task of a run is given.
pub(super) struct TaskContext<A, L> {
    pub(super) api: Arc<A>,
    pub(super) ledger: Arc<L>,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    /// Where failures are told.
    pub(super) failures: broadcast::Sender<Failure>,
}

impl<A, L> TaskContext<A, L> {
    /// Notes that a read is being made now; `None` if a pause began since it was reserved, or the end of everything was asked
    /// for while the ledger was.
    pub(super) fn begin_read(&self, reservation: Reservation) -> Option<InFlight> {
        if self.stop.ends_everything() { None } else { reservation.depart() }
    }

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

/// What the answer to a read tells its gate.
pub(super) fn feedback<T>(reading: &Reading<T>) -> Feedback {
    let refused =
        |refusal| Feedback::Refused(Refused { refusal, reason: reading.reason, retry_after: reading.retry_after });
    match reading.found {
        Found::Throttled => refused(Refusal::Throttled),
        Found::Unavailable => refused(Refusal::Unavailable),
        Found::Troubled if reading.answer.http_status.is_none() => Feedback::Lost,
        Found::Known(_) | Found::Unauthorized | Found::WrongAddress | Found::Troubled => Feedback::Answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Answer;

    #[test]
    fn only_what_nobody_answered_leaves_the_gate_as_it_is() {
        let (unavailable, throttled) = (Refusal::Unavailable, Refusal::Throttled);
        let (reason, retry_after) = (Reason::Timeout, Some(Duration::from_secs(3)));
        let refused = |refusal| Feedback::Refused(Refused { refusal, reason, retry_after });
        for (found, with_status, without) in [
            (Found::Known(()), Feedback::Answered, Feedback::Answered),
            (Found::Throttled, refused(throttled), refused(throttled)),
            (Found::Unavailable, refused(unavailable), refused(unavailable)),
            (Found::Unauthorized, Feedback::Answered, Feedback::Answered),
            (Found::WrongAddress, Feedback::Answered, Feedback::Answered),
            (Found::Troubled, Feedback::Answered, Feedback::Lost),
        ] {
            for (http_status, expected) in [(Some(500), with_status), (None, without)] {
                let answer = Answer { http_status, ..Answer::default() };
                let reading = Reading { found: found.clone(), reason, answer, retry_after };
                assert_eq!(feedback(&reading), expected, "{reading:?}");
            }
        }
    }
}
