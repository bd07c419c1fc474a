//! What can go wrong with the server, sorted by what helps; and with its place, before anybody is asked there.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error as ThisError;
use tokio_postgres::error::SqlState;

use crate::ledger::contradictions::Contradiction;
use crate::ledger::error::{LedgerError, LedgerErrorKind, WrongLedger};

/// What the driver says when the two sides do not agree on encryption, or one does not believe the other.
const TLS_FAILED: &str = "error performing TLS handshake";

/// Why an operation failed.
#[derive(Debug, ThisError)]
pub(super) enum Failure {
    /// The server, or the way to it, in words that leave no cause to tell.
    #[error("{}", words(.0))]
    Postgres(tokio_postgres::Error),
    /// It is not a ledger to work with.
    #[error(transparent)]
    Wrong(#[from] WrongLedger),
    /// Where it is cannot be understood, or what its place names cannot be read.
    #[error(transparent)]
    Place(#[from] BadPlace),
    /// What is settled without having been claimed would be a hole in the promise.
    #[error("a submission was to be ended that is not in flight")]
    NotInFlight,
    /// What others do at the same time stands in the way, and will not if it is begun anew in exclusive mode.
    #[error("others write for the account")]
    NeedsExclusive,
    /// A row that no statement of this program leaves.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// A value that no statement of this program leaves.
    #[error("what is written in column {column} cannot be: {why}")]
    Unbelievable {
        /// Which column of the answer.
        column: usize,
        /// Why.
        why: String,
    },
    /// Nothing came back, also no error.
    #[error("the server does not answer")]
    Silent,
    /// What a copy makes is held by that until it is whole.
    #[error("another process was making the account for {}: a copy of a ledger, unless it is stuck", crate::domain::Brief(*.lasted))]
    BeingMade {
        /// How long that was waited for.
        lasted: Duration,
    },
    /// It was out of reach for as long as the run may wait.
    #[error("the server was out of reach for {}: {why}", crate::domain::Brief(*.lasted))]
    Outage {
        /// For how long.
        lasted: Duration,
        /// What was wrong at the last attempt.
        why: Box<Failure>,
    },
    /// An operation panicked.
    #[error("a defect of this program ended the transaction")]
    Panicked,
    /// The ledger was let go.
    #[error("it is closed")]
    Closed,
}

/// Why a place cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub(super) enum BadPlace {
    /// It is no URL, or one with parameters that nobody knows.
    #[error("it is no URL of a PostgreSQL database: {0}")]
    Url(String),
    /// Whether to encrypt is unclear.
    #[error("sslmode is one of disable, prefer, require, verify-ca and verify-full, not `{0}`")]
    SslMode(String),
    /// It names a service that nobody describes.
    #[error("there is no service `{0}` in PGSERVICEFILE, ~/.pg_service.conf or the pg_service.conf of this machine")]
    NoService(String),
    /// A file that the URL or the environment names.
    #[error("cannot read `{path}`: {why}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
    /// What is in such a file.
    #[error("`{path}` holds {what}")]
    Certificates {
        /// Which file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// The words of the server, or those of the system; never the statement or its values.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(told), _) => told.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

impl Failure {
    /// The error about the ledger at `location`.
    pub(super) fn at(self, what: &'static str, location: &str) -> LedgerError {
        LedgerError { location: location.to_owned(), what, kind: self.kind(), cause: Arc::new(self) }
    }

    /// Whether the same may go well once the server is back, or by another connection.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Postgres(error) => error.code().map_or_else(|| is_of_the_way(error), is_passing),
            Self::Silent => true,
            Self::Wrong(wrong) => *wrong == WrongLedger::ReadOnly,
            Self::Place(_) | Self::NotInFlight | Self::Contradiction(_) | Self::Unbelievable { .. } => false,
            Self::NeedsExclusive => false,
            Self::Outage { .. } | Self::BeingMade { .. } | Self::Panicked | Self::Closed => false,
        }
    }

    /// Whether the server may take the same without encryption: it agrees on none, or lets nobody in with it.
    pub(super) fn is_of_encryption(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.to_string() == TLS_FAILED || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    }

    fn kind(&self) -> LedgerErrorKind {
        match self {
            Self::Postgres(error) => match error.code() {
                Some(code) => kind_of(code),
                None if error.to_string() == TLS_FAILED => LedgerErrorKind::Untrusted,
                None if is_of_the_way(error) => LedgerErrorKind::Unreachable,
                None => LedgerErrorKind::Defect,
            },
            Self::Wrong(wrong) => wrong.kind(),
            Self::Place(_) => LedgerErrorKind::BadPlace,
            Self::Contradiction(_) | Self::Unbelievable { .. } => LedgerErrorKind::Damaged,
            Self::Silent | Self::Outage { .. } => LedgerErrorKind::Unreachable,
            Self::BeingMade { .. } => LedgerErrorKind::BeingMade,
            Self::NotInFlight | Self::NeedsExclusive | Self::Panicked | Self::Closed => LedgerErrorKind::Defect,
        }
    }
}

/// Whether it is the connection that failed, and not a value that cannot be sent or read.
fn is_of_the_way(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.source().is_none_or(<dyn Error>::is::<io::Error>)
}

/// Whether it is the session or the moment that fails, and not what was asked for.
fn is_passing(code: &SqlState) -> bool {
    let is_gone = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        // An old prepared statement of a pooler, or tables that were made anew under it.
        SqlState::INVALID_SQL_STATEMENT_NAME,
    ];
    // Connections (08) and conflicts (40) by their class.
    is_gone.contains(code) || ["08", "40"].iter().any(|class| code.code().starts_with(class))
}

