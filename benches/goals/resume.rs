//! A rerun over rows that are settled but for a few, against the least that has to be done for it: the catalog read
//! once, and joined once with the ledger by `sqlite3`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Bench;
use crate::batch::{Batch, let_window_pass};
use crate::call::{Usage, copy_durably};
use crate::catalog::{id, mostly_settled, new_rows, shuffled};
use crate::figures::{Bound, Verdict, figure, median, print_table};
use crate::nginx::{Nginx, free_address};
use crate::server::{Manner, Server};
use crate::trouble::Trouble;

/// Rows unless others are asked for.
const ROWS: u32 = 1_000_000;

/// One row of so many is new.
const NEW_OF: u32 = 1_000;

/// The first request is sent after so many times the time of reading and joining.
const TO_FIRST: f64 = 1.5;

/// The whole rerun, its results included, takes so many seconds.
const WHOLE_SECONDS: f64 = 10.0;

/// The ledger of the first run, of which each round gets a copy.
const KEPT: &str = "kept.db";

/// The results of the first run, which each round is to replace.
const KEPT_RESULTS: &str = "kept.csv";

/// A copy of it for `sqlite3`, which cannot compute the keys that the ledger finds its rows by: with an index over the
/// ids themselves, made beforehand.
const INDEXED: &str = "indexed.db";

const LEDGER: &str = "c.db";

/// How the catalog of the rerun is sorted.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// As the one of the first run was.
    Ledger,
    /// In another order.
    Shuffled,
}

/// What a rerun took and did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rerun {
    pub(crate) usage: Usage,
    /// From its start to its first request.
    pub(crate) to_first: Duration,
    /// Rows sent that were settled, new rows not sent, and rows sent twice.
    pub(crate) wrong_sends: u32,
    /// Rows by which the results are longer or shorter than the catalog.
    pub(crate) wrong_results: u32,
}

/// A rerun, and the least it can take.
struct Round {
    rerun: Rerun,
    least: Duration,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    let rows = bench.options.rows.unwrap_or(ROWS);
    Resume::prepared(bench, (rows / 100).max(100))?.round()?;
    let resume = Resume::prepared(bench, rows)?;
    let (mut table, mut verdicts) = (Vec::new(), Vec::new());
    for order in [Order::Ledger, Order::Shuffled] {
        resume.write_catalog(order)?;
        let rounds = bench.rounds(order.name(), |_| resume.round())?;
        table.push(row(order, &rounds));
        verdicts.extend(judged(order, &rounds));
    }
    let head = ["catalog", "read and join s", "to first request s", "whole run s", "CPU s", "peak MiB"];
    print_table(&head, &table);
    Ok(verdicts)
}

fn row(order: Order, rounds: &[Round]) -> Vec<String> {
    let of = |figure_of: &dyn Fn(&Round) -> f64| figure(median(rounds.iter().map(figure_of)));
    vec![
        order.name().to_owned(),
        of(&|round| round.least.as_secs_f64()),
        of(&|round| round.rerun.to_first.as_secs_f64()),
        of(&|round| round.rerun.usage.wall.as_secs_f64()),
        of(&|round| round.rerun.usage.cpu.as_secs_f64()),
        of(&|round| round.rerun.usage.peak_mib),
    ]
}

fn judged(order: Order, rounds: &[Round]) -> Vec<Verdict> {
    let what = |what: &str| format!("{what}, {}", order.name());
    let ratio = median(rounds.iter().map(|round| round.rerun.to_first.div_duration_f64(round.least)));
    let whole = median(rounds.iter().map(|round| round.rerun.usage.wall.as_secs_f64()));
    let sends: u32 = rounds.iter().map(|round| round.rerun.wrong_sends).sum();
    let results: u32 = rounds.iter().map(|round| round.rerun.wrong_results).sum();
    vec![
        Verdict::new(what("to first request / read and join"), ratio, "", Bound::AtMost(TO_FIRST)),
        Verdict::new(what("whole run"), whole, "s", Bound::AtMost(WHOLE_SECONDS)),
        Verdict::new(what("rows wrongly sent or not sent"), sends.into(), "", Bound::AtMost(0.0)),
        Verdict::new(what("rows too many or too few in results"), results.into(), "", Bound::AtMost(0.0)),
    ]
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "in the order of the ledger",
            Self::Shuffled => "shuffled",
        }
    }
}

