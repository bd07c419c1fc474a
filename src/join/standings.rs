//! The catalog joined with as little of the ledger as a plan needs: a run cannot begin before all of it was seen.

use std::sync::Arc;

use super::{Ahead, JoinError, valid};
use crate::catalog::{BadRow, Catalog, CatalogError};
use crate::domain::MusicTaskId;
use crate::ledger::{KnownState, ReadLedger};

/// Rows that are read and looked up together.
const CHUNK: usize = 1000;

/// What a row names.
#[derive(Debug)]
pub struct Named {
    /// Which data row, from 1.
    pub number: u32,
    /// The music task.
    pub id: Result<MusicTaskId, BadRow>,
}

/// One pass over the names of a catalog and the ledger; an earlier run's verdicts in the catalog are not looked at.
#[derive(Debug)]
pub struct Standings<'a, L> {
    rows: Ahead<Named>,
    ledger: Option<&'a L>,
}

impl<'a, L: ReadLedger> Standings<'a, L> {
    /// A pass from the first row; without a ledger, if there is none yet.
    ///
    /// # Errors
    /// If the catalog cannot be read any more.
    pub fn new(catalog: &Arc<Catalog>, ledger: Option<&'a L>) -> Result<Self, CatalogError> {
        let rows = Ahead::new(catalog.rows()?, |row| Named { number: row.number, id: row.take_id() }, CHUNK);
        Ok(Self { rows, ledger })
    }

    /// The next rows, some at a time, each with what the ledger knows of it; none after the last.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn next(&mut self) -> Result<Vec<(Named, Option<KnownState>)>, JoinError> {
        let chunk = self.rows.next().await?;
        let tasks = valid(chunk.iter().map(|row| &row.id));
        let known = match self.ledger {
            Some(ledger) if !tasks.is_empty() => ledger.states(tasks).await?,
            Some(_) | None => vec![None; tasks.len()],
        };
        let mut known = known.into_iter();
        let mut of = |row: &Named| if row.id.is_ok() { known.next().flatten() } else { None };
        Ok(chunk.into_iter().map(|row| (of(&row), row)).map(|(standing, row)| (row, standing)).collect())
    }
}
