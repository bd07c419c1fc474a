//! Which service a command asks, where that is, and as whom.
//!
//! A secret comes from a file, the environment, or the service manager; never from a flag, which `ps` would show.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::Args;
use tracing::warn;

use crate::api::{ApiUrl, CallbackUrl};
use crate::cli::account::LedgerArgs;
use crate::cli::guard::Guard;
use crate::domain::Route;
use crate::error::Error;
use crate::files::{is_mounted, real};
use crate::secret::{ApiKey, BadSecret, CallbackSecret, WebhookKey};

/// As whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Account")]
pub(super) struct KeyArgs {
    /// File whose first line is the API key [default: `$SUNO_API_KEY`, else systemd's `suno_api_key`]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_API_KEY_FILE", hide_env = true)]
    api_key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// With the files of these options.
    pub(super) fn guarded(&self, guard: Guard) -> Guard {
        guard.reads("the API key file", key_file(self.api_key_file.as_deref()))
    }

    /// The key of the account.
    pub(super) fn key(&self) -> Result<ApiKey, Error> {
        find_key(self.api_key_file.as_deref())
    }

    /// The same, or one for the stand-in, which takes any.
    pub(super) fn key_for(&self, ledger: &LedgerArgs) -> Result<ApiKey, Error> {
        if !ledger.sandbox {
            return self.key();
        }
        ApiKey::new(SANDBOX_KEY).map_err(|bad| Error::usage(bad.to_string(), ""))
    }
}

/// The variable that may hold the key itself.
const KEY_VARIABLE: &str = "SUNO_API_KEY";

/// The variable that may hold the secret of callback addresses.
const CALLBACK_VARIABLE: &str = "COVERBATCH_CALLBACK_SECRET";

/// The variable that may hold the key of signed callbacks.
const WEBHOOK_VARIABLE: &str = "COVERBATCH_WEBHOOK_KEY";

/// The directory where systemd's `LoadCredential=suno_api_key:…` puts the file [`CREDENTIAL`].
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
const CREDENTIAL: &str = "suno_api_key";

/// The options that name a file with a secret, and the variables that may hold the secret itself.
const SECRETS: [(&str, &str); 3] =
    [(KEY_OPTION, KEY_VARIABLE), ("callback-secret-file", CALLBACK_VARIABLE), ("webhook-key-file", WEBHOOK_VARIABLE)];
const KEY_OPTION: &str = "api-key-file";

/// The secrets that the environment and the service manager hold: the option for a file with each, its name there, and who
/// holds it.
pub(super) fn secrets_at_hand() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let set = SECRETS.into_iter().filter(|(_, variable)| in_environment(variable).is_some());
    let managed = credential().map(|_| (KEY_OPTION, CREDENTIAL, "service manager"));
    set.map(|(option, variable)| (option, variable, "variable")).chain(managed)
}

/// What a variable holds, if it holds anything.
fn in_environment(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|text| !text.is_empty())
}

/// The file in which the service manager hands over the key, unless the environment has the key.
fn credential() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(CREDENTIALS_VARIABLE)?).join(CREDENTIAL);
    (in_environment(KEY_VARIABLE).is_none() && path.exists()).then_some(path)
}

/// Where containers and service managers put secrets.
const MANAGED: [&str; 2] = ["/run/secrets", "/run/credentials"];

/// The key from `file`, else from the environment, else from the service manager's credentials.
fn find_key(given: Option<&Path>) -> Result<ApiKey, Error> {
    match (key_file(given), in_environment(KEY_VARIABLE)) {
        (Some(path), _) => read(&path),
        (None, Some(text)) => checked(&text.to_string_lossy(), &format!("the environment variable {KEY_VARIABLE}")),
        (None, None) => Err(Error::usage(
            "there is no API key",
            format!(
                "put it into a file named by --api-key-file, or into {KEY_VARIABLE}; to try without one: --sandbox"
            ),
        )),
    }
}

/// The file that the key is read from: the one given, else the service manager's unless the environment has the key.
fn key_file(given: Option<&Path>) -> Option<PathBuf> {
    given.map(Path::to_owned).or_else(credential)
}

/// The key in a file.
fn read(path: &Path) -> Result<ApiKey, Error> {
    let (text, source) = first_line(path, "the API key file", "check --api-key-file")?;
    checked(&text, &source)
}

/// The first line of a file that nobody else should be able to read, and what the file is in words.
fn first_line(path: &Path, what: &str, hint: &str) -> Result<(String, String), Error> {
    let source = format!("{what} `{}`", path.display());
    let text =
        fs::read_to_string(path).map_err(|cause| Error::usage(format!("cannot read {source}: {cause}"), hint))?;
    if is_exposed(path) {
        warn!(file = %path.display(), "others can read {what}; chmod 600 it");
    }
    Ok((text.lines().next().unwrap_or_default().to_owned(), source))
}

