//! How long one waits for the program itself.

use std::time::Duration;

use crate::Bench;
use crate::batch::Batch;
use crate::figures::{Bound, Verdict, figure, median, print_table};
use crate::nginx::free_address;
use crate::server::{Manner, Server};
use crate::trouble::Trouble;

/// Calls of `--version` and of `--help`.
const CALLS: u32 = 50;

/// Runs of a few rows.
const RUNS: u32 = 20;

/// Rows of such a run. All are in flight at once, so that the service is waited for once.
const ROWS: u64 = 10;

/// Time of the service for an answer.
const ANSWER: Duration = Duration::from_millis(20);

/// A call that does nothing takes so many milliseconds.
const CALL_MILLIS: f64 = 10.0;

/// A run takes so many milliseconds besides the service's.
const RUN_MILLIS: f64 = 50.0;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    let batch = Batch::of(bench, 0..ROWS)?;
    let call = |option: &str| median_of(CALLS, |_| batch.program(&[option]).wall());
    let (version, help) = (call("--version")?, call("--help")?);
    let address = free_address()?;
    let _server = Server::start(address, Manner { takes: ANSWER, limit: None })?;
    let run = median_of(RUNS, |number| {
        let (ledger, results) = (format!("{number}.db"), format!("{number}.csv"));
        batch.timed_run("c.csv", address, None, &["--ledger", &ledger, "-o", &results])
    })?;
    let own = run - ANSWER.as_secs_f64() * 1e3;
    let rows = [("--version", version), ("--help", help), ("run of 10 rows, less the service's 20 ms", own)];
    let row = |(what, millis): &(&str, f64)| vec![(*what).to_owned(), figure(*millis)];
    print_table(&["call", "ms"], &rows.iter().map(row).collect::<Vec<_>>());
    let bounds = [CALL_MILLIS, CALL_MILLIS, RUN_MILLIS];
    let verdict = |((what, millis), bound): ((&str, f64), f64)| Verdict::new(what, millis, "ms", Bound::AtMost(bound));
    Ok(rows.into_iter().zip(bounds).map(verdict).collect())
}

/// Milliseconds in the middle of so many calls, the first of which does not count.
fn median_of(calls: u32, call: impl Fn(u32) -> Result<Duration, Trouble>) -> Result<f64, Trouble> {
    call(0)?;
    let times = (1..=calls).map(|number| Ok(call(number)?.as_secs_f64() * 1e3));
    Ok(median(times.collect::<Result<Vec<_>, Trouble>>()?))
}
