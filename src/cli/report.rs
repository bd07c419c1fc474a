//! `coverbatch report`: one self-contained page of the batch and its covers, filled from catalog and ledger.

mod night;
mod rows;

use std::ffi::OsStr;
use std::io::{BufWriter, IntoInnerError};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::cli::account::{LedgerArgs, open_to_read};
use crate::cli::options::{CatalogArgs, LabelArgs};
use crate::cli::results::view;
use crate::clock::Clock;
use crate::domain::{Reason, Status};
use crate::error::{Error, Exit};
use crate::files::{FileError, Replacement};
use crate::ledger::{PastRun, ReadLedger as _};
use crate::page::{Next, Page};
use crate::report::NextCommands;
use crate::results::{self, Goal, Tally, View};

use night::{activity, run_line};
use rows::{Pictures, RowReader};

/// Under which heading the help tells of the options that no other command has.
const PAGE: &str = "Page";

/// Write one self-contained HTML page of the batch and its covers; sends nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch report catalog.csv -o report.html --download covers/")]
pub(super) struct ReportArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    ledger: LedgerArgs,

    /// Where the page goes; `-` is standard output [default: <stem>.report.html beside the catalog]
    #[arg(short = 'o', long, value_name = "PATH", help_heading = PAGE)]
    output: Option<PathBuf>,

    /// The folder that images were saved into, to show them
    #[arg(long, value_name = "DIR", env = "COVERBATCH_DOWNLOAD", hide_env = true, help_heading = PAGE)]
    download: Option<PathBuf>,

    /// Put copies into the page that are large enough to be looked at, so that it works alone, as in a mail; up to 480
    /// images, or 10 MB
    #[arg(long, env = "COVERBATCH_EMBED", hide_env = true, value_parser = FalseyValueParser::new(), help_heading = PAGE)]
    embed: bool,

    #[command(flatten)]
    label: LabelArgs,
}

pub(super) async fn run(args: ReportArgs) -> Result<Exit, Error> {
    if args.embed && args.download.is_none() {
        return Err(Error::usage("--embed has no images to put into the page", "give --download DIR too"));
    }
    let path = args.output.clone().unwrap_or_else(|| args.catalog.beside(&args.ledger.suffix(".report.html")));
    let guard = args.catalog.guard(&args.ledger).writes("--output", "the page", Some(&path));
    guard.images("--download", args.download.as_deref()).check()?;
    let catalog = args.catalog.open().await?;
    let ledger = open_to_read(&args.catalog.ledger(&args.ledger)?).await?;
    let goal = if args.download.is_some() { Goal::Files } else { Goal::Accepted };
    let now = Clock::start().unix();
    let view = View { goal, now, ..view(&ledger, &args.catalog, &args.ledger).await? };
    let labels = args.label.find(&catalog)?;
    let tally = results::count(&catalog, Some(&ledger), view, Tally::new(labels.clone(), None)).await?;
    let pictures = Pictures { folder: args.download.as_deref(), page: &path, embed: args.embed };
    let rows = RowReader { catalog: &catalog, ledger: &ledger, labels: &labels, view, pictures };
    let page = page(&args, &rows, &tally).await?;
    ledger.close().await;
    write(&path, &page)?;
    Ok(Exit::of_rows(&tally))
}

/// Writes the page.
fn write(path: &Path, page: &Page) -> Result<(), FileError> {
    let mut file = BufWriter::new(Replacement::begin(path)?);
    let written = page.write_html(&mut file).and_then(|()| file.into_inner().map_err(IntoInnerError::into_error));
    written.map_err(|cause| FileError::new(path, cause))?.commit()
}

/// Runs that a page lists.
const MOST_RUNS: u32 = 10;

/// A page of a catalog whose rows have been counted.
async fn page(args: &ReportArgs, rows: &RowReader<'_>, tally: &Tally) -> Result<Page, Error> {
    let (catalog, now) = (args.catalog.identity(), rows.view.now);
    let runs = rows.ledger.past_runs(&catalog, MOST_RUNS).await?;
    let (stages, shown) = rows.read(tally.left()).await?;
    Ok(Page {
        title: Path::new(&catalog).file_name().unwrap_or(OsStr::new(&catalog)).to_string_lossy().into_owned(),
        generated_at: now,
        stages,
        counts: Status::ALL.iter().map(|status| (*status, tally.with(*status))).collect(),
        rows_total: tally.rows,
        duplicates: tally.duplicates,
        default_covers: tally.fallbacks,
        causes: tally.causes().into_iter().cloned().collect(),
        activity: activity(rows.ledger, &runs, now).await?,
        runs: runs.iter().map(run_line).collect(),
        next: next(&runs, rows.view.unreached, tally),
        rows: shown,
    })
}

/// What to do next, as the last of these runs has told or would tell now.
fn next(runs: &[PastRun], cut_short: Option<Reason>, tally: &Tally) -> Option<Next> {
    let rerun = runs.first()?.command.clone();
    let send = runs.iter().find(|run| run.submits).map_or_else(|| rerun.clone(), |run| run.command.clone());
    let step = NextCommands { rerun, send }.step_later(cut_short, tally)?;
    Some(Next { advice: step.advice, command: step.command })
}
