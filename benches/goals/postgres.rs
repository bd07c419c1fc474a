//! A ledger in `PostgreSQL` against one in a file: rows a second of one run and of two, the documented limit kept by several
//! runs, and a rerun over settled rows.
//!
//! The server is one of its own, as the packages of Debian set it up, below the folder of temporary files: that has to be on
//! the disk that the rest works on.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::Bench;
use crate::batch::Batch;
use crate::figures::{Bound, Verdict, figure, median, print_table};
use crate::nginx::{Nginx, free_address};
use crate::postgres_server::Server;
use crate::resume::Rerun;
use crate::together;
use crate::trouble::Trouble;

/// Rows at no limit unless others are asked for.
const ROWS: u32 = 40_000;

/// Settled rows unless others are asked for.
const SETTLED: u32 = 1_000_000;

/// How many rows a second of a file one run has to make.
const OF_FILE: f64 = 0.5;

/// How many rows a second of one run two have to make.
const OF_ONE: f64 = 1.3;

/// How many times the time of a file a rerun may take.
const RERUN: f64 = 3.0;

/// The ledger in a file.
const FILE: &str = "c.db";

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    let server = Server::start();
    let mut verdicts = speed(bench, &server)?;
    let rows = bench.options.rows.unwrap_or(together::ROWS).min(together::ROWS);
    let url = |runs| server.database(&format!("limit_{runs}"), "");
    verdicts.extend(together::measure_on(bench, rows, |runs| vec!["--ledger".to_owned(), url(runs)])?);
    verdicts.extend(rerun(bench, &server)?);
    Ok(verdicts)
}

/// How long so many rows took, at no limit.
struct Round {
    file: Duration,
    one: Duration,
    two: Duration,
}

fn speed(bench: &Bench, server: &Server) -> Result<Vec<Verdict>, Trouble> {
    let rows = bench.options.rows.unwrap_or(ROWS);
    let address = free_address()?;
    let _nginx = Nginx::start(bench, address)?;
    let rounds = bench.rounds("speed", |round| Round::measured(bench, (server, round), address, rows))?;
    let of =
        |time: fn(&Round) -> Duration| figure(median(rounds.iter().map(|r| f64::from(rows) / time(r).as_secs_f64())));
    print_table(
        &["ledger", "rows/s"],
        &[
            vec!["file, one run".to_owned(), of(|round| round.file)],
            vec!["database, one run".to_owned(), of(|round| round.one)],
            vec!["database, two runs".to_owned(), of(|round| round.two)],
        ],
    );
    let ratio = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let (of_file, of_one) = (ratio(|r| r.file.div_duration_f64(r.one)), ratio(|r| r.one.div_duration_f64(r.two)));
    Ok(vec![
        Verdict::new("rows/s of one run, database / file", of_file, "", Bound::AtLeast(OF_FILE)),
        Verdict::new("rows/s on the database, two runs / one", of_one, "", Bound::AtLeast(OF_ONE)),
    ])
}

impl Round {
    /// The same rows in three ways, each with a fresh ledger; two runs have a half each.
    fn measured(
        bench: &Bench,
        (server, round): (&Server, u32),
        address: SocketAddr,
        rows: u32,
    ) -> Result<Self, Trouble> {
        let batch = Batch::of(bench, (0..rows).map(u64::from))?;
        batch.write("half-1.csv", (0..rows / 2).map(u64::from))?;
        batch.write("half-2.csv", (rows / 2..rows).map(u64::from))?;
        let database = |runs| server.database(&format!("speed_{round}_{runs}"), "");
        Ok(Self {
            file: side_by_side(&batch, address, FILE, &["c.csv"])?,
            one: side_by_side(&batch, address, &database("one"), &["c.csv"])?,
            two: side_by_side(&batch, address, &database("two"), &["half-1.csv", "half-2.csv"])?,
        })
    }
}

/// How long runs over these catalogs take, one for each, with one ledger.
fn side_by_side(batch: &Batch<'_>, address: SocketAddr, ledger: &str, catalogs: &[&str]) -> Result<Duration, Trouble> {
    // What one of them has settled is not to be taken over by the next.
    batch.forget(FILE);
    let began = Instant::now();
    thread::scope(|scope| {
        let start = |catalog| scope.spawn(move || batch.timed_run(catalog, address, None, &["--ledger", ledger]));
        let started: Vec<_> = catalogs.iter().map(|catalog| start(*catalog)).collect();
        started
            .into_iter()
            .try_for_each(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(drop))
    })?;
    Ok(began.elapsed())
}

fn rerun(bench: &Bench, server: &Server) -> Result<Vec<Verdict>, Trouble> {
    let rows = bench.options.rows.unwrap_or(SETTLED);
    let (batch, address, url) =
        (Batch::of(bench, (0..rows).map(u64::from))?, free_address()?, server.database("rerun", ""));
    let nginx = Nginx::start(bench, address)?;
    batch.run("c.csv", address, &["--ledger", FILE])?;
    // Takes over what the results of the first one tell.
    batch.run("c.csv", address, &["--ledger", &url])?;
    drop(nginx);
    let measured = |ledger| Rerun::measured(&batch, ("c.csv", ledger), address, (rows, 0));
    let rounds = bench.rounds("rerun", |_| Ok([measured(FILE)?, measured(&url)?]))?;
    let of = |nth: usize| figure(median(rounds.iter().map(|round| round[nth].usage.wall.as_secs_f64())));
    print_table(&["ledger", "rerun s"], &[vec!["file".to_owned(), of(0)], vec!["database".to_owned(), of(1)]]);
    let ratio = median(rounds.iter().map(|[file, database]| database.usage.wall.div_duration_f64(file.usage.wall)));
    let wrong: u32 = rounds.iter().flatten().map(|rerun| rerun.wrong_sends + rerun.wrong_results).sum();
    Ok(vec![
        Verdict::new("time of a rerun, database / file", ratio, "", Bound::AtMost(RERUN)),
        Verdict::new("rows wrongly sent, or too many or too few in results", wrong.into(), "", Bound::AtMost(0.0)),
    ])
}
