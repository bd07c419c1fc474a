//! The lock by which a run is known to be alive: an advisory lock of a session of its own, which the server takes back when
//! that ends, however it ends.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::Client;

use super::connect::{Connector, server_process};
use super::failure::Failure;

/// A condition on `run`: nobody holds its lock; `recover` decides whether that proves its death. `$1` is the account.
pub(super) const IS_DEAD: &str = "
    run.account = $1 AND run.kind = 'run' AND run.ended IS NULL
    AND NOT EXISTS (SELECT FROM pg_locks
                    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                      AND ((classid::bigint << 32) | objid::bigint) = run.lock)";

/// The session that holds the lock of this process.
#[derive(Debug)]
pub(super) struct Locks {
    connector: Arc<Connector>,
    session: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    client: Option<Client>,
    key: Option<i64>,
    /// Whether others do not know of this key yet, by which they would believe the run dead.
    is_untold: bool,
}

impl Held {
    fn is_lost(&self) -> bool {
        self.key.is_some() && self.client.as_ref().is_none_or(Client::is_closed)
    }
}

impl Locks {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, session: Mutex::default() }
    }

    /// Takes a new lock instead of the one that is held; its key.
    pub(super) async fn take(&self) -> Result<i64, Failure> {
        let mut held = self.session.lock().await;
        unlock(&mut held).await?;
        self.lock(&mut held).await
    }

    /// Lets the lock go; its key, if one was held.
    pub(super) async fn release(&self) -> Result<Option<i64>, Failure> {
        let mut held = self.session.lock().await;
        let key = held.key;
        unlock(&mut held).await?;
        Ok(key)
    }

    /// Lets the lock and the session go.
    pub(super) async fn close(&self) {
        let mut held = self.session.lock().await;
        // If that fails, the session has ended already.
        let _ = unlock(&mut held).await;
        held.client = None;
    }

    /// Whether the session of the lock that is held was lost.
    pub(super) async fn is_lost(&self) -> bool {
        self.session.lock().await.is_lost()
    }

    /// Takes another lock if the session of the one that is held was lost; its key, until it is noted that others know it.
    pub(super) async fn renew(&self) -> Result<Option<i64>, Failure> {
        let mut held = self.session.lock().await;
        if held.is_lost() {
            self.lock(&mut held).await?;
            held.is_untold = true;
        }
        Ok(held.key.filter(|_| held.is_untold))
    }

    /// Notes that others know the key that was taken last, if that is this one.
    pub(super) async fn note_told(&self, key: Option<i64>) {
        let mut held = self.session.lock().await;
        held.is_untold &= held.key != key;
    }

    /// The process of the server that serves this session, which is made if it is not there.
    pub(super) async fn server_process(&self) -> Result<String, Failure> {
        let mut held = self.session.lock().await;
        server_process(self.client(&mut held).await?).await
    }

    /// Takes a lock that nobody has ever held: that of a lost session may still be held by the server.
    async fn lock(&self, held: &mut MutexGuard<'_, Held>) -> Result<i64, Failure> {
        let key = fastrand::i64(..);
        self.client(held).await?.execute("SELECT pg_advisory_lock($1)", &[&key]).await?;
        held.key = Some(key);
        Ok(key)
    }

    async fn client<'a>(&self, held: &'a mut MutexGuard<'_, Held>) -> Result<&'a Client, Failure> {
        let open = held.client.take().filter(|client| !client.is_closed());
        let client = match open {
            Some(client) => client,
            None => self.connector.connect().await?,
        };
        Ok(held.client.insert(client))
    }
}

async fn unlock(held: &mut MutexGuard<'_, Held>) -> Result<(), Failure> {
    (held.key, held.is_untold) = (None, false);
    if let Some(client) = held.client.as_ref().filter(|client| !client.is_closed()) {
        client.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    }
    Ok(())
}
