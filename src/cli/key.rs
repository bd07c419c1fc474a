//! Where the API key comes from: a file, the environment, or the service manager; never a flag, which `ps` would show.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::error::Error;
use crate::secret::ApiKey;
use crate::signing::{BadSecret, CallbackSecret, WebhookKey};

/// The variable that may hold the key itself.
const KEY_VARIABLE: &str = "SUNO_API_KEY";

/// The directory where systemd's `LoadCredential=suno_api_key:…` puts the file [`CREDENTIAL`].
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
const CREDENTIAL: &str = "suno_api_key";

/// The key from `file`, else from the environment, else from the service manager's credentials.
pub(super) fn find(file: Option<&Path>) -> Result<ApiKey, Error> {
    if let Some(path) = file {
        return read(path);
    }
    if let Some(text) = env::var_os(KEY_VARIABLE).filter(|text| !text.is_empty()) {
        return checked(&text.to_string_lossy(), &format!("the environment variable {KEY_VARIABLE}"));
    }
    match env::var_os(CREDENTIALS_VARIABLE).map(|folder| PathBuf::from(folder).join(CREDENTIAL)) {
        Some(path) if path.exists() => read(&path),
        Some(_) | None => Err(Error::usage(
            "there is no API key",
            format!(
                "put it into a file named by --api-key-file, or into {KEY_VARIABLE}; to try without one: --sandbox"
            ),
        )),
    }
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
    if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        warn!(file = %path.display(), "others can read {what}; chmod 600 it");
    }
    Ok((text.lines().next().unwrap_or_default().to_owned(), source))
}

/// The secret behind the tokens of callback addresses, from `file`, else from the environment.
pub(super) fn callback_secret(file: Option<&Path>) -> Result<Option<CallbackSecret>, Error> {
    secret(file, "COVERBATCH_CALLBACK_SECRET", "--callback-secret-file", CallbackSecret::new)
}

/// The key by which callbacks are signed, from `file`, else from the environment.
pub(super) fn webhook_key(file: Option<&Path>) -> Result<Option<WebhookKey>, Error> {
    secret(file, "COVERBATCH_WEBHOOK_KEY", "--webhook-key-file", WebhookKey::new)
}

fn secret<T>(
    file: Option<&Path>,
    variable: &str,
    option: &str,
    new: impl Fn(&str) -> Result<T, BadSecret>,
) -> Result<Option<T>, Error> {
    let (text, source) = match (file, env::var_os(variable).filter(|text| !text.is_empty())) {
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
