//! What to do with a row: before a run, after an answer, and after a call that only reads.

use std::num::NonZeroU32;
use std::time::Duration;

use super::observer::Health;
use super::wait::{Jitter, after_trouble};
use crate::domain::{Ended, Found, Outcome, Reading, Route, RowState, Verdict, words};

/// In how many runs a row may be rejected before a plain rerun leaves it alone.
pub const REJECTED_RUNS: u32 = 3;

/// Which earlier failures a run sends again (`--retry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Those that gave up, and those rejected in fewer than [`REJECTED_RUNS`] runs.
    Retryable,
    /// All of them.
    All,
    /// None of them.
    Nothing,
}

/// What a run does with rows whose answer was lost (`--in-doubt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// Sends them again, after all others: the service's one-cover-per-task rule answers 400 or 409.
    Resend,
    /// Leaves them to a person.
    Hold,
}

impl InDoubt {
    /// What is done unless somebody says otherwise: what a job answers whose music task has its cover already is not
    /// documented, so another one might be made and paid for.
    #[must_use]
    pub const fn usual(route: Route) -> Self {
        match route {
            Route::Legacy => Self::Resend,
            Route::Jobs => Self::Hold,
        }
    }
}

/// What a run intends with a row before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Send it.
    Send,
    /// Send it once all others are done.
    SendLast,
    /// Leave it as it is.
    Leave,
}

/// What a run does with a row that the ledger holds in `state`, rejected in `failed_runs` runs so far.
#[must_use]
pub fn plan(state: RowState, failed_runs: u32, retry: Retry, in_doubt: InDoubt) -> Plan {
    match (state, retry) {
        (RowState::Submitted | RowState::Exists | RowState::Completed | RowState::Ignored, _) => Plan::Leave,
        (RowState::Pending, _) => Plan::Send,
        (RowState::InFlight | RowState::InDoubt, _) => match in_doubt {
            InDoubt::Resend => Plan::SendLast,
            InDoubt::Hold => Plan::Leave,
        },
        (RowState::Failed | RowState::GenerationFailed, Retry::Retryable) if failed_runs >= REJECTED_RUNS => {
            Plan::Leave
        }
        (RowState::Failed | RowState::GenerationFailed | RowState::GaveUp, Retry::Retryable | Retry::All) => Plan::Send,
        (RowState::Failed | RowState::GenerationFailed | RowState::GaveUp, Retry::Nothing) => Plan::Leave,
    }
}

/// Whether the next plain rerun, one without `--retry`, sends the row (`cover_retryable`).
#[must_use]
pub fn is_retryable(state: RowState, failed_runs: u32, in_doubt: InDoubt) -> bool {
    plan(state, failed_runs, Retry::Retryable, in_doubt) != Plan::Leave
}

/// When a row is given up, and what becomes of one whose answer is lost.
#[derive(Debug, Clone, Copy)]
pub struct RowPolicy {
    /// Answers about the row before it is given up for this run (`--max-attempts`).
    pub max_attempts: NonZeroU32,
    /// What to do when an answer is lost.
    pub in_doubt: InDoubt,
}

words! {
    /// Why everyone has to wait.
    Refusal {
        /// The service is there and asks for a slower pace.
        Throttled = "throttled",
        /// The service serves nobody.
        Unavailable = "unavailable",
    }
}

/// Who waits before a row is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This row alone, for so long; the answer counts as one of its attempts.
    Row(Duration),
    /// The whole account, until requests flow again; no attempt is used up.
    Account(Refusal),
}

/// What to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The row is done with, for this run at least.
    MoveTo(RowState),
    /// The row is sent again later.
    Again(Scope),
    /// The run stops; the row is put back as if it had not been reached.
    Stop(Ended),
}

impl Decision {
    /// Where the row stands once its answer is written down. One that is put back is pending; if its answer is lost it is
    /// in doubt, so that the next run knows should this one end before the row is sent again.
    #[must_use]
    pub fn state(self, verdict: &Verdict) -> RowState {
        match (self, verdict) {
            (Self::MoveTo(state), _) => state,
            (Self::Again(_) | Self::Stop(_), Verdict::Lost) => RowState::InDoubt,
            (Self::Again(_) | Self::Stop(_), _) => RowState::Pending,
        }
    }
}

