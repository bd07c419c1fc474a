//! The catalog joined with the ledger: every row together with what is known of its music task.
//!
//! What the ledger knows counts. Where it knows nothing, a row of an earlier results CSV speaks for itself, so that such
//! a file continues where it stood even without its ledger. The stand-in service's word is worth nothing to a real
//! account, so rows that it wrote are not believed there.

mod prefetch;

use std::sync::Arc;

use thiserror::Error;

use crate::catalog::{BadRow, Catalog, CatalogError, PreviousResult, Row};
use crate::domain::{Answer, Images, MusicTaskId, RowState, Status};
use crate::ledger::{Artwork, IMAGES_LAST, KnownState, LedgerError, ReadLedger, Record};
use crate::policy::REJECTED_RUNS;

use prefetch::Prefetch;

/// Rows that are read and looked up together: few, since all of each is kept, in the memory of several threads.
const RECORD_CHUNK: usize = 250;

/// Rows whose states alone are looked up together.
const STATE_CHUNK: usize = 1000;

/// The word that the stand-in service puts into everything it says of a cover.
const STAND_IN: &str = "(sandbox)";

/// How the images of the stand-in service begin.
const STAND_IN_IMAGES: &str = "http://127.0.0.1:";

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

/// Whether the verdicts in a results CSV are believed where the ledger knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// All of them.
    All,
    /// All but those that come from the stand-in service.
    Real,
}

/// A row and what is known of it.
#[derive(Debug)]
pub struct Joined {
    /// The row.
    pub row: Row,
    /// What is known of its music task; `None` if nothing, or if the row is invalid.
    pub record: Option<Record>,
    /// Whether that comes from the row itself and not from the ledger.
    pub from_row: bool,
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
        let mut known = self.look_up(&chunk).await?.into_iter();
        let trust = self.trust;
        let join = |row: Row| {
            let in_ledger = if row.id.is_ok() { known.next().flatten() } else { None };
            let from_row = in_ledger.is_none();
            let record = in_ledger.or_else(|| row.previous.as_ref().and_then(|previous| believed(previous, trust)));
            let record = record.filter(|_| row.id.is_ok());
            Joined { from_row: from_row && record.is_some(), row, record }
        };
        Ok(chunk.into_iter().map(join).collect())
    }

    /// What the ledger knows of each valid row.
    async fn look_up(&self, chunk: &[Row]) -> Result<Vec<Option<Record>>, LedgerError> {
        let tasks = valid(chunk.iter().map(|row| &row.id));
        match self.ledger {
            Some(ledger) if !tasks.is_empty() => ledger.look_up(tasks).await,
            Some(_) | None => Ok(vec![None; tasks.len()]),
        }
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
    ledger: Option<&'a L>,
}

impl<'a, L: ReadLedger> StateJoin<'a, L> {
    /// A pass from the first row; without a ledger, if there is none yet.
    ///
    /// # Errors
    /// If the catalog cannot be read any more.
    pub fn new(catalog: &Arc<Catalog>, ledger: Option<&'a L>) -> Result<Self, CatalogError> {
        let rows = Prefetch::new(catalog.rows()?, |row| RowTask { number: row.number, id: row.take_id() }, STATE_CHUNK);
        Ok(Self { rows, ledger })
    }

    /// The next rows, some at a time, each with what the ledger knows of it; none after the last.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn next(&mut self) -> Result<Vec<(RowTask, Option<KnownState>)>, JoinError> {
        let chunk = self.rows.next().await?;
        let tasks = valid(chunk.iter().map(|row| &row.id));
        let known = match self.ledger {
            Some(ledger) if !tasks.is_empty() => ledger.states(tasks).await?,
            Some(_) | None => vec![None; tasks.len()],
        };
        let mut known = known.into_iter();
        let mut of = |row: &RowTask| if row.id.is_ok() { known.next().flatten() } else { None };
        Ok(chunk.into_iter().map(|row| (of(&row), row)).map(|(standing, row)| (row, standing)).collect())
    }
}

/// The music tasks of the rows that name one.
fn valid<'r>(ids: impl Iterator<Item = &'r Result<MusicTaskId, BadRow>>) -> Vec<MusicTaskId> {
    ids.filter_map(|id| id.as_ref().ok().cloned()).collect()
}

/// What a row of an earlier results CSV says of its music task, if that is worth keeping.
fn believed(previous: &PreviousResult, trust: Trust) -> Option<Record> {
    let state = match previous.status {
        Status::Submitted => RowState::Submitted,
        Status::Exists => RowState::Exists,
        Status::Failed => RowState::Failed,
        Status::GaveUp => RowState::GaveUp,
        Status::InDoubt => RowState::InDoubt,
        Status::Completed => RowState::Completed,
        Status::GenerationFailed => RowState::GenerationFailed,
        Status::Pending if previous.attempts > 0 => RowState::Pending,
        Status::Pending | Status::Invalid => return None,
    };
    if trust == Trust::Real && is_of_the_stand_in(previous) {
        return None;
    }
    // The file does not say in how many runs a row was rejected, but whether that was the last one.
    let failed_runs = match (state, previous.retryable) {
        (RowState::Failed | RowState::GenerationFailed, Some(false)) => REJECTED_RUNS,
        (RowState::Failed | RowState::GenerationFailed, _) => 1,
        (_, _) => 0,
    };
    Some(Record {
        state,
        reason: previous.reason,
        answer: Answer { http_status: previous.http_status, code: previous.code, message: previous.message.clone() },
        cover: previous.cover.clone(),
        submissions: previous.attempts,
        failed_runs,
        first_sent_at: previous.first_sent_at,
        finished_at: previous.finished_at,
        artwork: artwork(previous),
    })
}

/// Whether the stand-in service wrote a row: by its word, or by images on this machine itself.
fn is_of_the_stand_in(previous: &PreviousResult) -> bool {
    let images = previous.images.as_ref().map_or(&[][..], Images::urls);
    previous.message.ends_with(STAND_IN) || images.iter().any(|url| url.starts_with(STAND_IN_IMAGES))
}

/// What a row of an earlier results CSV says of the images.
fn artwork(previous: &PreviousResult) -> Artwork {
    let [first, second] = previous.files.clone();
    let (files, fallback) = if previous.is_fallback { ([None, None], first) } else { ([first, second], None) };
    let completed_at = previous.expires_at.map(|expires| expires.before(IMAGES_LAST));
    Artwork { images: previous.images.clone(), completed_at, files, fallback, is_forgotten: false }
}
