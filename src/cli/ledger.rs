//! `coverbatch ledger`: a copy of a ledger, whether one is in order, and its tables.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::account::{AccountArgs, no_ledger};
use crate::cli::output::print;
use crate::error::{Error, Exit};
use crate::ledger::{LedgerPlace, PostgresLedger, ReadLedger as _, SqliteLedger};
use crate::report::plural;

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
    /// The ledger
    from: PathBuf,

    /// The copy, which must not be there yet
    to: PathBuf,
}

/// Tell whether a ledger is sound and does not contradict itself, also while runs are going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch ledger check backup.db")]
pub(super) struct CheckArgs {
    /// The ledger [default: the account's]
    #[arg(value_name = "LEDGER")]
    path: Option<PathBuf>,

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

pub(super) async fn run(command: LedgerCommand) -> Result<Exit, Error> {
    match command {
        LedgerCommand::Copy(args) => copy(args).await?,
        LedgerCommand::Check(args) => check(args).await?,
        LedgerCommand::Schema(SchemaArgs { engine }) => print(engine.schema())?,
    }
    Ok(Exit::Success)
}

/// The ledger in a file, to be read.
fn open(path: &Path) -> Result<SqliteLedger, Error> {
    let missing = || no_ledger(&LedgerPlace::File(path.to_owned()));
    SqliteLedger::open_to_read(path, None)?.ok_or_else(missing)
}

/// A path that is no address of a database.
fn file(path: PathBuf) -> Result<PathBuf, Error> {
    if PostgresLedger::is_url(&path.to_string_lossy()) { Err(is_no_file()) } else { Ok(path) }
}

fn is_no_file() -> Error {
    let hint = "of a database `pg_dump --schema=coverbatch` makes a copy, and the server looks after its order";
    Error::usage("only a ledger in a file is copied and checked, and this is the address of a database", hint)
}

async fn copy(CopyArgs { from, to }: CopyArgs) -> Result<(), Error> {
    let (from, to) = (file(from)?, file(to)?);
    let ledger = open(&from)?;
    if let Some(there) = SqliteLedger::files_at(&to).find(|file| file.symlink_metadata().is_ok()) {
        let problem = format!("`{}` is there already, and a copy replaces nothing", there.display());
        return Err(Error::usage(problem, "name another file, or move that one away"));
    }
    ledger.copy(&to).await?;
    ledger.close().await;
    Ok(())
}

async fn check(args: CheckArgs) -> Result<(), Error> {
    let path = match args.path {
        Some(path) => file(path)?,
        None => args.account.ledger_to_ask()?.file().ok_or_else(is_no_file)?.to_owned(),
    };
    let ledger = open(&path)?;
    let found = ledger.check().await?;
    ledger.close().await;
    let (tasks, submissions) = (
        plural(found.music_tasks, "music task", "music tasks"),
        plural(found.submissions, "submission", "submissions"),
    );
    let runs = plural(found.runs, "run", "runs");
    print(&format!("the ledger `{}` is in order: {tasks}, {submissions}, {runs}\n", path.display()))
}
