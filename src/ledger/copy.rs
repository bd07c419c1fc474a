//! What is done with a whole ledger, whichever engine keeps it: a copy into any other, and a check.

use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::ledger::any::LedgerPlace;
use crate::ledger::contradictions::Contents;
use crate::ledger::error::LedgerError;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::tables::{PIECES, Part};
use crate::ledger::traits::ReadLedger as _;

/// Copies the ledger at `from` as it is at one moment, while others write to it, to `to`, where nothing may be yet; whether it is
/// there. The copy is there whole or not at all, and durable when this returns. A run that goes on with the ledger has died for
/// the copy: what it has in flight is in doubt there once the next run begins.
///
/// In a database that is an account without a name the only one is copied, and the copy keeps its name, or has that of its
/// API.
///
/// # Errors
/// [`LedgerError`] if one cannot be read, or the other not be made.
pub async fn copy(from: &LedgerPlace, to: &LedgerPlace) -> Result<bool, LedgerError> {
    if let (LedgerPlace::File(from), LedgerPlace::File(to)) = (from, to) {
        let Some(ledger) = SqliteLedger::open_to_read(from, None)? else { return Ok(false) };
        ledger.copy(to).await?;
        ledger.close().await;
        return Ok(true);
    }
    let (parts, received) = mpsc::channel(PIECES);
    let (sent, made) = tokio::join!(send(from, parts), receive(to, received));
    // Without a source, or all of it, there is no copy: that says why.
    if sent? { made.map(|()| true) } else { Ok(false) }
}

async fn send(from: &LedgerPlace, parts: Sender<Part>) -> Result<bool, LedgerError> {
    let is_there = match from {
        LedgerPlace::File(path) => match SqliteLedger::open_to_read(path, None)? {
            Some(ledger) => ledger.send(parts.clone()).await.map(|()| true)?,
            None => false,
        },
        LedgerPlace::Database { url, .. } => PostgresLedger::send(url, from.named_account(), &parts).await?,
    };
    if is_there {
        // Whoever makes the copy may have given up, and says why.
        let _ = parts.send(Part::Complete).await;
    }
    Ok(is_there)
}

async fn receive(to: &LedgerPlace, parts: Receiver<Part>) -> Result<(), LedgerError> {
    match to {
        LedgerPlace::File(path) => SqliteLedger::receive(path, parts).await,
        LedgerPlace::Database { url, .. } => PostgresLedger::receive(url, to.named_account(), parts).await,
    }
}

/// Makes sure that a ledger is sound and does not contradict itself, whatever its size, and counts what it holds; `None` if it
/// is not there.
///
/// # Errors
/// [`LedgerError`], damaged if it is not so.
pub async fn check(place: &LedgerPlace) -> Result<Option<Contents>, LedgerError> {
    match place {
        LedgerPlace::File(path) => {
            let Some(ledger) = SqliteLedger::open_to_read(path, None)? else { return Ok(None) };
            let found = ledger.check().await?;
            ledger.close().await;
            Ok(Some(found))
        }
        LedgerPlace::Database { url, .. } => PostgresLedger::check(url, place.named_account()).await,
    }
}
