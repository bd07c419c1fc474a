//! What to do next, as arithmetic: no I/O, no clock, no random numbers of its own.
//!
//! [`decide`] answers "what now?" after an answer, [`plan`] answers it before a run, [`found`] after a reading call; nothing
//! else in the program answers any of them.

mod backoff;
mod decide;
mod observer;
mod plan;
mod poll;

pub use backoff::{Backoff, GATE_BACKOFF, Jitter, MAX_RETRY_AFTER, ROW_BACKOFF};
pub use decide::{Decision, FAIR_SAMPLE, MaxFailures, Refusal, RowPolicy, Scope, decide};
pub use observer::{Health, OUTAGE_ROWS, Observer, UNREADABLE_ANSWERS};
pub use plan::{InDoubt, Plan, REJECTED_RUNS, Retry, is_retryable, plan};
pub use poll::{GenerationEstimate, PollFailure, PollPolicy, found};
