//! The machine the figures come from, and the tools it needs.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Instant;
use std::{fs, iter};

use crate::Bench;
use crate::figures::{figure, median};
use crate::options::Goal;
use crate::trouble::Trouble;

/// Where servers are on systems that leave them out of PATH.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Synchronised writes whose time is told.
const SYNCS: u32 = 100;

/// A tool, where to get it, and the goals it is needed for.
type Need = (&'static str, &'static str, &'static [Goal]);

const NEEDS: [Need; 5] = [
    ("nginx", "apt-get install nginx-light", &[Goal::Throughput, Goal::Resume, Goal::Growth, Goal::Postgres]),
    ("time", "apt-get install time", &[Goal::Throughput, Goal::Resume, Goal::Growth, Goal::Postgres]),
    ("psql", "apt-get install postgresql", &[Goal::Postgres]),
    ("curl", "apt-get install curl", &[Goal::Throughput]),
    ("sqlite3", "apt-get install sqlite3", &[Goal::Resume]),
];

/// The tools that the chosen goals need, and where they are.
#[derive(Debug)]
pub(crate) struct Tools(Vec<(&'static str, PathBuf)>);

impl Tools {
    /// Looks for what these goals need.
    pub(crate) fn found(goals: &[Goal]) -> Result<Self, Trouble> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (name, source, _) in NEEDS.iter().filter(|need| need.2.iter().any(|goal| goals.contains(goal))) {
            match place_of(name) {
                Some(path) => found.push((*name, path)),
                None => missing.push(format!("  {name}: {source}")),
            }
        }
        if missing.is_empty() { Ok(Self(found)) } else { Err(Trouble::Missing(missing.join("\n"))) }
    }

    /// The tool of this name; its name alone if no goal was said to need it.
    pub(crate) fn path<'a>(&'a self, name: &'a str) -> &'a Path {
        self.0.iter().find(|(known, _)| *known == name).map_or(Path::new(name), |(_, path)| path)
    }

    /// Names and versions.
    fn versions(&self) -> impl Iterator<Item = String> {
        let told = |(name, path): &(&str, PathBuf)| {
            // Some tell their version only by the small letter, and on the other stream.
            let option = if *name == "nginx" { "-v" } else { "--version" };
            version(path, option).map_or_else(|| (*name).to_owned(), |version| format!("{name} {version}"))
        };
        self.0.iter().map(told)
    }
}

fn place_of(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(MORE_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The first word with a digit of what a program says of itself.
fn version(program: &Path, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let word = said.lines().next()?.split([' ', '/']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(word.to_owned())
}

/// Two lines: the machine, and what is measured on it.
pub(crate) fn described(bench: &Bench) -> Result<String, Trouble> {
    let cores = available_parallelism().map_or(0, NonZero::get);
    let model = value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kib = value_of("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let folder = bench.folder.path();
    let disk = file_system(folder).unwrap_or_else(|| "an unknown file system".to_owned());
    let sync = figure(sync_millis(folder).map_err(Trouble::at(folder))?);
    let program = version(&bench.options.program, "--version").unwrap_or_default();
    let programs: Vec<String> = iter::once(format!("coverbatch {program}")).chain(bench.tools.versions()).collect();
    let mib = kib.unwrap_or_default() / 1024;
    Ok(format!(
        "{model}, {cores} cores, {mib} MiB, Linux {}, {disk} with {sync} ms for a synchronised write\n{}",
        kernel.trim(),
        programs.join(", ")
    ))
}

/// Milliseconds until a few bytes are on the disk, which is most of what a ledger waits for.
fn sync_millis(folder: &Path) -> io::Result<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut write = || {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    Ok(median((0..SYNCS).map(|_| write()).collect::<io::Result<Vec<_>>>()?))
}

/// What stands after `name` in a file of lines such as `name : value`.
fn value_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// The file system that a folder is on: that of the longest mount point above it.
fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(OsStr::new(point)));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}
