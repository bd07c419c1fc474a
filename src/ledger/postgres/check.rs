//! Whether the ledger of an account can be believed, and its server be trusted with it.
//!
//! That is done over a connection of its own, since it may take minutes.

use super::columns::value;
use super::connect::{Access, Connector, begin_long, check_settings};
use super::failure::Failure;
use super::open::find_account;
use super::place::Place;
use super::{PostgresLedger, place_at};
use crate::ledger::contradictions::{Contents, Contradiction, contradictions};
use crate::ledger::error::LedgerError;

impl PostgresLedger {
    /// Makes sure that the ledger of an account does not contradict itself, and its server keeps what it says; counts what it
    /// holds. Without a name it is that of the only account; `None` if there is none.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`PostgresLedger::open_to_read`], and damaged if it is not so.
    pub async fn check(url: &str, account: Option<&str>) -> Result<Option<Contents>, LedgerError> {
        let place = place_at(url)?;
        check(&place, account).await.map_err(|failure| failure.at("read", &place.location))
    }
}

/// Refuses an account that is not in order, without a name the only one, or a server that may forget; else counts what it
/// holds. `None` if there is none.
async fn check(place: &Place, name: Option<&str>) -> Result<Option<Contents>, Failure> {
    let connector = Connector::new(place, Access::Read)?;
    let Some((client, number)) = find_account(&connector, name, None).await? else { return Ok(None) };
    check_settings(&client).await?;
    begin_long(&client, "ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    for (sql, what) in contradictions() {
        if let Some(row) = client.query_opt(&of_account(number, &sql), &[]).await? {
            return Err(Contradiction { task: value(&row, 0)?, what }.into());
        }
    }
    let sql = "SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM attempt), (SELECT count(*) FROM run)";
    let row = client.query_one(&of_account(number, sql), &[]).await?;
    let count = |column| value(&row, column).map(i64::unsigned_abs);
    Ok(Some(Contents { music_tasks: count(0)?, submissions: count(1)?, runs: count(2)? }))
}

/// A query that sees the rows of one account only.
fn of_account(number: i32, sql: &str) -> String {
    let tables = ["task", "attempt", "run", "decision"].map(|table| {
        format!("{table} AS NOT MATERIALIZED (SELECT * FROM coverbatch.{table} WHERE account = {number})")
    });
    format!("WITH {} {sql}", tables.join(", "))
}
