//! The options about covers once they are accepted, and what they come to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::api::download::{DownloadConfig, Downloads, DownloadsError};
use crate::cli::options::positive_duration;
use crate::clock::Clock;
use crate::domain::{Rate, parse_duration};
use crate::error::Error;
use crate::gate::{Gate, GateConfig, slack};
use crate::images::{DefaultCover, Store};
use crate::ledger::{FollowedBy, Follower, Ledger as _, RunId, SqliteLedger};
use crate::policy::PollPolicy;
use crate::results::Goal;
use crate::runner::Following;

/// How covers are read and fetched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Covers")]
pub(super) struct ReadArgs {
    /// At most N reads of records in any window of PERIOD, apart from submissions
    #[arg(long, value_name = "N/PERIOD", default_value = "10/10s", env = "COVERBATCH_POLL_RATE", hide_env = true)]
    pub(super) poll_rate: Rate,

    /// Save the images of finished covers into this folder
    #[arg(long, value_name = "DIR", env = "COVERBATCH_DOWNLOAD", hide_env = true)]
    pub(super) download: Option<PathBuf>,

    /// A host that images may come from although its address is not public; may be repeated
    #[arg(long, value_name = "HOST", value_delimiter = ',', env = "COVERBATCH_IMAGE_HOST", hide_env = true)]
    image_host: Vec<String>,
}

/// How long covers are waited for, and what stands in for those that are missing.
#[derive(Debug, Args)]
#[command(next_help_heading = "Covers")]
pub(super) struct WaitArgs {
    #[command(flatten)]
    pub(super) read: ReadArgs,

    /// How long to wait for one cover, from its acceptance or the start of this command
    #[arg(long, value_name = "DUR", default_value = "30m", value_parser = parse_duration, env = "COVERBATCH_WAIT_TIMEOUT", hide_env = true)]
    wait_timeout: Duration,

    /// With --download: an image that stands in, under their names, for covers that are missing
    #[arg(long, value_name = "FILE", env = "COVERBATCH_DEFAULT_COVER", hide_env = true)]
    default_cover: Option<PathBuf>,
}

/// How one request is made, and how often.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(super) struct RequestArgs {
    /// Requests in flight at most
    #[arg(long, value_name = "N", default_value = "32", env = "COVERBATCH_CONCURRENCY", hide_env = true)]
    pub(super) concurrency: std::num::NonZeroU32,

    /// Longest time for one request
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = positive_duration, env = "COVERBATCH_TIMEOUT", hide_env = true)]
    pub(super) timeout: Duration,

    /// Answers about a row before it is given up for this run
    #[arg(long, value_name = "N", default_value = "6", env = "COVERBATCH_MAX_ATTEMPTS", hide_env = true)]
    pub(super) max_attempts: std::num::NonZeroU32,

    /// How long the service may refuse everyone before the run stops
    #[arg(long, value_name = "DUR", default_value = "1h", value_parser = parse_duration, env = "COVERBATCH_MAX_OUTAGE", hide_env = true)]
    pub(super) max_outage: Duration,
}

/// Where images go, and what stands in for missing ones; both were found to be usable.
#[derive(Debug, Clone, Default)]
pub(super) struct Stock {
    pub(super) store: Option<Store>,
    pub(super) default_cover: Option<Arc<DefaultCover>>,
}

impl ReadArgs {
    /// The folder of the images.
    pub(super) fn store(&self) -> Result<Option<Store>, Error> {
        Ok(self.download.as_deref().map(Store::open).transpose()?)
    }

    /// Who fetches the images.
    pub(super) fn downloads(&self, timeout: Duration, is_sandbox: bool, clock: Clock) -> Result<Downloads, Error> {
        let config = DownloadConfig { hosts: self.image_host.clone(), loopback_allowed: is_sandbox, timeout, clock };
        Downloads::new(&config).map_err(|bad| match bad {
            DownloadsError::BadHost(_) => Error::usage(format!("images cannot be fetched: {bad}"), "see --image-host"),
            DownloadsError::Client(bad) => bad.into(),
        })
    }

    /// A gate for reads that counts what was read within the last window, by whichever process.
    pub(super) async fn gate(
        &self,
        ledger: &SqliteLedger,
        max_outage: Duration,
        clock: Clock,
    ) -> Result<Arc<Gate>, Error> {
        let rate = self.poll_rate;
        let since = clock.unix().before(rate.period + slack(rate));
        let earlier = clock.instants(ledger.looks_since(since).await?);
        Ok(Gate::new(GateConfig { rate, max_outage }, clock, &earlier))
    }

    /// What a command that follows covers does with them.
    pub(super) fn following(
        &self,
        who: Follower,
        gate: &Arc<Gate>,
        store: Option<&Store>,
        (patience, timeout): (PollPolicy, Duration),
    ) -> Following {
        Following {
            who,
            gate: Arc::clone(gate),
            pace: self.poll_rate,
            patience,
            images: store.cloned(),
            timeout,
            longest_fetch: Downloads::longest(timeout),
            hinted: Arc::default(),
        }
    }
}

impl WaitArgs {
    /// Checks that images can be saved, and that the default cover is one.
    pub(super) fn stock(&self) -> Result<Stock, Error> {
        let default_cover = self.default_cover.as_deref().map(|path| self.open_default(path)).transpose()?;
        Ok(Stock { store: self.read.store()?, default_cover })
    }

    /// The same as far as that can be told without writing anything.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.default_cover.as_deref().map(|path| self.open_default(path)).transpose()?;
        match self.read.download.as_deref() {
            Some(folder) if !folder.is_dir() && (folder.exists() || !crate::files::folder_of(folder).is_dir()) => {
                let problem = format!("--download `{}` is no folder and cannot be made one", folder.display());
                Err(Error::usage(problem, "name a folder, or make the one it is to be in"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn open_default(&self, path: &Path) -> Result<Arc<DefaultCover>, Error> {
        if self.read.download.is_none() {
            return Err(Error::usage("--default-cover has no folder to copy it to", "give --download DIR too"));
        }
        let unusable = |bad| {
            let problem = format!("--default-cover `{}` cannot be used: {bad}", path.display());
            Error::usage(problem, "give a PNG, JPEG or WebP image")
        };
        DefaultCover::open(path).map(Arc::new).map_err(unusable)
    }

    pub(super) const fn patience(&self, max_attempts: std::num::NonZeroU32) -> PollPolicy {
        PollPolicy { wait: Some(self.wait_timeout), max_attempts }
    }

    /// What is wanted of each row.
    pub(super) const fn goal(&self) -> Goal {
        if self.read.download.is_some() { Goal::Files } else { Goal::Images }
    }

    /// How a run marks the covers it waits for.
    pub(super) const fn mark(&self, run: RunId) -> FollowedBy {
        FollowedBy { run, files: self.read.download.is_some(), wait: self.wait_timeout }
    }
}
