//! What all runs of the account share of the pace, in its row, which whoever writes has locked.

use std::time::Duration;

use tokio_postgres::Row;

use super::columns::{count, reason, time, time_if_any, unbelievable, value};
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::Rate;
use crate::ledger::keys::{AttemptKey, RunId};
use crate::policy::Refusal;
use crate::ratelimit::{Counted, PauseCause, PauseChange, SharedPace, slack};

/// From when the limit counts a submission in flight: it leaves no window before it is answered.
pub(super) const IN_FLIGHT: UnixMillis = UnixMillis(i64::MAX);

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
                      EXISTS (SELECT FROM attempt WHERE seq = probe AND attempt.reason IS NULL),
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

/// The same as [`counted`], or more than that as long as it is far below the limit.
///
/// At a limit of thousands, counting them all for each group of claims is most of the work. Since the last time there cannot
/// be more than one for each submission that was announced meanwhile, but for a late answer to one that was in doubt: half of
/// the limit is more than enough for those.
pub(super) async fn counted_for(
    session: &Session,
    since: UnixMillis,
    last: AttemptKey,
    limit: u32,
) -> Result<Counted, Failure> {
    let known = session.context.others().counted;
    let most = known.map(|(requests, then)| requests.saturating_add(last.0.abs_diff(then.0)));
    if let Some(requests) = most.filter(|most| *most <= u64::from(limit / 2)) {
        return Ok(Counted { requests, first: None });
    }
    let counted = counted(session, since).await?;
    session.context.others().counted = Some((counted.requests, last));
    Ok(counted)
}

/// Submissions that count from after `since`, whoever made them.
async fn counted(session: &Session, since: UnixMillis) -> Result<Counted, Failure> {
    let sql = "SELECT count(*), min(nullif(paced_at, $3)) FROM attempt WHERE account = $1 AND paced_at > $2";
    let row = session.row(sql, &[&since.0, &IN_FLIGHT.0]).await?;
    let row = row.ok_or_else(|| unbelievable(0, "nothing is counted"))?;
    Ok(Counted { requests: value::<i64>(&row, 0)?.unsigned_abs(), first: time_if_any(&row, 1)? })
}

/// The last time from which a submission counts that is not in flight.
pub(super) async fn counted_until(session: &Session) -> Result<UnixMillis, Failure> {
    let sql = "SELECT coalesce((SELECT paced_at FROM attempt WHERE account = $1 AND paced_at < $2
                                ORDER BY paced_at DESC LIMIT 1), 0)";
    let row = session.row(sql, &[&IN_FLIGHT.0]).await?;
    row.map_or(Ok(UnixMillis(0)), |row| time(&row, 0))
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
