//! What several commands have in common: which catalog, which ledger, which files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use tokio::task::spawn_blocking;

use crate::catalog::{Catalog, CatalogOptions, CatalogSource, Delimiter};
use crate::domain::parse_duration;
use crate::error::Error;
use crate::join::Trust;
use crate::report::plural;
use crate::results::Paths;

/// The stem of the files that belong to a catalog from standard input.
const STDIN_STEM: &str = "stdin";

/// The catalog and how to read it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct CatalogArgs {
    /// The catalog, a CSV file with a header; `-` reads standard input
    #[arg(value_name = "CATALOG")]
    catalog: String,

    /// Column of the music task ids, by name or number [default: `task_id`, `taskId`, `music_task_id`, `id`]
    #[arg(long, value_name = "NAME|N", env = "COVERBATCH_ID_COLUMN", hide_env = true)]
    id_column: Option<String>,

    /// What is between two cells [default: found out among , ; tab |]
    #[arg(long, value_name = "C", env = "COVERBATCH_DELIMITER", hide_env = true)]
    delimiter: Option<Delimiter>,

    /// Lines before the header, which are no part of the table
    #[arg(long, value_name = "N", default_value_t = 0, env = "COVERBATCH_SKIP_LINES", hide_env = true)]
    skip_lines: u64,
}

/// Which ledger.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(super) struct LedgerArgs {
    /// Durable record of every music task ever sent [default: <stem>.coverbatch.db beside the catalog]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_LEDGER", hide_env = true)]
    ledger: Option<PathBuf>,

    /// Try it with the stand-in service: no key, no cost, a ledger of its own (<stem>.sandbox.db)
    #[arg(long, env = "COVERBATCH_SANDBOX", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) sandbox: bool,
}

/// Where the results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(super) struct OutputArgs {
    /// Results CSV, replaced as a whole [default: <stem>.results.csv beside the catalog]
    #[arg(short = 'o', long, value_name = "PATH", env = "COVERBATCH_RESULTS", hide_env = true)]
    results: Option<PathBuf>,

    /// Also write the rows that are not settled, as a catalog of their own
    #[arg(long, value_name = "PATH", env = "COVERBATCH_FAILURES", hide_env = true)]
    failures: Option<PathBuf>,

    /// Accept a catalog without rows, or with fewer than half of those in the results that are there
    #[arg(long, env = "COVERBATCH_ALLOW_SHRINK", hide_env = true, value_parser = FalseyValueParser::new())]
    allow_shrink: bool,
}

impl CatalogArgs {
    /// Reads and checks the whole catalog.
    pub(super) async fn open(&self) -> Result<Arc<Catalog>, Error> {
        let source = if self.catalog == "-" {
            CatalogSource::StandardInput
        } else {
            CatalogSource::Path(PathBuf::from(&self.catalog))
        };
        let (id_column, delimiter, skip_lines) = (self.id_column.clone(), self.delimiter, self.skip_lines);
        let options = CatalogOptions { id_column, delimiter, skip_lines };
        let work = spawn_blocking(move || Catalog::open(&source, &options));
        let catalog = work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))?;
        Ok(Arc::new(catalog))
    }

    /// The catalog's file, if it is one.
    fn path(&self) -> Option<&Path> {
        Some(Path::new(&self.catalog)).filter(|_| self.catalog != "-")
    }

    /// The name by which the ledger knows this catalog.
    pub(super) fn identity(&self) -> String {
        let real = self.path().and_then(|path| path.canonicalize().ok());
        real.map_or_else(|| self.catalog.clone(), |path| path.display().to_string())
    }

    /// `<stem><suffix>` beside the catalog.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path().and_then(Path::file_stem).unwrap_or(STDIN_STEM.as_ref()).to_os_string();
        name.push(suffix);
        self.path().map_or_else(|| PathBuf::from(&name), |path| path.with_file_name(&name))
    }
}

impl CatalogArgs {
    /// Refuses to replace the catalog or its ledger by the file of `option`.
    pub(super) fn is_not(&self, option: &str, path: &Path, ledger: &Path) -> Result<(), Error> {
        distinct(option, path, &[("the ledger", Some(ledger)), ("the catalog", self.path())])
    }
}

impl LedgerArgs {
    /// Where the ledger is.
    pub(super) fn path(&self, catalog: &CatalogArgs) -> PathBuf {
        let suffix = if self.sandbox { ".sandbox.db" } else { ".coverbatch.db" };
        self.ledger.clone().unwrap_or_else(|| catalog.beside(suffix))
    }

    /// Whose word counts where the ledger knows nothing.
    pub(super) const fn trust(&self) -> Trust {
        if self.sandbox { Trust::All } else { Trust::Real }
    }
}

impl OutputArgs {
    /// Where results and failures go.
    ///
    /// Results may replace the catalog only if that is a results CSV already; nothing else in use is ever replaced. A
    /// catalog that lost most of its rows replaces nothing.
    pub(super) async fn paths(
        &self,
        args: &CatalogArgs,
        catalog: &Arc<Catalog>,
        ledger: &Path,
    ) -> Result<Paths, Error> {
        let results = self.results.clone().unwrap_or_else(|| args.beside(".results.csv"));
        let original = args.path().filter(|_| !catalog.is_results());
        distinct("--results", &results, &[("the ledger", Some(ledger)), ("the catalog", original)])?;
        if let Some(failures) = &self.failures {
            let taken = [("the ledger", Some(ledger)), ("the catalog", args.path()), ("the results", Some(&*results))];
            distinct("--failures", failures, &taken)?;
        }
        if !self.allow_shrink {
            let (catalog, results) = (Arc::clone(catalog), results.clone());
            let work = spawn_blocking(move || catalog.has_not_shrunk(&results));
            work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))?;
        }
        Ok(Paths { results, failures: self.failures.clone() })
    }
}

/// Refuses to replace a file that is in use as something else.
fn distinct(option: &str, path: &Path, taken: &[(&str, Option<&Path>)]) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match taken.iter().find(|(_, other)| other.is_some_and(|other| real(other) == real(path))) {
        None => Ok(()),
        Some((what, _)) => Err(Error::usage(
            format!("{option} would replace {what} `{}`", path.display()),
            format!("name another file with {option}"),
        )),
    }
}

/// The bad rows of a catalog for a person: the first ten, then how many more there are.
pub(super) fn bad_rows(catalog: &Catalog) -> String {
    let check = catalog.check();
    let mut text = String::new();
    for (line, bad) in &check.first_bad {
        let _ = writeln!(text, "line {line}: {bad}; the row is not sent");
    }
    let shown = u32::try_from(check.first_bad.len()).unwrap_or(u32::MAX);
    let more = check.invalid.saturating_sub(shown);
    if more > 0 {
        let _ = writeln!(text, "and {} that cannot be sent", plural(more.into(), "more row", "more rows"));
    }
    text
}

/// The ids that do not look like the others for a person: the first ten, then how many more there are.
pub(super) fn odd_ids(catalog: &Catalog) -> String {
    let Some(unlike) = &catalog.check().unlike else { return String::new() };
    let mut text = String::new();
    for (line, id) in unlike.shown() {
        let _ = writeln!(text, "line {line}: the id `{id}` does not look like the other {}; is it one?", unlike.alike);
    }
    let more = unlike.count.saturating_sub(unlike.first.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "and {} that do not look like the others", plural(more, "more id", "more ids"));
    }
    text
}

/// A duration that is not zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(bad) => Err(bad.to_string()),
    }
}
