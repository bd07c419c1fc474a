//! What to do next, as arithmetic: no I/O, no clock, no dice of its own.
//!
//! [`decide`] answers "what now?" after an answer, [`plan`] answers it before a run; nothing else in the program
//! answers either. This is the only home of the `backoff` crate: it is no longer maintained and is used for its
//! interval arithmetic alone, because its own jitter exceeds its cap, its `retry` sleeps past any rate limit, and its
//! default stops silently after 15 minutes.

mod follow;

use std::num::NonZeroU32;
use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff as _;

use crate::domain::{Ended, Outcome, RowState, Verdict};

pub use follow::{Patience, Setback, Usual, found};

/// In how many runs a row may be rejected before a plain rerun leaves it alone.
pub const REJECTED_RUNS: u32 = 3;

/// Longest pause that a service may ask for with `Retry-After`.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// A throw of the dice: from 0 up to, not including, 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// The throw `value`, brought into range.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0 - f64::EPSILON) })
    }
}

/// Exponential waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, before it is shortened.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
}

/// Row trouble: 1 s, doubling, at most 60 s.
pub const ROW_BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };

/// A closed gate: 1 s, doubling, at most [`LONGEST_PAUSE`].
pub const GATE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: LONGEST_PAUSE };

impl Backoff {
    /// Wait after the `failure`-th failure in a row: `base * 2^(failure-1)`, at most `cap`, shortened by up to half.
    ///
    /// A function of its arguments alone. At least `retry_after`, as far as that is at most [`LONGEST_PAUSE`].
    #[must_use]
    pub fn delay(&self, failure: NonZeroU32, jitter: Jitter, retry_after: Option<Duration>) -> Duration {
        let shortened = self.full(failure).mul_f64(1.0 - jitter.0 / 2.0);
        shortened.max(retry_after.unwrap_or_default().min(LONGEST_PAUSE))
    }

    /// The wait before jitter.
    fn full(&self, failure: NonZeroU32) -> Duration {
        let mut intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.base)
            .with_multiplier(2.0)
            .with_max_interval(self.cap)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        // Doubling reaches any cap long before the 64th step, so a huge number costs no more than 64.
        let steps = failure.get().min(64);
        (0..steps).map_while(|_| intervals.next_backoff()).last().unwrap_or(self.cap).min(self.cap)
    }
}

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
        (RowState::Submitted | RowState::Exists | RowState::Completed, _) => Plan::Leave,
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

/// Why everyone has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The service is there and asks for a slower pace.
    Throttled,
    /// The service serves nobody.
    Unavailable,
}

/// Who waits before a row is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// This row alone, for so long; the answer counts as one of its attempts.
    ThisRow(Duration),
    /// The whole run, until the gate opens; no attempt is used up.
    Everyone(Refusal),
}

/// What to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The row is done with, for this run at least.
    MoveTo(RowState),
    /// The row is sent again later.
    Again(Who),
    /// The run stops; the row is put back as if it had not been reached.
    Stop(Ended),
}

/// What to do after `outcome`, when `failures` answers about the row came before it in this run.
#[must_use]
pub fn decide(outcome: &Outcome, failures: u32, policy: RowPolicy, jitter: Jitter) -> Decision {
    match (&outcome.verdict, policy.in_doubt) {
        (Verdict::Accepted(_), _) => Decision::MoveTo(RowState::Submitted),
        (Verdict::Covered(_), _) => Decision::MoveTo(RowState::Exists),
        (Verdict::Rejected, _) => Decision::MoveTo(RowState::Failed),
        (Verdict::Throttled, _) => Decision::Again(Who::Everyone(Refusal::Throttled)),
        (Verdict::Unavailable, _) => Decision::Again(Who::Everyone(Refusal::Unavailable)),
        (Verdict::NoCredits, _) => Decision::Stop(Ended::NoCredits),
        (Verdict::Unauthorized, _) => Decision::Stop(Ended::Unauthorized),
        (Verdict::Lost, InDoubt::Hold) => Decision::MoveTo(RowState::InDoubt),
        (Verdict::Troubled, _) | (Verdict::Lost, InDoubt::Resend) => {
            after_trouble(outcome.retry_after, failures, policy.max_attempts, jitter)
        }
    }
}

