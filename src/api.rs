//! The service in our words: what can be asked of it, and at which address.

mod address;
mod callback;
pub mod download;
pub mod http;
pub mod ping;
mod public;
mod reach;
pub mod wire;

use std::future::Future;

use crate::domain::{MusicTaskId, Outcome};

pub use address::{ApiUrl, BadApiUrl, GENERATE_PATH};
pub use callback::{BadCallback, CallbackUrl};
pub use public::is_public;
pub use wire::Provider;

/// A service that makes covers.
pub trait CoverApi: Send + Sync + 'static {
    /// Makes one submission, once: no retry and no redirect inside.
    ///
    /// Always an [`Outcome`], also for a broken connection; never waits longer than the request timeout.
    fn submit(&self, task: &MusicTaskId) -> impl Future<Output = Outcome> + Send;
}
