//! The results and failures CSVs: the catalog again, with a verdict on every row.
//!
//! A view of catalog and ledger, made anew each time. A file is written beside its place, synchronised, and renamed into
//! it, so that a half-written one never replaces a whole one; and only if it holds as many rows as the catalog.

mod file;
mod format;
mod line;
mod tally;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::catalog::{Catalog, CatalogError};
use crate::clock::UnixMillis;
use crate::domain::Reason;
use crate::files::FileError;
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::Ledger;
use crate::policy::InDoubt;

use file::Table;
use format::LineFormat;

pub use line::{Cover, ResultLine};
pub use tally::{Cause, Tally};

/// Why there are no new results; the old ones, if there were any, are as they were.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// Catalog or ledger.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The catalog has another number of rows than before.
    #[error("the catalog had {expected} rows and now has {found}; the results were not written")]
    RowCount {
        /// Rows counted before anything was sent.
        expected: u64,
        /// Rows that would have been written.
        found: u64,
    },
}

impl From<CatalogError> for ResultsError {
    fn from(error: CatalogError) -> Self {
        Self::Join(error.into())
    }
}

/// What is wanted of a row that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Nothing more.
    Accepted,
    /// That its images are known.
    Images,
    /// That its images are on disk.
    Files,
}

/// What to make of the rows.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Why rows that were not reached were not.
    pub unreached: Option<Reason>,
    /// What the next run does with rows in doubt.
    pub in_doubt: InDoubt,
    /// Which earlier results count where the ledger knows nothing.
    pub trust: Trust,
    /// What is wanted of accepted rows.
    pub goal: Goal,
    /// When it is looked at: images that are forgotten by then cannot be fetched any more.
    pub now: UnixMillis,
}

/// Where the files go.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The results CSV.
    pub results: PathBuf,
    /// The CSV with the rows that are not settled, if it is wanted.
    pub failures: Option<PathBuf>,
}

/// Counts the rows of the catalog as the results would show them; writes nothing.
///
/// # Errors
/// [`ResultsError`]
pub async fn count<L: Ledger>(catalog: &Arc<Catalog>, ledger: Option<&L>, view: View) -> Result<Tally, ResultsError> {
    let mut tally = Tally::default();
    let mut join = Join::new(catalog, ledger, view.trust)?;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        for joined in &chunk {
            tally.add(joined, &ResultLine::new(catalog, joined, view));
        }
    }
    Ok(tally)
}

/// Writes the files anew and counts their rows.
///
/// # Errors
/// [`ResultsError`]; nothing has been replaced then.
pub async fn write<L: Ledger>(
    catalog: &Arc<Catalog>,
    ledger: Option<&L>,
    view: View,
    paths: &Paths,
) -> Result<Tally, ResultsError> {
    let mut files = Files::begin(catalog, view, paths)?;
    let mut join = Join::new(catalog, ledger, view.trust)?;
    let mut chunk = join.next().await?;
    while !chunk.is_empty() {
        // The next rows are looked up while these are written.
        let (added, next) = tokio::join!(files.with(chunk), join.next());
        (files, chunk) = (added?, next?);
    }
    catalog.unchanged()?;
    let (expected, found) = (u64::from(catalog.check().rows), files.tally.rows);
    if expected != found {
        return Err(ResultsError::RowCount { expected, found });
    }
    spawn_blocking(move || files.replace()).await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()))
}

/// The files in the making, and the count of their rows.
struct Files {
    catalog: Arc<Catalog>,
    view: View,
    format: LineFormat,
    results: Table,
    failures: Option<Table>,
    tally: Tally,
}

impl Files {
    /// No rows yet.
    fn begin(catalog: &Arc<Catalog>, view: View, paths: &Paths) -> Result<Self, FileError> {
        let format = LineFormat::new(catalog.dialect());
        let head = format.head(catalog).map_err(|error| FileError::new(&paths.results, error.into()))?;
        let results = Table::new(&paths.results, &head)?;
        let failures = paths.failures.as_deref().map(|path| Table::new(path, &head)).transpose()?;
        let mut tally = Tally::default();
        tally.unlike.clone_from(&catalog.check().unlike);
        Ok(Self { catalog: Arc::clone(catalog), view, format, results, failures, tally })
    }

    /// The same with more rows, which are written without holding up anything else.
    async fn with(mut self, chunk: Vec<Joined>) -> Result<Self, FileError> {
        let work = spawn_blocking(move || chunk.iter().try_for_each(|joined| self.add(joined)).map(|()| self));
        work.await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()))
    }

    fn add(&mut self, joined: &Joined) -> Result<(), FileError> {
        let line = ResultLine::new(&self.catalog, joined, self.view);
        let text = self.format.line(&self.catalog, &joined.row, line.cells());
        let text = text.map_err(|error| FileError::new(&self.results.path, error.into()))?;
        self.results.write(&text)?;
        if let Some(failures) = self.failures.as_mut().filter(|_| !line.status.is_settled()) {
            failures.write(&text)?;
        }
        self.tally.add(joined, &line);
        Ok(())
    }

    /// Puts the files into their places.
    fn replace(self) -> Result<Tally, ResultsError> {
        self.results.replace()?;
        self.failures.map_or(Ok(()), Table::replace)?;
        Ok(self.tally)
    }
}
