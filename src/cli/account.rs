//! Whose account: its API, and where its ledger is.
//!
//! The limit, the money and "one cover per music task" are the account's, so all of its catalogs share one ledger, in the
//! folder that the system has for what programs keep.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::api::{ApiUrl, Provider, account_name};
use crate::cli::folders::state_folder;
use crate::domain::Route;
use crate::error::Error;
use crate::files::{FileError, folder_of, make_folder};
use crate::join::Trust;
use crate::ledger::{AnyLedger, LedgerPlace, PostgresLedger};
use crate::secret::masked_url;

/// How the name of an account's ledger ends.
const LEDGER_SUFFIX: &str = ".db";

/// The mode of a folder that nobody else is to look into.
const PRIVATE: u32 = 0o700;

/// Longest name of an account, in bytes.
const LONGEST_NAME: usize = 100;

/// Whose account.
#[derive(Debug, Args)]
#[command(next_help_heading = "Account")]
pub(super) struct AccountArgs {
    /// Which provider
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_PROVIDER", hide_env = true)]
    provider: ProviderName,

    /// Which of kie.ai's two ways to ask for covers
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_KIE_API", hide_env = true)]
    kie_api: KieApiName,

    /// Base URL of the API [default: the provider's]
    #[arg(long, value_name = "URL", env = "COVERBATCH_API_URL", hide_env = true)]
    pub(super) api_url: Option<String>,

    /// Name of the account, by which its ledger is found; for a second one at the same API [default: the API's host]
    #[arg(long, value_name = "NAME", value_parser = checked_name, env = "COVERBATCH_ACCOUNT", hide_env = true)]
    account: Option<String>,

    /// Ledger: the durable record of every music task ever sent for the account; a file, or
    /// `postgres://USER@HOST/DATABASE` for runs on several hosts [default: <account>.db in `$STATE_DIRECTORY`, else
    /// `$XDG_STATE_HOME/coverbatch`, else `~/.local/state/coverbatch`]
    #[arg(long, value_name = "PATH|URL", env = "COVERBATCH_LEDGER", hide_env = true)]
    ledger: Option<PathBuf>,

    /// Configuration file: any option that has a variable, by its long name, for all commands, and per account in
    /// `[account.NAME]` [default: `$XDG_CONFIG_HOME/coverbatch/config.toml`, else `~/.config/coverbatch/config.toml`, else
    /// `/etc/coverbatch/config.toml`]
    #[arg(long, value_name = "FILE", env = "COVERBATCH_CONFIG", hide_env = true)]
    pub(super) config: Option<PathBuf>,
}

/// Which ledger, that of the stand-in service included.
#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    #[command(flatten)]
    pub(super) account: AccountArgs,

    /// Use the stand-in service: no key, no cost, a ledger and results of its own (<stem>.sandbox.*); reads no
    /// configuration file
    #[arg(long, env = "COVERBATCH_SANDBOX", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) sandbox: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ProviderName {
    /// api.sunoapi.org
    #[default]
    Sunoapi,
    /// api.kie.ai
    Kie,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum KieApiName {
    /// The endpoint for covers, which kie.ai calls old
    #[default]
    Legacy,
    /// The endpoint for jobs of all models
    Jobs,
}

impl AccountArgs {
    /// The route that submissions take.
    pub(super) fn route(&self) -> Result<Route, Error> {
        match (self.kie_api, self.provider) {
            (KieApiName::Legacy, _) => Ok(Route::Legacy),
            (KieApiName::Jobs, ProviderName::Kie) => Ok(Route::Jobs),
            (KieApiName::Jobs, ProviderName::Sunoapi) => Err(Error::usage(
                "--kie-api jobs is a way of kie.ai, and another provider is asked",
                "give --provider kie too",
            )),
        }
    }

    /// Whose service it is.
    pub(super) const fn provider(&self) -> Provider {
        match self.provider {
            ProviderName::Sunoapi => Provider::Sunoapi,
            ProviderName::Kie => Provider::Kie,
        }
    }

    /// Where the API is.
    pub(super) fn url(&self) -> Result<ApiUrl, Error> {
        let text = self.api_url.as_deref().unwrap_or(self.provider().base_url());
        ApiUrl::new(text).map_err(|bad| {
            let problem = format!("--api-url `{}` cannot be used: {bad}", masked_url(text));
            Error::usage(problem, "such as https://api.kie.ai")
        })
    }

    /// Where the ledger is, or is to be.
    pub(super) fn ledger(&self) -> Result<LedgerPlace, Error> {
        if let Some(ledger) = &self.ledger {
            return self.place(ledger);
        }
        let folder = state_folder(|name| env::var_os(name)).ok_or_else(|| {
            let problem = "there is no folder for the ledger: STATE_DIRECTORY, XDG_STATE_HOME and HOME are not set";
            Error::usage(problem, "name the ledger with --ledger")
        })?;
        Ok(LedgerPlace::File(folder.join(self.name()? + LEDGER_SUFFIX)))
    }

    /// A file, or a database in which the account is found by its name.
    fn place(&self, ledger: &Path) -> Result<LedgerPlace, Error> {
        let text = ledger.to_string_lossy();
        if !PostgresLedger::is_url(&text) {
            return Ok(LedgerPlace::File(ledger.to_owned()));
        }
        Ok(LedgerPlace::Database { url: text.into_owned(), account: self.name()?, is_named: self.is_named() })
    }

    /// The name of the account.
    fn name(&self) -> Result<String, Error> {
        self.account.clone().map_or_else(|| Ok(account_name(self.url()?.as_str())), Ok)
    }

    /// Whether somebody says which account is meant.
    fn is_named(&self) -> bool {
        self.account.is_some() || self.api_url.is_some() || self.provider != ProviderName::default()
    }

