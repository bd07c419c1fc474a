//! What a page tells of the night: its runs, and the submissions over time.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::Reason;
use crate::ledger::{AnyLedger, LedgerError, PastRun, ReadLedger as _};
use crate::page::{Activity, Kind, RunLine};

/// A night: runs that began within so long of the last one are shown with it.
const NIGHT: Duration = Duration::from_secs(24 * 60 * 60);

/// The submissions of the last night of these runs.
pub(super) async fn activity(ledger: &AnyLedger, runs: &[PastRun], now: UnixMillis) -> Result<Activity, LedgerError> {
    let Some((from, until)) = night(runs, now) else { return Ok(Activity::default()) };
    let mut activity = Activity::new(from, until);
    for sends in ledger.sends_between((from, until), activity.bin_length()).await? {
        for _ in 0..sends.count {
            activity.add(sends.at.max(from), kind(sends.reason));
        }
    }
    Ok(activity)
}

/// A run, in words.
pub(super) fn run_line(run: &PastRun) -> RunLine {
    let what = match (run.submits, run.is_partial) {
        (true, false) => "run",
        (true, true) => "run of some rows",
        (false, _) => "follow",
    };
    let how = match (run.ended, run.cut_short) {
        (None, None) => format!("{what}: still going on, or killed"),
        (None, Some(_)) => format!("{what}: killed"),
        (Some(_), None) => format!("{what}: finished"),
        (Some(_), Some(reason)) => format!("{what}: stopped early ({reason})"),
    };
    RunLine { started: run.started, ended: run.ended, how }
}

/// From the first run of the last night to the end of its last.
fn night(runs: &[PastRun], now: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
    let last = runs.iter().find(|run| run.submits)?;
    let first = last.started.before(NIGHT);
    let within = || runs.iter().filter(|run| run.submits && run.started >= first);
    let from = within().map(|run| run.started).min()?;
    Some((from, last.ended.unwrap_or(now)))
}

/// How the plot shows a submission.
fn kind(reason: Option<Reason>) -> Kind {
    match reason {
        Some(Reason::Accepted) => Kind::Accepted,
        Some(Reason::AlreadyExists | Reason::Conflict) => Kind::Existing,
        Some(Reason::RateLimited) => Kind::Throttled,
        Some(Reason::Maintenance | Reason::Outage) => Kind::Unavailable,
        Some(
            Reason::NotFound | Reason::InvalidRequest | Reason::Rejected | Reason::Unauthorized | Reason::NoCredits,
        ) => Kind::Rejected,
        Some(
            Reason::ServerError
            | Reason::Timeout
            | Reason::Connection
            | Reason::BadResponse
            | Reason::Deadline
            | Reason::Interrupted
            | Reason::TooManyFailures
            | Reason::Limit
            | Reason::Budget
            | Reason::Held
            | Reason::BadRow
            | Reason::Generated
            | Reason::GenerationFailed
            | Reason::MusicNotReady
            | Reason::MusicFailed
            | Reason::Ignored,
        )
        | None => Kind::Trouble,
    }
}
