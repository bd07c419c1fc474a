//! The tables of a ledger, and whose file a database is.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::Failure;
use crate::ledger::error::WrongLedger;

/// Marks a database file as a ledger of this program ("Cvbt").
const APPLICATION_ID: i32 = 0x4376_6274;

/// Counts changes of the schema.
const SCHEMA_VERSION: i32 = 1;

/// Tables and indexes.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// Whether the database has no tables yet, and is not marked as another program's either.
pub(super) fn is_absent(connection: &Connection) -> rusqlite::Result<bool> {
    let is_empty: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(is_empty && number(connection, "application_id")? == 0)
}

/// Makes the tables, unless another process has just made them.
pub(super) fn create(connection: &mut Connection, api_url: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Of several processes that found nothing, the first one to get here makes them.
    if is_absent(&transaction)? {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute("INSERT INTO account (api_url) VALUES (?1)", [api_url])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()
}

/// Refuses what is not a ledger of this version, or not for this API if one is given.
pub(super) fn check(connection: &Connection, api_url: Option<&str>) -> Result<(), Failure> {
    if number(connection, "application_id")? != APPLICATION_ID {
        return Err(WrongLedger::Foreign.into());
    }
    let found = number(connection, "user_version")?;
    if found != SCHEMA_VERSION {
        return Err(WrongLedger::OtherVersion { found, known: SCHEMA_VERSION }.into());
    }
    let owner: String = connection.query_row("SELECT api_url FROM account", [], |row| row.get(0))?;
    match api_url {
        Some(asked) if asked != owner => Err(WrongLedger::OtherApi { owner, asked: asked.to_owned() }.into()),
        Some(_) | None => Ok(()),
    }
}

/// A number in the header of the file.
fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
