//! `coverbatch results`: the results CSV from catalog and ledger.

use clap::Args;

use crate::cli::options::{CatalogArgs, LedgerArgs, OutputArgs};
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::ledger::{ReadLedger as _, SqliteLedger};
use crate::policy::InDoubt;
use crate::results::{self, Goal, View};

/// Write the results CSV from the ledger; sends nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch results catalog.csv -o results.csv")]
pub(super) struct ResultsArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: ResultsArgs) -> Result<Exit, Error> {
    args.output.guarded(args.catalog.guard(&args.ledger), &args.catalog, &args.ledger).check()?;
    let catalog = args.catalog.open().await?;
    let paths = args.output.paths(&args.catalog, &args.ledger);
    args.output.refuse_shrunk(&catalog, &paths).await?;
    let ledger = SqliteLedger::open_to_read(&args.ledger.path(&args.catalog), None)?;
    let view = view(ledger.as_ref(), &args.catalog, &args.ledger).await?;
    let tally = results::write(&catalog, ledger.as_ref(), view, &paths).await?;
    if let Some(ledger) = ledger {
        ledger.close().await;
    }
    Ok(Exit::of_rows(&tally))
}

/// How the rows look from outside of a run.
pub(super) async fn view(
    ledger: Option<&SqliteLedger>,
    catalog: &CatalogArgs,
    args: &LedgerArgs,
) -> Result<View, Error> {
    let unreached = match ledger {
        Some(ledger) => ledger.last_end(&catalog.identity()).await?,
        None => None,
    };
    let now = Clock::start().unix();
    Ok(View { unreached, in_doubt: InDoubt::Resend, trust: args.trust(), goal: Goal::Accepted, now })
}
