//! Memory and speed while catalog and ledger grow by powers of ten: memory stays, and a row costs what it cost before.

use std::net::SocketAddr;

use crate::Bench;
use crate::batch::{Batch, let_window_pass};
use crate::call::{Usage, micros_per_row};
use crate::catalog::{mostly_settled, new_rows};
use crate::figures::{Bound, Verdict, figure, median, print_table};
use crate::nginx::{Nginx, free_address};
use crate::resume::Rerun;
use crate::trouble::Trouble;

/// Rows of the largest catalog unless others are asked for.
const ROWS: u32 = 1_000_000;

/// Rows of the smallest catalog.
const SMALLEST: u32 = 10_000;

/// Rows of the catalog that the largest is held against.
const REFERENCE: u32 = 100_000;

/// Rows that are new in a rerun, and those of the small catalog on a large ledger.
const NEW: u32 = 1_000;

/// No command takes so much memory.
const PEAK_MIB: f64 = 100.0;

/// Memory of the largest catalog against that of the reference.
const PEAK_GROWS: f64 = 1.1;

/// Rows a second of the largest catalog against those of the reference.
const SPEED_KEPT: f64 = 0.8;

/// Time to the first request of a rerun, for each row, against that of the reference.
const TO_FIRST_GROWS: f64 = 1.25;

/// A small catalog on the largest ledger against the same on a new one.
const ON_LARGE_LEDGER: f64 = 1.25;

/// How often that is measured: it takes a moment only, and moments differ.
const SMALL_RUNS: u32 = 11;

const LEDGER: &str = "c.db";

/// One of the figures of a size.
type FigureOf = fn(&Figures) -> f64;

/// What one size took.
#[derive(Debug, Clone, Copy)]
struct Figures {
    rows: u32,
    first: Usage,
    rerun: Rerun,
    status: Usage,
    results: Usage,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    let address = free_address()?;
    let small = Size::prepared(bench, 1_000)?;
    small.figures(bench, address)?;
    let sizes = sizes(bench.options.rows.unwrap_or(ROWS));
    let sizes = sizes.into_iter().map(|rows| Size::prepared(bench, rows)).collect::<Result<Vec<_>, _>>()?;
    let rounds = bench
        .rounds("growth", |_| sizes.iter().map(|size| size.figures(bench, address)).collect::<Result<Vec<_>, _>>())?;
    print_growth(&rounds);
    let mut verdicts = judged(&rounds);
    if let Some(largest) = sizes.last() {
        let what = format!("{NEW} rows on a ledger of {} / on a new one", largest.rows);
        verdicts.push(Verdict::new(what, largest.small_runs(bench, address)?, "", Bound::AtMost(ON_LARGE_LEDGER)));
    }
    Ok(verdicts)
}

/// Powers of ten; fewer rows than the smallest only if no more are asked for.
fn sizes(most: u32) -> Vec<u32> {
    let powers = (0..).map_while(|power| 10_u32.checked_pow(power)?.checked_mul(SMALLEST));
    let sizes: Vec<u32> = powers.take_while(|size| *size <= most).collect();
    if sizes.is_empty() { vec![most] } else { sizes }
}

fn print_growth(rounds: &[Vec<Figures>]) {
    let head = [
        "rows",
        "first run rows/s",
        "CPU µs/row",
        "peak MiB",
        "rerun to first request µs/row",
        "whole µs/row",
        "peak MiB",
        "status peak MiB",
        "results peak MiB",
    ];
    let count = rounds.first().map_or(0, Vec::len);
    print_table(&head, &(0..count).map(|size| row(rounds, size)).collect::<Vec<_>>());
}

fn row(rounds: &[Vec<Figures>], size: usize) -> Vec<String> {
    let of = |figure_of: &dyn Fn(&Figures) -> f64| figure(median(rounds.iter().map(|round| figure_of(&round[size]))));
    vec![
        of(&|f| f.rows.into()),
        of(&|f| f.first.rows_per_second(f.rows)),
        of(&|f| f.first.cpu_micros_per_row(f.rows)),
        of(&|f| f.first.peak_mib),
        of(&Figures::first_request_per_row),
        of(&|f| micros_per_row(f.rerun.usage.wall, f.rows)),
        of(&|f| f.rerun.usage.peak_mib),
        of(&|f| f.status.peak_mib),
        of(&|f| f.results.peak_mib),
    ]
}

