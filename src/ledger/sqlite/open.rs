//! Opening a ledger: whose file it is, of which version, and the settings that the promises rest on.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

use super::{id_key, migrate};

/// Marks a database file as a ledger of this program ("Cvbt").
const APPLICATION_ID: i32 = 0x4376_6274;

/// Counts changes of the schema.
pub(super) const SCHEMA_VERSION: i32 = 3;

/// Bytes of a page of a new ledger. Keys are in no order, so every row changes a page of their index that no other row of
/// its transaction does, and pages are written whole.
const PAGE_BYTES: i32 = 2048;

/// Pages in the write-ahead log before they are copied into the database: 64 MiB of a new ledger. A page that many
/// transactions have changed by then is copied once.
const CHECKPOINT_PAGES: i32 = 32_000;

/// Milliseconds to wait for another process that is writing.
const BUSY_MILLIS: i32 = 5000;

/// The tables of a ledger.
pub(super) const TABLES: &str = include_str!("../tables.sql");

/// Its indexes and triggers.
pub(super) const INDEXES: &str = include_str!("../indexes.sql");

/// Why a file is not a ledger to work with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Some other database.
    #[error("it is a database of another program")]
    Foreign,
    /// Written by a later version of this program.
    #[error("it was written by a newer coverbatch (schema {0}, this one knows {SCHEMA_VERSION})")]
    Newer(i32),
    /// It holds the covers of another account's API.
    #[error("it belongs to the API at {owner}, not to {asked}")]
    OtherApi {
        /// The API it was made for.
        owner: String,
        /// The API asked for.
        asked: String,
    },
    /// The file system cannot do what the promises rest on.
    #[error("the file system does not support a write-ahead log")]
    NoWal,
}

impl OpenError {
    /// What the reader can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Foreign | Self::OtherApi { .. } => "nothing was sent; name another file with --ledger",
            Self::Newer(_) => "nothing was sent; update coverbatch",
            Self::NoWal => "nothing was sent; put the ledger on a local disk with --ledger",
        }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Opens or makes the ledger at `path`.
pub(super) fn open(path: &Path, api_url: &str) -> Result<Connection, Cause> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "busy_timeout", BUSY_MILLIS)?;
    // Looked at before anything is changed: a file of another program stays as it is.
    let is_new = is_new(&connection)?;
    if !is_new {
        check(&connection, Some(api_url))?;
    }
    if is_new {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NoWal.into());
    }
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    id_key::register(&connection)?;
    if !is_new {
        migrate::to_latest(&mut connection)?;
    }
    prepare(&mut connection, is_new, api_url)?;
    Ok(connection)
}

/// Opens the ledger at `path` to read it, if it is there. Nothing in it is changed, but that one of an earlier version is
/// brought up to date.
pub(super) fn open_to_read(path: &Path, api_url: Option<&str>) -> Result<Option<Connection>, Cause> {
    // A file that does not exist, or that a killed run has made and not filled, says nothing of any row.
    if fs::metadata(path).is_ok_and(|file| file.len() == 0) || !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "busy_timeout", BUSY_MILLIS)?;
    if is_new(&connection)? {
        return Ok(None);
    }
    check(&connection, api_url)?;
    id_key::register(&connection)?;
    migrate::to_latest(&mut connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(Some(connection))
}

/// An empty ledger in memory.
pub(super) fn in_memory(api_url: &str) -> Result<Connection, Cause> {
    let mut connection = Connection::open_in_memory()?;
    id_key::register(&connection)?;
    prepare(&mut connection, true, api_url)?;
    Ok(connection)
}

/// Whether the database has no tables yet, and is not marked as another program's either.
fn is_new(connection: &Connection) -> rusqlite::Result<bool> {
    let is_empty: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(is_empty && number(connection, "application_id")? == 0)
}

/// A number in the header of the file.
fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Settings of the connection, and the schema if it is not there.
fn prepare(connection: &mut Connection, is_new: bool, api_url: &str) -> Result<(), Cause> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The words of states are our own. Comparing each with the list in the schema would be two fifths of the work of a
    // row; the check is there for other hands.
    connection.pragma_update(None, "ignore_check_constraints", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    if is_new {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(INDEXES)?;
        transaction.execute("INSERT INTO account (api_url) VALUES (?1)", [api_url])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Refuses what is not a ledger of this version for this API.
fn check(connection: &Connection, api_url: Option<&str>) -> Result<(), Cause> {
    if number(connection, "application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign.into());
    }
    let version = number(connection, "user_version")?;
    if version > SCHEMA_VERSION {
        return Err(OpenError::Newer(version).into());
    }
    let owner: String = connection.query_row("SELECT api_url FROM account", [], |row| row.get(0))?;
    match api_url {
        Some(asked) if asked != owner => Err(OpenError::OtherApi { owner, asked: asked.to_owned() }.into()),
        Some(_) | None => Ok(()),
    }
}
