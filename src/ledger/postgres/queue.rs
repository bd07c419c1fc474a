//! Where operations wait for the connection. One task at a time serves them: it takes all that are waiting, does them in one
//! transaction, and answers them only after the commit.
//!
//! While the server is out of reach they wait: nothing is announced then, so nothing is sent, and answers that come in
//! meanwhile are written once it is back. A transaction that broke off is begun again; what it may have committed is told from
//! what it has not by the rows themselves.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, SetOnce};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::connect::{Access, Connector};
use super::context::Context;
use super::failure::Failure;
use super::operation::Group;
use super::runs::revive;
use super::session::{Link, Session};
use crate::ledger::error::LedgerError;
use crate::policy::{Backoff, Jitter};

/// How long a transaction may take before its connection is given up. Longer than the server leaves a session alone inside a
/// transaction: nothing of the old one can be committed once the new one has begun.
const LONGEST: Duration = Duration::from_secs(30);

/// Between two attempts to reach the server.
const RECONNECT: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };

/// The connection, and what waits for it.
pub(super) struct Queue {
    location: String,
    access: Access,
    connector: Arc<Connector>,
    pub(super) context: Arc<Context>,
    /// How long the server may be out of reach.
    max_outage: Duration,
    /// Held while operations are served.
    link: AsyncMutex<Option<Arc<Link>>>,
    waiting: Mutex<Waiting>,
    /// Why nothing more is served.
    failure: SetOnce<LedgerError>,
}

#[derive(Default)]
struct Waiting {
    group: Group,
    is_served: bool,
}

impl Queue {
    pub(super) fn new(
        location: String,
        (connector, access): (Arc<Connector>, Access),
        (context, link): (Context, Arc<Link>),
        max_outage: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            location,
            access,
            connector,
            context: Arc::new(context),
            max_outage,
            link: AsyncMutex::new(Some(link)),
            waiting: Mutex::default(),
            failure: SetOnce::new(),
        })
    }

    /// Has what is added done in the next transaction; after a failure it is dropped.
    pub(super) fn submit(self: &Arc<Self>, add: impl FnOnce(&mut Group)) {
        let mut waiting = self.waiting();
        if self.failure.initialized() {
            return;
        }
        add(&mut waiting.group);
        if !std::mem::replace(&mut waiting.is_served, true) {
            drop(tokio::spawn(Arc::clone(self).serve()));
        }
    }

    /// Whether nothing has failed so far.
    pub(super) fn is_healthy(&self) -> bool {
        !self.failure.initialized()
    }

    /// Why nothing more is served, once that is so.
    pub(super) async fn failure(&self) -> LedgerError {
        self.failure.wait().await.clone()
    }

    /// Waits until all is done and lets the server go.
    pub(super) async fn close(self: Arc<Self>) {
        Arc::clone(&self).serve().await;
        drop(self.link.lock().await.take());
        self.context.locks.close().await;
    }

    /// Serves operations in groups until none is waiting or one group fails; after that nothing is served.
    async fn serve(self: Arc<Self>) {
        let mut link = self.link.lock().await;
        while let Some(group) = self.next_group() {
            let committed = tokio::spawn(Arc::clone(&self).commit(link.take(), group)).await;
            match committed.unwrap_or(Err(Failure::Panicked)) {
                Ok((open, group)) => {
                    *link = Some(open);
                    group.answer();
                }
                Err(failure) => self.fail(failure),
            }
        }
    }

    fn next_group(&self) -> Option<Group> {
        let mut waiting = self.waiting();
        let group = std::mem::take(&mut waiting.group);
        waiting.is_served = !group.is_empty();
        waiting.is_served.then_some(group)
    }

    /// Runs a group in one transaction, and again as long as the server may be out of reach. If any of it fails, none of it
    /// happened.
    async fn commit(
        self: Arc<Self>,
        mut link: Option<Arc<Link>>,
        mut group: Group,
    ) -> Result<(Arc<Link>, Group), Failure> {
        let began = self.context.clock.now();
        let mut attempt = NonZeroU32::MIN;
        loop {
            let tried = timeout(LONGEST, self.transact(link.take(), &mut group, attempt)).await;
            let failure = match tried.unwrap_or(Err(Failure::Silent)) {
                Ok(open) => {
                    if attempt > NonZeroU32::MIN {
                        info!(ledger = self.location, "the ledger is back");
                    }
                    return Ok((open, group));
                }
                Err(failure) if failure.is_lost() => failure,
                Err(failure) => return Err(failure),
            };
            self.context.note_loss();
            let lasted = self.context.clock.now().duration_since(began);
            if lasted >= self.max_outage {
                return Err(Failure::Outage { lasted, why: Box::new(failure) });
            }
            warn!(ledger = self.location, why = %failure, "the ledger is out of reach; nothing is sent meanwhile");
            sleep(RECONNECT.delay(attempt, Jitter::new(fastrand::f64()), None)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// One attempt; the connection stays open if it went well.
    async fn transact(
        &self,
        link: Option<Arc<Link>>,
        group: &mut Group,
        attempt: NonZeroU32,
    ) -> Result<Arc<Link>, Failure> {
        let link = match link {
            Some(link) => link,
            None => Link::new(self.connector.connect().await?),
        };
        let context = Arc::clone(&self.context);
        let session = Session { link: Arc::clone(&link), context, is_again: attempt > NonZeroU32::MIN };
        match (self.access, group.access()) {
            (Access::Read, _) | (_, Access::Read) => link.client().batch_execute("BEGIN READ ONLY").await?,
            (Access::Write, Access::Write) => self.begin_to_write(&session).await?,
        }
        group.run(&session).await?;
        link.client().batch_execute("COMMIT").await?;
        Ok(link)
    }

    /// Whoever writes locks the account first, so that one transaction after the other sees what the one before has done.
    async fn begin_to_write(&self, session: &Session) -> Result<(), Failure> {
        let renewed = self.context.locks.renew().await?;
        let account = self.context.account;
        let client = session.link.client();
        client.batch_execute(&format!("BEGIN; SELECT FROM account WHERE account = {account} FOR UPDATE")).await?;
        self.context.server_clock.measure(client).await?;
        match renewed {
            Some(lock) => revive(session, lock).await,
            None => Ok(()),
        }
    }

    fn fail(&self, failure: Failure) {
        let what = match self.access {
            Access::Read => "read",
            Access::Write => "write to",
        };
        let mut waiting = self.waiting();
        // Of several the first counts.
        let _ = self.failure.set(failure.at(what, &self.location));
        waiting.group = Group::default();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("location", &self.location).finish_non_exhaustive()
    }
}