fn judged(rounds: &[Vec<Figures>]) -> Vec<Verdict> {
    let ratio = |figure_of: &dyn Fn(&Figures) -> f64| {
        let pair = |round: &Vec<Figures>| Some(figure_of(round.last()?) / figure_of(reference(round)?));
        median(rounds.iter().filter_map(pair))
    };
    let phases: [(&str, FigureOf); 4] = [
        ("first run", |f| f.first.peak_mib),
        ("rerun", |f| f.rerun.usage.peak_mib),
        ("status", |f| f.status.peak_mib),
        ("results", |f| f.results.peak_mib),
    ];
    let every = || rounds.iter().flatten();
    let highest = every().flat_map(|f| phases.map(|(_, peak)| peak(f))).fold(0.0, f64::max);
    let wrong: u32 = every().map(|f| f.rerun.wrong_sends + f.rerun.wrong_results).sum();
    let rows = rounds.first().and_then(|round| reference(round)).map_or(REFERENCE, |figures| figures.rows);
    let what = |what: &str| format!("{what} of the largest / of {rows}");
    let mut verdicts = vec![
        Verdict::new("rows wrongly sent, not sent or not in results", wrong.into(), "", Bound::AtMost(0.0)),
        Verdict::new("highest peak", highest, "MiB", Bound::AtMost(PEAK_MIB)),
    ];
    let grown = |(phase, peak): (&str, FigureOf)| {
        Verdict::new(what(&format!("peak of {phase},")), ratio(&peak), "", Bound::AtMost(PEAK_GROWS))
    };
    verdicts.extend(phases.map(grown));
    let speed = ratio(&|f| f.first.rows_per_second(f.rows));
    let first_request = ratio(&Figures::first_request_per_row);
    verdicts.push(Verdict::new(what("rows/s"), speed, "", Bound::AtLeast(SPEED_KEPT)));
    verdicts.push(Verdict::new(what("time to first request a row"), first_request, "", Bound::AtMost(TO_FIRST_GROWS)));
    verdicts
}

/// The size that the largest is held against: the largest itself in a trial with fewer rows.
fn reference(round: &[Figures]) -> Option<&Figures> {
    round.iter().find(|figures| figures.rows == REFERENCE).or_else(|| round.last())
}

impl Figures {
    fn first_request_per_row(&self) -> f64 {
        micros_per_row(self.rerun.to_first, self.rows)
    }
}

/// Two catalogs of one size: that of the first run, and that of the rerun.
struct Size<'a> {
    batch: Batch<'a>,
    rows: u32,
}

impl<'a> Size<'a> {
    fn prepared(bench: &'a Bench, rows: u32) -> Result<Self, Trouble> {
        let batch = Batch::of(bench, (0..rows).map(u64::from))?;
        let size = Self { batch, rows };
        size.batch.write("again.csv", mostly_settled(rows, size.new_rows()))?;
        Ok(size)
    }

    fn new_rows(&self) -> u32 {
        NEW.min(self.rows / 10)
    }

    fn figures(&self, bench: &Bench, address: SocketAddr) -> Result<Figures, Trouble> {
        self.batch.forget(LEDGER);
        let nginx = Nginx::start(bench, address)?;
        let first = self.batch.run("c.csv", address, &[])?;
        drop(nginx);
        let (rows, new) = (self.rows, self.new_rows());
        let rerun = Rerun::measured(&self.batch, ("again.csv", LEDGER), address, (rows, new))?;
        let status = self.batch.usage_of(&["status", "again.csv", "--ledger", LEDGER])?;
        let results = self.batch.usage_of(&["results", "again.csv", "--ledger", LEDGER])?;
        Ok(Figures { rows, first, rerun, status, results })
    }

    /// How much longer other, new rows take on this ledger than on a new one.
    fn small_runs(&self, bench: &Bench, address: SocketAddr) -> Result<f64, Trouble> {
        let _nginx = Nginx::start(bench, address)?;
        let ratios = (1..=SMALL_RUNS).map(|number| {
            self.batch.write("small.csv", new_rows(number, NEW))?;
            self.batch.forget("new.db");
            let_window_pass();
            let on_new = self.batch.timed_run("small.csv", address, None, &["--ledger", "new.db"])?;
            let on_large =
                self.batch.timed_run("small.csv", address, None, &["--ledger", LEDGER, "-o", "large.results.csv"])?;
            Ok(on_large.div_duration_f64(on_new))
        });
        Ok(median(ratios.collect::<Result<Vec<_>, Trouble>>()?))
    }
}
