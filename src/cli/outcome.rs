//! How a command ended, and who is told of it.

use std::future::Future;
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::api::ping::{Ping, PingError};
use crate::error::{Error, Exit};
use crate::secret::masked_url;

/// What is told at the end, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct TellArgs {
    /// Print the summary as one JSON document
    #[arg(long, env = "COVERBATCH_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) json: bool,

    /// Write metrics of the run, for the node exporter's textfile collector
    #[arg(long, value_name = "PATH", env = "COVERBATCH_METRICS_FILE", hide_env = true)]
    pub(super) metrics_file: Option<PathBuf>,

    /// Tell a monitor such as healthchecks.io: <URL>/start, then <URL>/<exit code> with the digest
    #[arg(long, value_name = "URL", env = "COVERBATCH_PING_URL", hide_env = true)]
    ping_url: Option<String>,
}

impl TellArgs {
    /// The monitor to tell.
    pub(super) fn monitor(&self) -> Result<Option<Ping>, Error> {
        let Some(address) = &self.ping_url else { return Ok(None) };
        Ping::new(address).map(Some).map_err(|bad| match bad {
            PingError::NotHttp => Error::usage(
                format!("--ping-url `{}` cannot be called: {bad}", masked_url(address)),
                "such as https://hc-ping.com/<uuid>",
            ),
            PingError::Client(bad) => bad.into(),
        })
    }
}

/// How a command ended, and what is told of it.
pub(super) struct CommandOutcome {
    pub(super) exit: Exit,
    pub(super) digest: String,
}

/// Does `work`, and tells a monitor of its start and its end.
pub(super) async fn monitored(
    monitor: Option<Ping>,
    work: impl Future<Output = Result<CommandOutcome, Error>>,
) -> Result<Exit, Error> {
    let started = monitor.as_ref().map(Ping::start);
    let done = work.await;
    if let (Some(monitor), Some(started)) = (monitor, started) {
        // In this order, or the monitor would take the run for one that goes on.
        let _ = started.await;
        let (exit, digest) = match &done {
            Ok(done) => (done.exit, done.digest.clone()),
            Err(error) => (error.exit(), error.report()),
        };
        monitor.end(exit.code(), digest).await;
    }
    done.map(|done| done.exit)
}
