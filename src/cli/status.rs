//! `coverbatch status`: where the catalog stands, and what a rerun would do.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::options::{CatalogArgs, LedgerArgs, bad_rows, odd_ids};
use crate::cli::output::print;
use crate::cli::results::view;
use crate::domain::{Brief, Rate, Status};
use crate::error::{Error, Exit};
use crate::ledger::{ReadLedger as _, SqliteLedger};
use crate::ratelimit::expected_time;
use crate::report::RowCounts;
use crate::results::{self, Tally};

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

pub(super) async fn run(args: StatusArgs) -> Result<Exit, Error> {
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
