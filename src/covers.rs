//! The covers of a catalog: which of them are waited for, and what stands in for those that are missing.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::catalog::Catalog;
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, RowState};
use crate::files::FileError;
use crate::images::{DefaultCover, Store};
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::{Ledger, LedgerError, Record, SubmitLedger, Waiter};
use thiserror::Error;

/// The default cover cannot be put in the place of a missing one.
#[derive(Debug, Error)]
pub enum StandInError {
    /// Catalog or ledger.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<LedgerError> for StandInError {
    fn from(error: LedgerError) -> Self {
        Self::Join(error.into())
    }
}

/// Gives the ledger what only the rows of an earlier results CSV knew, if there is anything.
///
/// # Errors
/// [`LedgerError`]
pub async fn import<L: SubmitLedger>(ledger: &L, chunk: &[Joined]) -> Result<(), LedgerError> {
    let news: Vec<(MusicTaskId, Record)> = chunk.iter().filter_map(importable).collect();
    if news.is_empty() { Ok(()) } else { ledger.import(news).await }
}

/// What the ledger is to take over from a row.
fn importable(joined: &Joined) -> Option<(MusicTaskId, Record)> {
    let record = joined.record.clone().filter(|_| joined.from_row)?;
    Some((joined.row.id.clone().ok()?, record))
}

/// Lets a run wait for the covers of the catalog that were accepted and are not finished, but for those that were looked
/// at since it `began`. Returns how many.
///
/// # Errors
/// [`JoinError`]
pub async fn take_up<L: Ledger>(
    catalog: &Arc<Catalog>,
    ledger: &L,
    trust: Trust,
    waiter: Waiter,
    began: UnixMillis,
) -> Result<u64, JoinError> {
    let mut join = Join::new(catalog, Some(ledger), trust)?;
    let mut count = 0;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        import(ledger, &chunk).await?;
        let tasks: Vec<MusicTaskId> = chunk.iter().filter_map(followable).collect();
        if !tasks.is_empty() {
            count += ledger.watch(waiter, tasks, began).await?;
        }
    }
    Ok(count)
}

/// The music task of a row whose cover may be worth following; the ledger knows better.
fn followable(joined: &Joined) -> Option<MusicTaskId> {
    let record = joined.record.as_ref()?;
    let is_accepted = matches!(record.state, RowState::Submitted | RowState::Exists | RowState::Completed);
    (is_accepted && record.cover.is_some() && !record.artwork.is_on_disk()).then(|| joined.row.id.clone().ok())?
}

/// Puts a copy of the default cover wherever the catalog names a music task whose first image is not on disk, and
/// writes down where. Returns how many music tasks it stands in for.
///
/// # Errors
/// [`StandInError`]
pub async fn stand_in<L: SubmitLedger>(
    catalog: &Arc<Catalog>,
    ledger: &L,
    trust: Trust,
    (store, cover): (&Store, &Arc<DefaultCover>),
) -> Result<u64, StandInError> {
    let mut join = Join::new(catalog, Some(ledger), trust).map_err(JoinError::from)?;
    let mut count = 0;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        let missing: Vec<(MusicTaskId, Option<String>)> = chunk.iter().filter_map(missing).collect();
        count += u64::try_from(missing.len()).unwrap_or(u64::MAX);
        let (store, cover) = (store.clone(), Arc::clone(cover));
        let copied = spawn_blocking(move || copies(missing, &store, &cover)).await;
        let news = copied.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))?;
        if !news.is_empty() {
            ledger.note_default_covers(news).await?;
        }
    }
    Ok(count)
}

/// The music task of a row without a first image, and what stands in for it already.
fn missing(joined: &Joined) -> Option<(MusicTaskId, Option<String>)> {
    let art = joined.record.as_ref().map(|record| &record.artwork);
    let task = joined.row.id.clone().ok()?;
    art.is_none_or(|art| art.files[0].is_none()).then(|| (task, art.and_then(|art| art.fallback.clone())))
}

/// Copies the default cover to where it is missing; the names that are new.
fn copies(
    missing: Vec<(MusicTaskId, Option<String>)>,
    store: &Store,
    cover: &DefaultCover,
) -> Result<Vec<(MusicTaskId, String)>, FileError> {
    let mut news = Vec::new();
    for (task, before) in missing {
        let name = store.stand_in(&task, cover)?;
        if before.as_ref() != Some(&name) {
            news.push((task, name));
        }
    }
    Ok(news)
}
