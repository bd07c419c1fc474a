//! The options about the service: whose, where, and as whom.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::api::{ApiUrl, Provider};
use crate::cli::guard::Guard;
use crate::cli::key;
use crate::error::Error;
use crate::secret::{ApiKey, masked_url};

/// Whose service, where, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(super) struct ServiceArgs {
    /// Which provider
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_PROVIDER", hide_env = true)]
    pub(super) provider: ProviderName,

    /// Base URL of the API [default: the provider's]
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

impl ServiceArgs {
    /// Where the API is.
    pub(super) fn url(&self) -> Result<ApiUrl, Error> {
        let text = self.api_url.as_deref().unwrap_or(self.provider.provider().base_url());
        ApiUrl::new(text).map_err(|bad| {
            let problem = format!("--api-url `{}` cannot be used: {bad}", masked_url(text));
            Error::usage(problem, "such as https://api.kie.ai")
        })
    }

    /// With the files of these options.
    pub(super) fn guarded(&self, guard: Guard) -> Guard {
        guard.reads("the API key file", key::file(self.api_key_file.as_deref()))
    }

    /// The key of the account.
    pub(super) fn key(&self) -> Result<ApiKey, Error> {
        key::find(self.api_key_file.as_deref())
    }
}
