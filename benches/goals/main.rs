//! What is promised of speed, memory and pace, measured: `cargo bench --bench goals -- [GOAL...] [options]`.
//!
//! Everything is a ratio within one run, so that it means the same on every machine: the program and what it is
//! compared with take turns, and their medians and pairs are told. Each goal prints one table and, for each of its
//! bounds, whether it `holds` or was `MISSED`. The status is 0 if all hold, 1 if one was missed, 2 if something could
//! not be measured. Needed are public tools only; what is missing is named together with how to get it.

#![expect(clippy::disallowed_methods, reason = "the real clock is what is measured here")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are printed, progress is told beside them")]

mod batch;
mod call;
mod catalog;
mod figures;
mod growth;
mod machine;
mod nginx;
mod options;
mod pace;
mod postgres;
#[path = "../../tests/postgres/server.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests do more with their server, and end where they are surprised"
)]
mod postgres_server;
mod resume;
mod server;
mod startup;
mod throughput;
mod together;
mod trouble;

use std::error::Error as _;
use std::fs;
use std::process::ExitCode;

use clap::Parser as _;
use tempfile::TempDir;

use figures::{Bound, Verdict};
use machine::Tools;
use options::{Goal, Options};
use trouble::Trouble;

/// What every goal needs to know.
struct Bench {
    options: Options,
    tools: Tools,
    /// Where everything is written; gone at the end.
    folder: TempDir,
}

fn main() -> ExitCode {
    match measure_all(Options::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(trouble) => {
            let cause = trouble.source().map(|cause| format!("\n  caused by: {cause}")).unwrap_or_default();
            eprintln!("error: {trouble}{cause}");
            ExitCode::from(2)
        }
    }
}

/// Measures the chosen goals; how many bounds were missed.
fn measure_all(options: Options) -> Result<usize, Trouble> {
    let goals = options.chosen();
    let tools = Tools::found(&goals)?;
    let options = options.with_whole_paths()?;
    let folder = TempDir::with_prefix_in("goals-", &options.dir).map_err(Trouble::at(&options.dir))?;
    let bench = Bench { options, tools, folder };
    println!("{}\n", machine::described(&bench)?);
    let mut verdicts = Vec::new();
    for goal in goals {
        println!("## {}\n", goal.name());
        let of_goal = bench.measure(goal)?;
        for verdict in &of_goal {
            println!("{}: {verdict}", goal.name());
        }
        println!();
        verdicts.extend(of_goal);
    }
    let missed = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    println!("{missed} of {} bounds missed", verdicts.iter().filter(|verdict| verdict.bound != Bound::Free).count());
    Ok(missed)
}

impl Bench {
    fn measure(&self, goal: Goal) -> Result<Vec<Verdict>, Trouble> {
        match goal {
            Goal::Startup => startup::measure(self),
            Goal::Throughput => throughput::measure(self),
            Goal::Resume => resume::measure(self),
            Goal::Growth => growth::measure(self),
            Goal::Pace => pace::measure(self),
            Goal::Together => together::measure(self),
            Goal::Postgres => postgres::measure(self),
            Goal::Size => self.size(),
        }
    }

    /// The size of the program. How long a build takes is for a person to measure, with nothing else running:
    /// `cargo clean && time cargo build --release`.
    fn size(&self) -> Result<Vec<Verdict>, Trouble> {
        let program = &self.options.program;
        let bytes = fs::metadata(program).map_err(Trouble::at(program))?.len();
        let megabytes = f64::from(u32::try_from(bytes / 1_000).unwrap_or(u32::MAX)) / 1_000.0;
        Ok(vec![Verdict {
            what: "the program, stripped".to_owned(),
            measured: megabytes,
            unit: "MB",
            bound: Bound::Free,
        }])
    }

    /// Measures so many rounds in turn.
    fn rounds<T>(&self, what: &str, mut round: impl FnMut(u32) -> Result<T, Trouble>) -> Result<Vec<T>, Trouble> {
        let rounds = self.options.rounds;
        (1..=rounds)
            .map(|number| {
                eprintln!("{what}: round {number} of {rounds}");
                round(number)
            })
            .collect()
    }
}
