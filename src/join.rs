//! The catalog joined with the ledger: every row together with what is known of its music task.
//!
//! What the ledger knows counts. Where it knows nothing, a row of an earlier results CSV speaks for itself, so that such
//! a file continues where it stood even without its ledger. The stand-in service's word is worth nothing to a real
//! account, so rows that it wrote are not believed there.

mod ahead;
mod standings;

use std::sync::Arc;

use thiserror::Error;

use crate::catalog::{BadRow, Catalog, CatalogError, Earlier, Row};
use crate::domain::{Answer, Images, MusicTaskId, RowState, Status};
use crate::ledger::{Artwork, IMAGES_LAST, LedgerError, ReadLedger, Record};
use crate::policy::REJECTED_RUNS;

use ahead::Ahead;

pub use standings::{Named, Standings};

/// Rows that are read and looked up together: few, since all of each is kept, in the memory of several threads.
const CHUNK: usize = 250;

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
    rows: Ahead<Row>,
    ledger: Option<&'a L>,
    trust: Trust,
}

impl<'a, L: ReadLedger> Join<'a, L> {
    /// A pass from the first row; without a ledger, if there is none yet.
    ///
    /// # Errors
    /// If the catalog cannot be read any more.
    pub fn new(catalog: &Arc<Catalog>, ledger: Option<&'a L>, trust: Trust) -> Result<Self, CatalogError> {
        Ok(Self { rows: Ahead::new(catalog.rows()?, Row::take, CHUNK), ledger, trust })
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
            let record = in_ledger.or_else(|| row.earlier.as_ref().and_then(|earlier| believed(earlier, trust)));
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

/// The music tasks of the rows that name one.
fn valid<'r>(ids: impl Iterator<Item = &'r Result<MusicTaskId, BadRow>>) -> Vec<MusicTaskId> {
    ids.filter_map(|id| id.as_ref().ok().cloned()).collect()
}

/// What a row of an earlier results CSV says of its music task, if that is worth keeping.
fn believed(earlier: &Earlier, trust: Trust) -> Option<Record> {
    let state = match earlier.status {
        Status::Submitted => RowState::Submitted,
        Status::Exists => RowState::Exists,
        Status::Failed => RowState::Failed,
        Status::GaveUp => RowState::GaveUp,
        Status::InDoubt => RowState::InDoubt,
        Status::Completed => RowState::Completed,
        Status::GenerationFailed => RowState::GenerationFailed,
        Status::Pending if earlier.attempts > 0 => RowState::Pending,
        Status::Pending | Status::Invalid => return None,
    };
    if trust == Trust::Real && is_of_the_stand_in(earlier) {
        return None;
    }
    // The file does not say in how many runs a row was rejected, but whether that was the last one.
    let failed_runs = match (state, earlier.retryable) {
        (RowState::Failed | RowState::GenerationFailed, Some(false)) => REJECTED_RUNS,
        (RowState::Failed | RowState::GenerationFailed, _) => 1,
        (_, _) => 0,
    };
    Some(Record {
        state,
        reason: earlier.reason,
        answer: Answer { http_status: earlier.http_status, code: earlier.code, message: earlier.message.clone() },
        cover: earlier.cover.clone(),
        submissions: earlier.attempts,
        failed_runs,
        first_sent_at: earlier.first_sent_at,
        finished_at: earlier.finished_at,
        artwork: artwork(earlier),
    })
}

/// Whether the stand-in service wrote a row: by its word, or by images on this machine itself.
fn is_of_the_stand_in(earlier: &Earlier) -> bool {
    let images = earlier.images.as_ref().map_or(&[][..], Images::urls);
    earlier.message.ends_with(STAND_IN) || images.iter().any(|url| url.starts_with(STAND_IN_IMAGES))
}

/// What a row of an earlier results CSV says of the images.
fn artwork(earlier: &Earlier) -> Artwork {
    let [first, second] = earlier.files.clone();
    let (files, fallback) = if earlier.is_fallback { ([None, None], first) } else { ([first, second], None) };
    let completed_at = earlier.expires_at.map(|expires| expires.before(IMAGES_LAST));
    Artwork { images: earlier.images.clone(), completed_at, files, fallback }
}
