//! `coverbatch results` and `coverbatch status`: what catalog and ledger say now, written or counted.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::catalog::Catalog;
use crate::cli::account::{LedgerArgs, open_to_read};
use crate::cli::options::{CatalogArgs, LabelArgs, OutputArgs, odd_ids};
use crate::cli::output::print;
use crate::cli::settings::{Origin, Settings};
use crate::clock::Clock;
use crate::domain::Rate;
use crate::error::{Error, Exit};
use crate::join::{self, Trust};
use crate::ledger::{AnyLedger, ReadLedger as _};
use crate::policy::InDoubt;
use crate::report::{CatalogStatus, SHOWN_RUNS};
use crate::results::{self, Format, Goal, Paths, Tally, View};
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

    /// How the rows are written; JSON, one object a row, goes to standard output
    #[arg(long, value_enum, default_value_t)]
    format: FormatName,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// The results CSV
    #[default]
    Csv,
    /// One JSON object on each line
    Json,
}

impl ResultsArgs {
    /// Where the rows go. What a run reads is never replaced by JSON.
    fn paths(&self, settings: &Settings) -> Result<Paths, Error> {
        match self.format {
            FormatName::Csv => Ok(self.output.paths(&self.catalog, &self.ledger)),
            FormatName::Json if ["results", "failures"].iter().any(|name| settings.origin(name) == Origin::Flag) => {
                let problem = "--format json goes to standard output, and neither to --results nor to --failures";
                Err(Error::usage(problem, "add `> FILE` instead"))
            }
            FormatName::Json => Ok(Paths { results: "-".into(), failures: None, format: Format::Json }),
        }
    }
}

pub(super) async fn results(args: ResultsArgs, settings: &Settings) -> Result<Exit, Error> {
    let paths = args.paths(settings)?;
    args.output.guarded(args.catalog.guard(&args.ledger), &args.catalog, &args.ledger).check()?;
    let catalog = args.catalog.open().await?;
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
    let is_known = join::knows_all(earlier, ledger, trust).await.map_err(WorklistError::from)?;
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

/// Tell how many rows have which status, why and which have no cover, and how the last 14 runs ended; sends nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch status catalog.csv")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    ledger: LedgerArgs,

    /// The rate of the rerun, to tell how long it takes
    #[arg(
        long,
        value_name = "N/PERIOD",
        default_value = "20/10s",
        env = "COVERBATCH_RATE",
        hide_env = true,
        help_heading = "Output"
    )]
    rate: Rate,

    #[command(flatten)]
    label: LabelArgs,

    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: StatusArgs) -> Result<Exit, Error> {
    let catalog = args.catalog.open().await?;
    let labels = args.label.find(&catalog)?;
    let place = args.catalog.ledger(&args.ledger)?;
    let ledger = open_to_read(&place).await?;
    let view = view(&ledger, &args.catalog, &args.ledger).await?;
    let tally = results::count(&catalog, Some(&ledger), view, Tally::new(labels, None)).await?;
    let runs = ledger.past_runs(&args.catalog.identity(), SHOWN_RUNS).await?;
    ledger.close().await;
    let status = CatalogStatus { tally: &tally, runs: &runs, rate: args.rate, ledger: place.to_string() };
    print(&if args.json { status.json() } else { status.text() + &apart(odd_ids(&catalog)) })?;
    Ok(Exit::of_rows(&tally))
}

/// A text after an empty line, if it says anything.
fn apart(text: String) -> String {
    if text.is_empty() { text } else { format!("\n{text}") }
}
