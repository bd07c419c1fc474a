//! The command line of the measurements.

use std::fs;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Parser, ValueEnum};

use crate::trouble::Trouble;

/// Measure what is promised of speed, memory and pace, each as a ratio within this run
#[derive(Debug, Parser)]
#[command(name = "goals", bin_name = "cargo bench --bench goals --")]
pub(crate) struct Options {
    /// What to measure [default: all of it, in this order]
    #[arg(value_name = "GOAL", value_enum)]
    goals: Vec<Goal>,

    /// Folder to work in; on a real disk, as that is part of what is measured
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) dir: PathBuf,

    /// How often each is measured
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// Rows of the catalogs [default: 200000 for throughput, 1000000 for resume and, as the largest, for growth, 100
    /// and never more for pace, 600 for together, 40000, 600 and 1000000 for postgres]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    pub(crate) rows: Option<u32>,

    /// The program that is measured
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_coverbatch"))]
    pub(crate) program: PathBuf,

    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// Milliseconds of `--version`, `--help` and of a run of ten rows
    Startup,
    /// Rows a second of a first run, against curl
    Throughput,
    /// A rerun over settled rows, against one read and one join by sqlite3
    Resume,
    /// Memory and speed while catalog and ledger grow
    Growth,
    /// The documented limit in real time: never above it, hardly below
    Pace,
    /// One, two and four runs of one account at a real limit: never above it together, hardly below
    Together,
    /// A ledger in a database against one in a file: rows a second, two runs, the limit, a rerun
    Postgres,
    /// Size of the program
    Size,
}

impl Goal {
    /// What the goal is called on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().as_ref().map(PossibleValue::get_name).unwrap_or_default().to_owned()
    }
}

impl Options {
    /// The same for those who work in other folders; the one to work in is there when this returns.
    pub(crate) fn with_whole_paths(mut self) -> Result<Self, Trouble> {
        fs::create_dir_all(&self.dir).map_err(Trouble::at(&self.dir))?;
        self.dir = self.dir.canonicalize().map_err(Trouble::at(&self.dir))?;
        self.program = self.program.canonicalize().map_err(Trouble::at(&self.program))?;
        Ok(self)
    }

    /// The goals that were asked for.
    pub(crate) fn chosen(&self) -> Vec<Goal> {
        if self.goals.is_empty() { Goal::value_variants().to_vec() } else { self.goals.clone() }
    }
}
