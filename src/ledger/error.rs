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
            Self::Moved | Self::Damaged | Self::Busy | Self::Unavailable | Self::Unreadable | Self::Defect => false,
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
        }
    }
}
