//! What may be set by a configuration file and by variables: every option that has a variable, with the values that the
//! command line takes.
//!
//! A variable with a mistake in its name changes nothing, and nobody would notice: so those are told of that look like settings
//! and are none.

use std::env;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, ValueHint};

use super::file::{ConfigFile, Entry, FileValue};
use super::guess::variable_of;
use crate::error::Error;

/// Keys that would hold a secret, and the option that names a file with it.
const SECRETS: [(&str, &str); 5] = [
    ("api-key", "api-key-file"),
    ("suno-api-key", "api-key-file"),
    ("key", "api-key-file"),
    ("callback-secret", "callback-secret-file"),
    ("webhook-key", "webhook-key-file"),
];

/// How the names of all variables of this program begin.
const PREFIX: &str = "COVERBATCH_";

/// One that is no option of any command, because command lines can be seen by everyone on a machine.
const SECRET: &str = "COVERBATCH_CALLBACK_SECRET";

/// How those begin that Kubernetes sets in every container beside a service named `coverbatch`.
const OF_KUBERNETES: [&str; 2] = ["COVERBATCH_SERVICE_", "COVERBATCH_PORT"];

/// Whether an option may stand in a configuration file. Those that stand for something else than a setting have no variable;
/// those whose variable is hidden hold a secret.
pub(in crate::cli) fn is_setting(arg: &Arg) -> bool {
    arg.get_env().is_some() && !arg.is_hide_env_values_set() && arg.get_long().is_some_and(|long| long != "config")
}

/// Whether the value of an option is a path.
pub(super) fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath | ValueHint::ExecutablePath
    )
}

/// Refuses a file with keys or values that cannot be used, whichever command and account they are for. All are named.
pub(super) fn check(file: &ConfigFile, program: &Command) -> Result<(), Error> {
    let options = options(program);
    let problem = |entry: &Entry| Some(format!("line {}: {}", entry.line, problem(&options, entry)?));
    let problems: Vec<String> = file.entries.iter().filter_map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let hint = "every option that has a variable can stand there by its long name; `coverbatch config` tells which";
    let name = file.path.display();
    Err(Error::usage(format!("the configuration `{name}` cannot be used\n  {}", problems.join("\n  ")), hint))
}

/// All settings of all commands, as those of one command that knows no variables.
fn options(program: &Command) -> Command {
    let mut settings: Vec<Arg> = Vec::new();
    collect(program, &mut settings);
    Command::new("coverbatch").no_binary_name(true).disable_help_flag(true).args(settings)
}

fn collect(command: &Command, settings: &mut Vec<Arg>) {
    for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
        if !settings.iter().any(|known| known.get_long() == arg.get_long()) {
            settings.push(arg.clone().env(Resettable::Reset).short(Resettable::Reset));
        }
    }
    command.get_subcommands().for_each(|command| collect(command, settings));
}

/// What is wrong with an entry.
fn problem(options: &Command, entry: &Entry) -> Option<String> {
    let key = entry.key.as_str();
    let plain = key.to_lowercase().replace('_', "-");
    if let Some((_, instead)) = SECRETS.iter().find(|(secret, _)| *secret == plain) {
        return Some(format!("`{key}` would hold a secret; name the file that holds it with `{instead}`"));
    }
    if entry.account.is_some() && key == "account" {
        return Some("`account` chooses one of these tables, and cannot stand in one".to_owned());
    }
    match options.get_arguments().find(|arg| arg.get_long() == Some(key)) {
        Some(option) => bad_value(options, option, entry),
        None => Some(unknown(options, key)),
    }
}

/// That there is no such option, with the nearest that there is.
fn unknown(options: &Command, key: &str) -> String {
    let similar = nearest(options, key).map(|name| format!("; did you mean `{name}`?"));
    format!("there is no option `{key}`{}", similar.unwrap_or_default())
}

/// The setting of any command whose name is nearest to one that there is not, if one is near.
fn nearest_setting(program: &Command, name: &str) -> Option<String> {
    nearest(&options(program), name)
}

