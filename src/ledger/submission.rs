//! One submission of a music task: claimed, sent, and settled.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, MusicTaskId, Outcome, Reason, Route, RowState, Verdict};
use crate::ledger::cover_job::Waiter;
use crate::ledger::keys::{AttemptKey, RunId};
use crate::ratelimit::{Asking, NotYet, PauseChange, Reported};

/// What a run is begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The catalog, by the name that tells it from others.
    pub catalog: String,
    /// Whether it takes up some of the rows only.
    pub is_partial: bool,
    /// The results file, by its full name on this host; `None` if it is no file.
    pub results: Option<String>,
    /// The command line that goes on with it, ready for a shell.
    pub command: String,
    /// When it begins.
    pub at: UnixMillis,
}

/// Whether a run may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// It may, and has.
    Begun(Begun),
    /// Another run is alive that writes the same results file.
    ResultsInUse(RunHolder),
}

/// A run that is open in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Its number.
    pub run: RunId,
    /// The last submission before it began, by whichever run.
    pub seen: AttemptKey,
}

/// A run that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHolder {
    /// Its process.
    pub pid: u32,
    /// Where that is.
    pub host: String,
    /// When it began.
    pub started: UnixMillis,
}

/// What a run asks for before it sends a music task.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRequest {
    /// Which run.
    pub run: RunId,
    /// Which music task.
    pub task: MusicTaskId,
    /// The last submission that was known when it was decided to send it: what another run has sent since is left to that.
    pub seen: AttemptKey,
    /// How the run paces itself.
    pub asking: Asking,
    /// When it asks.
    pub at: UnixMillis,
}

/// Whether a music task may be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim {
    /// It may, once.
    Granted(AttemptKey),
    /// It is settled, or was sent by another run since it was decided to send it.
    Refused,
    /// It is in flight, in another run.
    InFlight,
    /// It may be asked for again in a while: other runs of the account leave no room now.
    NotYet(NotYet),
}

/// Whether the answer to a submission is what its music task stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Recorded,
    /// Its run was believed dead, and the music task was sent again since; or it is ignored, and the answer does not settle it.
    Overtaken,
}

/// What became of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Where the music task stands now; [`RowState::Pending`] puts it back, in doubt if it was so before.
    pub state: RowState,
    /// Why.
    pub reason: Reason,
    /// What the service said.
    pub answer: Answer,
    /// The cover, if the answer gave its id.
    pub cover: Option<CoverTaskId>,
    /// The route by which it was sent.
    pub route: Route,
    /// When it was sent: some time after it was claimed if the disk was slow or the gate closed meanwhile.
    pub sent_at: UnixMillis,
    /// When the answer came.
    pub at: UnixMillis,
    /// When to poll the cover, if its id is known.
    pub poll_at: UnixMillis,
    /// The run that waits for the cover, if one does.
    pub waiter: Option<Waiter>,
    /// How long before the answer the rate limit begins to count it.
    pub age: Duration,
    /// What the answer does to the pause of all runs.
    pub pause: PauseChange,
}

impl Settlement {
    /// The settlement of a row that was sent by `route` at a time and that `outcome` moves to `state` at another.
    #[must_use]
    pub fn new(state: RowState, outcome: Outcome, route: Route, (sent_at, at): (UnixMillis, UnixMillis)) -> Self {
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
        Self {
            state,
            reason: outcome.reason,
            answer: outcome.answer,
            cover,
            route,
            sent_at,
            at,
            poll_at: at,
            waiter: None,
            age: Duration::ZERO,
            pause: PauseChange::Keep,
        }
    }

    /// The same, with what the gate says of it.
    #[must_use]
    pub fn reported(self, Reported { age, pause }: Reported) -> Self {
        Self { age, pause, ..self }
    }

    /// The same, with its cover polled after the usual time of generation and waited for by a run.
    #[must_use]
    pub fn watched_by(self, usual: Duration, waiter: Option<Waiter>) -> Self {
        // A cover that was there before may well be finished.
        let wait = if self.state == RowState::Submitted { usual } else { Duration::ZERO };
        Self { poll_at: self.at.after(wait), waiter, ..self }
    }
}

/// One submission of a music task, as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// In which run.
    pub run: RunId,
    /// When it was sent; as long as that is not known, when it was claimed.
    pub sent_at: UnixMillis,
    /// When its answer came; `None` if none was recorded.
    pub answered_at: Option<UnixMillis>,
    /// What the answer meant; [`Reason::Interrupted`] if the run died before it was recorded, `None` while it is in flight.
    pub reason: Option<Reason>,
    /// What was said.
    pub answer: Answer,
}
