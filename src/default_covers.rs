//! The default cover where a cover is missing: a release never lacks art.

use std::sync::Arc;

use thiserror::Error;

use crate::catalog::Catalog;
use crate::domain::MusicTaskId;
use crate::files::FileError;
use crate::images::{DefaultCover, ImageFolder};
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::{LedgerError, SubmitLedger};

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

/// Puts a copy of the default cover wherever what is taken up of the catalog names a music task whose first image is not on disk, and
/// writes down where. Returns how many music tasks it stands in for.
///
/// # Errors
/// [`StandInError`]
pub async fn stand_in<L: SubmitLedger>(
    catalog: &Arc<Catalog>,
    ledger: &L,
    trust: Trust,
    (folder, cover): (&ImageFolder, &Arc<DefaultCover>),
) -> Result<u64, StandInError> {
    let mut join = Join::new(catalog, Some(ledger), trust).map_err(JoinError::from)?;
    let mut count = 0;
    while let Some(chunk) = Some(join.next().await?).filter(|chunk| !chunk.is_empty()) {
        let mut copies = Vec::new();
        let taken_up = chunk.iter().filter(|joined| catalog.takes_up(&joined.row.id));
        for (task, before) in taken_up.filter_map(missing) {
            count += 1;
            let name = folder.stand_in(&task, cover).await?;
            if before.as_ref() != Some(&name) {
                copies.push((task, name));
            }
        }
        if !copies.is_empty() {
            ledger.note_default_covers(copies).await?;
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
