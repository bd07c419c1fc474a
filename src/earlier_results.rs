//! What earlier results tell of music tasks that the ledger does not know.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::join::{Join, JoinError, Trust};
use crate::ledger::{ReadLedger, SubmitLedger};

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
