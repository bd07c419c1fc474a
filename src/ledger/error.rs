//! Why a ledger cannot be worked with.

use std::error::Error as StdError;
use std::sync::Arc;

use thiserror::Error;

/// A durable read or write failed, or the ledger is not one to write to.
#[derive(Debug, Clone, Error)]
#[error("cannot {what} the ledger `{location}`")]
pub struct LedgerError {
    /// Where the ledger is, as its user names it.
    pub location: String,
    /// What could not be done.
    pub what: &'static str,
    /// What kind of trouble it is.
    pub kind: LedgerErrorKind,
    /// Why.
    #[source]
    pub cause: Arc<dyn StdError + Send + Sync>,
}

/// What can be wrong with a ledger, as far as that decides what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerErrorKind {
    /// Its contents are broken, as far as can be told.
    Damaged,
    /// It is a database of another program.
    Foreign,
    /// Another version of this program wrote it.
    OtherVersion,
    /// It belongs to another API.
    OtherApi,
    /// It has names that do not share one log.
    SeveralNames,
    /// It lost its name while it was in use.
    Moved,
    /// It is kept where the promises cannot be held.
    Unsuitable,
    /// Another process kept it locked for too long.
    Busy,
    /// It is out of reach: a full disk, an I/O error, missing rights.
    Unavailable,
    /// Its place is no place: a URL that cannot be understood, or files that cannot be read.
    BadPlace,
    /// Its server is out of reach.
    Unreachable,
    /// Its server does not show that it is the one, or does not encrypt.
    Untrusted,
    /// Its server does not know this user, or not with this password.
    Login,
    /// This user may not do what has to be done.
    NoRights,
    /// Its server takes no writes.
    ReadOnly,
    /// Its server tells of commits that a loss of power would undo.
    NotDurable,
    /// Somebody between deals out connections to each transaction.
    Pooled,
    /// Its server is too old.
    OldServer,
    /// It holds several accounts, and none was named.
    SeveralAccounts,
    /// It was to be made, and is there.
    Taken,
    /// Another process is making it.
    BeingMade,
    /// It was only to be read, and that could not be done.
    Unreadable,
    /// A defect of this program.
    Defect,
}

impl LedgerErrorKind {
    /// Whether the ledger is in order and only not the one that was meant.
    #[must_use]
    pub const fn is_wrong_ledger(self) -> bool {
        match self {
            Self::Foreign | Self::OtherVersion | Self::OtherApi | Self::SeveralNames | Self::Unsuitable => true,
            Self::BadPlace | Self::Untrusted | Self::Login | Self::NoRights | Self::ReadOnly | Self::NotDurable => true,
            Self::Pooled | Self::OldServer | Self::SeveralAccounts | Self::Taken => true,
            Self::Moved | Self::Damaged | Self::Busy | Self::Unavailable | Self::Unreadable | Self::Defect => false,
            Self::Unreachable | Self::BeingMade => false,
        }
    }

