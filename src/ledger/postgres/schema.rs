//! The tables, and whose they are.

use tokio_postgres::Client;

use super::failure::Failure;
use crate::ledger::error::WrongLedger;

/// Counts changes of the schema.
const SCHEMA_VERSION: i32 = 1;

/// Tables and indexes.
const SCHEMA: &str = include_str!("schema.sql");

/// What makes room for them; a role may have been given that, and not the right to make more of it.
const ROOM: &str = "CREATE SCHEMA IF NOT EXISTS coverbatch;";

/// Whoever makes the tables holds this advisory lock, "Cvbt" in hexadecimal digits; a script for people too.
const MAKING: i64 = 0x4376_6274;

/// What makes them where somebody does that by hand. A run that wants to make them meanwhile waits.
pub(super) const SCRIPT: &str = concat!(
    "BEGIN;\nSELECT pg_advisory_xact_lock(1131831924); -- as every run does that makes the tables\n\n",
    include_str!("schema.sql"),
    "\nCOMMIT;\n"
);

/// Whether there are no tables of that name yet, of whichever program.
pub(super) async fn is_absent(client: &Client) -> Result<bool, Failure> {
    let sql = "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('coverbatch'))";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// Makes the tables in a transaction, unless they are there.
pub(super) async fn create(client: &Client) -> Result<(), Failure> {
    if !is_absent(client).await? {
        return Ok(());
    }
    client.batch_execute(&format!("SELECT pg_advisory_xact_lock({MAKING})")).await?;
    // Of several processes that found nothing, the first one to get here makes them.
    if is_absent(client).await? {
        let has_room: bool =
            client.query_one("SELECT to_regnamespace('coverbatch') IS NOT NULL", &[]).await?.try_get(0)?;
        let tables = if has_room { SCHEMA.replacen(ROOM, "", 1) } else { SCHEMA.to_owned() };
        client.batch_execute(&tables).await?;
    }
    Ok(())
}

/// Refuses what is not a ledger of this version.
pub(super) async fn check(client: &Client) -> Result<(), Failure> {
    let sql = "SELECT EXISTS (SELECT FROM pg_attribute
                              WHERE attrelid = to_regclass('coverbatch.ledger') AND attname = 'version')";
    if !client.query_one(sql, &[]).await?.try_get::<_, bool>(0)? {
        return Err(WrongLedger::Foreign.into());
    }
    let row = client.query_opt("SELECT version FROM coverbatch.ledger", &[]).await?;
    let found: i32 = row.map_or(Ok(0), |row| row.try_get(0))?;
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    Err(WrongLedger::OtherVersion { found, known: SCHEMA_VERSION }.into())
}

/// The number of the account of that name, if it is there; one of another API than the one that is given is refused.
pub(super) async fn account(client: &Client, name: &str, api_url: Option<&str>) -> Result<Option<i32>, Failure> {
    let sql = "SELECT account, api_url FROM coverbatch.account WHERE name = $1";
    let Some(row) = client.query_opt(sql, &[&name]).await? else { return Ok(None) };
    let owner: String = row.try_get(1)?;
    match api_url {
        Some(asked) if asked != owner => Err(WrongLedger::OtherApi { owner, asked: asked.to_owned() }.into()),
        Some(_) | None => Ok(Some(row.try_get(0)?)),
    }
}

/// The number of the account of that name, which is made if it is not there; whether it was made.
pub(super) async fn make_account(client: &Client, name: &str, api_url: &str) -> Result<(i32, bool), Failure> {
    if let Some(known) = account(client, name, Some(api_url)).await? {
        return Ok((known, false));
    }
    let sql = "INSERT INTO coverbatch.account (name, api_url) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let is_new = client.execute(sql, &[&name, &api_url]).await? == 1;
    let account = account(client, name, Some(api_url)).await?;
    account.map(|account| (account, is_new)).ok_or(Failure::Closed)
}

/// The number of the only account.
pub(super) async fn only_account(client: &Client) -> Result<Option<i32>, Failure> {
    let rows = client.query("SELECT account, name FROM coverbatch.account ORDER BY name", &[]).await?;
    match rows.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.try_get(0)?)),
        several => {
            let names = several.iter().map(|row| row.try_get(1)).collect::<Result<Vec<String>, _>>()?;
            Err(WrongLedger::SeveralAccounts { names: names.join(", ") }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_the_tables_by_hand_holds_the_lock_of_the_runs() {
        assert!(SCRIPT.contains(&format!("pg_advisory_xact_lock({MAKING});")));
        assert!(SCHEMA.contains(ROOM));
    }
}
