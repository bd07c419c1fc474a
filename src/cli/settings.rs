//! Which value every option has, and where it comes from: the command line before the environment, that before the
//! configuration file, and within the file the table of the account before the top.
//!
//! The file's values become the defaults of the options. So they go through the same parsers as all others, and `clap` puts
//! flags and variables before them.

mod check;
mod file;
mod guess;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::cli::folders::config_file;
use crate::cli::service::secrets_at_hand;
use crate::error::Error;

use file::{ConfigFile, Entry};

pub(super) use check::{is_setting, unknown_variables, words_of};
pub(super) use guess::{guessed_path, typed, variable_of};

/// Where a value comes from; what comes later wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The program.
    Default,
    /// The top of the configuration file.
    File,
    /// The account's table in the configuration file.
    AccountTable,
    /// The environment.
    Variable,
    /// The command line.
    Flag,
}

/// A command line whose options have the values that are in force.
pub(super) struct Settings {
    pub(super) matches: ArgMatches,
    file: Option<ConfigFile>,
    account: Option<String>,
}

/// Why there are no settings.
pub(super) enum Refused {
    /// The command line cannot be understood, or asks for help.
    CommandLine(clap::Error),
    /// The configuration file cannot be used.
    File(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

impl Settings {
    /// The settings of a command line.
    ///
    /// # Errors
    /// [`Refused`]
    pub(super) fn read(program: &Command, line: &[OsString]) -> Result<Self, Refused> {
        let matches = program.clone().try_get_matches_from(line)?;
        let Some(mut file) = file_of(deepest(&matches))? else {
            return Ok(Self { matches, file: None, account: None });
        };
        check::check(&file, program)?;
        // The environment wins over the file, also if the one holds the secret and the other its place.
        file.entries.retain(|entry| secrets_at_hand().all(|(option, _, _)| option != entry.key));
        let account = account_in(&file, deepest(&matches))?;
        let matches = with_defaults(program.clone(), &file, account.as_deref()).try_get_matches_from(line)?;
        Ok(Self { matches, file: Some(file), account })
    }

    /// The options of the command that was named.
    pub(super) fn options(&self) -> &ArgMatches {
        deepest(&self.matches)
    }

    /// The command that was named, of `program`.
    pub(super) fn command<'a>(&self, program: &'a Command) -> &'a Command {
        command(program, &self.matches)
    }

    /// The configuration file, if one is read, and the account whose table counts.
    pub(super) fn source(&self) -> Option<(&Path, Option<&str>)> {
        self.file.as_ref().map(|file| (file.path.as_path(), self.account.as_deref()))
    }

    /// Where the value of an option comes from.
    pub(super) fn origin(&self, option: &str) -> Origin {
        match self.options().value_source(&option.replace('-', "_")) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Variable,
            _ => match self.entry(option) {
                Some(entry) if entry.account.is_some() => Origin::AccountTable,
                Some(_) => Origin::File,
                None => Origin::Default,
            },
        }
    }

    /// The same for people: `flag`, or `the variable COVERBATCH_RATE`, or a line of the file.
    pub(super) fn place(&self, option: &str) -> String {
        match (self.origin(option), self.entry(option), &self.file) {
            (Origin::Flag, _, _) => "flag".to_owned(),
            (Origin::Variable, _, _) => format!("variable {}", variable_of(option)),
            (Origin::File | Origin::AccountTable, Some(entry), Some(file)) => {
                format!("{}:{}", file.path.display(), entry.line)
            }
            (Origin::Default | Origin::File | Origin::AccountTable, _, _) => "default".to_owned(),
        }
    }

    /// Of the options that a message names, which come from the environment or the file: whoever reads the message typed
    /// none of these.
    pub(super) fn places_of_named(&self, message: &str) -> Vec<String> {
        let words = message.split(|c: char| !c.is_ascii_lowercase() && c != '-');
        let named: BTreeSet<&str> =
            words.filter_map(|word| word.strip_prefix("--")).filter(|name| self.has(name)).collect();
        let is_far = |name: &&str| !matches!(self.origin(name), Origin::Default | Origin::Flag);
        named.into_iter().filter(is_far).map(|name| format!("--{name} comes from {}", self.place(name))).collect()
    }

    fn has(&self, option: &str) -> bool {
        self.options().try_contains_id(&option.replace('-', "_")).is_ok()
    }

    fn entry(&self, option: &str) -> Option<&Entry> {
        self.file.as_ref()?.value(option, self.account.as_deref())
    }
}

/// The options of the command that was named.
fn deepest(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| deepest(inner))
}

fn command<'a>(program: &'a Command, matches: &ArgMatches) -> &'a Command {
    let named = matches.subcommand().and_then(|(name, inner)| Some((program.find_subcommand(name)?, inner)));
    named.map_or(program, |(named, inner)| command(named, inner))
}

/// The configuration file of a command line, if it has one. What is tried with the stand-in is no part of what the file is
/// for, and must not meet its outputs.
fn file_of(options: &ArgMatches) -> Result<Option<ConfigFile>, Error> {
    let Ok(named) = options.try_get_one::<PathBuf>("config") else { return Ok(None) };
    let is_tried = matches!(options.try_get_one::<bool>("sandbox"), Ok(Some(true)));
    if is_tried && options.value_source("config") == Some(ValueSource::CommandLine) {
        let problem = "--sandbox reads no configuration file, so --config has no effect";
        return Err(Error::usage(problem, "leave one of them out, or put `sandbox = true` into a file of its own"));
    }
    let path = if is_tried { None } else { named.cloned().or_else(config_file) };
    path.map(|path| ConfigFile::read(&path)).transpose()
}

/// The account whose table counts. A name that no table has may be a slip, and would be another ledger and another limit.
fn account_in(file: &ConfigFile, options: &ArgMatches) -> Result<Option<String>, Error> {
    let Some(name) = options.try_get_one::<String>("account").ok().flatten() else { return Ok(None) };
    if file.accounts.is_empty() || file.accounts.contains(name) {
        return Ok(Some(name.clone()));
    }
    let problem = format!("the configuration `{}` has no [account.{name}]", file.path.display());
    let known = file.accounts.join("`, `");
    Err(Error::usage(problem, format!("there is `{known}`; a table may be empty")))
}

/// The same commands, with what the file says in place of the defaults of the program.
fn with_defaults(command: Command, file: &ConfigFile, account: Option<&str>) -> Command {
    let set = |arg: Arg| match arg.get_long() {
        // So that whoever goes on with a command of the digest has the same file.
        Some("config") => arg.default_value(file.path.to_string_lossy().into_owned()),
        Some(long) if is_setting(&arg) => match file.value(long, account) {
            Some(entry) => {
                let words = entry.words(&file.path, check::is_path(&arg));
                arg.default_values(words)
            }
            None => arg,
        },
        Some(_) | None => arg,
    };
    command.mut_args(set).mut_subcommands(|command| with_defaults(command, file, account))
}
