//! The documented limit in real time, against a server that enforces it to the millisecond in any window.

use std::time::Duration;

use crate::Bench;
use crate::batch::Batch;
use crate::figures::{Bound, Verdict, figure, print_table};
use crate::nginx::free_address;
use crate::server::{Manner, Server};
use crate::trouble::Trouble;

/// Rows unless fewer are asked for.
const ROWS: u32 = 100;

/// The limit of the service: so many submissions in any window.
const LIMIT: (usize, Duration) = (20, Duration::from_secs(10));

/// The same as the program is told.
const RATE: &str = "20/10s";

/// Seconds for a row at the limit.
const SECONDS_PER_ROW: f64 = 0.5;

/// How much of the limit has to be used.
const USED: f64 = 0.97;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    let rows = bench.options.rows.unwrap_or(ROWS).min(ROWS);
    let (batch, address) = (Batch::of(bench, (0..rows).map(u64::from))?, free_address()?);
    let server = Server::start(address, Manner { takes: Duration::ZERO, limit: Some(LIMIT) })?;
    batch.timed_run("c.csv", address, Some(RATE), &[])?;
    let submissions = server.submissions();
    let times = submissions.first().zip(submissions.last());
    let took = times.map_or(f64::NAN, |(first, last)| last.at.duration_since(first.at).as_secs_f64());
    let refused = submissions.iter().filter(|submission| !submission.is_accepted).count();
    let refused = u32::try_from(refused).map_or(f64::NAN, f64::from);
    let ideal = f64::from(rows) * SECONDS_PER_ROW;
    let row = [rows.to_string(), figure(refused), figure(took), figure(ideal)];
    print_table(&["rows", "refused", "first to last request s", "rows / rate s"], &[row.to_vec()]);
    Ok(vec![
        Verdict::new("requests above the limit", refused, "", Bound::AtMost(0.0)),
        Verdict::new("first to last request", took, "s", Bound::AtMost(ideal / USED)),
    ])
}
