//! Whose account: its API, and where its ledger is.
//!
//! The limit, the money and "one cover per music task" are the account's, so all of its catalogs share one ledger, in the
//! folder that the system has for what programs keep.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::api::{ApiUrl, Provider};
use crate::error::Error;
use crate::files::{FileError, folder_of, make_folder};
use crate::join::Trust;
use crate::ledger::SqliteLedger;
use crate::secret::masked_url;

/// How the name of an account's ledger ends.
const LEDGER_SUFFIX: &str = ".db";

/// How the address of a database begins, which may hold a password.
const DATABASES: [&str; 2] = ["postgres://", "postgresql://"];

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

    /// Base URL of the API [default: the provider's]
    #[arg(long, value_name = "URL", env = "COVERBATCH_API_URL", hide_env = true)]
    pub(super) api_url: Option<String>,

    /// Name of the account, by which its ledger is found; for a second one at the same API [default: the API's host]
    #[arg(long, value_name = "NAME", value_parser = account_name, env = "COVERBATCH_ACCOUNT", hide_env = true)]
    account: Option<String>,

    /// Ledger: the durable record of every music task ever sent for the account [default: <account>.db in
    /// `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/coverbatch`, else `~/.local/state/coverbatch`]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_LEDGER", hide_env = true)]
    ledger: Option<PathBuf>,
}

/// Which ledger, that of the stand-in service included.
#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    #[command(flatten)]
    pub(super) account: AccountArgs,

    /// Use the stand-in service: no key, no cost, a ledger and results of its own (<stem>.sandbox.*)
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

impl AccountArgs {
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
    pub(super) fn ledger(&self) -> Result<PathBuf, Error> {
        if let Some(ledger) = &self.ledger {
            return ledger_file(ledger);
        }
        let folder = state_folder(|name| env::var_os(name)).ok_or_else(|| {
            let problem = "there is no folder for the ledger: STATE_DIRECTORY, XDG_STATE_HOME and HOME are not set";
            Error::usage(problem, "name the ledger with --ledger")
        })?;
        let name = self.account.clone().map_or_else(|| Ok(host_name(&self.url()?)), Ok::<_, Error>)?;
        Ok(folder.join(name + LEDGER_SUFFIX))
    }

    /// The same, or the only ledger that is there, if nobody says which account is meant.
    pub(super) fn ledger_to_ask(&self) -> Result<PathBuf, Error> {
        let path = self.ledger()?;
        let is_named = self.account.is_some() || self.api_url.is_some() || self.provider != ProviderName::default();
        if self.ledger.is_some() || is_named || path.exists() {
            return Ok(path);
        }
        let mut others = ledgers_in(folder_of(&path));
        Ok(if others.len() == 1 { path.with_file_name(others.remove(0)) } else { path })
    }
}

impl LedgerArgs {
    /// Where the ledger is; that of the stand-in is at `sandbox` unless one is named.
    pub(super) fn path(&self, sandbox: PathBuf) -> Result<PathBuf, Error> {
        if self.sandbox && self.account.ledger.is_none() { Ok(sandbox) } else { self.account.ledger() }
    }

    /// Whether nobody says where it is, so that it is in the state folder.
    pub(super) const fn is_in_state_folder(&self) -> bool {
        !self.sandbox && self.account.ledger.is_none()
    }

    /// Makes the folder of the ledger at `path`, if it is the one that nobody else makes.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), FileError> {
        let folder = folder_of(path);
        if !self.is_in_state_folder() {
            return Ok(());
        }
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

/// The ledger at `path`, to be read; only `run` makes one.
pub(super) fn open_to_read(path: &Path) -> Result<SqliteLedger, Error> {
    SqliteLedger::open_to_read(path, None)?.ok_or_else(|| no_ledger(path))
}

/// The ledger at `path` for the API at `api_url`, to be written to by a command that makes none.
pub(super) fn open_existing(path: &Path, api_url: &ApiUrl) -> Result<SqliteLedger, Error> {
    SqliteLedger::open_existing(path, api_url.as_str())?.ok_or_else(|| no_ledger(path))
}

/// The error for a ledger that is not there.
fn no_ledger(path: &Path) -> Error {
    let others = ledgers_in(folder_of(path));
    let hint = match others.as_slice() {
        [] => "the first `coverbatch run` makes it; name another one with --account, --api-url or --ledger".to_owned(),
        _ => format!("there is `{}`; name one with --account, --api-url or --ledger", others.join("`, `")),
    };
    Error::usage(format!("no ledger at `{}`", path.display()), hint)
}

/// A path that is no address of a database.
pub(super) fn ledger_file(path: &Path) -> Result<PathBuf, Error> {
    let text = path.to_string_lossy().to_lowercase();
    if DATABASES.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(Error::usage("a ledger is a file, and this is the address of a database", "name a file"));
    }
    Ok(path.to_owned())
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

/// The folder for what programs keep: that of the service manager, else that of the user.
fn state_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // Relative ones would lead to another ledger from another folder. There may be several for one service.
    let folder = |name: &str| {
        let value = variable(name)?;
        env::split_paths(&value).next().filter(|folder| folder.is_absolute())
    };
    folder("STATE_DIRECTORY")
        .or_else(|| Some(folder("XDG_STATE_HOME")?.join("coverbatch")))
        .or_else(|| Some(folder("HOME")?.join(".local/state/coverbatch")))
}

/// The host of an API, with its port if the address names one, as the name of a file.
fn host_name(api_url: &ApiUrl) -> String {
    let (_, rest) = api_url.as_str().split_once("://").unwrap_or_default();
    rest.split('/').next().unwrap_or_default().replace([':', '[', ']'], "-")
}

/// A name that can be that of a file anywhere.
fn account_name(text: &str) -> Result<String, String> {
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
    fn the_state_folder_is_the_service_managers_else_the_users() {
        let all = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")];
        let found = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into());
            state_folder(value).map(|folder| folder.display().to_string())
        };
        assert_eq!(found(&all).as_deref(), Some("/var/lib/a"));
        assert_eq!(found(&all[1..]).as_deref(), Some("/x/coverbatch"));
        assert_eq!(found(&all[2..]).as_deref(), Some("/home/u/.local/state/coverbatch"));
        assert_eq!(found(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "x"), all[2]]), found(&all[2..]));
        assert_eq!(found(&[("HOME", "")]), None);
    }

    #[test]
    fn an_account_is_named_by_the_host_of_its_api() {
        for (url, name) in [
            ("https://api.kie.ai", "api.kie.ai"),
            ("https://gateway.example:8443/suno/", "gateway.example-8443"),
            ("http://[::1]:8780", "---1--8780"),
        ] {
            assert_eq!(host_name(&ApiUrl::new(url).unwrap()), name);
            assert!(account_name(name).is_ok(), "{name}");
        }
        for wrong in ["", ".", "..", ".a", "a/b", "../a", "a b", "a\n", "ä", &"a".repeat(101)] {
            assert!(account_name(wrong).is_err(), "{wrong}");
        }
    }
}
