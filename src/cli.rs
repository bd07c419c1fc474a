//! The command line: flags checked and turned into what the program needs, one file per command.
//!
//! Only here is anything read from the environment, and only here does anything know of `clap`.

mod account;
mod batch;
mod config;
mod cover_args;
mod decide;
mod folders;
mod follow;
mod guard;
mod ids;
mod ledger;
mod man;
mod next_command;
mod notify;
mod options;
mod outcome;
mod output;
mod receive;
mod report;
mod results;
mod run;
mod sandbox;
mod service;
mod settings;
mod why;

use std::env;
use std::ffi::OsString;
use std::panic::{self, PanicHookInfo};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::{Shell, generate};

use crate::error::{Error, Exit};
use crate::progress::Screen;
use crate::runner::BLOCKING_THREADS;

use outcome::MetricsFile;
use output::{eprint, print};
use settings::{Refused, Settings, typed, unknown_variables, variable_of};

/// Asks a cover-art API for one cover per music task of a catalog, unattended.
#[derive(Debug, Parser)]
#[command(
    version,
    disable_help_flag = true,
    before_help = "Example: coverbatch run catalog.csv --no-callback --api-key-file /etc/coverbatch/key",
    after_help = "Every option of `run` can also be set as COVERBATCH_<NAME>, such as COVERBATCH_RATE, and in a\n\
                  configuration file, as `rate`; flags win over variables, and those over the file.\n\
                  Exit codes: 0 every row is settled; 1 a defect of this program; 2 wrong usage; 3 rows failed for\n\
                  good; 4 rows are left for a rerun; 5 key refused or no credits; 6 another run writes the same\n\
                  results; 7 the catalog cannot be used; 8 something could not be written; 130 or 143 ended by a\n\
                  signal."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print this help
    #[arg(short, long, action = ArgAction::HelpShort, global = true, display_order = LAST)]
    help: Option<bool>,
}

/// Where the help tells of itself: behind all other options.
const LAST: usize = usize::MAX;

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    #[command(
        about = "Tell whether a run with the same options would find all it needs; submits nothing, leaves no file",
        before_help = "Example: coverbatch check catalog.csv --no-callback --api-key-file /etc/coverbatch/key"
    )]
    Check(Box<run::RunArgs>),
    Results(results::ResultsArgs),
    Status(results::StatusArgs),
    Why(why::WhyArgs),
    Forget(decide::ForgetArgs),
    Retry(decide::RetryArgs),
    Ignore(decide::IgnoreArgs),
    Follow(Box<follow::FollowArgs>),
    Receive(Box<receive::ReceiveArgs>),
    Report(report::ReportArgs),
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    Sandbox(sandbox::SandboxArgs),
    Config(config::ConfigArgs),
    Completions(CompletionsArgs),
    Man(man::ManArgs),
}

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch completions bash > /etc/bash_completion.d/coverbatch")]
struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

/// Commands that people look for when they want to run a batch again.
const RERUNS: [&str; 5] = ["again", "continue", "rerun", "restart", "resume"];

/// The command line, for whoever tells of it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, does what it says, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(report_defect));
    panic::catch_unwind(run).unwrap_or_else(|_| {
        MetricsFile::of_command_line().write(Exit::Defect, None);
        ExitCode::from(Exit::Defect.code())
    })
}

/// Tells of a defect as of any other error; where it happened is for whoever mends it.
fn report_defect(defect: &PanicHookInfo<'_>) {
    let what = defect.payload();
    let what =
        what.downcast_ref::<&str>().copied().or(what.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
    let place = defect.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    eprint(&format!(
        "error: a defect of coverbatch: {what}{place}\nhint: please report it; the ledger is safe, and a rerun goes on\n"
    ));
}

fn run() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    let parsed = Settings::read(&Cli::command(), &line)
        .and_then(|settings| Ok((Cli::from_arg_matches(&settings.matches)?, settings)));
    let (cli, settings) = match parsed {
        Ok(parsed) => parsed,
        Err(refused) => return ExitCode::from(report_refused(&refused)),
    };
    if matches!(cli.command, Command::Run(_) | Command::Check(_) | Command::Follow(_) | Command::Receive(_)) {
        eprint(&unknown_variables(&Cli::command()));
    }
    let screen = Screen::default();
    let exit = dispatch(cli.command, &settings, &screen).unwrap_or_else(|error| {
        eprint(&error.report());
        for place in settings.places_of_named(&error.to_string()) {
            eprint(&format!("hint: {place}\n"));
        }
        error.exit()
    });
    ExitCode::from(exit.code())
}

