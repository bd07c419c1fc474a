//! What to do next, as arithmetic: no I/O, no clock, no random numbers of its own.
//!
//! [`decide`] answers "what now?" after an answer, [`plan`] answers it before a run, [`found`] after a reading call,
//! [`PollPolicy`] for a cover that is not in hand, [`judge`] when a person decides; nothing else in the program answers any of
//! them.

mod budget;
mod decide;
mod follow_cover;
mod manual;
mod observer;
mod wait;

pub use budget::{Allowance, Budget, MOST_BETWEEN_READS, Spending};
pub use decide::{
    Decision, FAIR_SAMPLE, InDoubt, MaxFailures, Plan, PollFailure, REJECTED_RUNS, Refusal, Retry, RowPolicy, Scope,
    decide, found, is_retryable, plan,
};
pub use follow_cover::{GivenUp, PollPolicy};
pub use manual::{Judgement, LastDecision, Objection, judge, judge_undo};
pub use observer::{Health, OUTAGE_ROWS, Observer, UNREADABLE_ANSWERS};
pub use wait::{Backoff, GATE_BACKOFF, GenerationEstimate, Jitter, MAX_RETRY_AFTER, ROW_BACKOFF};
