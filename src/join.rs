//! The catalog joined with the ledger: every row together with what is known of its music task.
//!
//! What the ledger knows counts. Where it knows nothing, a row of an earlier results CSV speaks for itself, so that such
//! a file continues where it stood even without its ledger. The next rows are read while those before are looked up.

mod believed;

use std::sync::Arc;

use thiserror::Error;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::catalog::{BadRow, Catalog, CatalogError, Row, Rows};
use crate::domain::MusicTaskId;
use crate::ledger::{KnownState, LedgerError, ReadLedger, Record, SubmitLedger};

pub use believed::{Trust, believed};

/// Rows that are read and looked up together: few, since all of each is kept, in the memory of several threads.
const RECORD_CHUNK: usize = 250;

/// Rows whose states alone are looked up together.
const STATE_CHUNK: usize = 1000;

/// Reading the catalog or the ledger failed.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The catalog, which could be read before.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A row and what is known of it.
#[derive(Debug)]
pub struct Joined {
    /// The row.
    pub row: Row,
    /// What is known of its music task; `None` if nothing, or if the row is invalid.
    pub record: Option<Record>,
}

/// One pass over catalog and ledger.
#[derive(Debug)]
pub struct Join<'a, L> {
    rows: Prefetch<Row>,
    ledger: Option<&'a L>,
    trust: Trust,
}

impl<'a, L: ReadLedger> Join<'a, L> {
    /// A pass from the first row; without a ledger, if there is none yet.
    ///
    /// # Errors
    /// If the catalog cannot be read any more.
    pub fn new(catalog: &Arc<Catalog>, ledger: Option<&'a L>, trust: Trust) -> Result<Self, CatalogError> {
        Ok(Self { rows: Prefetch::new(catalog.rows()?, Row::take, RECORD_CHUNK), ledger, trust })
    }

    /// The next rows, some at a time; none after the last.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn next(&mut self) -> Result<Vec<Joined>, JoinError> {
        let chunk = self.rows.next().await?;
        let tasks = valid(chunk.iter().map(|row| &row.id));
        let known = match self.ledger {
            Some(ledger) if !tasks.is_empty() => ledger.look_up(tasks).await?,
            Some(_) | None => vec![None; tasks.len()],
        };
        let mut known = known.into_iter();
        let trust = self.trust;
        let join = |row: Row| {
            let in_ledger = if row.id.is_ok() { known.next().flatten() } else { None };
            let record = in_ledger.or_else(|| row.previous.as_ref().and_then(|previous| believed(previous, trust)));
            let record = record.filter(|_| row.id.is_ok());
            Joined { row, record }
        };
        Ok(chunk.into_iter().map(join).collect())
    }

    /// What the next rows say of music tasks that the ledger does not know; `None` after the last.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn next_news(&mut self) -> Result<Option<Vec<(MusicTaskId, Record)>>, JoinError> {
        let chunk = self.rows.next().await?;
        let tasks = valid(chunk.iter().map(|row| &row.id));
        let known = match self.ledger {
            Some(ledger) if !tasks.is_empty() => ledger.states(tasks).await?,
            Some(_) | None => vec![None; tasks.len()],
        };
        let rows = chunk.iter().filter_map(|row| Some((row.id.as_ref().ok()?, row.previous.as_ref())));
        let unknown = rows.zip(known).filter(|(_, known)| known.is_none()).map(|(row, _)| row);
        let news = unknown.filter_map(|(id, previous)| Some((id.clone(), believed(previous?, self.trust)?)));
        Ok((!chunk.is_empty()).then(|| news.collect()))
    }
}

/// What a row names.
#[derive(Debug)]
pub struct RowTask {
    /// Which data row, from 1.
    pub number: u32,
    /// The music task.
    pub id: Result<MusicTaskId, BadRow>,
}

/// One pass over the names of a catalog and the ledger; an earlier run's verdicts in the catalog are not looked at.
#[derive(Debug)]
pub struct StateJoin<'a, L> {
    rows: Prefetch<RowTask>,
    ledgers: Vec<&'a L>,
}

impl<'a, L: ReadLedger> StateJoin<'a, L> {
    /// A pass from the first row. Of several ledgers the first that knows a music task counts.
    ///
    /// # Errors
    /// If the catalog cannot be read any more.
    pub fn new(catalog: &Arc<Catalog>, ledgers: Vec<&'a L>) -> Result<Self, CatalogError> {
        let rows = Prefetch::new(catalog.rows()?, |row| RowTask { number: row.number, id: row.take_id() }, STATE_CHUNK);
        Ok(Self { rows, ledgers })
    }

    /// The next rows, some at a time, each with what the ledgers know of it; none after the last.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn next(&mut self) -> Result<Vec<(RowTask, Option<KnownState>)>, JoinError> {
        let chunk = self.rows.next().await?;
        let tasks = valid(chunk.iter().map(|row| &row.id));
        let mut known = vec![None; tasks.len()];
        for ledger in &self.ledgers {
            let states = ledger.states(tasks.clone()).await?;
            known = known.into_iter().zip(states).map(|(before, state)| before.or(state)).collect();
        }
        let mut known = known.into_iter();
        let with_state = |row: RowTask| {
            let state = if row.id.is_ok() { known.next().flatten() } else { None };
            (row, state)
        };
        Ok(chunk.into_iter().map(with_state).collect())
    }
}

