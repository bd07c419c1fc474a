//! Whether somebody between deals out connections to each transaction: no lock of a session could tell then who is alive.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::alive::Locks;
use super::connect::server_process;
use super::failure::Failure;
use crate::ledger::error::WrongLedger;

/// Looks before it is believed that nobody does: what a pooler gives out next is known only for most of them.
const LOOKS: usize = 4;

/// Refuses a pooler. Two connections that are open at once have a process of the server each, always the same one.
pub(super) async fn refuse(client: &Client, locks: &Locks) -> Result<(), Failure> {
    let mut first = None;
    for _ in 0..LOOKS {
        // While a transaction keeps one process, the other connection gets another; which is given back then is the next.
        client.batch_execute("BEGIN").await.map_err(unless_refused)?;
        let seen = (server_process(client).await?, locks.server_process().await?);
        client.batch_execute("COMMIT").await?;
        let again = locks.server_process().await?;
        let changes = seen.0 == seen.1 || again != seen.1 || first.as_ref().is_some_and(|first| *first != seen);
        if changes {
            return Err(WrongLedger::Pooled.into());
        }
        first = Some(seen);
    }
    Ok(())
}

/// A pooler that deals out connections by statements knows no transactions, and hangs up on whoever begins one.
fn unless_refused(error: tokio_postgres::Error) -> Failure {
    let is_refused = error.is_closed() || error.code() == Some(&SqlState::PROTOCOL_VIOLATION);
    if is_refused { WrongLedger::Pooled.into() } else { error.into() }
}
