//! What is wrong with a command line, where more helps than what `clap` says.

use std::env;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output::eprint;

/// Commands that people look for when they want to run a batch again.
const RERUNS: [&str; 6] = ["again", "continue", "rerun", "restart", "resume", "retry"];

/// Tells what is wrong, or prints the help that was asked for. The exit code for it.
pub(super) fn report(error: &clap::Error) -> u8 {
    match text_of(error, ContextKind::InvalidSubcommand).and_then(unknown_command) {
        Some(told) => eprint(&told),
        None => drop(error.print()),
    }
    if let Some(variable) = variable(error) {
        eprint(&format!("hint: the value comes from the variable {variable}\n"));
    }
    u8::try_from(error.exit_code()).unwrap_or(1)
}

/// What stands where a command should, if it is clear what was meant.
fn unknown_command(word: &str) -> Option<String> {
    let hint = if RERUNS.contains(&word) {
        "a rerun is the same `coverbatch run` again: it sends what is left, and nothing else".to_owned()
    } else if Path::new(word).exists() || Path::new(word).extension().is_some_and(|kind| kind == "csv") {
        format!("did you mean `coverbatch run {word}`?")
    } else {
        return None;
    };
    Some(format!("error: there is no command `{word}`\nhint: {hint}\n"))
}

/// The variable that holds a bad value which `clap` ascribes to its flag.
fn variable(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::ValueValidation && error.kind() != ErrorKind::InvalidValue {
        return None;
    }
    let flag = text_of(error, ContextKind::InvalidArg)?.split(' ').next()?;
    let variable = format!("COVERBATCH_{}", flag.strip_prefix("--")?.to_uppercase().replace('-', "_"));
    let is_typed = env::args_os().any(|word| word.to_string_lossy().starts_with(flag));
    (!is_typed && env::var_os(&variable).is_some()).then_some(variable)
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    let ContextValue::String(text) = error.get(kind)? else { return None };
    Some(text)
}