fn nearest(options: &Command, name: &str) -> Option<String> {
    let error = options.clone().try_get_matches_from([format!("--{name}")]).err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(name)) => Some(name.trim_start_matches('-').to_owned()),
        _ => None,
    }
}

/// Why an option does not take a value.
fn bad_value(options: &Command, option: &Arg, entry: &Entry) -> Option<String> {
    let key = entry.key.as_str();
    let words = match (&entry.value, option.get_action()) {
        (FileValue::Switch(_), ArgAction::SetTrue) => return None,
        (_, ArgAction::SetTrue) => return Some(format!("`{key}` is either true or false")),
        (FileValue::Text(count), ArgAction::Count) => {
            return count.parse::<u8>().is_err().then(|| format!("`{key}` takes a whole number, at most {}", u8::MAX));
        }
        (FileValue::Text(word), _) => std::slice::from_ref(word),
        (FileValue::List(words), ArgAction::Append) => words,
        (FileValue::List(_), _) => return Some(format!("`{key}` takes one value, not a list")),
        (FileValue::Switch(_) | FileValue::Other, _) => return Some(format!("`{key}` takes a text or a number")),
    };
    if is_path(option) && words.iter().any(|word| word.starts_with('~')) {
        return Some(format!("`{key}` begins with `~`, which only a shell understands; write the whole path"));
    }
    let typed = words.iter().map(|word| format!("--{key}={word}"));
    options.clone().try_get_matches_from(typed).err().map(|bad| words_of(&bad))
}

/// What is wrong with a command line, on one line and without how to use it.
pub(in crate::cli) fn words_of(error: &clap::Error) -> String {
    let told = error.to_string();
    let told = told.strip_prefix("error: ").unwrap_or(&told);
    let lines = told.lines().take_while(|line| !line.is_empty()).map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}

/// What is said of each variable that is set and means nothing, a line each; `program` has all options.
pub(in crate::cli) fn unknown_variables(program: &Command) -> String {
    let set = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut set: Vec<String> = set.collect();
    set.sort();
    unknown_of(&set, program).into_iter().map(|line| line + "\n").collect()
}

fn unknown_of(set: &[String], program: &Command) -> Vec<String> {
    let told = |name: &String| {
        let option = name.strip_prefix(PREFIX)?.to_lowercase().replace('_', "-");
        let is_of_others = OF_KUBERNETES.iter().any(|prefix| name.starts_with(prefix));
        if is_of_others || name == SECRET || is_known(program, name) {
            return None;
        }
        let meant =
            nearest_setting(program, &option).map(|nearest| format!("; did you mean {}?", variable_of(&nearest)));
        Some(format!("the variable {name} means nothing to coverbatch{}", meant.unwrap_or_default()))
    };
    set.iter().filter_map(told).collect()
}

/// Whether an option of any command takes its value from this variable.
fn is_known(command: &Command, variable: &str) -> bool {
    command.get_arguments().any(|option| option.get_env().is_some_and(|name| name == variable))
        || command.get_subcommands().any(|command| is_known(command, variable))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn a_variable_with_a_mistake_in_its_name_is_told_with_the_nearest() {
        let option = |name: &'static str| Arg::new(name).long(name).env(format!("COVERBATCH_{}", name.to_uppercase()));
        let program =
            Command::new("x").subcommand(Command::new("run").args(["rate", "results", "failures"].map(option)));
        let told = |name: &str| unknown_of(&[name.to_owned()], &program);
        for name in ["COVERBATCH_RATE", "RATE", "COVERBATCHES", "COVERBATCH_SERVICE_HOST", "COVERBATCH_PORT_80_TCP"] {
            assert!(told(name).is_empty(), "{name}");
        }
        let means_nothing = "means nothing to coverbatch";
        assert_eq!(
            told("COVERBATCH_FAILURE"),
            [format!("the variable COVERBATCH_FAILURE {means_nothing}; did you mean COVERBATCH_FAILURES?")]
        );
        assert_eq!(told("COVERBATCH_COLOUR"), [format!("the variable COVERBATCH_COLOUR {means_nothing}")]);
    }
}
