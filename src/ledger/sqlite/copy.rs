//! A copy of a ledger as it is at one moment, while others write to it: from a file or into one.
//!
//! The copy is made under another name and gets its own once it is whole and synchronised.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement, params, params_from_iter};
use tokio::sync::mpsc::{Receiver, Sender};

use super::columns::unusable;
use super::failure::Failure;
use super::schema;
use crate::files::{AtomicFile, folder_of, remove_abandoned};
use crate::ledger::error::{LedgerError, LedgerErrorKind};
use crate::ledger::tables::{Account, PIECE_BYTES, Part, TABLES, TASK, Table, end_line, fields, push_field};

/// How the names of unfinished copies begin.
const TEMP_PREFIX: &str = ".coverbatch-copy-";

/// Memory for pages of a copy that is filled row by row: ids are in no order, so their index is written all over.
const CACHE_PAGES: i32 = 8 << 10;

/// Makes the copy `to` of a file, unless something is there. Durable when this returns.
pub(super) fn copy(connection: &Connection, to: &Path) -> Result<(), LedgerError> {
    make(to, |path| {
        let mut copy = connect(path)?;
        // All pages in one step: between two of them a writer would have the copy begin anew.
        Ok(Backup::new(connection, &mut copy)?.run_to_completion(i32::MAX, Duration::ZERO, None)?)
    })
}

/// Makes the copy `to` of what comes, unless something is there. Durable when this returns.
pub(super) fn receive(to: &Path, mut parts: Receiver<Part>) -> Result<(), LedgerError> {
    make(to, |path| fill(path, &mut parts))
}

fn make(to: &Path, write: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), LedgerError> {
    let unwritten = |cause: io::Error| LedgerError {
        location: to.display().to_string(),
        what: "make",
        kind: LedgerErrorKind::Unavailable,
        cause: Arc::new(cause),
    };
    remove_abandoned(folder_of(to), TEMP_PREFIX);
    let file = AtomicFile::within(folder_of(to), TEMP_PREFIX).map_err(unwritten)?;
    write(file.path()).map_err(|failure| failure.at("make", to))?;
    file.commit_noclobber(to).map_err(unwritten)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let copy = Connection::open(path)?;
    // Nobody sees it before it is whole and synchronised.
    copy.pragma_update(None, "journal_mode", "off")?;
    copy.pragma_update(None, "synchronous", "off")?;
    Ok(copy)
}

fn fill(path: &Path, parts: &mut Receiver<Part>) -> Result<(), Failure> {
    let Some(Part::Account(account)) = parts.blocking_recv() else { return Err(Failure::Closed) };
    let mut copy = connect(path)?;
    copy.pragma_update(None, "cache_size", CACHE_PAGES)?;
    schema::create(&mut copy, &account.api_url)?;
    let transaction = copy.transaction()?;
    transaction.execute(
        "UPDATE pace SET next_at = ?1, share = ?2, share_since = ?3, paused_until = ?4, refusal = ?5, reason = ?6,
                         refusals = ?7",
        params![
            account.next_at,
            account.share,
            account.share_since,
            account.paused_until,
            account.refusal,
            account.reason,
            account.refusals
        ],
    )?;
    TABLES.iter().try_for_each(|table| fill_table(&transaction, table, parts))?;
    match parts.blocking_recv() {
        Some(Part::Complete) => Ok(transaction.commit()?),
        Some(Part::Account(_) | Part::Lines(_) | Part::EndOfTable) | None => Err(Failure::Closed),
    }
}

fn fill_table(copy: &Connection, table: &Table, parts: &mut Receiver<Part>) -> Result<(), Failure> {
    let columns = table.columns.iter().zip(1..);
    let values = columns.map(|(column, number)| match *column {
        TASK => format!("(SELECT seq FROM task WHERE id = ?{number})"),
        _ => format!("?{number}"),
    });
    let values: Vec<String> = values.collect();
    let (name, columns) = (table.name, table.columns.join(", "));
    let mut insert = copy.prepare(&format!("INSERT INTO {name} ({columns}) VALUES ({})", values.join(", ")))?;
    loop {
        match parts.blocking_recv() {
            Some(Part::Lines(lines)) => insert_lines(&mut insert, &lines)?,
            Some(Part::EndOfTable) => return Ok(()),
            Some(Part::Account(_) | Part::Complete) | None => return Err(Failure::Closed),
        }
    }
}

