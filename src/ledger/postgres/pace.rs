//! What all runs of the account share of the pace, in its row, which whoever writes has locked.

use std::time::Duration;

use tokio_postgres::Row;

use super::columns::{count, reason, time, time_if_any, unbelievable, value};
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::Rate;
use crate::ledger::run::{AttemptKey, RunId};
use crate::policy::Refusal;
use crate::ratelimit::{PauseCause, PauseChange, SharedPace, slack};

/// The pace, and what tells of other runs.
pub(super) struct Shared {
    pub(super) pace: SharedPace,
    /// The last run of all.
    pub(super) newest: RunId,
    /// Whether another run than ours is open.
    pub(super) has_others: bool,
    /// The last submission of all, of whichever account.
    pub(super) last: AttemptKey,
}

/// How far a window reaches back.
pub(super) fn reach(rate: Rate) -> Duration {
    rate.period + slack(rate)
}

pub(super) async fn read(session: &Session, ours: RunId) -> Result<Shared, Failure> {
    let sql = "SELECT next_at, paused_until, refusal, reason, refusals,
                      EXISTS (SELECT FROM attempt WHERE attempt.account = $1 AND seq = probe AND attempt.reason IS NULL),
                      coalesce((SELECT run FROM run WHERE account = $1 ORDER BY run DESC LIMIT 1), 0),
                      EXISTS (SELECT FROM run WHERE account = $1 AND kind = 'run' AND ended IS NULL AND run <> $2),
                      (SELECT last_value FROM attempt_seq_seq), share, share_since
               FROM account WHERE account = $1";
    let row = session.row(sql, &[&ours.0]).await?.ok_or_else(|| unbelievable(0, "the account is gone"))?;
    let pace = SharedPace {
        next_at: value::<i64>(&row, 0)?.unsigned_abs(),
        pause: pause(&row)?,
        is_probing: value(&row, 5)?,
        share: value(&row, 9)?,
        share_since: time(&row, 10)?,
    };
    let (newest, last) = (RunId(value(&row, 6)?), AttemptKey(value(&row, 8)?));
    Ok(Shared { pace, newest, has_others: value(&row, 7)?, last })
}

fn pause(row: &Row) -> Result<Option<(PauseCause, UnixMillis)>, Failure> {
    let Some(until) = time_if_any(row, 1)? else { return Ok(None) };
    let refusal = value::<Option<&str>>(row, 2)?.and_then(Refusal::from_word);
    let refusal = refusal.ok_or_else(|| unbelievable(2, "unknown refusal"))?;
    let reason = reason(row, 3)?.ok_or_else(|| unbelievable(3, "a pause without a reason"))?;
    Ok(Some((PauseCause { refusal, reason, refusals: count(row, 4)? }, until)))
}

/// Notes what answers do to the pause of all runs, each at a time by the clock of the server.
pub(super) async fn change_pause(session: &Session, changes: &[(PauseChange, UnixMillis)]) -> Result<(), Failure> {
    if changes.iter().all(|(change, _)| *change == PauseChange::Keep) {
        return Ok(());
    }
    let mut pace = read(session, RunId(0)).await?.pace;
    for (change, now) in changes {
        pace.change(*change, *now);
    }
    let (cause, until) = pace.pause.unzip();
    session
        .execute(
            "UPDATE account SET paused_until = $2, refusal = $3, reason = $4, refusals = $5, share = $6, share_since = $7
             WHERE account = $1",
            &[
                &until.map(|until| until.0),
                &cause.map(|cause| cause.refusal.word()),
                &cause.map(|cause| cause.reason.word()),
                &cause.map_or(0, |cause| i64::from(cause.refusals)),
                &pace.share,
                &pace.share_since.0,
            ],
        )
        .await
        .map(drop)
}

/// Forgets a pause that is over, with nobody left who would find out whether the service answers again.
pub(super) async fn forget_old_pause(session: &Session, ours: RunId, now: UnixMillis) -> Result<(), Failure> {
    let sql = "UPDATE account SET paused_until = NULL
               WHERE account = $1 AND paused_until <= $2
                 AND NOT EXISTS (SELECT FROM run WHERE account = $1 AND kind = 'run' AND ended IS NULL AND run <> $3)";
    session.execute(sql, &[&now.0, &ours.0]).await.map(drop)
}
