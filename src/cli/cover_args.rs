//! The options about covers once they are accepted, and what they come to.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::api::CallbackUrl;
use crate::api::download::{DownloadConfig, Downloads, DownloadsError};
use crate::api::http::{HttpApi, HttpConfig};
use crate::catalog::{Catalog, NameTemplate, RowNames};
use crate::cli::account::AccountArgs;
use crate::cli::guard::Guard;
use crate::cli::options::{positive_count, positive_duration};
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Rate, parse_duration};
use crate::error::Error;
use crate::images::{DefaultCover, DefaultCoverError, ImageFolder, Store};
use crate::ledger::{CoverScope, RunId, Waiter};
use crate::policy::PollPolicy;
use crate::ratelimit::Gate;
use crate::results::Goal;
use crate::runner::{BLOCKING_THREADS, CoverTracking, RunConfig};
use crate::secret::ApiKey;

/// How covers are read and fetched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Covers")]
pub(super) struct ReadArgs {
    /// At most N reads of records in any window of PERIOD, apart from submissions
    #[arg(long, value_name = "N/PERIOD", default_value = "20/10s", env = "COVERBATCH_POLL_RATE", hide_env = true)]
    pub(super) poll_rate: Rate,

    /// Save the images of finished covers into this folder
    #[arg(long, value_name = "DIR", env = "COVERBATCH_DOWNLOAD", hide_env = true)]
    pub(super) download: Option<PathBuf>,

    /// Take images from this host too, though its address is not public; may be repeated
    #[arg(long, value_name = "HOST", value_delimiter = ',', env = "COVERBATCH_IMAGE_HOST", hide_env = true)]
    image_host: Vec<String>,
}

/// How long covers are waited for, and what stands in for those that are missing.
#[derive(Debug, Args)]
#[command(next_help_heading = "Covers")]
pub(super) struct WaitArgs {
    #[command(flatten)]
    pub(super) read: ReadArgs,

    /// How long to wait for one cover, from its acceptance or from the start of this command
    #[arg(long, value_name = "DUR", default_value = "30m", value_parser = parse_duration, allow_hyphen_values = true, env = "COVERBATCH_WAIT_TIMEOUT", hide_env = true)]
    wait_timeout: Duration,

    /// Call the files of images by these columns of the catalog, such as `{artist} - {title}` [default: by the music task]
    #[arg(long, value_name = "TEMPLATE", env = "COVERBATCH_NAME_TEMPLATE", hide_env = true)]
    name_template: Option<NameTemplate>,

    /// Name the covers with a saved image whose shorter side has fewer pixels, as distributors refuse them
    #[arg(long, value_name = "PIXELS", env = "COVERBATCH_WARN_BELOW", hide_env = true)]
    pub(super) warn_below: Option<u32>,

    /// With --download: the image to save in place of each cover that is missing
    #[arg(long, value_name = "FILE", env = "COVERBATCH_DEFAULT_COVER", hide_env = true)]
    default_cover: Option<PathBuf>,
}

/// How one request is made, and how often.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(super) struct RequestArgs {
    /// At most N requests in flight
    #[arg(long, value_name = "N", default_value = "32", value_parser = positive_count, env = "COVERBATCH_CONCURRENCY", hide_env = true)]
    pub(super) concurrency: std::num::NonZeroU32,

    /// Longest time for one request
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = positive_duration, allow_hyphen_values = true, env = "COVERBATCH_TIMEOUT", hide_env = true)]
    pub(super) timeout: Duration,

    /// Give a row up for this run after N answers about it
    #[arg(long, value_name = "N", default_value = "6", value_parser = positive_count, env = "COVERBATCH_MAX_ATTEMPTS", hide_env = true)]
    pub(super) max_attempts: std::num::NonZeroU32,

    /// Stop once the service has refused every request for this long
    #[arg(long, value_name = "DUR", default_value = "1h", value_parser = parse_duration, allow_hyphen_values = true, env = "COVERBATCH_MAX_OUTAGE", hide_env = true)]
    pub(super) max_outage: Duration,
}

/// A folder of images that takes longer than this for a piece of an image hangs.
const LONGEST_WRITE: Duration = Duration::from_secs(60);

/// Where images go, and what stands in for missing ones; both were found to be usable.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageSettings {
    pub(super) folder: Option<ImageFolder>,
    pub(super) default_cover: Option<Arc<DefaultCover>>,
}

impl ReadArgs {
    /// The folder of the images.
    pub(super) fn folder(&self) -> Result<Option<ImageFolder>, Error> {
        let Some(path) = &self.download else { return Ok(None) };
        Ok(Some(ImageFolder::new(Store::open(path)?, BLOCKING_THREADS - 1, LONGEST_WRITE)))
    }