/// What to do after `outcome` of a service in this `health`, when `failures` answers about the row came before it in this
/// run.
#[must_use]
pub fn decide(outcome: &Outcome, health: Health, failures: u32, policy: RowPolicy, jitter: Jitter) -> Decision {
    match (&outcome.verdict, health, policy.in_doubt) {
        (Verdict::Accepted(_), _, _) => Decision::MoveTo(RowState::Submitted),
        (Verdict::Covered(_), _, _) => Decision::MoveTo(RowState::Exists),
        (Verdict::Rejected, _, _) => Decision::MoveTo(RowState::Failed),
        (Verdict::Throttled, _, _) => Decision::Again(Scope::Account(Refusal::Throttled)),
        (Verdict::Unavailable, _, _) => Decision::Again(Scope::Account(Refusal::Unavailable)),
        (Verdict::NoCredits, _, _) => Decision::Stop(Ended::NoCredits),
        (Verdict::Unauthorized, _, _) => Decision::Stop(Ended::Unauthorized),
        (Verdict::WrongAddress, _, _) => Decision::Stop(Ended::WrongAddress),
        (Verdict::Troubled | Verdict::Lost, Health::NotUnderstood, _) => Decision::Stop(Ended::NotUnderstood),
        (Verdict::Lost, _, InDoubt::Hold) => Decision::MoveTo(RowState::InDoubt),
        (Verdict::Troubled | Verdict::Lost, Health::Down, _) => Decision::Again(Scope::Account(Refusal::Unavailable)),
        (Verdict::Troubled | Verdict::Lost, Health::Good | Health::OutOfStep, _) => {
            let wait = after_trouble(failures, policy.max_attempts, jitter, outcome.retry_after);
            wait.map_or(Decision::MoveTo(RowState::GaveUp), |wait| Decision::Again(Scope::Row(wait)))
        }
    }
}

/// How many failed rows stop a run (`--max-failures`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxFailures {
    /// So many.
    Rows(NonZeroU32),
    /// So many of each hundred rows dealt with, once [`FAIR_SAMPLE`] have been.
    Percent(u8),
}

/// Rows dealt with before a percentage of failures means anything.
pub const FAIR_SAMPLE: u64 = 100;

impl MaxFailures {
    /// Whether `failed` of `done` rows are too many.
    #[must_use]
    pub fn reached(self, failed: u64, done: u64) -> bool {
        match self {
            Self::Rows(limit) => failed >= u64::from(limit.get()),
            Self::Percent(limit) => done >= FAIR_SAMPLE && failed * 100 >= done * u64::from(limit),
        }
    }
}

/// What to do after a reading call that did not find what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollFailure {
    /// Read again later.
    Again(Scope),
    /// This row has been in trouble too often: not in this run.
    GiveUp,
    /// Nothing more is read or sent.
    Stop(Ended),
}

