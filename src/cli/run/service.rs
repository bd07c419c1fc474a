//! Where a run sends, and as whom.

use clap::ArgMatches;

use super::args::RunArgs;
use crate::api::{ApiUrl, CallbackUrl, GENERATE_PATH};
use crate::error::Error;
use crate::secret::ApiKey;

/// What the ledger of the stand-in service belongs to; its address is another one each time.
const SANDBOX: &str = "sandbox";

/// The key for the stand-in service, which takes any.
const SANDBOX_KEY: &str = "stand-in-needs-no-key";

/// Where to send, and as whom.
pub(super) struct Service {
    /// The address of the API; `None` in the sandbox, which has none before it is started.
    pub(super) api_url: Option<ApiUrl>,
    pub(super) key: ApiKey,
    pub(super) callback: CallbackUrl,
}

impl Service {
    /// What the ledger belongs to.
    pub(super) fn identity(&self) -> &str {
        self.api_url.as_ref().map_or(SANDBOX, ApiUrl::as_str)
    }

    /// Where to send: found out, and refused if it is not safe, before anything else.
    pub(super) fn of(args: &RunArgs, matches: Option<&ArgMatches>) -> Result<Self, Error> {
        let callback = args.callback(matches)?;
        if args.ledger.sandbox {
            let key = ApiKey::new(SANDBOX_KEY).map_err(|bad| Error::usage(bad.to_string(), ""))?;
            return Ok(Self { api_url: None, key, callback });
        }
        let (api_url, key) = (args.service.url()?, args.service.key()?);
        if callback.is_loopback() && !api_url.is_loopback() {
            return Err(Error::usage(
                "--callback-url names this machine by an address that means another one to the service",
                "name the address by which the internet reaches this machine, or give --no-callback",
            ));
        }
        Ok(Self { api_url: Some(api_url), key, callback })
    }

    /// Where a request goes; the stand-in listens on whichever port is free.
    pub(super) fn address(&self) -> String {
        self.api_url.as_ref().map_or_else(
            || format!("http://127.0.0.1:<any free port>{GENERATE_PATH}"),
            |url| url.generate().to_string(),
        )
    }
}
