//! The commands that a digest ends with: this command line again, ready to be pasted into any shell in any folder.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::Command;

use crate::report::NextCommands;

/// The commands to go on with after `command`, whose options are `A`.
pub(super) fn next_commands<A: clap::Args>(command: &str) -> NextCommands {
    NextCommands {
        rerun: again::<A>(command, command, &[]),
        send: again::<A>(command, "run", &[]),
        retry_all: again::<A>(command, "run", &["--retry", "all"]),
        resend: again::<A>(command, "run", &["--in-doubt", "resend"]),
    }
}

/// This command line, as that of another command if it is to be one, with more options, in this folder and with the same
/// variables.
fn again<A: clap::Args>(command: &str, other: &str, more: &[&str]) -> String {
    // Whoever follows covers needs no callback.
    let inert = if other == command { None } else { Some("--no-callback") };
    let mut words: Vec<OsString> = env::args_os().collect();
    if let Some(word) = words.iter_mut().find(|word| *word == command) {
        *word = other.into();
    }
    words.extend(inert.iter().chain(more).map(OsString::from));
    let folder = env::current_dir().map(|folder| format!("cd {} && ", quoted([folder.as_os_str()])));
    let variables = variables::<A>();
    format!("{}{variables}{}", folder.unwrap_or_default(), quoted(words.iter().map(OsString::as_os_str)))
}

/// The options that came from the environment. None of them is a secret: the key is no option.
fn variables<A: clap::Args>() -> String {
    let command = A::augment_args(Command::new("coverbatch"));
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
