//! A copy of the ledger of an account: read at one moment while others write to it, or made in one transaction, so that it is
//! there whole or not at all. It has a connection of its own, since it may take minutes.

use std::io::Cursor;
use std::pin::pin;

use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_postgres::{Client, CopyInSink};

use super::columns::value;
use super::connect::{Access, Connector, begin_long};
use super::counting::checkpoint;
use super::failure::Failure;
use super::open::find_account;
use super::place::Place;
use super::session::Value;
use super::{PostgresLedger, place_at, schema};
use crate::api::account_name;
use crate::ledger::error::{LedgerError, WrongLedger};
use crate::ledger::tables::{Account, PIECE_BYTES, Part, TABLES, TASK, Table};

/// Where submissions wait until all of them are there, and the numbers of their music tasks are looked up.
const STAGE: &str = "incoming";

impl PostgresLedger {
    /// Sends what a copy of the ledger of an account takes along, as it is at one moment, while others write to it; whether it
    /// is there.
    pub(in crate::ledger) async fn send(
        url: &str,
        account: Option<&str>,
        parts: &Sender<Part>,
    ) -> Result<bool, LedgerError> {
        let place = place_at(url)?;
        send(&place, account, parts).await.map_err(|failure| failure.at("read", &place.location))
    }

    /// Makes the ledger of an account of what a copy takes along. Durable when this returns; nothing is ever replaced by it.
    pub(in crate::ledger) async fn receive(
        url: &str,
        account: Option<&str>,
        mut parts: Receiver<Part>,
    ) -> Result<(), LedgerError> {
        let place = place_at(url)?;
        receive(&place, account, &mut parts).await.map_err(|failure| failure.at("make", &place.location))
    }
}

