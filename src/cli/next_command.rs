//! The command line that goes on with what a command has begun, ready for a shell: in the same folder, with the same variables.

use std::env;
use std::ffi::{OsStr, OsString};
use std::mem::replace;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Command;

use crate::ledger::PostgresLedger;
use crate::report::NextCommands;

/// The commands to go on with after `command`, whose options are `A`. They name the files that are `implied`: whoever pastes
/// them is another user, or no service.
pub(super) fn next_commands<A: clap::Args>(command: &str, implied: &[(&str, &Path)]) -> NextCommands {
    let again = |other| again::<A>(command, other, implied);
    NextCommands { rerun: again(command), send: again("run") }
}

/// This command line, as that of another command if it is to be one, with the files that are implied, in this folder and
/// with the same variables.
fn again<A: clap::Args>(command: &str, other: &str, implied: &[(&str, &Path)]) -> String {
    // Whoever follows covers needs no callback.
    let inert = if other == command { None } else { Some("--no-callback") };
    let mut words = without_notice(env::args_os());
    if let Some(word) = words.iter_mut().find(|word| *word == command) {
        *word = other.into();
    }
    // Whoever reads the digest need not know the password of a database.
    for word in &mut words {
        *word = shown(word);
    }
    words.extend(inert.map(OsString::from));
    words.extend(implied.iter().flat_map(|(option, path)| [OsString::from(option), path.as_os_str().to_owned()]));
    let folder = env::current_dir().map(|folder| format!("cd {} && ", quoted([folder.as_os_str()])));
    let variables = variables::<A>();
    format!("{}{variables}{}", folder.unwrap_or_default(), quoted(words.iter().map(OsString::as_os_str)))
}

/// The option whose command may hold an address that nobody else is to know, and that needs no second call.
const NOTICE: [&str; 2] = ["--notify-command", "COVERBATCH_NOTIFY_COMMAND"];

/// The words without that option.
fn without_notice(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut kept, mut is_its_value) = (Vec::new(), false);
    for word in words {
        let text = word.to_string_lossy();
        let is_option = text.split('=').next() == Some(NOTICE[0]);
        if !replace(&mut is_its_value, is_option && !text.contains('=')) && !is_option {
            kept.push(word);
        }
    }
    kept
}

/// The options that came from the environment. None of them is a secret: the key is no option.
fn variables<A: clap::Args>() -> String {
    let command = A::augment_args(Command::new("coverbatch"));
    let names = command.get_arguments().filter_map(|option| option.get_env()).filter(|name| *name != NOTICE[1]);
    let set = names.filter_map(|name| Some((name, env::var_os(name)?)));
    let settings = set.map(|(name, value)| format!("{}={} ", name.display(), quoted([shown(&value).as_os_str()])));
    settings.collect::<Vec<_>>().concat()
}

/// A word, without what is secret in the URL of a database.
fn shown(word: &OsStr) -> OsString {
    let text = word.to_string_lossy();
    let (option, value) = text.split_once('=').filter(|(option, _)| option.starts_with("--")).unwrap_or(("", &text));
    if !PostgresLedger::is_url(value) {
        return word.to_owned();
    }
    let sign = if option.is_empty() { "" } else { "=" };
    format!("{option}{sign}{}", PostgresLedger::without_password(value)).into()
}

/// Words as a shell takes them.
fn quoted<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let words = words.into_iter().map(OsStr::as_bytes);
    let joined = shlex::bytes::try_join(words).unwrap_or_else(|_| b"coverbatch run".to_vec());
    String::from_utf8_lossy(&joined).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_is_told_of_the_end_is_told_to_nobody_else() {
        let kept = |line: &str| without_notice(line.split(' ').map(OsString::from)).join(OsStr::new(" "));
        for line in [
            "run a.csv --notify-command https://hook --wait",
            "run --notify-command=https://hook?a=b a.csv --wait",
            "run a.csv --wait --notify-command https://hook",
            "run a.csv --wait",
        ] {
            assert_eq!(kept(line), "run a.csv --wait", "{line}");
        }
    }
}
