//! Catalog and ledger joined: the rows counted, and the files written anew, each as a whole or not at all.

use std::io::{self, BufWriter, IntoInnerError, Write as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::format::{JsonFormat, LineFormat};
use super::line::{ResultLine, View};
use super::tally::Tally;
use crate::catalog::{Catalog, CatalogError};
use crate::files::{FileError, Replacement};
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
    #[error("the catalog had {0} rows and now has {1}; the results were not written")]
    RowCount(u64, u64),
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
    /// How their rows are written.
    pub format: Format,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// As a CSV that is written as the catalog is.
    #[default]
    Csv,
    /// As JSON objects, one on a line.
    Json,
}

/// The same for one catalog.
enum RowFormat {
    Csv(Box<LineFormat>),
    Json(JsonFormat),
}

impl RowFormat {
    fn new(format: Format, catalog: &Catalog) -> Self {
        match format {
            Format::Csv => Self::Csv(Box::new(LineFormat::new(catalog.dialect()))),
            Format::Json => Self::Json(JsonFormat::new(catalog)),
        }
    }

    /// What comes before the first row.
    fn head(&self, catalog: &Catalog) -> io::Result<Vec<u8>> {
        match self {
            Self::Csv(csv) => csv.head(catalog).map_err(io::Error::other),
            Self::Json(_) => Ok(Vec::new()),
        }
    }

    fn line(&self, catalog: &Catalog, joined: &Joined, line: &ResultLine) -> io::Result<Vec<u8>> {
        match self {
            Self::Csv(csv) => csv.line(catalog, &joined.row, line.cells()).map_err(io::Error::other),
            Self::Json(json) => json.line(catalog, &joined.row, line).map_err(io::Error::other),
        }
    }
}

/// Counts the rows of the catalog as the results would show them, into a `tally` of none; writes nothing.
///
/// # Errors
/// [`ResultsError`]
pub async fn count<L: Ledger>(
    catalog: &Arc<Catalog>,
    ledger: Option<&L>,
    view: View,
    mut tally: Tally,
) -> Result<Tally, ResultsError> {
    let mut join = Join::new(catalog, ledger, view.trust)?;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        for joined in &chunk {
            tally.add(catalog, joined, &ResultLine::new(catalog, joined, view));
        }
    }
    Ok(tally)
}

/// Writes the files anew and counts their rows, into a `tally` of none.
///
/// # Errors
/// [`ResultsError`]. One file that cannot be written does not keep the other from being written.
pub async fn write<L: Ledger>(
    catalog: &Arc<Catalog>,
    ledger: Option<&L>,
    view: View,
    (paths, tally): (&Paths, Tally),
) -> Result<Tally, ResultsError> {
    let mut files = Files::begin(catalog, view, paths, tally)?;
    let mut join = Join::new(catalog, ledger, view.trust)?;
    let mut chunk = join.next().await?;
    while !chunk.is_empty() {
        // The next rows are looked up while these are written.
        let (added, next) = tokio::join!(files.with(chunk), join.next());
        (files, chunk) = (added, next?);
    }
    catalog.unchanged()?;
    let (expected, found) = (u64::from(catalog.check().rows), files.tally.rows + files.tally.others);
    if expected != found {
        return Err(ResultsError::RowCount(expected, found));
    }
    spawn_blocking(move || files.commit()).await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()))
}

/// The unfinished files, and the count of their rows. What fails of one is kept until the other is in its place.
struct Files {
    catalog: Arc<Catalog>,
    view: View,
    format: RowFormat,
    results: Result<Table, FileError>,
    failures: Option<Result<Table, FileError>>,
    tally: Tally,
}

impl Files {
    /// No rows yet.
    fn begin(catalog: &Arc<Catalog>, view: View, paths: &Paths, mut tally: Tally) -> Result<Self, FileError> {
        let format = RowFormat::new(paths.format, catalog);
        let head = format.head(catalog).map_err(|error| FileError::new(&paths.results, error))?;
        let results = Table::new(&paths.results, &head);
        let failures = paths.failures.as_deref().map(|path| Table::new(path, &head));
        tally.unlike = catalog.check().unlike.clone().filter(|_| !catalog.is_confined());
        Ok(Self { catalog: Arc::clone(catalog), view, format, results, failures, tally })
    }

    /// The same with more rows, which are written without holding up anything else.
    async fn with(mut self, chunk: Vec<Joined>) -> Self {
        let work = spawn_blocking(move || {
            for joined in &chunk {
                self.add(joined);
            }
            self
        });
        work.await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()))
    }

    fn add(&mut self, joined: &Joined) {
        let line = ResultLine::new(&self.catalog, joined, self.view);
        let text = self.format.line(&self.catalog, joined, &line);
        let failures = self.failures.as_mut().filter(|_| !line.status.is_settled());
        for file in [Some(&mut self.results), failures].into_iter().flatten() {
            let Ok(table) = file else { continue };
            let written = match &text {
                Ok(text) => table.write(text),
                Err(error) => Err(FileError::new(&table.path, io::Error::other(error.to_string()))),
            };
            if let Err(error) = written {
                *file = Err(error);
            }
        }
        self.tally.add(&self.catalog, joined, &line);
    }

    /// Puts the files into their places.
    fn commit(self) -> Result<Tally, ResultsError> {
        let results = self.results.and_then(Table::commit);
        let failures = self.failures.map_or(Ok(()), |failures| failures.and_then(Table::commit));
        results.and(failures)?;
        Ok(self.tally)
    }
}

/// An unfinished CSV file.
struct Table {
    path: PathBuf,
    file: BufWriter<Replacement>,
}

impl Table {
    /// A file for `path` that begins with `head`.
    fn new(path: &Path, head: &[u8]) -> Result<Self, FileError> {
        let file = BufWriter::new(Replacement::begin(path)?);
        let mut table = Self { path: path.to_owned(), file };
        table.write(head)?;
        Ok(table)
    }

    fn write(&mut self, line: &[u8]) -> Result<(), FileError> {
        self.file.write_all(line).map_err(|cause| FileError::new(&self.path, cause))
    }

    /// Puts the file into its place. Durable when this returns.
    fn commit(self) -> Result<(), FileError> {
        let Self { path, file } = self;
        file.into_inner().map_err(IntoInnerError::into_error).map_err(|cause| FileError::new(path, cause))?.commit()
    }
}