/// Sends all that a copy of an account takes along, without a name that of the only one, as long as somebody takes it; whether
/// there is such an account.
async fn send(place: &Place, name: Option<&str>, parts: &Sender<Part>) -> Result<bool, Failure> {
    let connector = Connector::new(place, Access::Read)?;
    let Some((client, number)) = find_account(&connector, name, None).await? else { return Ok(false) };
    begin_long(&client, "ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut is_taken = parts.send(Part::Account(account(&client, number).await?)).await.is_ok();
    for table in &TABLES {
        is_taken = is_taken && send_table(&client, number, table, parts).await?;
    }
    Ok(true)
}

async fn account(client: &Client, number: i32) -> Result<Account, Failure> {
    let sql = "SELECT name, api_url, next_at, share, share_since, paused_until, refusal, reason, refusals
               FROM account WHERE account = $1";
    let row = client.query_one(sql, &[&number]).await?;
    Ok(Account {
        name: Some(value(&row, 0)?),
        api_url: value(&row, 1)?,
        next_at: value(&row, 2)?,
        share: value(&row, 3)?,
        share_since: value(&row, 4)?,
        paused_until: value(&row, 5)?,
        refusal: value(&row, 6)?,
        reason: value(&row, 7)?,
        refusals: value(&row, 8)?,
    })
}

/// Whether somebody takes the rows of a table.
async fn send_table(client: &Client, number: i32, table: &Table, parts: &Sender<Part>) -> Result<bool, Failure> {
    let query = table.query(&format!("WHERE account = {number}"));
    let mut rows = pin!(client.copy_out(&format!("COPY ({query}) TO STDOUT")).await?);
    let mut lines = Vec::new();
    while let Some(row) = rows.try_next().await? {
        lines.extend_from_slice(&row);
        if lines.len() >= PIECE_BYTES {
            // The server may end a message within a line.
            let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let rest = lines.split_off(end);
            if parts.send(Part::Lines(std::mem::replace(&mut lines, rest))).await.is_err() {
                return Ok(false);
            }
        }
    }
    Ok(parts.send(Part::Lines(lines)).await.is_ok() && parts.send(Part::EndOfTable).await.is_ok())
}

/// Makes an account of what comes, which must not be there yet; without a name it keeps the one that it has, else has that of
/// its API.
async fn receive(place: &Place, name: Option<&str>, parts: &mut Receiver<Part>) -> Result<(), Failure> {
    let Some(Part::Account(account)) = parts.recv().await else { return Err(Failure::Closed) };
    let client = Connector::new(place, Access::Write)?.connect().await?;
    begin_long(&client, "").await?;
    schema::create(&client).await?;
    schema::check(&client).await?;
    let number = make_account(&client, name, &account).await?;
    for table in &TABLES {
        receive_table(&client, number, table, parts).await?;
    }
    checkpoint(&client, number).await?;
    match parts.recv().await {
        Some(Part::Complete) => Ok(client.batch_execute("COMMIT").await?),
        Some(Part::Account(_) | Part::Lines(_) | Part::EndOfTable) | None => Err(Failure::Closed),
    }
}

async fn make_account(client: &Client, name: Option<&str>, account: &Account) -> Result<i32, Failure> {
    let Account { api_url, next_at, share, share_since, paused_until, refusal, reason, refusals, .. } = account;
    let name = name.or(account.name.as_deref()).map_or_else(|| account_name(api_url), str::to_owned);
    let sql =
        "INSERT INTO account (name, api_url, next_at, share, share_since, paused_until, refusal, reason, refusals)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING account";
    let values: [Value<'_>; 9] = [&name, api_url, next_at, share, share_since, paused_until, refusal, reason, refusals];
    let made = client.query_opt(sql, &values).await?;
    made.map_or_else(|| Err(WrongLedger::Taken { account: name }.into()), |row| value(&row, 0))
}

async fn receive_table(client: &Client, number: i32, table: &Table, parts: &mut Receiver<Part>) -> Result<(), Failure> {
    let is_staged = table.columns.contains(&TASK);
    let place = if is_staged { STAGE } else { table.name };
    let columns = table.columns.join(", ");
    if is_staged {
        make_stage(client, table).await?;
    }
    let rows = client.copy_in(&format!("COPY {place} (account, {columns}) FROM STDIN")).await?;
    receive_lines(rows, number, parts).await?;
    if is_staged { take_from_stage(client, table).await } else { Ok(()) }
}

async fn receive_lines(
    rows: CopyInSink<Cursor<Vec<u8>>>,
    number: i32,
    parts: &mut Receiver<Part>,
) -> Result<(), Failure> {
    let (mut rows, account) = (pin!(rows), format!("{number}\t"));
    loop {
        match parts.recv().await {
            Some(Part::Lines(lines)) => {
                let lines = lines.split_inclusive(|byte| *byte == b'\n');
                let lines: Vec<u8> = lines.flat_map(|line| [account.as_bytes(), line].concat()).collect();
                rows.send(Cursor::new(lines)).await?;
            }
            Some(Part::EndOfTable) => break,
            Some(Part::Account(_) | Part::Complete) | None => return Err(Failure::Closed),
        }
    }
    rows.finish().await?;
    Ok(())
}

async fn make_stage(client: &Client, table: &Table) -> Result<(), Failure> {
    let id = format!("NULL::text COLLATE \"C\" AS {TASK}");
    let columns: Vec<&str> = table.columns.iter().map(|column| if *column == TASK { &id } else { *column }).collect();
    let (name, columns) = (table.name, columns.join(", "));
    let sql = format!(
        "CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS SELECT account, {columns} FROM {name} WITH NO DATA;
         ALTER TABLE {STAGE} ADD line bigint GENERATED ALWAYS AS IDENTITY"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// A submission of a music task that is not there has no number to go by, which its table refuses.
async fn take_from_stage(client: &Client, table: &Table) -> Result<(), Failure> {
    let values = table.columns.iter().map(|column| match *column {
        TASK => "task.seq".to_owned(),
        column => format!("{STAGE}.{column}"),
    });
    let values: Vec<String> = values.collect();
    let (name, columns, values) = (table.name, table.columns.join(", "), values.join(", "));
    let sql = format!(
        "INSERT INTO {name} (account, {columns})
         SELECT {STAGE}.account, {values}
         FROM {STAGE} LEFT JOIN task ON task.account = {STAGE}.account AND task.id = {STAGE}.{TASK} ORDER BY line"
    );
    Ok(client.batch_execute(&sql).await?)
}