/// Tells why a command line is not carried out, or prints the help that was asked for. The exit code for it.
fn report_refused(refused: &Refused) -> u8 {
    let is_error = match refused {
        Refused::CommandLine(error) => error.use_stderr(),
        Refused::File(_) => true,
    };
    if is_error {
        MetricsFile::of_command_line().write(Exit::Usage, None);
    }
    match refused {
        Refused::CommandLine(error) => report_usage(error),
        Refused::File(error) => {
            eprint(&error.report());
            error.exit().code()
        }
    }
}

fn dispatch(command: Command, settings: &Settings, screen: &Screen) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|cause| Error::System { what: "start the runtime", cause })?;
    let exit = runtime.block_on(async {
        outcome::outlive_file_size_limit()?;
        match command {
            Command::Run(args) => run::run(*args, settings, screen).await,
            Command::Check(args) => Box::pin(run::check(&args, settings, screen)).await,
            Command::Results(args) => results::results(args, settings).await,
            Command::Status(args) => results::status(args).await,
            Command::Why(args) => why::run(args).await,
            Command::Ignore(args) => decide::ignore(args, screen).await,
            Command::Forget(args) => decide::forget(args, screen).await,
            Command::Retry(args) => decide::retry(args, screen).await,
            Command::Follow(args) => Box::pin(follow::run(*args, screen)).await,
            Command::Receive(args) => receive::run(*args, screen).await,
            Command::Report(args) => report::run(args).await,
            Command::Ledger(command) => ledger::run(command, screen).await,
            Command::Sandbox(args) => sandbox::run(args, screen).await,
            Command::Config(args) => config::run(args, Cli::command()),
            Command::Completions(args) => complete(&args, &mut Cli::command()),
            Command::Man(args) => man::run(&args, Cli::command()),
        }
    });
    runtime.shutdown_background();
    exit
}

fn complete(args: &CompletionsArgs, command: &mut clap::Command) -> Result<Exit, Error> {
    let mut script = Vec::new();
    generate(args.shell, command, "coverbatch", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// Tells what is wrong, or prints the help that was asked for. The exit code for it.
fn report_usage(error: &clap::Error) -> u8 {
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
    let option = text_of(error, ContextKind::InvalidArg)?.split(' ').next()?.strip_prefix("--")?;
    let variable = variable_of(option);
    let is_typed = typed(&env::args_os().collect::<Vec<_>>(), option).is_some();
    (!is_typed && env::var_os(&variable).is_some()).then_some(variable)
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    let ContextValue::String(text) = error.get(kind)? else { return None };
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_run_has_its_environment_variable() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for option in run.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| long != "help")) {
            let long = option.get_long().unwrap();
            let variable = option.get_env().and_then(|name| name.to_str());
            assert_eq!(variable.map(str::to_owned), Some(variable_of(long)), "--{long}");
        }
    }

    /// A value of the configuration file is checked once, for whichever command it is.
    #[test]
    fn an_option_takes_the_same_in_every_command() {
        fn collect(command: &clap::Command, found: &mut BTreeMap<String, String>) {
            for arg in command.get_arguments().filter(|arg| settings::is_setting(arg)) {
                let takes = format!("{:?} {:?} {:?}", arg.get_env(), arg.get_action(), arg.get_value_names());
                let option = arg.get_long().unwrap().to_owned();
                let known = found.entry(option.clone()).or_insert_with(|| takes.clone());
                assert_eq!(*known, takes, "--{option}");
            }
            command.get_subcommands().for_each(|command| collect(command, found));
        }
        let mut found = BTreeMap::new();
        collect(&Cli::command(), &mut found);
        assert!(found.contains_key("label-column") && found.len() > 40, "{found:?}");
    }
}