/// Whether others than its owner can read a file, and somebody here could change that.
///
/// Not so of a secret that a container or a service manager has mounted, which nobody can write to; nor of a file behind a
/// folder that others cannot enter.
fn is_exposed(path: &Path) -> bool {
    let mode = |path: &Path| path.metadata().map_or(0, |file| file.permissions().mode());
    let place = real(path);
    let is_readable = mode(&place) & 0o044 != 0 && place.ancestors().skip(1).all(|folder| mode(folder) & 0o011 != 0);
    let is_handed_over = mode(&place) & 0o222 == 0 || MANAGED.iter().any(|folder| place.starts_with(folder));
    is_readable && !is_handed_over && !is_mounted(&place)
}

/// The secret behind the tokens of callback addresses, from `file`, else from the environment.
pub(super) fn callback_secret(file: Option<&Path>) -> Result<Option<CallbackSecret>, Error> {
    secret(file, CALLBACK_VARIABLE, "--callback-secret-file", CallbackSecret::new)
}

/// The key by which callbacks are signed, from `file`, else from the environment.
pub(super) fn webhook_key(file: Option<&Path>) -> Result<Option<WebhookKey>, Error> {
    secret(file, WEBHOOK_VARIABLE, "--webhook-key-file", WebhookKey::new)
}

fn secret<T>(
    file: Option<&Path>,
    variable: &str,
    option: &str,
    new: impl Fn(&str) -> Result<T, BadSecret>,
) -> Result<Option<T>, Error> {
    let (text, source) = match (file, in_environment(variable)) {
        (Some(path), _) => first_line(path, &format!("the file of {option}"), &format!("check {option}"))?,
        (None, Some(text)) => (text.to_string_lossy().into_owned(), format!("the environment variable {variable}")),
        (None, None) => return Ok(None),
    };
    let hint = "make one with `openssl rand -hex 32`";
    new(text.trim()).map(Some).map_err(|bad| Error::usage(format!("{source} holds no usable secret: {bad}"), hint))
}

fn checked(text: &str, source: &str) -> Result<ApiKey, Error> {
    let unusable =
        |bad| Error::usage(format!("{source} holds no usable key: {bad}"), "put the key there and nothing else");
    ApiKey::new(text).map_err(unusable)
}

/// What the ledger of the stand-in service belongs to; its address is another one each time.
const SANDBOX: &str = "sandbox";

/// The key for the stand-in service, which takes any.
const SANDBOX_KEY: &str = "stand-in-needs-no-key";

/// What the ledger of an API belongs to; without one, that of the stand-in.
pub(super) fn identity(api_url: Option<&ApiUrl>) -> &str {
    api_url.map_or(SANDBOX, ApiUrl::as_str)
}

/// Refuses a callback address that leads the service to itself.
pub(super) fn check_callback(callback: &CallbackUrl, api_url: Option<&ApiUrl>) -> Result<(), Error> {
    if !callback.is_loopback() || api_url.is_none_or(ApiUrl::is_loopback) {
        return Ok(());
    }
    Err(Error::usage(
        "--callback-url names this machine by an address that means another one to the service",
        "name the address by which the internet reaches this machine, or give --no-callback",
    ))
}

/// Where to send, and as whom.
pub(super) struct Service {
    /// The address of the API; `None` in the sandbox, which has none before it is started.
    pub(super) api_url: Option<ApiUrl>,
    /// The route that submissions take.
    pub(super) route: Route,
    pub(super) key: ApiKey,
    pub(super) callback: CallbackUrl,
}

impl Service {
    /// What the ledger belongs to.
    pub(super) fn identity(&self) -> &str {
        identity(self.api_url.as_ref())
    }

    /// Where to send: found out, and refused if it is not safe, before anything else.
    pub(super) fn of(ledger: &LedgerArgs, key: &KeyArgs, callback: CallbackUrl) -> Result<Self, Error> {
        let (api_url, route) = ledger.service()?;
        let key = key.key_for(ledger)?;
        check_callback(&callback, api_url.as_ref())?;
        Ok(Self { api_url, route, key, callback })
    }

    /// Where a request goes; the stand-in listens on whichever port is free.
    pub(super) fn address(&self) -> String {
        let path = self.route.submit_path();
        let free = || format!("http://127.0.0.1:<any free port>{path}");
        self.api_url.as_ref().map_or_else(free, |url| url.at(path))
    }
}
