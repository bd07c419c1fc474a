//! Opening a ledger: who is there, whether that can keep the promises, and whose rows are meant.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tracing::warn;

use super::alive::Locks;
use super::connect::{Access, Connector, server_process};
use super::failure::Failure;
use super::place::Place;
use super::queue::Queue;
use super::schema;
use super::session::{Context, Link};
use crate::clock::Clock;
use crate::ledger::error::WrongLedger;

/// Looks before it is believed that no pooler is between: what one gives out next is known only for most of them.
const LOOKS: usize = 4;

/// Whose ledger is opened, and what is done where none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// That of the account of this name for this API; one is made.
    Make(&'a str, &'a str),
    /// That of the account of this name, else of the only one, and for this API if one is given; nothing is done.
    There(Option<&'a str>, Option<&'a str>),
}

/// Opens the ledger of an account, or makes it; whether it was made.
pub(super) async fn open(
    place: &Place,
    wanted: Wanted<'_>,
    max_outage: Duration,
) -> Result<Option<(Arc<Queue>, bool)>, Failure> {
    let connector = Arc::new(Connector::new(place, Access::Write)?);
    let client = connector.connect().await?;
    let locks = Locks::new(Arc::clone(&connector));
    refuse_pooler(&client, &locks).await?;
    let found = match wanted {
        Wanted::Make(name, api_url) => Some(make(&client, place, (name, api_url), max_outage).await?),
        Wanted::There(name, api_url) => account_there(&client, name, api_url).await?.map(|account| (account, false)),
    };
    Ok(found.map(|(account, is_new)| {
        let parts = (Context::new(account, locks), Link::new(client));
        let queue = Queue::new(place.location.clone(), (connector, Access::Write), parts, max_outage);
        (queue, is_new)
    }))
}

/// The number of an account, which is made if it is not there, and the tables with it; whether it was. What a copy makes is
/// held by that until it is whole: a run that began beside it would know nothing of what is settled there.
async fn make(
    client: &Client,
    place: &Place,
    (name, api_url): (&str, &str),
    max_outage: Duration,
) -> Result<(i32, bool), Failure> {
    let clock = Clock::start();
    let mut is_told = false;
    loop {
        match try_to_make(client, name, api_url).await {
            Err(Failure::Postgres(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                client.batch_execute("ROLLBACK").await?;
                let lasted = clock.elapsed();
                if lasted >= max_outage {
                    return Err(Failure::BeingMade { lasted });
                }
                if !std::mem::replace(&mut is_told, true) {
                    warn!(
                        ledger = place.location,
                        account = name,
                        "another process is making the account; waiting for that"
                    );
                }
            }
            made => return made,
        }
    }
}

async fn try_to_make(client: &Client, name: &str, api_url: &str) -> Result<(i32, bool), Failure> {
    client.batch_execute("BEGIN; SET LOCAL lock_timeout TO '2s'").await?;
    schema::create(client).await?;
    schema::check(client).await?;
    let made = schema::make_account(client, name, api_url).await?;
    client.batch_execute("COMMIT").await?;
    Ok(made)
}

/// Opens the ledger of an account to read it; without a name that of the only one.
pub(super) async fn open_to_read(
    place: &Place,
    name: Option<&str>,
    api_url: Option<&str>,
) -> Result<Option<Arc<Queue>>, Failure> {
    let connector = Arc::new(Connector::new(place, Access::Read)?);
    let found = find_account(&connector, name, api_url).await?;
    Ok(found.map(|(client, account)| {
        let locks = Locks::new(Arc::clone(&connector));
        let parts = (Context::new(account, locks), Link::new(client));
        Queue::new(place.location.clone(), (connector, Access::Read), parts, Duration::ZERO)
    }))
}

/// The number of an account, if it is there, and a connection to its server; without a name that of the only one.
pub(super) async fn find_account(
    connector: &Connector,
    name: Option<&str>,
    api_url: Option<&str>,
) -> Result<Option<(Client, i32)>, Failure> {
    let client = connector.connect().await?;
    let account = account_there(&client, name, api_url).await?;
    Ok(account.map(|account| (client, account)))
}

async fn account_there(client: &Client, name: Option<&str>, api_url: Option<&str>) -> Result<Option<i32>, Failure> {
    if schema::is_absent(client).await? {
        return Ok(None);
    }
    schema::check(client).await?;
    match name {
        Some(name) => schema::account(client, name, api_url).await,
        None => schema::only_account(client).await,
    }
}

/// Refuses somebody between who deals out connections to each transaction: no lock of a session could tell then who is alive.
/// Two connections that are open at once have a process of the server each, always the same one.
async fn refuse_pooler(client: &Client, locks: &Locks) -> Result<(), Failure> {
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
