//! A connection to the server, with the settings that the promises rest on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tracing::{debug, warn};

use super::failure::{BadPlace, Failure};
use super::place::Place;
use super::tls::MakeTls;
use crate::ledger::error::WrongLedger;

/// The oldest server that has all that the statements use.
const OLDEST: i32 = 140_000;

/// How long a server may take to accept a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Of every connection. A session that stands still inside a transaction holds up the account, so the server ends it; one
/// whose host is gone is ended within half a minute, which tells others that its run is dead. What has waited for a lock sees
/// what was done meanwhile, whatever isolation is usual there. Every statement is to be answered by an index, and planned for
/// the size that the tables have now: what was planned for empty ones reads all of an account for each row (260 rows/s
/// instead of thousands).
const SETTINGS: &str = "
    SET search_path TO coverbatch, pg_catalog;
    SET default_transaction_isolation TO 'read committed';
    SET idle_in_transaction_session_timeout TO '10s';
    SET idle_session_timeout TO 0;
    SET statement_timeout TO '20s';
    SET lock_timeout TO '20s';
    SET tcp_keepalives_idle TO 10;
    SET tcp_keepalives_interval TO 5;
    SET tcp_keepalives_count TO 3;
    SET client_connection_check_interval TO '5s';
    SET plan_cache_mode TO force_custom_plan;
    SET enable_seqscan TO off;
    SET enable_hashjoin TO off;
    SET enable_mergejoin TO off;
    SET enable_memoize TO off;
    SET jit TO off;
";

/// Of a transaction over all rows of an account, planned for all of them, not for a few. It may take minutes; the server finds out
/// by itself when whoever began it is gone.
const LONG: &str = "
    SET LOCAL statement_timeout TO 0;
    SET LOCAL idle_in_transaction_session_timeout TO 0;
    SET LOCAL enable_seqscan TO DEFAULT;
    SET LOCAL enable_hashjoin TO DEFAULT;
    SET LOCAL enable_mergejoin TO DEFAULT;
";

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Connector {
    config: Config,
    tls: MakeTls,
    access: Access,
    location: String,
    /// Whether it has to be said if nothing is encrypted: once, and only of another machine.
    warns_of_plain_text: AtomicBool,
}

/// What a ledger is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Only to read it.
    Read,
    /// Also to write to it.
    Write,
}

impl Connector {
    pub(super) fn new(place: &Place, access: Access) -> Result<Self, BadPlace> {
        let mut config = place.config()?;
        config.application_name("coverbatch").keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5)).keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(20)).connect_timeout(CONNECT_WAIT);
        if config.get_hosts().len() > 1 && access == Access::Write {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let warns_of_plain_text = AtomicBool::new(place.is_elsewhere());
        Ok(Self {
            config,
            tls: MakeTls::new(&place.tls)?,
            access,
            location: place.location.clone(),
            warns_of_plain_text,
        })
    }

    /// A connection that can keep the promises.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        let tls = self.tls.anew();
        let (client, is_encrypted) = match reach(&self.config, &tls).await {
            Ok(client) => (client, tls.is_used()),
            Err(refused) if self.prefers_encryption() && tls.is_used() && refused.is_of_encryption() => {
                let mut plain = self.config.clone();
                plain.ssl_mode(SslMode::Disable);
                // Of two refusals the first one is of what was asked for.
                (reach(&plain, &self.tls.anew()).await.map_err(|_| refused)?, false)
            }
            Err(failure) => return Err(failure),
        };
        if !is_encrypted && self.warns_of_plain_text.swap(false, Ordering::Relaxed) {
            warn!(
                ledger = self.location,
                "what is said to the server is not encrypted, for others on the way to read and to change; add sslmode=verify-full"
            );
        }
        check_version(&client).await?;
        client.batch_execute(SETTINGS).await?;
        match self.access {
            Access::Read => client.batch_execute("SET default_transaction_read_only TO on").await?,
            Access::Write => check_durability(&client).await?,
        }
        Ok(client)
    }

    /// As libpq has it: without encryption if the server refuses it.
    fn prefers_encryption(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Prefer
    }
}

/// A connection to the server, whose messages a task of its own reads.
async fn reach(config: &Config, tls: &MakeTls) -> Result<Client, Failure> {
    let connecting = Box::pin(config.connect(tls.clone()));
    // The limit of the configuration is one for the socket, not for what is said then.
    let connected = tokio::time::timeout(CONNECT_WAIT, connecting).await;
    let (client, connection) = connected.map_err(|_| Failure::Silent)??;
    drop(tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "a connection to the ledger has ended");
        }
    }));
    Ok(client)
}

async fn check_version(client: &Client) -> Result<(), Failure> {
    let found = client.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.try_get(0)?;
    Ok(not_too_old(found)?)
}

/// Refuses a server by its number: the version, and four digits.
const fn not_too_old(found: i32) -> Result<(), WrongLedger> {
    if found < OLDEST { Err(WrongLedger::OldServer { found: found / 10_000 }) } else { Ok(()) }
}

/// Begins a transaction over all rows of an account.
pub(super) async fn begin_long(client: &Client, mode: &str) -> Result<(), Failure> {
    Ok(client.batch_execute(&format!("BEGIN {mode}; {LONG}")).await?)
}

/// Refuses a server on which a commit may be undone, or that takes none.
async fn check_durability(client: &Client) -> Result<(), Failure> {
    let sql = "SELECT current_setting('transaction_read_only') = 'on'";
    if client.query_one(sql, &[]).await?.try_get(0)? {
        return Err(WrongLedger::ReadOnly.into());
    }
    check_settings(client).await
}

/// Refuses a server on which a commit may be undone.
pub(super) async fn check_settings(client: &Client) -> Result<(), Failure> {
    let sql = "SELECT current_setting('synchronous_commit') = 'off', current_setting('fsync') = 'off'";
    let row = client.query_one(sql, &[]).await?;
    for (column, setting) in [(0, "synchronous_commit"), (1, "fsync")] {
        if row.try_get(column)? {
            return Err(WrongLedger::NotDurable { setting }.into());
        }
    }
    Ok(())
}

/// The process of the server that serves a connection, asked without a prepared statement, which would be one of a session.
pub(super) async fn server_process(client: &Client) -> Result<String, Failure> {
    let told = client.simple_query("SELECT pg_backend_pid()").await?;
    let process = told.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { row.get(0).map(str::to_owned) } else { None }
    });
    process.ok_or(Failure::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_the_fourteenth_are_refused() {
        for (number, found) in [(90_624, 9), (100_023, 10), (130_022, 13)] {
            assert_eq!(not_too_old(number), Err(WrongLedger::OldServer { found }));
        }
        for number in [140_000, 140_019, 150_014, 180_001] {
            assert_eq!(not_too_old(number), Ok(()));
        }
    }
}
