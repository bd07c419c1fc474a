//! The reads of records that all processes make, which share one pace.

use super::columns::{time, value};
use super::failure::Failure;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::domain::{MAX_RATE_COUNT, Rate};
use crate::ratelimit::slack;

/// Counts a read, unless the window of the pace is full until a time.
pub(super) async fn claim_read(
    session: Session,
    (at, pace): (UnixMillis, Rate),
) -> Result<Option<UnixMillis>, Failure> {
    let now = session.of_server(at);
    let full = full_until(&session, now, pace).await?;
    if full.is_none() {
        note_read(&session, now, pace).await?;
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

async fn note_read(session: &Session, now: UnixMillis, pace: Rate) -> Result<(), Failure> {
    let insert = "INSERT INTO read_log (account, at) VALUES ($1, $2)";
    session.execute(insert, &[&now.0]).await?;
    let last = "SELECT seq FROM read_log WHERE account = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2";
    let kept = i64::from(pace.count.get().min(MAX_RATE_COUNT));
    let Some(row) = session.row(last, &[&kept]).await? else { return Ok(()) };
    let delete = "DELETE FROM read_log WHERE account = $1 AND seq <= $2 AND at <= $3";
    session.execute(delete, &[&value::<i64>(&row, 0)?, &now.before(pace.period + slack(pace)).0]).await?;
    Ok(())
}
