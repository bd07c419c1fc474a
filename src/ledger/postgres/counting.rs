//! Which submissions count against the limit, and from which on to look for them.
//!
//! When a submission counts is known with its answer. An index of that would make each answer write the row anew in every
//! index, so there is none. Instead it is noted now and then, as a checkpoint, up to which submission all are answered and
//! when the last of them began to count: whatever is asked about a later time need not look at those.

use tokio_postgres::Client;

use super::columns::{time, time_if_any, unbelievable, value};
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::ledger::run::AttemptKey;
use crate::ratelimit::Counted;

/// From when the limit counts a submission in flight: it leaves no window before it is answered.
pub(super) const IN_FLIGHT: UnixMillis = UnixMillis(i64::MAX);

/// The first submission that may count after the time `$2`, which is in flight for [`IN_FLIGHT`]; `$1` is the account.
pub(super) const FIRST_AFTER: &str =
    "coalesce((SELECT attempt FROM checkpoint WHERE account = $1 AND at <= $2 ORDER BY at DESC LIMIT 1), 0)";

/// Submissions from one checkpoint to the next: as many are looked at in vain for each question.
const APART: u64 = 256;

/// Makes a checkpoint of all that is answered since the last one; how many submissions it has looked at.
const CHECKPOINT: &str = "
    WITH last AS (
        SELECT at, attempt FROM checkpoint WHERE account = $1 ORDER BY at DESC LIMIT 1
    ), since AS (
        SELECT count(*) AS count, coalesce(min(seq) FILTER (WHERE paced_at = $2), max(seq) + 1) AS attempt,
               max(paced_at) FILTER (WHERE paced_at < $2) AS at
        FROM attempt WHERE account = $1 AND seq >= coalesce((SELECT attempt FROM last), 0)
    ), made AS (
        INSERT INTO checkpoint (account, at, attempt)
        SELECT $1::integer, greatest(at, (SELECT at FROM last)), attempt FROM since WHERE at IS NOT NULL
        ON CONFLICT (account, at) DO UPDATE SET attempt = excluded.attempt
    )
    SELECT count FROM since";

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
    let sql = format!(
        "SELECT count(*), min(nullif(paced_at, $3)) FROM attempt
         WHERE account = $1 AND seq >= {FIRST_AFTER} AND paced_at > $2"
    );
    let row = session.row(&sql, &[&since.0, &IN_FLIGHT.0]).await?;
    let row = row.ok_or_else(|| unbelievable(0, "nothing is counted"))?;
    Ok(Counted { requests: value::<i64>(&row, 0)?.unsigned_abs(), first: time_if_any(&row, 1)? })
}

/// The last time from which a submission counts that is not in flight.
pub(super) async fn counted_until(session: &Session) -> Result<UnixMillis, Failure> {
    let sql = format!(
        "SELECT greatest((SELECT max(paced_at) FROM attempt WHERE account = $1 AND seq >= {FIRST_AFTER} AND paced_at < $2),
                         (SELECT max(at) FROM checkpoint WHERE account = $1), 0)"
    );
    let row = session.row(&sql, &[&IN_FLIGHT.0]).await?;
    row.map_or(Ok(UnixMillis(0)), |row| time(&row, 0))
}

/// What is in flight, whoever sent it.
pub(super) async fn in_flight(session: &Session) -> Result<Vec<AttemptKey>, Failure> {
    let sql = format!("SELECT seq FROM attempt WHERE account = $1 AND seq >= {FIRST_AFTER} AND paced_at = $2");
    let rows = session.rows(&sql, &[&IN_FLIGHT.0]).await?;
    rows.iter().map(|row| value(row, 0).map(AttemptKey)).collect()
}

/// Has nothing count from later than `now`. The clock was set back since, or what was copied went by another one: what
/// seems to be still to come may have been just now, and holds up nobody longer.
pub(super) async fn end_future(session: &Session, now: UnixMillis) -> Result<(), Failure> {
    let sql = format!(
        "UPDATE attempt SET paced_at = $2 WHERE account = $1 AND seq >= {FIRST_AFTER} AND paced_at > $2 AND paced_at < $3"
    );
    session.execute(&sql, &[&now.0, &IN_FLIGHT.0]).await?;
    session.execute("DELETE FROM checkpoint WHERE account = $1 AND at > $2", &[&now.0]).await?;
    let mut others = session.context.others();
    (others.counted, others.there_until) = (None, others.there_until.min(now));
    Ok(())
}

/// Makes a checkpoint if that is due. One that sends long after those before it is answered keeps the next one back, so
/// that no more is looked at for checkpoints than is sent, twice over.
pub(super) async fn checkpoint_if_due(session: &Session) -> Result<(), Failure> {
    if session.context.others().until_checkpoint > 0 {
        return Ok(());
    }
    let row = session.row(CHECKPOINT, &[&IN_FLIGHT.0]).await?;
    let looked_at = row.map_or(Ok(0), |row| value::<i64>(&row, 0))?.unsigned_abs();
    session.context.others().until_checkpoint = looked_at.max(APART);
    Ok(())
}

/// Makes a checkpoint of an account that was copied.
pub(super) async fn checkpoint(client: &Client, account: i32) -> Result<(), Failure> {
    client.query(CHECKPOINT, &[&account, &IN_FLIGHT.0]).await?;
    Ok(())
}

/// Forgets the checkpoints after a submission, which was in doubt and has its answer now: it counts from later than they say.
pub(super) async fn forget_checkpoints(session: &Session, after: AttemptKey) -> Result<(), Failure> {
    session.execute("DELETE FROM checkpoint WHERE account = $1 AND attempt > $2", &[&after.0]).await.map(drop)
}