    /// What the reader can do about it; `None` if the ledger itself is not the trouble.
    #[must_use]
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Foreign => Some("nothing was sent; name another file with --ledger"),
            Self::OtherApi => Some("nothing was sent; name another one with --account or --ledger"),
            Self::OtherVersion => Some(
                "nothing was sent; use the coverbatch that wrote it, or name a new ledger with --ledger: what is settled in \
                 the results that are there is not sent again",
            ),
            Self::SeveralNames => Some(
                "nothing was sent; remove the other names with `rm`, which leaves the ledger: a second name is no copy of it",
            ),
            Self::Moved => Some(
                "nothing more was sent; put it back under its name before the next run, or leave it to that to take over \
                 what the results hold: what is settled there is not sent again",
            ),
            Self::Unsuitable => Some("nothing was sent; put the ledger on a local disk with --ledger"),
            Self::Damaged => Some(
                "nothing more was sent; put back a copy of the ledger, or name a new one with --ledger: what is settled in \
                 the results that are there is not sent again",
            ),
            Self::Unreadable => Some("nothing was changed; ask again, or as the user that the runs have"),
            Self::BadPlace => {
                Some("name it as postgres://USER@HOST:PORT/DATABASE, with sslmode and sslrootcert behind a `?`")
            }
            Self::Unreachable => Some(
                "nothing more was sent; see with `psql` and the same URL whether the server can be reached from here, and \
                 run again: what is settled is not sent again",
            ),
            Self::Untrusted => Some(
                "nothing was sent; name the authority that vouches for the server with sslrootcert, and the server as its \
                 certificate does; sslmode says how much of that is asked for",
            ),
            Self::Login => Some(
                "nothing was sent; the user is the one of the URL, the password that of PGPASSWORD or of the file \
                 ~/.pgpass (PGPASSFILE)",
            ),
            Self::NoRights => Some(
                "nothing was sent; let the owner of the database run the SQL that `coverbatch ledger schema postgres` prints, \
                 and grant the rights that it names",
            ),
            Self::ReadOnly => Some("nothing was sent; name the primary server, which takes writes"),
            Self::NotDurable => Some(
                "nothing was sent; let the setting be `on`, for example by `ALTER ROLE … SET synchronous_commit = on`",
            ),
            Self::Pooled => Some("nothing was sent; name the server itself, or a pooler in session mode"),
            Self::OldServer => Some("nothing was sent; use PostgreSQL 14 or a later one"),
            Self::SeveralAccounts => Some("name one of them with --account"),
            Self::Taken => Some("name another account for the copy with --as, or another database"),
            Self::BeingMade => Some(
                "nothing was sent; run again once `coverbatch ledger copy` has ended: what is settled in the copy is not sent again",
            ),
            Self::Busy | Self::Unavailable | Self::Defect => None,
        }
    }
}

/// Why a sound database is not a ledger to work with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum WrongLedger {
    /// Some other database.
    #[error("it is a database of another program")]
    Foreign,
    /// It has another schema.
    #[error("it was written by another version of coverbatch (schema {found}, this one knows {known})")]
    OtherVersion {
        /// The version in the ledger.
        found: i32,
        /// The version of this program.
        known: i32,
    },
    /// It holds the covers of another account's API.
    #[error("it belongs to the API at {owner}, not to {asked}")]
    OtherApi {
        /// The API it was made for.
        owner: String,
        /// The API asked for.
        asked: String,
    },
    /// SQLite keeps a log for each name.
    #[error("it has {links} names, not all of them in its folder or each with a log of its own")]
    SeveralNames {
        /// How many.
        links: u64,
    },
    /// The file system cannot do what the promises rest on.
    #[error("the file system does not support a write-ahead log")]
    NoWriteAheadLog,
    /// Its server takes no writes.
    #[error("the server takes no writes: it is a standby, or set to read only")]
    ReadOnly,
    /// Its server tells of commits that a loss of power would undo.
    #[error("the server tells of commits before they are on its disk: {setting} is off")]
    NotDurable {
        /// Which setting is off.
        setting: &'static str,
    },
    /// Somebody between deals out connections to each transaction.
    #[error("a pooler deals out its connections by transactions, so that no run can be known to be alive")]
    Pooled,
    /// Its server is too old.
    #[error("the server is PostgreSQL {found}")]
    OldServer {
        /// Its version.
        found: i32,
    },
    /// It holds several accounts, and none was named.
    #[error("it holds several accounts: {names}")]
    SeveralAccounts {
        /// Which.
        names: String,
    },
    /// A copy was to make an account that is there.
    #[error("it holds the account {account} already, and a copy replaces nothing")]
    Taken {
        /// Which.
        account: String,
    },
}

impl WrongLedger {
    /// What kind of trouble it is.
    pub(super) const fn kind(&self) -> LedgerErrorKind {
        match self {
            Self::Foreign => LedgerErrorKind::Foreign,
            Self::OtherVersion { .. } => LedgerErrorKind::OtherVersion,
            Self::OtherApi { .. } => LedgerErrorKind::OtherApi,
            Self::SeveralNames { .. } => LedgerErrorKind::SeveralNames,
            Self::NoWriteAheadLog => LedgerErrorKind::Unsuitable,
            Self::ReadOnly => LedgerErrorKind::ReadOnly,
            Self::NotDurable { .. } => LedgerErrorKind::NotDurable,
            Self::Pooled => LedgerErrorKind::Pooled,
            Self::OldServer { .. } => LedgerErrorKind::OldServer,
            Self::SeveralAccounts { .. } => LedgerErrorKind::SeveralAccounts,
            Self::Taken { .. } => LedgerErrorKind::Taken,
        }
    }
}