/// Gives the ledger `into` what earlier results say of music tasks that the ledger `known` does not know. Returns how many
/// these are.
///
/// # Errors
/// [`JoinError`]
pub async fn take_over<L: SubmitLedger>(
    results: &Arc<Catalog>,
    known: Option<&L>,
    into: &L,
    trust: Trust,
) -> Result<u64, JoinError> {
    let mut join = Join::new(results, known, trust)?;
    let mut count = 0;
    while let Some(news) = join.next_news().await? {
        if !news.is_empty() {
            count += news.len() as u64;
            into.import(news).await?;
        }
    }
    Ok(count)
}

/// Whether a ledger knows every music task that earlier results tell of.
///
/// # Errors
/// [`JoinError`]
pub async fn knows_all<L: ReadLedger>(results: &Arc<Catalog>, ledger: &L, trust: Trust) -> Result<bool, JoinError> {
    let mut join = Join::new(results, Some(ledger), trust)?;
    while let Some(news) = join.next_news().await? {
        if !news.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The music tasks of the rows that name one.
fn valid<'r>(ids: impl Iterator<Item = &'r Result<MusicTaskId, BadRow>>) -> Vec<MusicTaskId> {
    ids.filter_map(|id| id.as_ref().ok().cloned()).collect()
}

/// A pass over the rows, as far as something is taken of each.
#[derive(Debug)]
struct Prefetch<T> {
    /// The next rows on their way; `None` after the last.
    coming: Option<JoinHandle<Read<T>>>,
    take: fn(&mut Row) -> T,
    /// How many are read together.
    chunk: usize,
}

/// The rest of the rows, and what was taken of those that were read.
type Read<T> = Result<(Rows, Vec<T>), CatalogError>;

impl<T: Send + 'static> Prefetch<T> {
    /// A pass that takes something of each of these rows, `chunk` at a time.
    fn new(rows: Rows, take: fn(&mut Row) -> T, chunk: usize) -> Self {
        Self { coming: Some(spawn_blocking(move || read(rows, take, chunk))), take, chunk }
    }

    /// What was taken of the next rows; nothing after the last.
    async fn next(&mut self) -> Result<Vec<T>, CatalogError> {
        let Some(coming) = self.coming.take() else { return Ok(Vec::new()) };
        let read_ahead = coming.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()));
        let (rows, taken) = read_ahead?;
        if !taken.is_empty() {
            *self = Self::new(rows, self.take, self.chunk);
        }
        Ok(taken)
    }
}

/// Reads the next rows, and takes something of each.
fn read<T>(mut rows: Rows, take: fn(&mut Row) -> T, chunk: usize) -> Read<T> {
    let mut taken = Vec::with_capacity(chunk);
    let mut row = Row::default();
    while taken.len() < chunk && rows.next_row(&mut row)? {
        taken.push(take(&mut row));
    }
    Ok((rows, taken))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::catalog::{Catalog, CatalogOptions};

    const CHUNK: usize = 100;

    /// An open catalog of so many rows.
    fn catalog(rows: usize) -> (NamedTempFile, Catalog) {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(b"task_id,title\n").unwrap();
        (1..=rows).for_each(|row| writeln!(file, "t{row:07},words").unwrap());
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        (file, catalog)
    }

    #[tokio::test]
    async fn every_row_comes_once_and_in_its_order() {
        for rows in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let (_file, catalog) = catalog(rows);
            let mut prefetch = Prefetch::new(catalog.rows().unwrap(), Row::take, CHUNK);
            let mut read = Vec::new();
            while let Some(chunk) = Some(prefetch.next().await.unwrap()).filter(|chunk| !chunk.is_empty()) {
                read.extend(chunk);
            }
            let mut pass = catalog.rows().unwrap();
            let mut row = Row::default();
            for read in &read {
                assert!(pass.next_row(&mut row).unwrap());
                assert_eq!(*read, row);
            }
            assert_eq!(read.len(), rows);
            assert!(prefetch.next().await.unwrap().is_empty(), "there is nothing after the last");
        }
    }

    #[tokio::test]
    async fn a_catalog_that_cannot_be_read_further_is_an_error_and_no_end() {
        let (file, catalog) = catalog(20 * CHUNK);
        let text = fs::read_to_string(file.path()).unwrap();
        let middle = text.len() / 2 / 15 * 15;
        fs::write(file.path(), format!("{}\n\"{}", &text[..middle], &text[middle + 2..])).unwrap();
        let mut prefetch = Prefetch::new(catalog.rows().unwrap(), Row::take_id, CHUNK);
        let mut read = 0;
        let error = loop {
            match prefetch.next().await {
                Ok(chunk) => {
                    assert!(!chunk.is_empty(), "it ended after {read} rows");
                    read += chunk.len();
                }
                Err(error) => break error,
            }
        };
        assert!(read > 5 * CHUNK && matches!(error, CatalogError::UnclosedQuote(_)), "{read} rows: {error}");
    }
}
