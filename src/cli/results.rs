//! `coverbatch results` and `coverbatch status`: what catalog and ledger say now, written or counted.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::options::{CatalogArgs, LedgerArgs, OutputArgs, bad_rows, odd_ids};
use crate::cli::output::print;
use crate::clock::Clock;
use crate::domain::{Brief, Rate, Status};
use crate::error::{Error, Exit};
use crate::ledger::{ReadLedger as _, SqliteLedger};
use crate::policy::InDoubt;
use crate::ratelimit::expected_time;
use crate::report::RowCounts;
use crate::results::{self, Goal, Tally, View};

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

pub(super) async fn results(args: ResultsArgs) -> Result<Exit, Error> {
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

/// Count the rows by status and tell what a rerun would do; sends nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch status catalog.csv")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    ledger: LedgerArgs,

    /// The rate of the rerun, to tell how long it takes
    #[arg(long, value_name = "N/PERIOD", default_value = "20/10s", env = "COVERBATCH_RATE", hide_env = true)]
    rate: Rate,

    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: StatusArgs) -> Result<Exit, Error> {
    let catalog = args.catalog.open().await?;
    let ledger_path = args.ledger.path(&args.catalog);
    let ledger = SqliteLedger::open_to_read(&ledger_path, None)?;
    let view = view(ledger.as_ref(), &args.catalog, &args.ledger).await?;
    let tally = results::count(&catalog, ledger.as_ref(), view).await?;
    let missing = if ledger.is_none() { " (not there yet)" } else { "" };
    if let Some(ledger) = ledger {
        ledger.close().await;
    }
    if args.json {
        let document = json!({ "rows": RowCounts(&tally), "rerun_sends": tally.to_send });
        print(&format!("{document:#}\n"))?;
    } else {
        let ledger_line = format!("ledger              {}{missing}\n", ledger_path.display());
        print(&(described(&tally, args.rate) + &ledger_line + &bad_rows(&catalog) + &odd_ids(&catalog)))?;
    }
    Ok(Exit::of_rows(&tally))
}

fn described(tally: &Tally, rate: Rate) -> String {
    let mut text = format!("rows                {}\n", tally.rows);
    for status in Status::ALL {
        let _ = writeln!(text, "  {status:<18}{}", tally.with(*status));
    }
    let _ = writeln!(text, "duplicates          {}", tally.duplicates);
    let takes = expected_time(rate, u32::try_from(tally.to_send).unwrap_or(u32::MAX));
    let takes = Brief(Duration::from_secs(takes.as_secs()));
    let _ = writeln!(text, "a rerun             sends {}, which takes about {takes} at {rate}", tally.to_send);
    text
}
