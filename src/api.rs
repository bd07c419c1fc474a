//! The service in our words: what can be asked of it, and at which address.

mod address;
pub mod client;
pub mod download;
pub mod http;
pub mod json;
pub mod ping;
pub mod proxy;
mod reach;
mod route;
pub mod wire;

use std::future::Future;
use std::io;

use crate::domain::{CoverProgress, CoverTaskId, Credits, MusicProgress, MusicTaskId, Outcome, Reading, Route};

pub use address::{ApiUrl, BadApiUrl, BadCallback, CallbackUrl, account_name};
pub use proxy::BadProxy;
pub use reach::is_public;
pub use wire::Provider;

/// A service that makes covers.
pub trait CoverApi: Send + Sync + 'static {
    /// The route that submissions take.
    fn route(&self) -> Route;

    /// Makes one submission, once: no retry and no redirect inside.
    ///
    /// Always an [`Outcome`], also for a broken connection; never waits longer than the request timeout.
    fn submit(&self, task: &MusicTaskId) -> impl Future<Output = Outcome> + Send;

    /// Uses no connection again that stands now: answers and requests do not belong together on one of them.
    fn drop_connections(&self) {}

    /// Reads the record of a cover once, which was asked for by `route`; it is believed only if it names `task`.
    fn read_cover(
        &self,
        route: Route,
        cover: &CoverTaskId,
        task: &MusicTaskId,
    ) -> impl Future<Output = Reading<CoverProgress>> + Send;

    /// Reads the record of a music task once.
    fn read_music(&self, task: &MusicTaskId) -> impl Future<Output = Reading<MusicProgress>> + Send;

    /// Reads the balance of the account once.
    fn read_balance(&self) -> impl Future<Output = Reading<Credits>> + Send;

    /// Fetches an image once, from whatever host it is on and without the key; how many bytes went into `sink`.
    ///
    /// # Errors
    /// If `sink` cannot be written to; whatever is wrong with the image or its host is a [`Reading`].
    fn fetch_image<S: ImageSink>(
        &self,
        url: &str,
        sink: &mut S,
    ) -> impl Future<Output = io::Result<Reading<u64>>> + Send;
}

/// Where the bytes of an image go.
pub trait ImageSink: Send {
    /// Takes the next bytes. Others go on while this waits for a disk.
    ///
    /// # Errors
    /// If they cannot be kept.
    fn write(&mut self, bytes: Vec<u8>) -> impl Future<Output = io::Result<()>> + Send;
}
