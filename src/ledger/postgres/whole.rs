//! What is done with all of an account at once, over a connection of its own: it may take minutes.

use tokio::sync::mpsc::{Receiver, Sender};

use super::{PostgresLedger, check, copy, place_at};
use crate::ledger::error::LedgerError;
use crate::ledger::history::Contents;
use crate::ledger::tables::Part;

impl PostgresLedger {
    /// Makes sure that the ledger of an account does not contradict itself, and its server keeps what it says; counts what it
    /// holds. Without a name it is that of the only account; `None` if there is none.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`PostgresLedger::open_to_read`], and damaged if it is not so.
    pub async fn check(url: &str, account: Option<&str>) -> Result<Option<Contents>, LedgerError> {
        let place = place_at(url)?;
        check::check(&place, account).await.map_err(|failure| failure.at("read", &place.location))
    }

    /// Sends what a copy of the ledger of an account takes along, as it is at one moment, while others write to it; whether it
    /// is there.
    pub(in crate::ledger) async fn send(
        url: &str,
        account: Option<&str>,
        parts: &Sender<Part>,
    ) -> Result<bool, LedgerError> {
        let place = place_at(url)?;
        copy::send(&place, account, parts).await.map_err(|failure| failure.at("read", &place.location))
    }

    /// Makes the ledger of an account of what a copy takes along. Durable when this returns; nothing is ever replaced by it.
    pub(in crate::ledger) async fn receive(
        url: &str,
        account: Option<&str>,
        mut parts: Receiver<Part>,
    ) -> Result<(), LedgerError> {
        let place = place_at(url)?;
        copy::receive(&place, account, &mut parts).await.map_err(|failure| failure.at("make", &place.location))
    }
}
