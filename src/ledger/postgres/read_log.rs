//! The reads of records that all processes make, which share one pace.

use super::columns::time;
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::Rate;
use crate::ledger::cover_job::READS_KEPT;
use crate::ratelimit::slack;

/// Counts a read, unless the window of the pace is full until a time.
pub(super) async fn claim_read(
    session: Session,
    (at, pace): (UnixMillis, Rate),
) -> Result<Option<UnixMillis>, Failure> {
    let now = session.of_server(at);
    let full = full_until(&session, now, pace).await?;
    if full.is_none() {
        note_read(&session, now).await?;
    }
    Ok(full.map(|until| session.context.server_clock.of_ours(until)))
}

/// Until when the window of the pace is full, if it is; both times are those of the server.
async fn full_until(session: &Session, now: UnixMillis, pace: Rate) -> Result<Option<UnixMillis>, Failure> {
    let sql = "SELECT at FROM read_log WHERE account = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2";
    let row = session.row(sql, &[&(i64::from(pace.count.get()) - 1)]).await?;
    let nth = row.map(|row| time(&row, 0)).transpose()?;
    // One from the future, by a clock that was set back since, must not hold everyone up.
    Ok(nth.filter(|nth| *nth <= now).map(|nth| nth.after(pace.period + slack(pace))).filter(|free| *free > now))
}

/// Counts it, and forgets two that no pace looks back to: that of another process may be longer than this one's.
async fn note_read(session: &Session, now: UnixMillis) -> Result<(), Failure> {
    session.execute("INSERT INTO read_log (account, at) VALUES ($1, $2)", &[&now.0]).await?;
    let delete = "DELETE FROM read_log
                  WHERE account = $1 AND seq IN (SELECT seq FROM read_log WHERE account = $1 ORDER BY seq LIMIT 2)
                    AND at <= $2";
    session.execute(delete, &[&now.before(READS_KEPT).0]).await.map(drop)
}
