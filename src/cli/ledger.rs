//! `coverbatch ledger`: a copy of a ledger, whether one is in order, and its tables.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::account::{AccountArgs, ledger_file, open_to_read};
use crate::cli::output::print;
use crate::error::{Error, Exit};
use crate::ledger::{ReadLedger as _, SqliteLedger};
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
#[command(before_help = "Example: coverbatch ledger copy ~/.local/state/coverbatch/api.kie.ai.db backup.db")]
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
#[command(before_help = "Example: coverbatch ledger schema")]
pub(super) struct SchemaArgs {}

pub(super) async fn run(command: LedgerCommand) -> Result<Exit, Error> {
    match command {
        LedgerCommand::Copy(args) => copy(args).await?,
        LedgerCommand::Check(args) => check(args).await?,
        LedgerCommand::Schema(SchemaArgs {}) => print(SqliteLedger::SCHEMA)?,
    }
    Ok(Exit::Success)
}

async fn copy(CopyArgs { from, to }: CopyArgs) -> Result<(), Error> {
    let (from, to) = (ledger_file(&from)?, ledger_file(&to)?);
    let ledger = open_to_read(&from)?;
    if let Some(there) = SqliteLedger::files_at(&to).find(|file| file.symlink_metadata().is_ok()) {
        let problem = format!("`{}` is there already, and a copy replaces nothing", there.display());
        return Err(Error::usage(problem, "name another file, or move that one away"));
    }
    ledger.copy(&to).await?;
    ledger.close().await;
    Ok(())
}

async fn check(args: CheckArgs) -> Result<(), Error> {
    let path = args.path.as_deref().map_or_else(|| args.account.ledger_to_ask(), ledger_file)?;
    let ledger = open_to_read(&path)?;
    let found = ledger.check().await?;
    ledger.close().await;
    let (tasks, submissions) = (
        plural(found.music_tasks, "music task", "music tasks"),
        plural(found.submissions, "submission", "submissions"),
    );
    let runs = plural(found.runs, "run", "runs");
    print(&format!("the ledger `{}` is in order: {tasks}, {submissions}, {runs}\n", path.display()))
}
