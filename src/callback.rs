//! Where the service calls when a cover is done: an address that anyone may reach and nobody can misuse.
//!
//! A callback is only a hint that a record is worth reading now. What it says is not believed, so the worst that a
//! stolen address can do is one read too many. Everything that is not a callback gets one and the same answer, and
//! whoever makes us wait gives way to whoever does not.

mod answer;
mod body;
mod call;
mod connection;
mod desk;
mod receiver;
mod seats;

use std::error::Error as StdError;
use std::future::Future;

use thiserror::Error;

use crate::domain::MusicTaskId;

pub use answer::Refusal;
pub use body::{MAX_BODY_BYTES, read_task_id};
pub use connection::{LIFETIME, REQUEST_WITHIN};
pub use receiver::{MAX_CONNECTIONS, Receiver, ReceiverConfig, Stats};

/// Who is told of callbacks.
pub trait Hints: Send + Sync + 'static {
    /// Notes that the record of `task`'s cover is worth reading now.
    ///
    /// Durable when this returns `Ok`, for the service is then told that it need not call again. The same task may
    /// come any number of times, also at once, and may be one that is not known. Dropped after [`REQUEST_WITHIN`] at
    /// the latest, which counts as failed.
    fn hint(&self, task: MusicTaskId) -> impl Future<Output = Result<(), HintFailed>> + Send;

    /// Whether a hint would be noted if it came now.
    fn is_well(&self) -> impl Future<Output = bool> + Send;
}

/// A hint that could not be noted.
#[derive(Debug, Error)]
#[error("the hint cannot be noted")]
pub struct HintFailed(#[source] Box<dyn StdError + Send + Sync>);

impl HintFailed {
    /// Failed because of `cause`.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