/// A number may come as its text: the tables are strict, and take what can be one.
fn insert_lines(insert: &mut Statement<'_>, lines: &[u8]) -> Result<(), Failure> {
    let lines = str::from_utf8(lines).map_err(|bad| unusable(0, bad))?;
    for line in lines.lines() {
        insert.execute(params_from_iter(fields(line).map(|field| field.map(Cow::into_owned))))?;
    }
    Ok(())
}

/// Sends all that a copy takes along, as long as somebody takes it.
pub(super) fn send(connection: &Connection, parts: &Sender<Part>) -> Result<(), Failure> {
    let sql = "SELECT api_url, next_at, share, share_since, paused_until, refusal, reason, refusals FROM account, pace";
    let account = connection.query_row(sql, [], |row| {
        Ok(Account {
            name: None,
            api_url: row.get(0)?,
            next_at: row.get(1)?,
            share: row.get(2)?,
            share_since: row.get(3)?,
            paused_until: row.get(4)?,
            refusal: row.get(5)?,
            reason: row.get(6)?,
            refusals: row.get(7)?,
        })
    })?;
    let mut is_taken = parts.blocking_send(Part::Account(account)).is_ok();
    for table in &TABLES {
        is_taken = is_taken && send_table(connection, table, parts)?;
    }
    Ok(())
}

/// Whether somebody takes the rows of a table.
fn send_table(connection: &Connection, table: &Table, parts: &Sender<Part>) -> Result<bool, Failure> {
    let mut query = connection.prepare(&table.query(""))?;
    let (mut rows, mut lines) = (query.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        for column in 0..table.columns.len() {
            push_value(&mut lines, column, row.get_ref(column)?)?;
        }
        end_line(&mut lines);
        if lines.len() >= PIECE_BYTES && parts.blocking_send(Part::Lines(std::mem::take(&mut lines))).is_err() {
            return Ok(false);
        }
    }
    Ok(parts.blocking_send(Part::Lines(lines)).is_ok() && parts.blocking_send(Part::EndOfTable).is_ok())
}

fn push_value(line: &mut Vec<u8>, column: usize, value: ValueRef<'_>) -> Result<(), Failure> {
    match value {
        ValueRef::Null => push_field(line, None),
        ValueRef::Integer(number) => push_field(line, Some(&number.to_string())),
        ValueRef::Text(text) => push_field(line, Some(str::from_utf8(text).map_err(|bad| unusable(column, bad))?)),
        ValueRef::Real(_) | ValueRef::Blob(_) => return Err(unusable(column, "neither a number nor a text").into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::ledger::sqlite::open;

    #[test]
    fn a_long_table_is_sent_whole_in_few_pieces() {
        const ROWS: usize = 50_000;
        let connection = open::in_memory("https://api.example").unwrap();
        let fill = "INSERT INTO task (id, state, submissions)
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                    SELECT 'n' || i, 'pending', 0 FROM n";
        connection.execute(fill, [i64::try_from(ROWS).unwrap()]).unwrap();
        let (parts, mut sent) = mpsc::channel(2 * ROWS);
        send(&connection, &parts).unwrap();
        drop(parts);
        let mut pieces = Vec::new();
        while let Some(part) = sent.blocking_recv() {
            if let Part::Lines(lines) = part {
                pieces.push(lines);
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        assert_eq!(str::from_utf8(&pieces.concat()).unwrap().lines().count(), ROWS);
        assert!(pieces.len() > 2);
        assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() >= PIECE_BYTES));
    }
}
