//! The covers of a catalog that a run waits for.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, RowState};
use crate::join::{Join, JoinError, Joined, Trust};
use crate::ledger::{Ledger, LedgerError, Record, SubmitLedger, Waiter};

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

/// Lets a run that `began` then wait for the covers of the catalog that were accepted and are not finished, but for those
/// that it has given up. Returns how many.
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
