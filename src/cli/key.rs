//! Where the API key comes from: a file, the environment, or the service manager; never a flag, which `ps` would show.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::error::Error;
use crate::secret::ApiKey;

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

/// The first line of a file.
fn read(path: &Path) -> Result<ApiKey, Error> {
    let source = format!("the API key file `{}`", path.display());
    let text = fs::read_to_string(path)
        .map_err(|cause| Error::usage(format!("cannot read {source}: {cause}"), "check --api-key-file"))?;
    if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        warn!(file = %path.display(), "others can read the API key file; chmod 600 it");
    }
    checked(text.lines().next().unwrap_or_default(), &source)
}

fn checked(text: &str, source: &str) -> Result<ApiKey, Error> {
    let unusable =
        |bad| Error::usage(format!("{source} holds no usable key: {bad}"), "put the key there and nothing else");
    ApiKey::new(text).map_err(unusable)
}