/// What was found, or what to do, when `troubles` calls for this row have gone wrong before, one after the other.
///
/// # Errors
/// [`PollFailure`] if what was asked for was not found.
pub fn found<T>(
    reading: Reading<T>,
    troubles: u32,
    max_attempts: NonZeroU32,
    jitter: Jitter,
) -> Result<T, PollFailure> {
    Err(match reading.found {
        Found::Known(known) => return Ok(known),
        Found::Throttled => PollFailure::Again(Scope::Account(Refusal::Throttled)),
        Found::Unavailable => PollFailure::Again(Scope::Account(Refusal::Unavailable)),
        Found::Unauthorized => PollFailure::Stop(Ended::Unauthorized),
        Found::WrongAddress => PollFailure::Stop(Ended::WrongAddress),
        Found::Troubled => {
            let wait = after_trouble(troubles, max_attempts, jitter, reading.retry_after);
            wait.map_or(PollFailure::GiveUp, |wait| PollFailure::Again(Scope::Row(wait)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::domain::{Answer, CoverTaskId, Reason};

    #[test]
    fn the_rerun_rules_over_their_whole_domain() {
        let mut table = String::new();
        for state in RowState::ALL {
            for failed_runs in [0, 2, 3] {
                let cells: Vec<_> = [Retry::Retryable, Retry::All, Retry::Nothing]
                    .iter()
                    .flat_map(|retry| [InDoubt::Resend, InDoubt::Hold].map(|in_doubt| (*retry, in_doubt)))
                    .map(|(retry, in_doubt)| format!("{:?}", plan(*state, failed_runs, retry, in_doubt)))
                    .collect();
                let next = [InDoubt::Resend, InDoubt::Hold]
                    .map(|in_doubt| if is_retryable(*state, failed_runs, in_doubt) { "yes" } else { "no" });
                writeln!(table, "{state:<9} {failed_runs} | {} | {}", cells.join(" "), next.join(" ")).unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome { verdict, reason: Reason::ServerError, answer: Answer::default(), retry_after: None }
    }

    fn nth(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn every_verdict_has_its_decision() {
        let cover = CoverTaskId::new("c1").unwrap();
        let verdicts = [
            Verdict::Accepted(cover.clone()),
            Verdict::Covered(Some(cover)),
            Verdict::Covered(None),
            Verdict::Throttled,
            Verdict::Unavailable,
            Verdict::NoCredits,
            Verdict::Unauthorized,
            Verdict::WrongAddress,
            Verdict::Rejected,
            Verdict::Troubled,
            Verdict::Lost,
        ];
        let mut table = String::new();
        for verdict in verdicts {
            for health in [Health::Good, Health::Down, Health::NotUnderstood, Health::OutOfStep] {
                for (in_doubt, failures) in
                    [InDoubt::Resend, InDoubt::Hold].map(|in_doubt| [(in_doubt, 0), (in_doubt, 5)]).concat()
                {
                    let policy = RowPolicy { max_attempts: nth(6), in_doubt };
                    let decision = decide(&outcome(verdict.clone()), health, failures, policy, Jitter::new(0.0));
                    let state = decision.state(&verdict);
                    writeln!(table, "{verdict:?} {health:?} {in_doubt:?} after {failures}: {decision:?}, {state}")
                        .unwrap();
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_row_gives_up_at_its_last_attempt_and_not_before() {
        let policy = RowPolicy { max_attempts: nth(3), in_doubt: InDoubt::Resend };
        let decisions = [0, 1, 2, 3].map(|failures| {
            decide(&outcome(Verdict::Troubled), Health::Good, failures, policy, Jitter::new(0.0))
                == Decision::MoveTo(RowState::GaveUp)
        });
        assert_eq!(decisions, [false, false, true, true]);
    }

    #[test]
    fn too_many_failures_are_counted_or_measured_against_a_fair_sample() {
        let ten = MaxFailures::Rows(nth(10));
        assert!(!ten.reached(9, 9) && ten.reached(10, 1_000_000));
        let half = MaxFailures::Percent(50);
        assert!(!half.reached(99, 99) && half.reached(50, 100) && !half.reached(49, 100));
        assert!(!half.reached(499, 1000) && half.reached(500, 1000));
    }

    #[test]
    fn every_finding_has_its_next_step() {
        let step = |finding, troubles| {
            let reading =
                Reading { found: finding, reason: Reason::ServerError, answer: Answer::default(), retry_after: None };
            found(reading, troubles, NonZeroU32::new(3).unwrap(), Jitter::new(0.0))
        };
        assert_eq!(step(Found::Known(7), 9), Ok(7));
        assert_eq!(step(Found::Throttled, 9), Err(PollFailure::Again(Scope::Account(Refusal::Throttled))));
        assert_eq!(step(Found::Unavailable, 9), Err(PollFailure::Again(Scope::Account(Refusal::Unavailable))));
        assert_eq!(step(Found::Unauthorized, 0), Err(PollFailure::Stop(Ended::Unauthorized)));
        assert_eq!(step(Found::WrongAddress, 0), Err(PollFailure::Stop(Ended::WrongAddress)));
        let troubled = [0, 1, 2].map(|troubles| step(Found::Troubled, troubles));
        let again = |wait| Err(PollFailure::Again(Scope::Row(Duration::from_secs(wait))));
        assert_eq!(troubled, [again(1), again(2), Err(PollFailure::GiveUp)]);
    }
}
