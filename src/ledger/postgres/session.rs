//! What operations work with: a connection inside a transaction, for one account, with statements that are prepared once; and
//! what all operations of one ledger have in common.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::alive::Locks;
use super::failure::Failure;
use super::server_clock::ServerClock;
use crate::clock::{Clock, UnixMillis};
use crate::ledger::run::{AttemptKey, RunId};

/// How long after the loss of a connection, or the start of the server, nobody is believed dead: what cut this process off
/// may have cut off others. Must be longer than the longest silence of a run that is alive, once the server is back:
/// [`BETWEEN_LOOKS`], a wait between two attempts to reach the server, and an attempt.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// Between two looks whether the lock of the run is held still.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// The value of a parameter.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// A connection, and the statements that it has prepared.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
}

impl Link {
    pub(super) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self { client, statements: Mutex::default() })
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }
}

/// What an operation works with.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) link: Arc<Link>,
    pub(super) context: Arc<Context>,
    /// Whether the same was begun before and broke off, so that it may have been committed.
    pub(super) is_again: bool,
    /// Whether nobody else writes for the account in any way: its lock is held in exclusive mode.
    pub(super) is_exclusive: bool,
}

impl Session {
    /// The rows that a statement gives; in all of them `$1` is the account, and `values` follow.
    pub(super) async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        self.rows_of(&self.statement(sql).await?, values).await
    }

    /// The same for a statement that is prepared: asked for as soon as this is polled.
    pub(super) async fn rows_of(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        Ok(self.link.client.query(statement, &self.with_account(values)).await?)
    }

    /// The same for a statement that gives one row or none.
    pub(super) async fn row(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<Row>, Failure> {
        Ok(self.rows(sql, values).await?.pop())
    }

    /// Runs a statement that changes rows; how many.
    pub(super) async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        let statement = self.statement(sql).await?;
        Ok(self.link.client.execute(&statement, &self.with_account(values)).await?)
    }

    /// A time of this process, by the clock of the server.
    pub(super) fn of_server(&self, at: UnixMillis) -> UnixMillis {
        self.context.server_clock.of_server(at)
    }

    fn with_account<'a>(&'a self, values: &[Value<'a>]) -> Vec<Value<'a>> {
        let account: Value<'_> = &self.context.account;
        [account].into_iter().chain(values.iter().copied()).collect()
    }

    /// A statement, prepared if it was not before.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, Failure> {
        let known = self.link.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.link.client.prepare(sql).await?;
        let mut statements = self.link.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// The account, and what this process knows of it.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) account: i32,
    pub(super) locks: Locks,
    pub(super) clock: Clock,
    pub(super) server_clock: ServerClock,
    others: Mutex<Others>,
    lost_at: Mutex<Option<Instant>>,
}

/// What is known of the other runs; times are those of the server.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) run: RunId,
    /// Submissions of theirs that were in flight when this run began.
    pub(super) in_flight: Vec<AttemptKey>,
    /// How many submissions counted against the limit when they were counted last, and which was the last one then.
    pub(super) counted: Option<(u64, AttemptKey)>,
    /// How many more are announced before a checkpoint is made.
    pub(super) until_checkpoint: u64,
    pub(super) newest: RunId,
    /// Whether another run was open when it was last looked: it may have sent until it ended.
    pub(super) were_there: bool,
    pub(super) looked_at: UnixMillis,
    /// Until when requests of others may count, but for the length of a window.
    pub(super) there_until: UnixMillis,
}

impl Context {
    pub(super) fn new(account: i32, locks: Locks) -> Self {
        let (run, newest, in_flight) = (RunId(0), RunId(0), Vec::new());
        let [looked_at, there_until] = [UnixMillis(i64::MIN); 2];
        let (counted, until_checkpoint, were_there) = (None, 0, false);
        let others = Others { run, in_flight, counted, until_checkpoint, newest, were_there, looked_at, there_until };
        let clock = Clock::start();
        let server_clock = ServerClock::new(clock);
        Self { account, locks, clock, server_clock, others: Mutex::new(others), lost_at: Mutex::default() }
    }

    pub(super) fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the connection was lost.
    pub(super) fn note_loss(&self) {
        *self.lost_at() = Some(self.clock.now());
    }

    /// Whether the locks of others tell who is alive.
    pub(super) fn trusts_locks(&self) -> bool {
        self.lost_at().is_none_or(|lost| self.clock.now().duration_since(lost) > GRACE)
    }

    fn lost_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.lost_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
