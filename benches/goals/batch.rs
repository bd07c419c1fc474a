//! A folder with catalogs and ledgers, and runs of the program in it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::Bench;
use crate::call::{Call, Usage};
use crate::catalog;
use crate::trouble::Trouble;

/// Requests in flight, of all clients.
pub(crate) const IN_FLIGHT: &str = "64";

/// A pace that nobody reaches.
const UNLIMITED: &str = "1000000/1s";

/// The window of that pace and the slack that the program gives to it.
const WINDOW: Duration = Duration::from_millis(1_500);

/// Waits until no submission of an earlier run is in the window of the pace: the next run would read them all first,
/// which no run does that is hours or days after the one before.
pub(crate) fn let_window_pass() {
    sleep(WINDOW);
}

/// A folder with catalogs and ledgers.
pub(crate) struct Batch<'a> {
    bench: &'a Bench,
    folder: TempDir,
}

impl<'a> Batch<'a> {
    /// An empty folder on the disk that is measured.
    pub(crate) fn new(bench: &'a Bench) -> Result<Self, Trouble> {
        let parent = bench.folder.path();
        let folder = TempDir::with_prefix_in("batch-", parent).map_err(Trouble::at(parent))?;
        Ok(Self { bench, folder })
    }

    /// One with a catalog `c.csv` of these rows.
    pub(crate) fn of(bench: &'a Bench, rows: impl Iterator<Item = u64>) -> Result<Self, Trouble> {
        let batch = Self::new(bench)?;
        batch.write("c.csv", rows)?;
        Ok(batch)
    }

    /// Writes a catalog of these rows.
    pub(crate) fn write(&self, name: &str, rows: impl Iterator<Item = u64>) -> Result<(), Trouble> {
        catalog::write(&self.path(name), rows)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `coverbatch run CATALOG …` as fast as it goes, with what it took.
    pub(crate) fn run(&self, catalog: &str, address: SocketAddr, options: &[&str]) -> Result<Usage, Trouble> {
        let address = format!("http://{address}");
        self.usage_of(&run_words(catalog, &address, UNLIMITED, options))
    }

    /// The same at a pace, or in too short a time for a second program around it: its time alone.
    pub(crate) fn timed_run(
        &self,
        catalog: &str,
        address: SocketAddr,
        rate: Option<&str>,
        options: &[&str],
    ) -> Result<Duration, Trouble> {
        let address = format!("http://{address}");
        self.program(&run_words(catalog, &address, rate.unwrap_or(UNLIMITED), options)).wall()
    }

    /// `coverbatch …`, with what it took.
    pub(crate) fn usage_of(&self, arguments: &[&str]) -> Result<Usage, Trouble> {
        self.program(arguments).usage(self.bench.tools.path("time"))
    }

    /// Another program in the same folder.
    pub(crate) fn tool<'b>(&'b self, name: &'b str, arguments: &'b [&'b str]) -> Call<'b> {
        Call { program: self.bench.tools.path(name), arguments, folder: self.folder.path() }
    }

    /// What such a tool took.
    pub(crate) fn usage_of_tool(&self, tool: &Call<'_>) -> Result<Usage, Trouble> {
        tool.usage(self.bench.tools.path("time"))
    }

    /// Takes a ledger away, with all that may be beside it, and the results, from which a run would take over what it knew.
    pub(crate) fn forget(&self, ledger: &str) {
        let entries = fs::read_dir(self.path("")).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(".results.csv")) {
            let _ = fs::remove_file(path);
        }
        for suffix in ["", "-wal", "-shm"] {
            // Most of them are not there.
            let _ = fs::remove_file(self.path(&format!("{ledger}{suffix}")));
        }
    }

    /// Lines of a file below its head.
    pub(crate) fn rows_of(&self, name: &str) -> Result<u32, Trouble> {
        let path = self.path(name);
        let count = || {
            let mut reader = BufReader::new(File::open(&path)?);
            let mut lines = 0_u32;
            while reader.skip_until(b'\n')? > 0 {
                lines += 1;
            }
            Ok(lines.saturating_sub(1))
        };
        count().map_err(Trouble::at(&path))
    }

    pub(crate) fn program<'b>(&'b self, arguments: &'b [&'b str]) -> Call<'b> {
        Call { program: &self.bench.options.program, arguments, folder: self.folder.path() }
    }
}

fn run_words<'a>(catalog: &'a str, address: &'a str, rate: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let words = ["run", catalog, "--no-callback", "--api-url", address, "--rate", rate, "--concurrency", IN_FLIGHT];
    [&words[..], &["-q"], options].concat()
}
