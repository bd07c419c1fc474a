//! The other runs of the account: which of them are alive, and whether this one has to ask for their sake.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::alive::Locks;
use super::columns::{IN_FLIGHT, time};
use super::failure::Failure;
use super::runs::{open_run, recover};
use crate::clock::UnixMillis;
use crate::ledger::run::{AttemptKey, Begin, Begun, NewRun, RunHolder, RunId, host};

/// How often the others are looked for while there are some.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What this process knows of the others.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) locks: Locks,
    run: RunId,
    /// Submissions of theirs that were in flight when this run began.
    in_flight: Vec<AttemptKey>,
    /// What SQLite counts changes by other processes with.
    version: i64,
    /// The number of the transaction, during which nobody else writes.
    transaction: u64,
    /// What it has counted so far, if that was asked in this transaction.
    version_now: Option<i64>,
    newest: RunId,
    /// When this run has asked last.
    asked_at: UnixMillis,
    /// Whether another run was alive when it was last looked: it may have sent until it ended.
    were_alive: bool,
    looked_at: UnixMillis,
    /// Until when requests of others may count, but for the length of a window.
    there_until: UnixMillis,
    /// Whether everyone was paused when it was last looked.
    is_paused: bool,
}

impl Others {
    pub(super) const fn new(locks: Locks) -> Self {
        Self {
            locks,
            run: RunId(0),
            in_flight: Vec::new(),
            version: 0,
            transaction: 0,
            version_now: None,
            newest: RunId(0),
            asked_at: UnixMillis(i64::MIN),
            were_alive: false,
            looked_at: UnixMillis(0),
            there_until: UnixMillis(i64::MIN),
            is_paused: false,
        }
    }

    /// Opens a run, unless one is alive that writes the same results.
    pub(super) fn begin(&mut self, connection: &Connection, new: &NewRun) -> Result<Begin, Failure> {
        self.locks.release();
        recover(connection, &self.locks, new.at)?;
        end_future(connection, new.at)?;
        let results = new.results.as_deref();
        if let Some(holder) = writer_of(connection, results)? {
            return Ok(Begin::ResultsInUse(holder));
        }
        let lock = self.locks.take()?;
        let (seen, counted_until) = last_attempt(connection)?;
        self.in_flight = in_flight(connection)?;
        self.run = open_run(connection, new, "run", Some(&lock))?;
        (self.newest, self.there_until, self.asked_at) = (self.run, counted_until, new.at);
        self.were_alive = self.are_alive(connection)?;
        (self.looked_at, self.is_paused) = (UnixMillis(i64::MIN), true);
        self.forget_old_pause(connection, new.at)?;
        Ok(Begin::Begun(Begun { run: self.run, seen }))
    }

    /// A pause that is over, with nobody left who would find out whether the service answers again.
    fn forget_old_pause(&self, connection: &Connection, at: UnixMillis) -> Result<(), Failure> {
        connection.execute(
            "UPDATE pace SET paused_until = NULL
             WHERE paused_until <= ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE kind = 'run' AND ended IS NULL AND run <> ?2)",
            params![at.0, self.run.0],
        )?;
        Ok(())
    }

    /// Whether requests of other runs may count against a window that reaches back so far from `at`.
    pub(super) fn are_there(
        &mut self,
        connection: &Connection,
        at: UnixMillis,
        reach: Duration,
    ) -> Result<bool, Failure> {
        // Requests come here in the order of their times, but for moments: the clock was set back.
        if at.after(BETWEEN_LOOKS) < self.asked_at {
            end_future(connection, at)?;
            (self.looked_at, self.there_until) = (UnixMillis(i64::MIN), self.there_until.min(at));
        }
        self.asked_at = at;
        let version = self.version_now(connection)?;
        // As long as one is alive it may have something in flight, which counts, and has not written since.
        let is_due = if self.were_alive { self.looked_at.after(BETWEEN_LOOKS) <= at } else { version != self.version };
        if is_due {
            (self.version, self.looked_at) = (version, at);
            self.look(connection, at)?;
        }
        Ok(self.is_paused || self.there_until.after(reach) > at)
    }

    /// Asked for once in a transaction, and not for each row of it.
    fn version_now(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        if let Some(version) = self.version_now {
            return Ok(version);
        }
        let version = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        self.version_now = Some(version);
        Ok(version)
    }

    /// Notes the number of the transaction: others may have written since the one before.
    pub(super) const fn note_transaction(&mut self, number: u64) {
        if number != self.transaction {
            self.transaction = number;
            self.version_now = None;
        }
    }

    fn look(&mut self, connection: &Connection, at: UnixMillis) -> Result<(), Failure> {
        recover(connection, &self.locks, at)?;
        let newest = RunId(connection.query_row("SELECT coalesce(max(run), 0) FROM run", [], |row| row.get(0))?);
        let are_alive = self.are_alive(connection)?;
        if are_alive || self.were_alive || newest != self.newest {
            (self.newest, self.were_alive) = (newest, are_alive);
            // Longer than until the next look, by as much: what they send may count from a little later than `at`, which was
            // read before this request had its turn.
            self.there_until = at.after(2 * BETWEEN_LOOKS);
        }
        Ok(())
    }

    /// Whether another run than this one is open.
    fn are_alive(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM run WHERE kind = 'run' AND ended IS NULL AND run <> ?1)";
        connection.query_row(sql, [self.run.0], |row| row.get(0))
    }

    /// Notes whether everyone is paused.
    pub(super) const fn note_pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Submissions that were in flight in other runs when this one began.
    pub(super) fn in_flight_at_begin(&self) -> &[AttemptKey] {
        &self.in_flight
    }
}

/// Has nothing count from later than `at`. The clock was set back since: what seems to be still to come may have been just
/// now, and holds up nobody longer.
fn end_future(connection: &Connection, at: UnixMillis) -> rusqlite::Result<()> {
    let sql = "UPDATE attempt SET paced_at = ?1 WHERE paced_at > ?1 AND paced_at < ?2";
    connection.execute(sql, [at.0, IN_FLIGHT.0]).map(drop)
}

/// The run that is alive and writes these results, on this host.
fn writer_of(connection: &Connection, results: Option<&str>) -> rusqlite::Result<Option<RunHolder>> {
    let mut query = connection.prepare(
        "SELECT pid, host, started_at FROM run WHERE kind = 'run' AND ended IS NULL AND results = ?1 AND host = ?2",
    )?;
    let holder = query.query_row(params![results, host()], |row| {
        Ok(RunHolder { pid: row.get(0)?, host: row.get(1)?, started: time(row, 2)? })
    });
    holder.optional()
}

/// The last submission, and the last time from which one counts that is not in flight.
fn last_attempt(connection: &Connection) -> rusqlite::Result<(AttemptKey, UnixMillis)> {
    let sql = "SELECT (SELECT coalesce(max(seq), 0) FROM attempt),
                      (SELECT coalesce(max(paced_at), 0) FROM attempt WHERE paced_at < ?1)";
    connection.query_row(sql, [IN_FLIGHT.0], |row| Ok((AttemptKey(row.get(0)?), time(row, 1)?)))
}

fn in_flight(connection: &Connection) -> rusqlite::Result<Vec<AttemptKey>> {
    let mut query = connection.prepare("SELECT seq FROM attempt WHERE paced_at = ?1")?;
    query.query_map([IN_FLIGHT.0], |row| row.get(0).map(AttemptKey))?.collect()
}
