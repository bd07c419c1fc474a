//! Each module by its public items: real files, real sockets and real SQLite, in this process.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod callback;
mod catalog;
mod http;
mod images;
mod layers;
mod ledger;
mod mutations;
mod pace;
mod wire;

use std::time::Duration;

use coverbatch::api::download::{DownloadConfig, Downloads};
use coverbatch::clock::Clock;

/// A client for images, which nobody asks for any.
fn downloads() -> Downloads {
    let config = DownloadConfig {
        hosts: Vec::new(),
        loopback_allowed: true,
        timeout: Duration::from_secs(1),
        clock: Clock::start(),
    };
    Downloads::new(&config).unwrap()
}
