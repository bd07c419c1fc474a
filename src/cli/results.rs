//! `coverbatch results` and `coverbatch status`: what catalog and ledger say now, written or counted.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::catalog::Catalog;
use crate::cli::account::{LedgerArgs, open_to_read};
use crate::cli::options::{CatalogArgs, OutputArgs, bad_rows, odd_ids};
use crate::cli::output::print;
use crate::clock::Clock;
use crate::covers;
use crate::domain::{Brief, Rate, Status};
use crate::error::{Error, Exit};
use crate::join::Trust;
use crate::ledger::{AnyLedger, ReadLedger as _};
use crate::policy::InDoubt;
use crate::ratelimit::expected_time;
use crate::report::RowCounts;
use crate::results::{self, Goal, Tally, View};
use crate::worklist::WorklistError;

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
    let earlier = args.output.earlier(&args.catalog, &catalog, &paths.results).await?;
    let ledger = open_to_read(&args.catalog.ledger(&args.ledger)?).await?;
    if let Some(earlier) = earlier {
        refuse_loss(&earlier, &ledger, args.ledger.trust()).await?;
    }
    let view = view(&ledger, &args.catalog, &args.ledger).await?;
    let tally = results::write(&catalog, Some(&ledger), view, (&paths, Tally::default())).await?;
    ledger.close().await;
    Ok(Exit::of_rows(&tally))
}

/// Refuses to replace results that tell more than the ledger knows.
async fn refuse_loss(earlier: &Arc<Catalog>, ledger: &AnyLedger, trust: Trust) -> Result<(), Error> {
    let is_known = covers::knows_all(earlier, ledger, trust).await.map_err(WorklistError::from)?;
    is_known.then_some(()).ok_or_else(|| {
        let problem = "the results that are there tell of music tasks that the ledger does not know";
        Error::usage(problem, "`coverbatch run` takes them over; until then name another file with --results")
    })
}

/// How the rows look from outside of a run.
pub(super) async fn view(ledger: &AnyLedger, catalog: &CatalogArgs, args: &LedgerArgs) -> Result<View, Error> {
    let unreached = ledger.last_end(&catalog.identity()).await?;
    let now = Clock::start().unix();
    let in_doubt = InDoubt::usual(args.account.route()?);
    Ok(View { unreached, in_doubt, trust: args.trust(), goal: Goal::Accepted, now, warn_below: None })
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
    let place = args.catalog.ledger(&args.ledger)?;
    let ledger = open_to_read(&place).await?;
    let view = view(&ledger, &args.catalog, &args.ledger).await?;
    let tally = results::count(&catalog, Some(&ledger), view, Tally::default()).await?;
    ledger.close().await;
    if args.json {
        let document = json!({ "rows": RowCounts(&tally), "rerun_sends": tally.to_send });
        print(&format!("{document:#}\n"))?;
    } else {
        let ledger_line = format!("ledger              {place}\n");
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
