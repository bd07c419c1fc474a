//! A connection as operations use it: inside a transaction, for one account, with statements that are prepared once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::context::Context;
use super::failure::Failure;
use crate::clock::UnixMillis;

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