    /// Who fetches the images.
    pub(super) fn downloads(&self, timeout: Duration, is_sandbox: bool, clock: Clock) -> Result<Downloads, Error> {
        let config = DownloadConfig { hosts: self.image_host.clone(), loopback_allowed: is_sandbox, timeout, clock };
        Downloads::new(&config).map_err(|bad| match bad {
            DownloadsError::BadHost(_) => Error::usage(format!("images cannot be fetched: {bad}"), "see --image-host"),
            DownloadsError::Client(bad) => bad.into(),
        })
    }

    /// Who reads at the service of an account, and fetches the images. Nothing is submitted, so nobody is to be called.
    pub(super) fn api(
        &self,
        account: &AccountArgs,
        key: ApiKey,
        timeout: Duration,
        clock: Clock,
    ) -> Result<HttpApi, Error> {
        let api_url = account.url()?;
        let downloads = self.downloads(timeout, api_url.is_loopback(), clock)?;
        let (provider, route, callback) = (account.provider(), account.route()?, CallbackUrl::inert());
        Ok(HttpApi::new(HttpConfig { api_url, key, provider, route, callback, timeout, clock, downloads })?)
    }

    /// A gate for reads. What other processes read is counted by the ledger, which each read is asked of.
    pub(super) fn gate(&self, max_outage: Duration, clock: Clock) -> Arc<Gate> {
        Gate::new(self.poll_rate, max_outage, clock)
    }

    /// What a command that follows covers does with them.
    pub(super) fn tracking(
        &self,
        scope: CoverScope,
        began: UnixMillis,
        gate: &Arc<Gate>,
        folder: Option<&ImageFolder>,
        (policy, timeout): (PollPolicy, Duration),
    ) -> CoverTracking {
        CoverTracking {
            scope,
            began,
            gate: Arc::clone(gate),
            pace: self.poll_rate,
            policy,
            images: folder.cloned(),
            timeout,
            longest_download: Downloads::longest(timeout),
            woken: Arc::default(),
        }
    }
}

impl RequestArgs {
    /// What a run is set to, with random numbers of its own.
    pub(super) fn run_config(&self) -> RunConfig {
        RunConfig { concurrency: self.concurrency, seed: fastrand::u64(..) }
    }
}

impl WaitArgs {
    /// What the files of the catalog's images are called, if not by their ids.
    pub(super) fn names(&self, catalog: &Catalog) -> Result<Option<RowNames>, Error> {
        let names = self.name_template.as_ref().map(|template| RowNames::find(catalog, template)).transpose();
        names.map_err(|bad| {
            Error::usage(bad.to_string(), "put names of its columns between the braces of --name-template")
        })
    }

    /// With the files of these options.
    pub(super) fn guarded(&self, guard: Guard) -> Guard {
        let guard = guard.reads("the default cover", self.default_cover.as_deref());
        guard.images("--download", self.read.download.as_deref())
    }

    /// Checks that images can be saved, and that the default cover is one.
    pub(super) fn image_settings(&self) -> Result<ImageSettings, Error> {
        let default_cover = self.default_cover.as_deref().map(|path| self.open_default(path)).transpose()?;
        Ok(ImageSettings { folder: self.read.folder()?, default_cover })
    }

    /// The same as far as that can be told without writing anything.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.default_cover.as_deref().map(|path| self.open_default(path)).transpose()?;
        let Some(folder) = self.read.download.as_deref() else { return Ok(()) };
        match folder.ancestors().find(|part| part.exists()) {
            Some(part) if !part.is_dir() => {
                let problem =
                    format!("--download `{}` is in no folder: `{}` is a file", folder.display(), part.display());
                Err(Error::usage(problem, "name a folder, or one that can be made"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn open_default(&self, path: &Path) -> Result<Arc<DefaultCover>, Error> {
        if self.read.download.is_none() {
            return Err(Error::usage("--default-cover has no folder to copy it to", "give --download DIR too"));
        }
        let unusable = |bad: DefaultCoverError| {
            Error::usage(format!("{bad}{}", cause_of(&bad)), "give a PNG, JPEG or WebP image with --default-cover")
        };
        DefaultCover::open(path).map(Arc::new).map_err(unusable)
    }

    /// How long each cover is waited for.
    pub(super) const fn longest(&self) -> Duration {
        self.wait_timeout
    }

    pub(super) const fn poll_policy(&self, max_attempts: std::num::NonZeroU32) -> PollPolicy {
        PollPolicy { wait: Some(self.wait_timeout), max_attempts }
    }

    /// What is wanted of each row.
    pub(super) const fn goal(&self) -> Goal {
        if self.read.download.is_some() { Goal::Files } else { Goal::Images }
    }

    /// Who waits for covers in a run that `began` then.
    pub(super) const fn waiter(&self, run: RunId, began: UnixMillis) -> Waiter {
        Waiter { run, wants_files: self.read.download.is_some(), began, longest: self.wait_timeout }
    }
}

/// `: no such file`, where there is a cause.
fn cause_of(error: &impl StdError) -> String {
    error.source().map(|cause| format!(": {cause}")).unwrap_or_default()
}
