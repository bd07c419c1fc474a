//! One, two and four runs over one catalog at a real limit, against a server that enforces it to the millisecond.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::batch::Batch;
use crate::figures::{Bound, Verdict, figure, print_table};
use crate::nginx::free_address;
use crate::server::{Manner, Server};
use crate::trouble::Trouble;

/// Rows unless others are asked for.
pub(crate) const ROWS: u32 = 600;

/// The limit of the service: so many submissions in any window.
const LIMIT: (usize, Duration) = (20, Duration::from_secs(1));

/// The same as the program is told.
const RATE: &str = "20/1s";

/// Rows a second at the limit.
const ROWS_PER_SECOND: f64 = 20.0;

/// How much of the limit has to be used.
const USED: f64 = 0.95;

/// Runs at a time, in turn.
const RUNS: [u32; 3] = [1, 2, 4];

/// What so many runs did.
struct Shared {
    refused: f64,
    repeated: f64,
    used: f64,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    measure_on(bench, bench.options.rows.unwrap_or(ROWS), |_| Vec::new())
}

/// The same with the ledgers that these options name for so many runs.
pub(crate) fn measure_on(
    bench: &Bench,
    rows: u32,
    ledger: impl Fn(u32) -> Vec<String>,
) -> Result<Vec<Verdict>, Trouble> {
    let mut verdicts = Vec::new();
    let mut table = Vec::new();
    for runs in RUNS {
        let Shared { refused, repeated, used } = side_by_side(bench, rows, runs, &ledger(runs))?;
        table.push(vec![runs.to_string(), figure(refused), figure(repeated), figure(used)]);
        verdicts.push(Verdict::new(
            format!("requests above the limit of {runs} runs"),
            refused,
            "",
            Bound::AtMost(0.0),
        ));
        verdicts.push(Verdict::new(format!("rows sent twice by {runs} runs"), repeated, "", Bound::AtMost(0.0)));
        verdicts.push(Verdict::new(format!("share of the limit used by {runs} runs"), used, "", Bound::AtLeast(USED)));
    }
    print_table(&["runs", "refused", "sent twice", "share of the limit"], &table);
    Ok(verdicts)
}

fn side_by_side(bench: &Bench, rows: u32, runs: u32, ledger: &[String]) -> Result<Shared, Trouble> {
    let (batch, address) = (Batch::of(bench, (0..rows).map(u64::from))?, free_address()?);
    let server = Server::start(address, Manner { takes: Duration::from_millis(20), limit: Some(LIMIT) })?;
    thread::scope(|scope| {
        let start = |run: u32| {
            let batch = &batch;
            scope.spawn(move || {
                let results = format!("{run}.results.csv");
                let options: Vec<&str> =
                    ["-o", &results].into_iter().chain(ledger.iter().map(String::as_str)).collect();
                batch.timed_run("c.csv", address, Some(RATE), &options)
            })
        };
        let started: Vec<_> = (0..runs).map(start).collect();
        started
            .into_iter()
            .try_for_each(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(drop))
    })?;
    let submissions = server.submissions();
    let times = submissions.first().zip(submissions.last());
    let took = times.map_or(f64::NAN, |(first, last)| last.at.duration_since(first.at).as_secs_f64());
    let count = |count: usize| u32::try_from(count).map_or(f64::NAN, f64::from);
    let accepted: Vec<&str> = submissions.iter().filter(|sent| sent.is_accepted).map(|sent| &*sent.body).collect();
    let different: BTreeSet<&&str> = accepted.iter().collect();
    Ok(Shared {
        refused: count(submissions.len() - accepted.len()),
        repeated: count(accepted.len() - different.len()),
        used: (f64::from(rows) - 1.0) / ROWS_PER_SECOND / took,
    })
}