/// Another attempt after a wait, or giving up at the last.
fn after_trouble(asked: Option<Duration>, failures: u32, max_attempts: NonZeroU32, jitter: Jitter) -> Decision {
    let failure = NonZeroU32::MIN.saturating_add(failures);
    if failure >= max_attempts {
        Decision::MoveTo(RowState::GaveUp)
    } else {
        Decision::Again(Who::ThisRow(ROW_BACKOFF.delay(failure, jitter, asked)))
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

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Answer, CoverTaskId, Reason, Signal};

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome { verdict, reason: Reason::ServerError, answer: Answer::default(), retry_after: None }
    }

    fn nth(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

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
                writeln!(table, "{state:<9} {failed_runs} | {}", cells.join(" ")).unwrap();
            }
        }
        insta::assert_snapshot!(table);
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
            Verdict::Rejected,
            Verdict::Troubled,
            Verdict::Lost,
        ];
        let mut table = String::new();
        for verdict in verdicts {
            for in_doubt in [InDoubt::Resend, InDoubt::Hold] {
                for failures in [0, 5] {
                    let policy = RowPolicy { max_attempts: nth(6), in_doubt };
                    let decision = decide(&outcome(verdict.clone()), failures, policy, Jitter::new(0.0));
                    writeln!(table, "{verdict:?} {in_doubt:?} after {failures}: {decision:?}").unwrap();
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn an_unjittered_row_waits_1_2_4_seconds_up_to_60() {
        let waits: Vec<_> = (1..=8).map(|n| ROW_BACKOFF.delay(nth(n), Jitter::new(0.0), None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn retry_after_is_a_minimum_up_to_ten_minutes() {
        let wait = |asked| ROW_BACKOFF.delay(nth(3), Jitter::new(0.0), Some(Duration::from_secs(asked))).as_secs();
        assert_eq!([wait(0), wait(3), wait(5), wait(600), wait(86_400)], [4, 4, 5, 600, 600]);
    }

    #[test]
    fn a_row_gives_up_at_its_last_attempt_and_not_before() {
        let policy = RowPolicy { max_attempts: nth(3), in_doubt: InDoubt::Resend };
        let decisions = [0, 1, 2, 3].map(|failures| {
            decide(&outcome(Verdict::Troubled), failures, policy, Jitter::new(0.0))
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
    fn every_early_end_has_a_reason_for_the_rows_it_leaves() {
        assert_eq!(Ended::Finished.reason(), None);
        assert_eq!(Ended::Interrupted(Signal::Terminate).reason(), Some(Reason::Interrupted));
    }

    fn u32_ms(millis: u64) -> f64 {
        u32::try_from(millis).unwrap().into()
    }

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_all_of_its_interval_and_never_over_the_cap(
            base_ms in 0_u64..100_000, cap_ms in 0_u64..1_000_000, failure in 1_u32.., dice in any::<f64>(),
        ) {
            let backoff = Backoff { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms) };
            let full = backoff.delay(nth(failure), Jitter::new(0.0), None);
            let wait = backoff.delay(nth(failure), Jitter::new(dice), None);
            prop_assert!(full <= backoff.cap);
            prop_assert!(wait <= full && wait + Duration::from_nanos(1) >= full / 2);
            let expected = 2_f64.powi(i32::try_from(failure.min(1_000)).unwrap() - 1) * u32_ms(base_ms);
            prop_assert!((full.as_secs_f64() * 1e3 - expected.min(u32_ms(cap_ms))).abs() < 1.0);
        }
    }
}
