//! `coverbatch report`: one self-contained page of the batch and its covers.

mod fill;

use std::io::{BufWriter, IntoInnerError};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::options::{CatalogArgs, LedgerArgs};
use crate::cli::results::view;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::files::{FileError, Replacement};
use crate::ledger::{ReadLedger as _, SqliteLedger};
use crate::page::Page;
use crate::results::{self, Goal, View};

use fill::Filler;

/// Write one self-contained HTML page of the batch and its covers; sends nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch report catalog.csv -o report.html --download covers/")]
pub(super) struct ReportArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    ledger: LedgerArgs,

    /// Where the page goes; `-` is standard output [default: <stem>.report.html beside the catalog]
    #[arg(short = 'o', long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// The folder that images were saved into, to show them
    #[arg(long, value_name = "DIR", env = "COVERBATCH_DOWNLOAD", hide_env = true)]
    download: Option<PathBuf>,

    /// Column of what people call a track, by name or number [default: `title`, `name`, `track`, `song`]
    #[arg(long, value_name = "NAME|N", env = "COVERBATCH_LABEL_COLUMN", hide_env = true)]
    label_column: Option<String>,
}

pub(super) async fn run(args: ReportArgs) -> Result<Exit, Error> {
    let path = args.output.clone().unwrap_or_else(|| args.catalog.beside(&args.ledger.suffix(".report.html")));
    let guard = args.catalog.guard(&args.ledger).writes("--output", "the page", Some(&path));
    guard.images("--download", args.download.as_deref()).check()?;
    let catalog = args.catalog.open().await?;
    let ledger = SqliteLedger::open_to_read(&args.ledger.path(&args.catalog), None)?;
    let goal = if args.download.is_some() { Goal::Files } else { Goal::Accepted };
    let now = Clock::start().unix();
    let view = View { goal, now, ..view(ledger.as_ref(), &args.catalog, &args.ledger).await? };
    let tally = results::count(&catalog, ledger.as_ref(), view).await?;
    let filler = Filler {
        catalog: &catalog,
        ledger: ledger.as_ref(),
        identity: args.catalog.identity(),
        view,
        images: args.download.as_deref(),
        page: &path,
        label_column: args.label_column.as_deref(),
    };
    let page = filler.page(&tally).await?;
    if let Some(ledger) = ledger {
        ledger.close().await;
    }
    write(&path, &page)?;
    Ok(Exit::of_rows(&tally))
}

/// Writes the page.
fn write(path: &Path, page: &Page) -> Result<(), FileError> {
    let mut file = BufWriter::new(Replacement::begin(path)?);
    let written = page.write_html(&mut file).and_then(|()| file.into_inner().map_err(IntoInnerError::into_error));
    written.map_err(|cause| FileError::new(path, cause))?.commit()
}