    /// The ledger that is named there, else that of the account.
    pub(super) fn ledger_to_check(&self, named: Option<PathBuf>) -> Result<LedgerPlace, Error> {
        named.map_or_else(|| self.ledger_to_ask(), |ledger| self.place(&ledger))
    }

    /// The same, or the only ledger that is there, if nobody says which account is meant.
    pub(super) fn ledger_to_ask(&self) -> Result<LedgerPlace, Error> {
        let place = self.ledger()?;
        let is_said = self.ledger.is_some() || self.is_named();
        let Some(path) = place.file().filter(|path| !is_said && !path.exists()) else { return Ok(place) };
        match ledgers_in(folder_of(path)).as_slice() {
            [only] => Ok(LedgerPlace::File(path.with_file_name(only))),
            [] | [_, _, ..] => Ok(place),
        }
    }
}

impl LedgerArgs {
    /// Where the API is, and the route that submissions take there. The stand-in has no address before it is started.
    pub(super) fn service(&self) -> Result<(Option<ApiUrl>, Route), Error> {
        let route = self.account.route()?;
        Ok((if self.sandbox { None } else { Some(self.account.url()?) }, route))
    }

    /// Where the ledger is; that of the stand-in is at `sandbox` unless one is named.
    pub(super) fn place(&self, sandbox: PathBuf) -> Result<LedgerPlace, Error> {
        if self.sandbox && self.account.ledger.is_none() {
            return Ok(LedgerPlace::File(sandbox));
        }
        self.account.ledger()
    }

    /// Whether nobody says where it is, so that it is in the state folder.
    pub(super) const fn is_in_state_folder(&self) -> bool {
        !self.sandbox && self.account.ledger.is_none()
    }

    /// The files that this command line does not name, and that the environment led to, with the options to name them.
    pub(super) fn implied<'a>(&'a self, place: &'a LedgerPlace) -> Vec<(&'static str, &'a Path)> {
        let ledger = place.file().filter(|_| self.is_in_state_folder()).map(|path| ("--ledger", path));
        let is_given = env::var_os("COVERBATCH_CONFIG").is_some()
            || env::args_os().any(|word| word.as_encoded_bytes().starts_with(b"--config"));
        let config = self.account.config.as_deref().filter(|_| !is_given).map(|path| ("--config", path));
        ledger.into_iter().chain(config).collect()
    }

    /// Makes the folder of the ledger, if it is the one that nobody else makes.
    pub(super) fn make_folder(&self, place: &LedgerPlace) -> Result<(), FileError> {
        let Some(path) = place.file().filter(|_| self.is_in_state_folder()) else { return Ok(()) };
        let folder = folder_of(path);
        make_folder(folder, PRIVATE).map_err(|cause| FileError::new(folder, cause))
    }

    /// The end of the name of a file that is made from this ledger.
    pub(super) fn suffix(&self, suffix: &str) -> String {
        if self.sandbox { format!(".sandbox{suffix}") } else { suffix.to_owned() }
    }

    /// Whose word counts where the ledger knows nothing.
    pub(super) const fn trust(&self) -> Trust {
        if self.sandbox { Trust::All } else { Trust::Real }
    }
}

/// The ledger that is there, to be read; only `run` makes one.
pub(super) async fn open_to_read(place: &LedgerPlace) -> Result<AnyLedger, Error> {
    AnyLedger::open_to_read(place, None).await?.ok_or_else(|| no_ledger(place))
}

/// The ledger that is there, to be written to by a command that makes none; `api_url` is compared if it is given.
pub(super) async fn open_existing(
    place: &LedgerPlace,
    api_url: Option<&ApiUrl>,
    max_outage: Duration,
) -> Result<AnyLedger, Error> {
    let api_url = api_url.map(ApiUrl::as_str);
    AnyLedger::open_existing(place, api_url, max_outage).await?.ok_or_else(|| no_ledger(place))
}

/// The error for a ledger that is not there.
pub(super) fn no_ledger(place: &LedgerPlace) -> Error {
    let others = place.file().map(|path| ledgers_in(folder_of(path))).unwrap_or_default();
    let here = ledgers_in(Path::new("."));
    let hint = match others.as_slice() {
        [] if !here.is_empty() => format!("in this folder there is `{}`; name one with --ledger", here.join("`, `")),
        [] => "the first `coverbatch run` makes it; name another one with --account, --api-url or --ledger".to_owned(),
        _ => format!("there is `{}`; name one with --account, --api-url or --ledger", others.join("`, `")),
    };
    Error::usage(format!("no ledger at `{place}`"), hint)
}

/// The names of the files in a folder that may be ledgers, in order.
fn ledgers_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.metadata().is_ok_and(|file| file.len() > 0));
    let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(LEDGER_SUFFIX));
    names.sort();
    names
}

/// A name that can be that of a file anywhere.
pub(super) fn checked_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if text.is_empty() || text.len() > LONGEST_NAME || text.starts_with('.') || !text.chars().all(is_plain) {
        return Err("expected letters, digits and `.`, `_`, `-`, `@`, with no `.` at the beginning".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_by_the_host_of_its_api() {
        for (url, name) in [
            ("https://api.kie.ai", "api.kie.ai"),
            ("https://gateway.example:8443/suno/", "gateway.example-8443"),
            ("http://[::1]:8780", "---1--8780"),
        ] {
            assert_eq!(account_name(ApiUrl::new(url).unwrap().as_str()), name);
            assert!(checked_name(name).is_ok(), "{name}");
        }
        for wrong in ["", ".", "..", ".a", "a/b", "../a", "a b", "a\n", "ä", &"a".repeat(101)] {
            assert!(checked_name(wrong).is_err(), "{wrong}");
        }
    }
}
