//! Where operations wait for a connection, whose task takes all that are waiting, does them in one transaction, and answers them
//! only once that is durable.
//!
//! Transactions follow each other without waiting for the disk: one commits without a flush, which lets the account go, and
//! its flush comes after, on the same connection, while another does the next one. So others see rows that are not on the
//! disk yet. Nobody is told of them before they are: the log of the server is in order, so what a transaction has seen is on the
//! disk once it is there itself. What only reads, and may be beside a run, can see a row that the end of the server undoes in the
//! same moment, and that its run writes once more.
//!
//! While the server is out of reach they wait: nothing is announced then, so nothing is sent, and answers that come in
//! meanwhile are written once it is back. A transaction that broke off is begun again; what it may have committed is told from
//! what it has not by the rows themselves.

use std::fmt;
use std::future::ready;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, SetOnce, oneshot};
use tokio::time::{sleep, timeout};
use tokio::try_join;
use tracing::{info, warn};

use super::connect::{Access, Connector};
use super::counting::end_future;
use super::failure::Failure;
use super::operation::{Call, Group};
use super::runs::revive;
use super::session::{BETWEEN_LOOKS, Context, Link, Session};
use crate::ledger::error::LedgerError;
use crate::policy::{Backoff, Jitter};

/// How long a transaction may take before its connection is given up. Longer than the server leaves a session alone inside a
/// transaction: nothing of the old one can be committed once the new one has begun.
const LONGEST: Duration = Duration::from_secs(30);

/// Between two attempts to reach the server.
const RECONNECT: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };

/// Connections that take turns: while one waits for its flush, the other does what has come in meanwhile.
const CONNECTIONS: usize = 2;

/// Begins a transaction that does not wait for the disk itself.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit TO off";

/// The same for one that only claims and answers: its statements are written so that any plan of theirs is a good one.
/// Planning them anew for each group was a quarter of the work.
const BEGIN_PLANNED: &str =
    "BEGIN; SET LOCAL synchronous_commit TO off; SET LOCAL plan_cache_mode TO force_generic_plan";

/// The lock of the server that those share who answer before they lock the account, and that others hold in exclusive mode. The
/// account is its second number; this is the first ("Cvbt").
const MODES: i32 = 0x4376_6274;

/// Lets one transaction after the other write for the account, all but answers.
const LOCK: &str = "SELECT FROM account WHERE account = $1 FOR UPDATE";

/// Waits until all that is committed is on the disk, and on those of the replicas that the server waits for: a commit that does
/// so itself, of a message to nobody, which needs no table. A commit that wrote nothing would wait for nothing.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'coverbatch', '')";

/// The connections, and what waits for them.
pub(super) struct Queue {
    location: String,
    access: Access,
    connector: Arc<Connector>,
    pub(super) context: Arc<Context>,
    /// How long the server may be out of reach.
    max_outage: Duration,
    /// Held while operations are served by them.
    links: [AsyncMutex<Option<Arc<Link>>>; CONNECTIONS],
    /// Held until a transaction is committed: what comes in until then is done together in the next one.
    turn: Arc<AsyncMutex<()>>,
    waiting: Mutex<Waiting>,
    /// Why nothing more is served.
    failure: SetOnce<LedgerError>,
}

#[derive(Default)]
struct Waiting {
    group: Group,
    is_serving: [bool; CONNECTIONS],
}

impl Queue {
    pub(super) fn new(
        location: String,
        (connector, access): (Arc<Connector>, Access),
        (context, link): (Context, Arc<Link>),
        max_outage: Duration,
    ) -> Arc<Self> {
        let queue = Arc::new(Self {
            location,
            access,
            connector,
            context: Arc::new(context),
            max_outage,
            links: [AsyncMutex::new(Some(link)), AsyncMutex::default()],
            turn: Arc::default(),
            waiting: Mutex::default(),
            failure: SetOnce::new(),
        });
        if access == Access::Write {
            drop(tokio::spawn(keep_lock(Arc::downgrade(&queue))));
        }
        queue
    }

