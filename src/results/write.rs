//! Catalog and ledger joined: the rows counted, and the files written anew.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::line::ResultLine;
use super::table::Table;
use super::tally::Tally;
use super::view::View;
use crate::catalog::{Catalog, CatalogError};
use crate::domain::ResultColumn;
use crate::files::FileError;
use crate::join::{Join, JoinError, Joined};
use crate::ledger::Ledger;

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

/// The unfinished files, and the count of their rows.
struct Files {
    catalog: Arc<Catalog>,
    view: View,
    results: Table,
    failures: Option<Table>,
    tally: Tally,
}

impl Files {
    /// No rows yet.
    fn begin(catalog: &Arc<Catalog>, view: View, paths: &Paths) -> Result<Self, FileError> {
        let results = begin(catalog, &paths.results)?;
        let failures = paths.failures.as_deref().map(|path| begin(catalog, path)).transpose()?;
        Ok(Self { catalog: Arc::clone(catalog), view, results, failures, tally: Tally::default() })
    }

    /// The same with more rows, which are written without holding up anything else.
    async fn with(mut self, chunk: Vec<Joined>) -> Result<Self, FileError> {
        let work = spawn_blocking(move || chunk.iter().try_for_each(|joined| self.add(joined)).map(|()| self));
        work.await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()))
    }

    fn add(&mut self, joined: &Joined) -> Result<(), FileError> {
        let line = ResultLine::new(&self.catalog, joined, self.view);
        let fields = || line.fields(&self.catalog, &joined.row);
        self.results.write(fields())?;
        if let Some(failures) = self.failures.as_mut().filter(|_| !line.status.is_settled()) {
            failures.write(fields())?;
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

/// A new table with the header in place.
fn begin(catalog: &Catalog, path: &Path) -> Result<Table, FileError> {
    let mut table = Table::new(path, catalog.dialect())?;
    table.write(catalog.own_header().chain(ResultColumn::ALL.iter().map(|column| column.word().as_bytes())))?;
    Ok(table)
}
