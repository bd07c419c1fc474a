//! The covers of a catalog: those that a run waits for, what the files of their images are called, and the default cover
//! where one is missing, so that a release never lacks art.

use std::sync::Arc;

use thiserror::Error;

use crate::catalog::{Catalog, RowNames};
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, RowState};
use crate::files::FileError;
use crate::images::{DefaultCover, ImageFolder, ImageName, NameWords};
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::{Ledger, LedgerError, ReadLedger, Waiter};

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

/// The default cover cannot be put in the place of a missing one.
#[derive(Debug, Error)]
pub enum DefaultCoverError {
    /// Catalog or ledger.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<LedgerError> for DefaultCoverError {
    fn from(error: LedgerError) -> Self {
        Self::Join(error.into())
    }
}

/// Puts a copy of the default cover wherever what is taken up of the catalog names a music task whose first image is not on
/// disk, called as that would be, and writes down where. Returns how many music tasks it stands in for.
///
/// # Errors
/// [`DefaultCoverError`]
pub async fn write_default_covers<L: Ledger>(
    (catalog, names): (&Arc<Catalog>, Option<&RowNames>),
    ledger: &L,
    trust: Trust,
    (folder, cover): (&ImageFolder, &Arc<DefaultCover>),
) -> Result<u64, DefaultCoverError> {
    let mut join = Join::new(catalog, Some(ledger), trust).map_err(JoinError::from)?;
    let mut count = 0;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        let taken_up = chunk.iter().filter(|joined| catalog.takes_up(&joined.row.id));
        let first = taken_up.filter(|joined| catalog.first_row_of(joined.row.number).is_none());
        let (names, copies_before): (Vec<ImageName>, Vec<Option<String>>) =
            first.filter_map(|joined| missing(joined, names.and_then(|names| names.of(catalog, &joined.row)))).unzip();
        count += names.len() as u64;
        let mut copies = Vec::new();
        for (name, before) in noted(ledger, names).await?.into_iter().zip(copies_before) {
            let task = name.task.clone();
            let copy = folder.write_default_cover(name, before.clone(), cover).await?;
            if before.as_ref() != Some(&copy) {
                copies.push((task, copy));
            }
        }
        if !copies.is_empty() {
            ledger.note_default_covers(copies).await?;
        }
    }
    Ok(count)
}

/// What the image of a row without a first one would be called, and what stands in for it already.
fn missing(joined: &Joined, words: Option<NameWords>) -> Option<(ImageName, Option<String>)> {
    let art = joined.record.as_ref().map(|record| &record.artwork);
    let task = joined.row.id.clone().ok()?;
    if joined.record.as_ref().is_some_and(|record| record.state == RowState::Ignored) {
        // Nobody misses its cover.
        return None;
    }
    let before = art.and_then(|art| art.fallback.clone());
    art.is_none_or(|art| art.files[0].is_none()).then_some((ImageName { task, words }, before))
}

/// What images are called by what the ledger knows: others may have these words too.
async fn noted<L: Ledger>(ledger: &L, names: Vec<ImageName>) -> Result<Vec<ImageName>, LedgerError> {
    let in_words = names.iter().filter_map(|name| Some((name.task.clone(), name.words.clone()?)));
    let mut noted = ledger.name_files(in_words.collect()).await?.into_iter();
    let with_noted = |ImageName { task, words }| ImageName { task, words: words.and_then(|_| noted.next().flatten()) };
    Ok(names.into_iter().map(with_noted).collect())
}
