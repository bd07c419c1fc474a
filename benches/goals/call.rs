//! One call of a program, and what it took.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::trouble::Trouble;

/// The key of an account that there is not.
pub(crate) const KEY: &str = "a-key-for-the-measurements";

/// Where the errors of a call are kept.
const ERRORS: &str = "call.err";

/// Where the output of a call is kept.
const OUTPUT: &str = "call.out";

/// Where `time` tells.
const TIMES: &str = "call.time";

/// One call of a program.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [&'a str],
    /// Where it works, and where its temporary files are.
    pub(crate) folder: &'a Path,
}

/// What a call took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Just before it was started.
    pub(crate) began: Instant,
    /// How long it took.
    pub(crate) wall: Duration,
    /// Time of all cores, by the system and by itself.
    pub(crate) cpu: Duration,
    /// The most memory it had at a time.
    pub(crate) peak_mib: f64,
}

impl Usage {
    pub(crate) fn rows_per_second(&self, rows: u32) -> f64 {
        f64::from(rows) / self.wall.as_secs_f64()
    }

    pub(crate) fn cpu_micros_per_row(&self, rows: u32) -> f64 {
        micros_per_row(self.cpu, rows)
    }
}

/// Microseconds for each of so many rows.
pub(crate) fn micros_per_row(time: Duration, rows: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(rows)
}

impl Call<'_> {
    /// Calls it to its end, which has to be a success.
    pub(crate) fn wall(&self) -> Result<Duration, Trouble> {
        let began = Instant::now();
        self.run(Command::new(self.program))?;
        Ok(began.elapsed())
    }

    /// The same under GNU `time`, which also keeps the memory of this process out of the figures.
    pub(crate) fn usage(&self, time: &Path) -> Result<Usage, Trouble> {
        let mut command = Command::new(time);
        command.args(["-f", "%U %S %M", "-o", TIMES]).arg(self.program);
        let began = Instant::now();
        self.run(command)?;
        let wall = began.elapsed();
        let path = self.folder.join(TIMES);
        let text = fs::read_to_string(&path).map_err(Trouble::at(&path))?;
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[user, system, kib] = numbers.as_slice() else { return Err(self.failed(&format!("time said {text}"))) };
        let cpu = Duration::try_from_secs_f64(user + system).unwrap_or_default();
        Ok(Usage { began, wall, cpu, peak_mib: kib / 1024.0 })
    }

    /// What the last call in this folder printed.
    pub(crate) fn output(&self) -> Result<String, Trouble> {
        let path = self.folder.join(OUTPUT);
        fs::read_to_string(&path).map_err(Trouble::at(&path))
    }

    /// Runs `command` with the arguments and nothing of this process's environment that could change what it does.
    fn run(&self, mut command: Command) -> Result<(), Trouble> {
        command.args(self.arguments).current_dir(self.folder).env_clear().stdin(Stdio::null());
        command.env("PATH", env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")));
        command.env("TMPDIR", self.folder).env("SUNO_API_KEY", KEY);
        command.env("STATE_DIRECTORY", self.folder).env("COVERBATCH_ACCOUNT", "c");
        command.stdout(self.file(OUTPUT)?).stderr(self.file(ERRORS)?);
        let status = command.status().map_err(Trouble::at(self.program))?;
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string())) }
    }

    fn file(&self, name: &str) -> Result<File, Trouble> {
        let path = self.folder.join(name);
        File::create(&path).map_err(Trouble::at(&path))
    }

    /// The trouble that the call ended so.
    pub(crate) fn failed(&self, how: &str) -> Trouble {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        let first: Vec<&str> = self.arguments.iter().take(2).copied().collect();
        let errors = fs::read_to_string(self.folder.join(ERRORS)).unwrap_or_default();
        let said: String = errors.chars().take(2_000).collect();
        Trouble::Command { command: format!("{name} {}", first.join(" ")), said: format!("{how}\n{said}") }
    }
}

/// Copies a file; it is on the disk when this returns, so that nobody who is measured has to wait for it.
pub(crate) fn copy_durably(from: &Path, to: &Path) -> Result<(), Trouble> {
    fs::copy(from, to).map_err(Trouble::at(to))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(Trouble::at(to))
}
