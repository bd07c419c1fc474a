//! What to do after an answer.

use std::num::NonZeroU32;
use std::time::Duration;

use super::backoff::{Jitter, after_trouble};
use super::observer::Health;
use super::plan::InDoubt;
use crate::domain::{Ended, Outcome, RowState, Verdict};

/// When a row is given up, and what becomes of one whose answer is lost.
#[derive(Debug, Clone, Copy)]
pub struct RowPolicy {
    /// Answers about the row before it is given up for this run (`--max-attempts`).
    pub max_attempts: NonZeroU32,
    /// What to do when an answer is lost.
    pub in_doubt: InDoubt,
}

/// Why everyone has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The service is there and asks for a slower pace.
    Throttled,
    /// The service serves nobody.
    Unavailable,
}

impl Refusal {
    /// Its word in the ledger.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Throttled, Self::Unavailable].into_iter().find(|refusal| refusal.word() == word)
    }
}

/// Who waits before a row is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This row alone, for so long; the answer counts as one of its attempts.
    Row(Duration),
    /// The whole account, until the gate opens; no attempt is used up.
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::domain::{Answer, CoverTaskId, Reason};

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
}
