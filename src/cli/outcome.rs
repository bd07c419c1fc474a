//! How a command ended, and who is told of it.

use std::future::Future;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::api::ping::{Ping, PingError};
use crate::cli::guard::Guard;
use crate::cli::metrics_file::MetricsFile;
use crate::cli::output::{eprint, print};
use crate::error::{Error, Exit};
use crate::report::Summary;
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

/// How a command over a catalog ended.
pub(super) struct CommandOutcome {
    pub(super) summary: Summary,
    pub(super) digest: String,
}

impl TellArgs {
    /// With the files of these options.
    pub(super) fn guarded(&self, guard: Guard) -> Guard {
        let guard = guard.writes("--metrics-file", "the metrics", self.metrics_file.as_deref());
        guard.writes("--json", "the summary", self.json.then_some("-"))
    }

    /// Where the metrics go, unless the guard knows that path as something else.
    pub(super) fn metrics(&self, guard: &Guard) -> MetricsFile {
        MetricsFile::new(self.metrics_file.clone().filter(|_| guard.allows("--metrics-file")))
    }

    /// Does `work`, and tells everyone who wants to know how it ended.
    pub(super) async fn conclude(
        &self,
        metrics: &MetricsFile,
        is_quiet: bool,
        work: impl Future<Output = Result<CommandOutcome, Error>>,
    ) -> Result<Exit, Error> {
        let (monitor, ended) = match self.monitor() {
            Ok(monitor) => {
                let started = monitor.as_ref().map(Ping::start);
                let ended = work.await;
                if let Some(started) = started {
                    // In this order, or the monitor would take the run for one that goes on.
                    let _ = started.await;
                }
                (monitor, ended)
            }
            Err(error) => (None, Err(error)),
        };
        let (outcome, result) = match ended {
            Ok(outcome) => {
                let told = self.tell(&outcome, is_quiet);
                let exit = outcome.summary.exit;
                (Some(outcome), told.map(|()| exit))
            }
            Err(error) => (None, Err(error)),
        };
        let exit = result.as_ref().map_or_else(Error::exit, |exit| *exit);
        metrics.write(exit, outcome.as_ref().map(|outcome| &outcome.summary));
        if let Some(monitor) = monitor {
            let digest = outcome.map(|outcome| outcome.digest).unwrap_or_default();
            monitor.end(exit.code(), result.as_ref().map_or_else(Error::report, |_| digest)).await;
        }
        result
    }

    /// The monitor to tell.
    fn monitor(&self) -> Result<Option<Ping>, Error> {
        let Some(address) = &self.ping_url else { return Ok(None) };
        Ping::new(address).map(Some).map_err(|bad| match bad {
            PingError::NotHttp => Error::usage(
                format!("--ping-url `{}` cannot be called: {bad}", masked_url(address)),
                "such as https://hc-ping.com/<uuid>",
            ),
            PingError::Client(bad) => bad.into(),
        })
    }

    /// The summary, to whoever is there: nobody after a clean run that nobody watches.
    fn tell(&self, outcome: &CommandOutcome, is_quiet: bool) -> Result<(), Error> {
        let CommandOutcome { summary, digest } = outcome;
        let is_watched = stderr().is_terminal() && !is_quiet;
        if is_watched || summary.exit != Exit::Success {
            eprint(digest);
        }
        if self.json { print(&(summary.json() + "\n")) } else { Ok(()) }
    }
}
