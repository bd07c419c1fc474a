//! The default cover where a cover is missing: a release never lacks art.

use std::sync::Arc;

use thiserror::Error;

use crate::catalog::{Catalog, RowNames};
use crate::domain::RowState;
use crate::files::FileError;
use crate::images::{DefaultCover, ImageFolder, ImageName, NameWords};
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::{Ledger, LedgerError};

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
pub async fn write<L: Ledger>(
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
