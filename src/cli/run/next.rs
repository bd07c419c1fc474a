//! The commands that a digest ends with: this command line again, ready to be pasted into any shell in any folder.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::{Args as _, Command};

use super::RunArgs;
use crate::report::NextCommands;

/// The commands to go on with.
pub(super) fn next_commands() -> NextCommands {
    NextCommands { rerun: again(&[]), retry_all: again(&["--retry", "all"]), resend: again(&["--in-doubt", "resend"]) }
}

/// This command line with more options, in this folder and with the same variables.
fn again(more: &[&str]) -> String {
    let folder = env::current_dir().map(|folder| format!("cd {} && ", quoted([folder.as_os_str()])));
    let variables = variables();
    let words: Vec<OsString> = env::args_os().chain(more.iter().map(OsString::from)).collect();
    format!("{}{variables}{}", folder.unwrap_or_default(), quoted(words.iter().map(OsString::as_os_str)))
}

/// The options that came from the environment. None of them is a secret: the key is no option.
fn variables() -> String {
    let command = RunArgs::augment_args(Command::new("run"));
    let names = command.get_arguments().filter_map(|option| option.get_env());
    let set = names.filter_map(|name| Some((name, env::var_os(name)?)));
    let settings = set.map(|(name, value)| format!("{}={} ", name.display(), quoted([value.as_os_str()])));
    settings.collect::<Vec<_>>().concat()
}

/// Words as a shell takes them.
fn quoted<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let words = words.into_iter().map(OsStr::as_bytes);
    let joined = shlex::bytes::try_join(words).unwrap_or_else(|_| b"coverbatch run".to_vec());
    String::from_utf8_lossy(&joined).into_owned()
}
