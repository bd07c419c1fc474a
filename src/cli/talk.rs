//! The options about who is talked to: the service, whoever reads the log, whoever is told of the end.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, ValueEnum};

use crate::api::ping::{Ping, PingError};
use crate::api::{ApiUrl, Provider};
use crate::cli::key;
use crate::cli::logging::{self, LogFormat};
use crate::error::Error;
use crate::progress::Screen;
use crate::secret::{ApiKey, masked_url};

/// Whose service, where, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(super) struct ServiceArgs {
    /// Who offers the service
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_PROVIDER", hide_env = true)]
    pub(super) provider: ProviderName,

    /// Base address of the API [default: the provider's]
    #[arg(long, value_name = "URL", env = "COVERBATCH_API_URL", hide_env = true)]
    pub(super) api_url: Option<String>,

    /// File whose first line is the API key [default: `$SUNO_API_KEY`, else systemd's `suno_api_key`]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_API_KEY_FILE", hide_env = true)]
    pub(super) api_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProviderName {
    /// api.sunoapi.org
    #[default]
    Sunoapi,
    /// api.kie.ai
    Kie,
}

impl ProviderName {
    pub(super) const fn provider(self) -> Provider {
        match self {
            Self::Sunoapi => Provider::Sunoapi,
            Self::Kie => Provider::Kie,
        }
    }
}

/// What is told at the end, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct TellArgs {
    /// The summary as one JSON document on standard output
    #[arg(long, env = "COVERBATCH_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) json: bool,

    /// Write the run as metrics for the node exporter's textfile collector
    #[arg(long, value_name = "PATH", env = "COVERBATCH_METRICS_FILE", hide_env = true)]
    pub(super) metrics_file: Option<PathBuf>,

    /// Tell a monitor: <URL>/start, and <URL>/<exit code> with the digest, as healthchecks.io takes it
    #[arg(long, value_name = "URL", env = "COVERBATCH_PING_URL", hide_env = true)]
    ping_url: Option<String>,
}

/// What is told on the way.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct LogArgs {
    /// How log lines look
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_LOG_FORMAT", hide_env = true)]
    pub(super) log_format: LogFormat,

    /// More log lines; may be repeated
    #[arg(short, long, action = ArgAction::Count, env = "COVERBATCH_VERBOSE", hide_env = true)]
    pub(super) verbose: u8,

    /// No progress line, and no summary of a clean run
    #[arg(short, long, env = "COVERBATCH_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,
}

impl ServiceArgs {
    /// Where the API is.
    pub(super) fn url(&self) -> Result<ApiUrl, Error> {
        let text = self.api_url.as_deref().unwrap_or(self.provider.provider().base_url());
        ApiUrl::new(text).map_err(|bad| {
            Error::usage(
                format!("--api-url `{}` cannot be used: {bad}", masked_url(text)),
                "such as https://api.kie.ai",
            )
        })
    }

    /// The key of the account.
    pub(super) fn key(&self) -> Result<ApiKey, Error> {
        key::find(self.api_key_file.as_deref())
    }
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

impl LogArgs {
    /// Begins to log.
    pub(super) fn begin(&self, screen: &Screen) {
        logging::begin(self.log_format, self.verbose, self.quiet, screen);
    }
}