/// A ledger in which all rows of a first catalog are settled, and a catalog of the same rows but a few.
struct Resume<'a> {
    batch: Batch<'a>,
    address: SocketAddr,
    rows: u32,
}

impl<'a> Resume<'a> {
    fn prepared(bench: &'a Bench, rows: u32) -> Result<Self, Trouble> {
        let (batch, address) = (Batch::new(bench)?, free_address()?);
        batch.write("first.csv", (0..rows).map(u64::from))?;
        let nginx = Nginx::start(bench, address)?;
        batch.run("first.csv", address, &["--ledger", KEPT, "-o", KEPT_RESULTS])?;
        drop(nginx);
        copy_durably(&batch.path(KEPT), &batch.path(INDEXED))?;
        batch.tool("sqlite3", &[INDEXED, "CREATE UNIQUE INDEX task_id ON task (id)"]).wall()?;
        let resume = Self { batch, address, rows };
        resume.write_catalog(Order::Ledger)?;
        Ok(resume)
    }

    fn new_rows(&self) -> u32 {
        (self.rows / NEW_OF).max(1)
    }

    fn write_catalog(&self, order: Order) -> Result<(), Trouble> {
        let rows = mostly_settled(self.rows, self.new_rows());
        match order {
            Order::Ledger => self.batch.write("c.csv", rows),
            Order::Shuffled => self.batch.write("c.csv", shuffled(rows).into_iter()),
        }
    }

    fn round(&self) -> Result<Round, Trouble> {
        self.batch.forget(LEDGER);
        copy_durably(&self.batch.path(KEPT), &self.batch.path(LEDGER))?;
        copy_durably(&self.batch.path(KEPT_RESULTS), &self.batch.path("c.results.csv"))?;
        let least = self.least()?;
        let rerun = Rerun::measured(&self.batch, ("c.csv", LEDGER), self.address, (self.rows, self.new_rows()))?;
        Ok(Round { rerun, least })
    }

    /// The time of reading the catalog and joining it with the ledger.
    fn least(&self) -> Result<Duration, Trouble> {
        let read = self.batch.usage_of_tool(&self.batch.tool("sh", &["-c", "cat c.csv > /dev/null"]))?;
        let attach = format!("ATTACH '{INDEXED}' AS ledger");
        let words = [
            ":memory:",
            ".mode csv",
            &attach,
            "CREATE TABLE c (track TEXT, title TEXT, task_id TEXT)",
            ".import --skip 1 c.csv c",
            "SELECT count(*) FROM c LEFT JOIN ledger.task t ON t.id = c.task_id
             WHERE t.state IS NULL OR t.state NOT IN ('submitted', 'exists', 'completed')",
        ];
        let join = self.batch.tool("sqlite3", &words);
        let usage = self.batch.usage_of_tool(&join)?;
        match join.output()?.trim().parse() {
            Ok(count) if self.new_rows() == count => Ok(read.wall + usage.wall),
            Ok(_) | Err(_) => Err(join.failed("it found other rows than the new ones")),
        }
    }
}

impl Rerun {
    /// A run over a catalog of `rows` rows, `new` of which are not in the ledger.
    pub(crate) fn measured(
        batch: &Batch<'_>,
        (catalog, ledger): (&str, &str),
        address: SocketAddr,
        (rows, new): (u32, u32),
    ) -> Result<Self, Trouble> {
        let_window_pass();
        let server = Server::start(address, Manner::default())?;
        let usage = batch.run(catalog, address, &["--ledger", ledger])?;
        let submissions = server.submissions();
        let first = submissions.first().map_or(usage.began + usage.wall, |first| first.at);
        let sent: BTreeSet<String> = submissions.iter().map(|submission| submission.task().to_owned()).collect();
        let expected: BTreeSet<String> = new_rows(0, new).map(id).collect();
        let wrong = sent.symmetric_difference(&expected).count() + (submissions.len() - sent.len());
        let results = batch.rows_of(&catalog.replace(".csv", ".results.csv"))?;
        Ok(Self {
            usage,
            to_first: first.duration_since(usage.began),
            wrong_sends: u32::try_from(wrong).unwrap_or(u32::MAX),
            wrong_results: results.abs_diff(rows),
        })
    }
}
