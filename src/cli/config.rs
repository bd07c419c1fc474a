//! `coverbatch config`: which value every option has, and where it comes from.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use clap::{Arg, ArgAction, Args, Command};

use crate::cli::output::print;
use crate::cli::service::secrets_at_hand;
use crate::cli::settings::{Origin, Refused, Settings, is_setting, words_of};
use crate::error::{Error, Exit};
use crate::ledger::PostgresLedger;
use crate::secret::masked_url;

/// The command whose options are told if none is named.
const USUAL: &str = "run";

/// Columns of a value, where that is enough.
const WIDTH: usize = 44;

/// Tell which value every option has, and whether it comes from a flag, a variable, the configuration file or nobody
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch config run tracks.csv --account label-a")]
pub(super) struct ConfigArgs {
    /// The command line to tell of, from its command on [default: `run` with the options given]
    #[arg(value_name = "COMMAND LINE", trailing_var_arg = true, allow_hyphen_values = true)]
    line: Vec<OsString>,
}

/// Tells of the command line in `args`, as one of `program`.
pub(super) fn run(args: ConfigArgs, program: Command) -> Result<Exit, Error> {
    let program = program.mut_subcommands(all_optional);
    let names_command =
        args.line.first().is_some_and(|word| program.get_subcommands().any(|known| *word == *known.get_name()));
    let usual = if names_command { None } else { Some(USUAL) };
    let words = ["coverbatch"].into_iter().chain(usual).map(OsString::from).chain(args.line);
    let words: Vec<OsString> = words.collect();
    let told = match Settings::read(&program, &words) {
        Ok(settings) => told(&settings, &program),
        Err(Refused::CommandLine(help)) if !help.use_stderr() => help.to_string(),
        Err(Refused::CommandLine(bad)) => {
            return Err(Error::usage(words_of(&bad), "`coverbatch COMMAND --help` names the options"));
        }
        Err(Refused::File(bad)) => return Err(bad),
    };
    print(&told)?;
    Ok(Exit::Success)
}

/// A command of which nothing is demanded, since it is not carried out.
fn all_optional(command: Command) -> Command {
    command.mut_args(|arg| arg.required(false)).mut_subcommands(all_optional)
}

/// A configuration file that says what is in force, with where it comes from in comments.
fn told(settings: &Settings, program: &Command) -> String {
    let mut text = String::new();
    let _ = match settings.source() {
        Some((path, Some(account))) => writeln!(text, "# {}, account {account}", path.display()),
        Some((path, None)) => writeln!(text, "# {}", path.display()),
        None => writeln!(text, "# no configuration file is read"),
    };
    let command = settings.command(program);
    for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
        let option = arg.get_long().unwrap_or_default();
        let place = match settings.origin(option) {
            Origin::Default if value(settings, arg).is_none() => "not set".to_owned(),
            Origin::Default | Origin::File | Origin::AccountTable | Origin::Variable | Origin::Flag => {
                settings.place(option)
            }
        };
        let line = value(settings, arg).map_or_else(|| format!("# {option}"), |value| format!("{option} = {value}"));
        let _ = writeln!(text, "{line:WIDTH$} # {place}");
    }
    for (_, name, holder) in secrets_at_hand() {
        let _ = writeln!(text, "{:WIDTH$} # {holder}", format!("# {name} ***"));
    }
    text
}

/// The value of an option as it may stand in a configuration file; what is secret in it is masked.
fn value(settings: &Settings, arg: &Arg) -> Option<String> {
    let words: Vec<String> = settings.options().get_raw(arg.get_id().as_str())?.map(shown).collect();
    match (arg.get_action(), words.as_slice()) {
        (ArgAction::SetTrue, _) => Some(settings.options().get_flag(arg.get_id().as_str()).to_string()),
        (ArgAction::Count, [count]) => Some(count.clone()),
        (ArgAction::Append, several) => Some(format!("{several:?}")),
        (_, [word]) => Some(format!("{word:?}")),
        (_, _) => None,
    }
}

/// A word without what is secret in a URL.
fn shown(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    if PostgresLedger::is_url(&text) {
        PostgresLedger::without_password(&text)
    } else if text.contains("://") {
        masked_url(&text)
    } else {
        text.into_owned()
    }
}
