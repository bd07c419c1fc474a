//! What the nights are told with: a batch, its service, its ledger, and its results.

mod follow;
mod ledger;
mod night;
mod service;
mod table;
mod window;

pub(crate) use follow::Followed;
pub(crate) use ledger::{Fault, Faulty};
pub(crate) use night::{Morning, Night, nonzero};
pub(crate) use service::{Call, IMAGE, Reply, Seen, Sent};
pub(crate) use table::Table;
pub(crate) use window::{gaps, most_in_window};

use std::time::Duration;

/// Timers are no finer than this; governor and tokio may each round up once.
pub(crate) const GRAIN: Duration = Duration::from_millis(3);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `prefix-0001` and so on.
pub(crate) fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}-{number:04}")).collect()
}

/// Whether `wait` is a jittered `whole`: from half of it up to all of it, and no more than a timer's grain above.
pub(crate) fn is_jittered(wait: Duration, whole: Duration) -> bool {
    (whole / 2..=whole + GRAIN).contains(&wait)
}
