//! What several commands have in common: which catalog, which ledger, which files.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU32;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use tokio::task::spawn_blocking;

use crate::catalog::{Catalog, CatalogError, CatalogOptions, CatalogSource, Delimiter, Labels, NoSuchColumn};
use crate::cli::account::LedgerArgs;
use crate::cli::guard::Guard;
use crate::domain::{MusicTaskId, parse_duration, plural};
use crate::error::Error;
use crate::files::is_stdout;
use crate::ledger::LedgerPlace;
use crate::results::{Format, Paths};

/// The stem of the files that belong to a catalog from standard input or another pipe.
const STDIN_STEM: &str = "stdin";

/// The file that standard input is.
const STDIN: &str = "/dev/stdin";

/// Where shells name the pipes from other processes.
const PIPES: [&str; 2] = ["/dev", "/proc"];

/// The variables that name outputs.
const REAL_OUTPUTS: [&str; 4] =
    ["COVERBATCH_RESULTS", "COVERBATCH_FAILURES", "COVERBATCH_METRICS_FILE", "COVERBATCH_DOWNLOAD"];

/// What a run with the stand-in never replaces.
const REAL: &str = "an output of the real service";

/// The end of the name of the stand-in's ledger.
const SANDBOX_LEDGER: &str = ".sandbox.db";

/// The end of the name of the results.
const RESULTS_SUFFIX: &str = ".results.csv";

/// The catalog and how to read it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct CatalogArgs {
    /// The catalog, a CSV file with a header; `-` reads standard input
    #[arg(value_name = "CATALOG")]
    catalog: String,

    /// Column that holds the music task ids, by name or number [default: `task_id`, `taskId`, `music_task_id`, `id`]
    #[arg(long, value_name = "NAME|N", env = "COVERBATCH_ID_COLUMN", hide_env = true)]
    id_column: Option<String>,

    /// The character between two cells [default: detected among , ; tab |]
    #[arg(long, value_name = "C", env = "COVERBATCH_DELIMITER", hide_env = true)]
    delimiter: Option<Delimiter>,

    /// Lines before the header, which are no part of the table
    #[arg(long, value_name = "N", default_value_t = 0, env = "COVERBATCH_SKIP_LINES", hide_env = true)]
    skip_lines: u64,
}

/// Where the results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(super) struct OutputArgs {
    /// Where the results CSV goes; `-` is standard output [default: <stem>.results.csv beside the catalog]
    #[arg(short = 'o', long, value_name = "PATH", env = "COVERBATCH_RESULTS", hide_env = true)]
    results: Option<PathBuf>,

    /// Also write a catalog of the rows that are not settled
    #[arg(long, value_name = "PATH", env = "COVERBATCH_FAILURES", hide_env = true)]
    failures: Option<PathBuf>,

    /// Accept a catalog without rows, or with fewer than half of those in the results that are there
    #[arg(long, env = "COVERBATCH_ALLOW_SHRINK", hide_env = true, value_parser = FalseyValueParser::new())]
    allow_shrink: bool,
}

/// What people call a row.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct LabelArgs {
    /// Column that tells people which track a row is, by name or number; may be repeated [default: title and artist]
    #[arg(long, value_name = "NAME|N", value_delimiter = ',', env = "COVERBATCH_LABEL_COLUMN", hide_env = true)]
    label_column: Vec<String>,
}

impl LabelArgs {
    /// Where a catalog has these columns.
    pub(super) fn find(&self, catalog: &Catalog) -> Result<Labels, Error> {
        let unknown = |bad: NoSuchColumn| Error::usage(bad.to_string(), "name one of its columns by --label-column");
        Labels::find(catalog, &self.label_column).map_err(unknown)
    }
}

