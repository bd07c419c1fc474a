//! `coverbatch ledger`: a copy of a ledger, whether one is in order, and its tables.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::account::{AccountArgs, checked_name, no_ledger};
use crate::cli::output::{LogFormat, begin_logging, print};
use crate::domain::plural;
use crate::error::{Error, Exit};
use crate::ledger::{self, LedgerPlace, PostgresLedger, SqliteLedger};
use crate::progress::Screen;

/// Copy a ledger, check one, or print its tables
#[derive(Debug, Subcommand)]
#[command(before_help = "Example: coverbatch ledger check")]
pub(super) enum LedgerCommand {
    Copy(CopyArgs),
    Check(CheckArgs),
    Schema(SchemaArgs),
}

/// Copy a ledger, also while runs are going on; the copy is there whole or not at all
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch ledger copy ~/.local/state/coverbatch/api.sunoapi.org.db backup.db")]
pub(super) struct CopyArgs {
    /// The ledger: a file, or `postgres://USER@HOST/DATABASE`
    from: PathBuf,

    /// The copy, which must not be there yet: a file, or an account in a database
    to: PathBuf,

    /// Name of the account, in each of the two that is a database [default: the only one there; the same as there, or the
    /// API's host]
    #[arg(long, value_name = "NAME", value_parser = checked_name, env = "COVERBATCH_ACCOUNT", hide_env = true)]
    account: Option<String>,

    /// Name of the account in the copy, if it is to have another one
    #[arg(long = "as", value_name = "NAME", value_parser = checked_name)]
    copied_as: Option<String>,
}

/// Tell whether a ledger is sound and does not contradict itself, also while runs are going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch ledger check backup.db")]
pub(super) struct CheckArgs {
    /// The ledger: a file, or `postgres://USER@HOST/DATABASE` [default: the account's]
    #[arg(value_name = "LEDGER")]
    named: Option<PathBuf>,

    #[command(flatten)]
    account: AccountArgs,
}

/// Print the SQL that makes the tables of a ledger
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch ledger schema postgres | psql postgres://owner@db.example/covers")]
pub(super) struct SchemaArgs {
    /// Of which kind of ledger
    #[arg(value_enum, default_value_t)]
    engine: Engine,
}

/// What keeps a ledger.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Engine {
    /// A file
    #[default]
    Sqlite,
    /// A database that accounts and hosts share
    Postgres,
}

impl Engine {
    const fn schema(self) -> &'static str {
        match self {
            Self::Sqlite => SqliteLedger::SCHEMA,
            Self::Postgres => PostgresLedger::SCHEMA,
        }
    }
}

pub(super) async fn run(command: LedgerCommand, screen: &Screen) -> Result<Exit, Error> {
    begin_logging(LogFormat::Text, 0, false, screen);
    match command {
        LedgerCommand::Copy(args) => copy(args).await?,
        LedgerCommand::Check(args) => check(args).await?,
        LedgerCommand::Schema(SchemaArgs { engine }) => print(engine.schema())?,
    }
    Ok(Exit::Success)
}

/// The place that is named: a file, or a database with the account of that name.
fn place(ledger: PathBuf, account: Option<String>) -> LedgerPlace {
    let text = ledger.to_string_lossy();
    if PostgresLedger::is_url(&text) {
        let (url, is_named) = (text.into_owned(), account.is_some());
        return LedgerPlace::Database { url, account: account.unwrap_or_default(), is_named };
    }
    LedgerPlace::File(ledger)
}

async fn copy(CopyArgs { from, to, account, copied_as }: CopyArgs) -> Result<(), Error> {
    let (from, to) = (place(from, account.clone()), place(to, copied_as.or(account)));
    let there = to.file().and_then(|to| SqliteLedger::files_at(to).find(|file| file.symlink_metadata().is_ok()));
    if let Some(there) = there {
        let problem = format!("`{}` is there already, and a copy replaces nothing", there.display());
        return Err(Error::usage(problem, "name another file, or move that one away"));
    }
    if ledger::copy(&from, &to).await? { Ok(()) } else { Err(no_ledger(&from)) }
}

async fn check(args: CheckArgs) -> Result<(), Error> {
    let place = args.account.ledger_to_check(args.named)?;
    let found = ledger::check(&place).await?.ok_or_else(|| no_ledger(&place))?;
    let (tasks, submissions) = (
        plural(found.music_tasks, "music task", "music tasks"),
        plural(found.submissions, "submission", "submissions"),
    );
    let runs = plural(found.runs, "run", "runs");
    print(&format!("the ledger `{place}` is in order: {tasks}, {submissions}, {runs}\n"))
}
