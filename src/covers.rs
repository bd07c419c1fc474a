//! The covers of a catalog: those that a run waits for, and what the files of their images are called.

use std::sync::Arc;

use crate::catalog::{Catalog, RowNames};
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, RowState};
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::{Ledger, ReadLedger, Waiter};

/// Lets a run wait from `at` on for the covers of what is taken up of the catalog that were accepted and are not finished, but
/// for those that it has given up, or waits for no longer. Returns how many.
///
/// # Errors
/// [`JoinError`]
pub async fn take_up<L: Ledger>(
    catalog: &Arc<Catalog>,
    ledger: &L,
    trust: Trust,
    waiter: Waiter,
    at: UnixMillis,
) -> Result<u64, JoinError> {
    let mut join = Join::new(catalog, Some(ledger), trust)?;
    let mut count = 0;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        let tasks: Vec<MusicTaskId> = followable(catalog, &chunk, waiter.wants_files).collect();
        if !tasks.is_empty() {
            count += ledger.watch(waiter, tasks, at).await?;
        }
    }
    Ok(count)
}

/// Whether any cover of what is taken up of the catalog was accepted and is not finished, so that it can be worth to
/// [`take_up`] more; whether it was given up is not asked.
///
/// # Errors
/// [`JoinError`]
pub async fn is_any_left<L: ReadLedger>(
    catalog: &Arc<Catalog>,
    ledger: &L,
    trust: Trust,
    waiter: Waiter,
) -> Result<bool, JoinError> {
    let mut join = Join::new(catalog, Some(ledger), trust)?;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        if followable(catalog, &chunk, waiter.wants_files).next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes what the files of the catalog's images are called from now on. Of rows that repeat an id, the first counts.
///
/// # Errors
/// [`JoinError`]
pub async fn name_files<L: Ledger>(catalog: &Arc<Catalog>, ledger: &L, names: &RowNames) -> Result<(), JoinError> {
    // Nothing is looked up for that.
    let mut rows = Join::new(catalog, None::<&L>, Trust::All)?;
    while let Some(chunk) = Some(rows.next().await?).filter(|chunk| !chunk.is_empty()) {
        let taken_up = chunk.iter().filter(|joined| catalog.takes_up(&joined.row.id));
        let first = taken_up.filter(|joined| catalog.first_row_of(joined.row.number).is_none());
        let wanted = first.filter_map(|Joined { row, .. }| Some((row.id.clone().ok()?, names.of(catalog, row)?)));
        let wanted: Vec<_> = wanted.collect();
        if !wanted.is_empty() {
            ledger.name_files(wanted).await?;
        }
    }
    Ok(())
}

/// The music tasks whose covers may be worth following; the ledger knows better.
fn followable(catalog: &Catalog, chunk: &[Joined], wants_files: bool) -> impl Iterator<Item = MusicTaskId> {
    let taken_up = chunk.iter().filter(|joined| catalog.takes_up(&joined.row.id));
    taken_up.filter_map(move |joined| {
        let record = joined.record.as_ref()?;
        let is_accepted = matches!(record.state, RowState::Submitted | RowState::Exists);
        let lacks_files = wants_files && record.state == RowState::Completed;
        ((is_accepted || lacks_files) && record.cover.is_some() && !record.artwork.is_on_disk())
            .then(|| joined.row.id.clone().ok())?
    })
}