impl CatalogArgs {
    /// Makes sure that there is a catalog. One that is missing is named by its whole path: cron starts in another folder
    /// than a person.
    pub(super) fn is_there(&self) -> Result<(), Error> {
        let Some(path) = self.path() else { return Ok(()) };
        let whole = || CatalogSource::Path(path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let missing = |cause| CatalogError::Unreadable(whole(), cause);
        Ok(fs::metadata(path).map(drop).map_err(missing)?)
    }

    /// Whether it comes from standard input.
    pub(super) fn is_stdin(&self) -> bool {
        self.path().is_none()
    }

    /// Reads and checks the whole catalog.
    pub(super) async fn open(&self) -> Result<Arc<Catalog>, Error> {
        self.open_for(None).await
    }

    /// The same, of which only some rows are taken up if they are named.
    pub(super) async fn open_for(&self, only: Option<BTreeSet<MusicTaskId>>) -> Result<Arc<Catalog>, Error> {
        self.is_there()?;
        let catalog = self.read(PathBuf::from(&self.catalog).into(), self.skip_lines).await?;
        Ok(Arc::new(match only {
            Some(only) => catalog.confined_to(only)?,
            None => catalog,
        }))
    }

    async fn read(&self, source: CatalogSource, skip_lines: u64) -> Result<Catalog, CatalogError> {
        let (id_column, delimiter) = (self.id_column.clone(), self.delimiter);
        let options = CatalogOptions { id_column, delimiter, skip_lines };
        let work = spawn_blocking(move || Catalog::open(&source, &options));
        work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
    }

    /// The results that are there, if there are any. What cannot be read as results is not to be replaced by some: it may
    /// hold what nothing else does.
    async fn earlier(&self, results: &Path) -> Result<Option<Catalog>, Error> {
        if is_stdout(results) || !fs::metadata(results).is_ok_and(|file| file.is_file() && file.len() > 0) {
            return Ok(None);
        }
        if let Ok(earlier) = self.read(CatalogSource::Path(results.to_owned()), 0).await
            && earlier.is_results()
        {
            return Ok(Some(earlier));
        }
        let problem =
            format!("`{}` cannot be read as a results CSV, and what it holds would be lost", results.display());
        Err(Error::usage(problem, "name another file with --results, or move that one away"))
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

    /// `<stem><suffix>` beside the catalog; in the working folder, if the catalog is a pipe from another process.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let file = self.path().filter(|path| !PIPES.iter().any(|folder| path.starts_with(folder)));
        let mut name = file.and_then(Path::file_stem).unwrap_or(STDIN_STEM.as_ref()).to_os_string();
        name.push(suffix);
        file.map_or_else(|| PathBuf::from(&name), |path| path.with_file_name(&name))
    }

    /// Where the ledger is.
    pub(super) fn ledger(&self, ledger: &LedgerArgs) -> Result<LedgerPlace, Error> {
        ledger.place(self.beside(SANDBOX_LEDGER))
    }

    /// A guard that knows the catalog and its ledger.
    pub(super) fn guard(&self, ledger: &LedgerArgs) -> Guard {
        let guard = Guard::default().reads("the catalog", Some(self.path().unwrap_or(Path::new(STDIN))));
        let guard = match self.ledger(ledger) {
            Ok(place) => guard.ledger(&place),
            // Refused by whoever needs it.
            Err(_) => guard,
        };
        if !ledger.sandbox {
            return guard;
        }
        // Whoever tries something with the stand-in may have the environment of the nightly job.
        let is_tried = env::var_os("COVERBATCH_SANDBOX").is_none();
        let outputs = REAL_OUTPUTS.iter().filter(|_| is_tried).filter_map(env::var_os);
        outputs.fold(guard.reads(REAL, Some(self.beside(RESULTS_SUFFIX))), |guard, path| guard.reads(REAL, Some(path)))
    }
}

impl OutputArgs {
    /// Where results and failures go.
    pub(super) fn paths(&self, catalog: &CatalogArgs, ledger: &LedgerArgs) -> Paths {
        let results = self.results.clone().unwrap_or_else(|| catalog.beside(&ledger.suffix(RESULTS_SUFFIX)));
        Paths { results, failures: self.failures.clone(), format: Format::Csv }
    }

    /// The results that those of a catalog are to replace, if there are any. Refuses a catalog that has lost most of their
    /// rows.
    pub(super) async fn earlier(
        &self,
        args: &CatalogArgs,
        catalog: &Catalog,
        results: &Path,
    ) -> Result<Option<Arc<Catalog>>, Error> {
        let earlier = args.earlier(results).await?;
        if !self.allow_shrink {
            catalog.has_not_shrunk(earlier.as_ref())?;
        }
        Ok(earlier.map(Arc::new))
    }

    /// With the files of these options.
    pub(super) fn guarded(&self, guard: Guard, catalog: &CatalogArgs, ledger: &LedgerArgs) -> Guard {
        let Paths { results, failures, .. } = self.paths(catalog, ledger);
        guard.writes("--results", "the results", Some(results)).writes("--failures", "the failures", failures)
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
        Ok(duration) if duration > Duration::ZERO => Ok(duration),
        Ok(_) | Err(_) => {
            Err("expected a duration such as `30s`, more than zero and at most 8760h (a year)".to_owned())
        }
    }
}

/// A count that is not zero.
pub(super) fn positive_count(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "expected a whole number, at least 1".to_owned())
}