fn kind_of(code: &SqlState) -> LedgerErrorKind {
    if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) {
        LedgerErrorKind::Login
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        LedgerErrorKind::NoRights
    } else if *code == SqlState::INVALID_SQL_STATEMENT_NAME {
        // What was prepared in one session was asked for in another.
        LedgerErrorKind::Pooled
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        LedgerErrorKind::ReadOnly
    } else if is_passing(code) || *code == SqlState::INVALID_CATALOG_NAME {
        LedgerErrorKind::Unreachable
    } else if ["22", "23", "42"].iter().any(|class| code.code().starts_with(class)) {
        // Values, constraints and names that do not fit: somebody has changed the tables or what is in them.
        LedgerErrorKind::Damaged
    } else {
        LedgerErrorKind::Unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_sorted_by_what_helps() {
        use LedgerErrorKind::{Damaged, Login, NoRights, Pooled, ReadOnly, Unavailable, Unreachable};
        for (code, kind, is_passed) in [
            (SqlState::INVALID_PASSWORD, Login, false),
            (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, Login, false),
            (SqlState::INSUFFICIENT_PRIVILEGE, NoRights, false),
            (SqlState::INVALID_SQL_STATEMENT_NAME, Pooled, true),
            (SqlState::READ_ONLY_SQL_TRANSACTION, ReadOnly, true),
            (SqlState::ADMIN_SHUTDOWN, Unreachable, true),
            (SqlState::TOO_MANY_CONNECTIONS, Unreachable, true),
            (SqlState::CONNECTION_FAILURE, Unreachable, true),
            (SqlState::T_R_DEADLOCK_DETECTED, Unreachable, true),
            (SqlState::INVALID_CATALOG_NAME, Unreachable, false),
            (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, Damaged, false),
            (SqlState::UNIQUE_VIOLATION, Damaged, false),
            (SqlState::UNDEFINED_TABLE, Damaged, false),
            (SqlState::DISK_FULL, Unavailable, false),
            (SqlState::INTERNAL_ERROR, Unavailable, false),
        ] {
            assert_eq!(kind_of(&code), kind, "{code:?}");
            assert_eq!(is_passing(&code), is_passed, "{code:?}");
        }
    }
}
