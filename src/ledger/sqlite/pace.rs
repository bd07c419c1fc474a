//! The row of what all runs share of the pace, read and written inside the transaction of a claim or an answer.

use rusqlite::{Connection, params};

use super::columns::{IN_FLIGHT, time, time_if_any, unusable};
use super::failure::Failure;
use super::others::Others;
use crate::clock::UnixMillis;
use crate::domain::Reason;
use crate::ledger::run::AttemptKey;
use crate::policy::Refusal;
use crate::ratelimit::{Asking, Counted, NotYet, PauseCause, PauseChange, SharedPace, slack};

/// Lets a submission pass for the sake of the other runs, or says when to ask again.
pub(super) fn admit(
    connection: &Connection,
    others: &mut Others,
    asking: Asking,
    at: UnixMillis,
) -> Result<Result<(), NotYet>, Failure> {
    let mut pace = read(connection)?;
    let (counted, before) = (counted(connection, at.before(asking.rate.period + slack(asking.rate)))?, pace.next_at);
    let admitted = pace.admit(asking, counted, at);
    others.note_pause(pace.is_paused(at));
    if pace.next_at != before {
        let next_at = i64::try_from(pace.next_at).unwrap_or(i64::MAX);
        connection.prepare_cached("UPDATE pace SET next_at = ?1")?.execute([next_at])?;
    }
    Ok(admitted)
}

/// Submissions that count from after `since`, whoever made them.
fn counted(connection: &Connection, since: UnixMillis) -> rusqlite::Result<Counted> {
    let mut query =
        connection.prepare_cached("SELECT count(*), min(nullif(paced_at, ?2)) FROM attempt WHERE paced_at > ?1")?;
    query.query_row([since.0, IN_FLIGHT.0], |row| {
        Ok(Counted { requests: row.get::<_, i64>(0)?.unsigned_abs(), first: time_if_any(row, 1)? })
    })
}

/// Notes the submission that finds out whether the service answers again.
pub(super) fn note_probe(connection: &Connection, attempt: AttemptKey) -> rusqlite::Result<()> {
    connection.execute("UPDATE pace SET probe = ?1", [attempt.0]).map(drop)
}

/// Notes what an answer does to the pause of all runs.
pub(super) fn change_pause(connection: &Connection, change: PauseChange, at: UnixMillis) -> rusqlite::Result<()> {
    if change == PauseChange::Keep {
        return Ok(());
    }
    let mut pace = read(connection)?;
    pace.change(change, at);
    let (cause, until) = pace.pause.unzip();
    connection.execute(
        "UPDATE pace SET paused_until = ?1, refusal = ?2, reason = ?3, refusals = ?4, share = ?5, share_since = ?6",
        params![
            until.map(|until| until.0),
            cause.map(|cause| cause.refusal.word()),
            cause.map(|cause| cause.reason.word()),
            cause.map_or(0, |cause| cause.refusals),
            pace.share,
            pace.share_since.0,
        ],
    )?;
    Ok(())
}

fn read(connection: &Connection) -> rusqlite::Result<SharedPace> {
    let mut query = connection.prepare_cached(
        "SELECT next_at, paused_until, refusal, reason, refusals,
                EXISTS (SELECT 1 FROM attempt WHERE seq = probe AND attempt.reason IS NULL), share, share_since
         FROM pace",
    )?;
    query.query_row([], |row| {
        let pause = match time_if_any(row, 1)? {
            None => None,
            Some(until) => {
                let (refusal, reason) = (row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str()?);
                let refusal = Refusal::from_word(refusal).ok_or_else(|| unusable(2, "unknown refusal"))?;
                let reason = Reason::from_word(reason).ok_or_else(|| unusable(3, "unknown reason"))?;
                Some((PauseCause { refusal, reason, refusals: row.get(4)? }, until))
            }
        };
        let next_at = row.get::<_, i64>(0)?.unsigned_abs();
        Ok(SharedPace { next_at, pause, is_probing: row.get(5)?, share: row.get(6)?, share_since: time(row, 7)? })
    })
}
