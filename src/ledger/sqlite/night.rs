//! What the ledger tells of a night: its runs, and its submissions over time.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteLedger;
use crate::clock::UnixMillis;
use crate::domain::{MusicTaskId, Reason};
use crate::ledger::LedgerError;

/// A run over a catalog, as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Whether it submitted anything, or only followed covers.
    pub submits: bool,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended; `None` if it goes on or was killed.
    pub ended: Option<UnixMillis>,
    /// Why it did not reach all of its rows; `None` if it did, or has not ended.
    pub cut_short: Option<Reason>,
}

/// Submissions of one stretch of time that came to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sends {
    /// When the stretch begins.
    pub at: UnixMillis,
    /// What their answers meant; `None` if there were none.
    pub reason: Option<Reason>,
    /// How many.
    pub count: u64,
}

/// How often a cover was looked at, and when it will be next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Records read of it.
    pub looks: u32,
    /// When it is due, if it is followed.
    pub due_at: Option<UnixMillis>,
}

fn attention(connection: &Connection, task: &MusicTaskId) -> rusqlite::Result<Option<Attention>> {
    let mut query = connection.prepare_cached(
        "SELECT looks, due_at FROM task WHERE key = id_key(?1) AND id = ?1 AND (looks > 0 OR due_at IS NOT NULL)",
    )?;
    query
        .query_row([task.as_str()], |row| {
            Ok(Attention { looks: row.get(0)?, due_at: row.get::<_, Option<i64>>(1)?.map(UnixMillis) })
        })
        .optional()
}

impl SqliteLedger {
    /// How often the cover of a music task was looked at; `None` if there is none to look at.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub async fn attention(&self, task: &MusicTaskId) -> Result<Option<Attention>, LedgerError> {
        let task = task.clone();
        self.call(move |connection| attention(connection, &task)).await
    }

    /// The last runs over a catalog, those that only followed covers included, latest first.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub async fn last_runs(&self, catalog: &str, most: u32) -> Result<Vec<PastRun>, LedgerError> {
        let catalog = catalog.to_owned();
        self.call(move |connection| last_runs(connection, &catalog, most)).await
    }

    /// The submissions between two times, counted by stretches of time and by what they came to.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub async fn sends_between(
        &self,
        between: (UnixMillis, UnixMillis),
        stretch: Duration,
    ) -> Result<Vec<Sends>, LedgerError> {
        self.call(move |connection| sends_between(connection, between, stretch)).await
    }
}

fn last_runs(connection: &Connection, catalog: &str, most: u32) -> rusqlite::Result<Vec<PastRun>> {
    let mut query = connection.prepare_cached(
        "SELECT kind = 'run', started_at, ended_at, ended FROM run WHERE catalog = ?1 ORDER BY run DESC LIMIT ?2",
    )?;
    let runs = query.query_map(params![catalog, most], |row| {
        Ok(PastRun {
            submits: row.get(0)?,
            started: UnixMillis(row.get(1)?),
            ended: row.get::<_, Option<i64>>(2)?.map(UnixMillis),
            cut_short: row.get_ref(3)?.as_str_or_null()?.and_then(Reason::from_word),
        })
    })?;
    runs.collect()
}

fn sends_between(
    connection: &Connection,
    (from, until): (UnixMillis, UnixMillis),
    stretch: Duration,
) -> rusqlite::Result<Vec<Sends>> {
    // The answer of a row that was sent again and is still on its way belongs to the submission before.
    let mut query = connection.prepare_cached(
        "SELECT sent_at / ?3 * ?3, reason, count(*) FROM (
             SELECT sent_at, iif(state = 'in_flight', NULL, reason) AS reason FROM task WHERE sent_at BETWEEN ?1 AND ?2
             UNION ALL
             SELECT sent_at, reason FROM attempt WHERE sent_at BETWEEN ?1 AND ?2
         ) GROUP BY 1, 2 ORDER BY 1",
    )?;
    let stretch = i64::try_from(stretch.as_millis()).unwrap_or(i64::MAX).max(1);
    let sends = query.query_map(params![from.0, until.0, stretch], |row| {
        Ok(Sends {
            at: UnixMillis(row.get(0)?),
            reason: row.get_ref(1)?.as_str_or_null()?.and_then(Reason::from_word),
            count: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    sends.collect()
}
