//! What a command line says that cannot be understood, as far as it can be told: its monitors are to hear of it all the same.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::file::ConfigFile;
use crate::cli::folders::config_file;

/// The variable of an option.
pub(in crate::cli) fn variable_of(option: &str) -> String {
    format!("COVERBATCH_{}", option.to_uppercase().replace('-', "_"))
}

/// The value of an option that is a path: the last one of the command line, else that of the environment, else that of the
/// configuration file.
pub(in crate::cli) fn guessed_path(line: &[OsString], option: &str) -> Option<PathBuf> {
    given(line, option).or_else(|| in_file(line, option)).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The last value of an option on a command line.
pub(in crate::cli) fn typed(line: &[OsString], option: &str) -> Option<OsString> {
    let flag = format!("--{option}");
    let value = |(at, word): (usize, &OsString)| {
        if *word == *flag {
            return line.get(at + 1).cloned();
        }
        let value = word.as_bytes().strip_prefix(flag.as_bytes())?.strip_prefix(b"=")?;
        Some(OsString::from_vec(value.to_vec()))
    };
    line.iter().enumerate().filter_map(value).next_back()
}

fn given(line: &[OsString], option: &str) -> Option<OsString> {
    typed(line, option).or_else(|| env::var_os(variable_of(option)))
}

fn in_file(line: &[OsString], option: &str) -> Option<OsString> {
    if line.iter().any(|word| word == "--sandbox") {
        return None;
    }
    let path = given(line, "config").map(PathBuf::from).or_else(config_file)?;
    let (file, account) = (ConfigFile::read(&path).ok()?, given(line, "account"));
    let entry = file.value(option, account.as_deref().and_then(OsStr::to_str))?;
    entry.words(&file.path, true).pop().map(OsString::from)
}