    /// Has what is added done in the next transaction; after a failure it is dropped.
    pub(super) fn submit(self: &Arc<Self>, add: impl FnOnce(&mut Group)) {
        let mut waiting = self.waiting();
        if self.failure.initialized() {
            return;
        }
        add(&mut waiting.group);
        if let Some(nth) = waiting.is_serving.iter().position(|is_serving| !is_serving) {
            waiting.is_serving[nth] = true;
            drop(tokio::spawn(Arc::clone(self).serve(nth)));
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
        for nth in 0..CONNECTIONS {
            Arc::clone(&self).serve(nth).await;
            drop(self.links[nth].lock().await.take());
        }
        self.context.locks.close().await;
    }

    /// Serves operations in groups until none is waiting or one group fails; after that nothing is served.
    async fn serve(self: Arc<Self>, nth: usize) {
        let mut link = self.links[nth].lock().await;
        loop {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let Some(group) = self.next_group(nth) else { return };
            let committed = tokio::spawn(Arc::clone(&self).commit(link.take(), group, turn)).await;
            match committed.unwrap_or(Err(Failure::Panicked)) {
                Ok((open, group)) => {
                    *link = Some(open);
                    group.answer();
                }
                Err(failure) => self.fail(failure),
            }
        }
    }

    fn next_group(&self, nth: usize) -> Option<Group> {
        let mut waiting = self.waiting();
        let group = std::mem::take(&mut waiting.group);
        waiting.is_serving[nth] = !group.is_empty();
        waiting.is_serving[nth].then_some(group)
    }

    /// Runs a group in one transaction, and again as long as the server may be out of reach. If any of it fails, none of it
    /// happened.
    async fn commit(
        self: Arc<Self>,
        mut link: Option<Arc<Link>>,
        mut group: Group,
        turn: OwnedMutexGuard<()>,
    ) -> Result<(Arc<Link>, Group), Failure> {
        let began = self.context.clock.now();
        let (mut attempt, mut turn) = (NonZeroU32::MIN, Some(turn));
        loop {
            let tried = timeout(LONGEST, self.transact(link.take(), &mut group, attempt, &mut turn)).await;
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

    /// One attempt; the connection stays open if it went well. Others have their turn once it is committed.
    async fn transact(
        &self,
        link: Option<Arc<Link>>,
        group: &mut Group,
        attempt: NonZeroU32,
        turn: &mut Option<OwnedMutexGuard<()>>,
    ) -> Result<Arc<Link>, Failure> {
        let link = match link {
            Some(link) => link,
            None => Link::new(self.connector.connect().await?),
        };
        let context = Arc::clone(&self.context);
        let (is_again, is_exclusive) = (attempt > NonZeroU32::MIN, !group.calls.is_empty());
        let mut session = Session { link: Arc::clone(&link), context, is_again, is_exclusive };
        match (self.access, group.access()) {
            (Access::Read, _) | (_, Access::Read) => group.run(&session).await?,
            (Access::Write, Access::Write) => match self.write(&session, group, turn).await {
                Err(Failure::NeedsExclusive) => {
                    session.link.client().batch_execute("ROLLBACK").await?;
                    session.is_exclusive = true;
                    self.write(&session, group, turn).await?;
                }
                done => done?,
            },
        }
        Ok(link)
    }

    /// Whoever writes locks the account, so that one transaction after the other sees what the one before has done. Only answers
    /// to what is in flight are written before if there are other runs: their rows are nobody else's, unless somebody in
    /// exclusive mode finds their run dead. That is half of the work, and is done beside that of others.
    ///
    /// Statements follow each other without waiting for answers where they can, since the account is locked meanwhile. Never
    /// all of them: a transaction whose commit is asked for after an answer has come cannot be delivered by the network
    /// after it was begun anew.
    async fn write(
        &self,
        session: &Session,
        group: &mut Group,
        turn: &mut Option<OwnedMutexGuard<()>>,
    ) -> Result<(), Failure> {
        let (context, client) = (&session.context, session.link.client());
        let was_set_back = context.server_clock.measure(client).await?;
        let renewed = context.locks.renew().await?;
        let is_exclusive = session.is_exclusive || was_set_back || renewed.is_some();
        let session = &Session { is_exclusive, ..session.clone() };
        // Prepared beforehand: what follows is not to be asked for before them.
        let (lock, flush) = (session.statement(LOCK).await?, session.statement(FLUSH).await?);
        // What a broken connection left behind may still hold the rows of these answers: the lock is waited for then.
        let is_shared = !session.is_exclusive && !session.is_again && context.others().were_there;
        let sql = begin(session, is_shared, group.calls.is_empty());
        let begin = async { Ok(client.batch_execute(&sql).await?) };
        let lock = async { session.rows_of(&lock, &[]).await.map(drop) };
        if is_shared {
            try_join!(biased; begin, group.run_shared(session, lock))?;
        } else {
            let work = async {
                if was_set_back {
                    end_future(session, session.of_server(context.clock.unix())).await?;
                }
                if let Some(lock) = renewed {
                    revive(session, lock).await?;
                }
                group.run(session).await
            };
            try_join!(biased; begin, lock, work)?;
        }
        let commit = async {
            client.batch_execute("COMMIT").await?;
            drop(turn.take());
            Ok(())
        };
        let flush = async { Ok(client.execute(&flush, &[]).await?) };
        try_join!(biased; group.announce(session), commit, flush)?;
        context.locks.note_told(renewed).await;
        if was_set_back {
            context.server_clock.note_heeded();
        }
        Ok(())
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

/// Makes an empty write soon after the session of the run's lock was lost: with any write another lock is taken. A run may have
/// nothing to write for long, as in a pause, and would be believed dead.
async fn keep_lock(queue: Weak<Queue>) {
    loop {
        sleep(BETWEEN_LOOKS).await;
        let Some(queue) = queue.upgrade().filter(|queue| queue.is_healthy()) else { return };
        if queue.context.locks.is_lost().await {
            let (reply, written) = oneshot::channel();
            let work = |_, ()| ready(Ok(()));
            let call = Call { access: Access::Write, values: (), work, result: None, reply };
            queue.submit(|group| group.calls.push(Box::new(call)));
            // It fails only together with all others, which are told.
            let _ = written.await;
        }
    }
}

/// The statements that begin a transaction: exclusive, shared, which writes before it locks the account, or neither.
fn begin(session: &Session, is_shared: bool, is_planned: bool) -> String {
    let (begin, account) = (if is_planned { BEGIN_PLANNED } else { BEGIN }, session.context.account);
    match (session.is_exclusive, is_shared) {
        (true, _) => format!("{begin}; SELECT pg_advisory_xact_lock({MODES}, {account})"),
        (false, true) => format!("{begin}; SELECT pg_advisory_xact_lock_shared({MODES}, {account})"),
        (false, false) => begin.to_owned(),
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("location", &self.location).finish_non_exhaustive()
    }
}
