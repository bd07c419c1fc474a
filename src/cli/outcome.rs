//! How a command ends, and who is told of it: whoever watches, a monitor, the metrics.
//!
//! The first signal that asks for the end lets a command end well, the second one ends the process at once.
//! The metrics are a service to others, so that they cannot be written is no reason to fail.

use std::error::Error as _;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tracing::warn;

use crate::api::ping::{Ping, PingError};
use crate::cli::guard::Guard;
use crate::cli::notify::notify;
use crate::cli::output::{eprint, print};
use crate::cli::settings::{guessed_path, typed};
use crate::clock::Clock;
use crate::domain::{Ended, Signal};
use crate::error::{Error, Exit};
use crate::files::{FileError, replace_whole};
use crate::report::Summary;
use crate::report::metrics::{self, End};
use crate::runner::Stop;
use crate::secret::masked_url;

/// What is told at the end, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct TellArgs {
    /// Print the summary as one JSON document
    #[arg(long, env = "COVERBATCH_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) json: bool,

    /// Whether a run after which nothing is new tells of what was left before, too
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_MAIL_UNCHANGED", hide_env = true)]
    mail_unchanged: YesNo,

    /// Write metrics of the run, for the node exporter's textfile collector
    #[arg(long, value_name = "PATH", env = "COVERBATCH_METRICS_FILE", hide_env = true)]
    pub(super) metrics_file: Option<PathBuf>,

    /// Tell a monitor such as healthchecks.io: <URL>/start, then <URL>/<exit code> with the digest
    #[arg(long, value_name = "URL", env = "COVERBATCH_PING_URL", hide_env = true)]
    ping_url: Option<String>,

    /// Run this in a shell at the end, with the JSON summary on its standard input; it has 30 seconds
    #[arg(long, value_name = "COMMAND", env = "COVERBATCH_NOTIFY_COMMAND", hide_env = true)]
    notify_command: Option<String>,
}

/// One or the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum YesNo {
    #[default]
    Yes,
    No,
}

/// How a command over a catalog ended.
pub(super) struct CommandOutcome {
    pub(super) summary: Summary,
    pub(super) digest: String,
}

impl TellArgs {
    /// With the files of these options.
    pub(super) fn guarded(&self, guard: Guard) -> Guard {
        let guard = guard.writes("--metrics-file", "the metrics", self.metrics_file.as_deref());
        guard.writes("--json", "the summary", self.json.then_some("-"))
    }

    /// Without metrics, monitor and notice: they speak of the whole catalog.
    pub(super) fn leave_monitors_alone(&mut self) {
        (self.metrics_file, self.ping_url, self.notify_command) = (None, None, None);
    }

    /// Where the metrics go, unless the guard knows that path as something else.
    pub(super) fn metrics(&self, guard: &Guard) -> MetricsFile {
        MetricsFile::new(self.metrics_file.clone().filter(|_| guard.allows("--metrics-file")))
    }

    /// Does `work`, and tells everyone who wants to know how it ended.
    pub(super) async fn conclude(
        &self,
        metrics: &MetricsFile,
        is_quiet: bool,
        work: impl Future<Output = Result<CommandOutcome, Error>>,
    ) -> Result<Exit, Error> {
        let (monitor, ended) = match self.monitor() {
            Ok(monitor) => {
                let started = monitor.as_ref().map(Ping::start);
                let ended = work.await;
                if let Some(started) = started {
                    // In this order, or the monitor would take the run for one that goes on.
                    let _ = started.await;
                }
                (monitor, ended)
            }
            Err(error) => (None, Err(error)),
        };
        let (outcome, result) = match ended {
            Ok(outcome) => {
                let told = self.tell(&outcome, is_quiet);
                let exit = outcome.summary.exit;
                (Some(outcome), told.map(|()| exit))
            }
            Err(error) => (None, Err(error)),
        };
        let exit = result.as_ref().map_or_else(Error::exit, |exit| *exit);
        metrics.write(exit, outcome.as_ref().map(|outcome| &outcome.summary));
        if let Some(command) = &self.notify_command {
            let summary = outcome.as_ref().map(|outcome| outcome.summary.json());
            let failed = || result.as_ref().map_or_else(|error| failure_json(exit, &error.report()), |_| String::new());
            notify(command, summary.unwrap_or_else(failed)).await;
        }
        if let Some(monitor) = monitor {
            let digest = outcome.map(|outcome| outcome.digest).unwrap_or_default();
            monitor.end(exit.code(), result.as_ref().map_or_else(Error::report, |_| digest)).await;
        }
        result
    }

    /// The monitor to tell.
    pub(super) fn monitor(&self) -> Result<Option<Ping>, Error> {
        let Some(address) = &self.ping_url else { return Ok(None) };
        Ping::new(address).map(Some).map_err(|bad| match bad {
            PingError::NotHttp => Error::usage(
                format!("--ping-url `{}` cannot be called: {bad}", masked_url(address)),
                "such as https://hc-ping.com/<uuid>",
            ),
            PingError::Client(bad) => bad.into(),
        })
    }

    /// The summary, to whoever is there: nobody after a clean run that nobody watches, nor after one of which everything
    /// is known, if that is not wanted.
    fn tell(&self, outcome: &CommandOutcome, is_quiet: bool) -> Result<(), Error> {
        let CommandOutcome { summary, digest } = outcome;
        let is_watched = stderr().is_terminal() && !is_quiet;
        let has_something = summary.exit != Exit::Success || summary.tally.small.rows > 0 || summary.has_shrunk;
        let is_mailed = has_something && (self.mail_unchanged == YesNo::Yes || !summary.is_unchanged());
        if is_watched || is_mailed {
            eprint(digest);
        }
        if self.json { print(&(summary.json() + "\n")) } else { Ok(()) }
    }
}

/// What there is to tell of a command that could not go on.
fn failure_json(exit: Exit, digest: &str) -> String {
    json!({ "ended": "error", "exit_code": exit.code(), "digest": digest }).to_string()
}

/// The option that names the file of metrics.
const METRICS: &str = "metrics-file";

/// The commands that have the option.
const METRICS_COMMANDS: [&str; 2] = ["run", "follow"];

/// Where the metrics of this command go, if they go anywhere.
#[derive(Debug, Clone)]
pub(super) struct MetricsFile {
    path: Option<PathBuf>,
    clock: Clock,
}

impl MetricsFile {
    /// Metrics into `path`, of a command that begins now.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, clock: Clock::start() }
    }

    /// Nowhere.
    pub(super) fn none() -> Self {
        Self::new(None)
    }

    /// Those of a command line that could not be understood.
    pub(super) fn of_command_line() -> Self {
        let line: Vec<OsString> = env::args_os().skip(1).collect();
        Self::new(if has_metrics(&line) { guessed_path(&line, METRICS) } else { None })
    }

    /// Writes how the command ended; the rest only with a summary.
    pub(super) fn write(&self, exit: Exit, summary: Option<&Summary>) {
        let Some(path) = &self.path else { return };
        let end = End { exit, finished: self.clock.unix(), took: self.clock.elapsed() };
        if let Err(error) = replace(path, &end, summary) {
            let cause = error.source().map(ToString::to_string);
            warn!(file = %path.display(), cause, "the metrics could not be written");
        }
    }
}

/// Replaces earlier metrics. A file that holds anything else was named by mistake.
fn replace(path: &Path, end: &End, summary: Option<&Summary>) -> Result<(), FileError> {
    let before = if path.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let before = String::from_utf8_lossy(&before);
    if !before.trim().is_empty() && !metrics::is_ours(&before) {
        return Err(FileError::new(path, io::Error::other("it holds something else than metrics of coverbatch")));
    }
    replace_whole(path, metrics::text(end, summary, &before).as_bytes())
}

/// Whether a command line, as far as it can be understood, is one that writes metrics.
fn has_metrics(line: &[OsString]) -> bool {
    let is_dry = line.iter().any(|word| word == "-n" || word == "--dry-run");
    let is_command = || line.first().is_some_and(|word| METRICS_COMMANDS.iter().any(|command| word == command));
    !is_dry && (typed(line, METRICS).is_some() || is_command())
}

/// The number of SIGHUP.
const HANGUP: u32 = 1;

/// The number of SIGXFSZ on Linux and macOS, MIPS aside.
const FILE_SIZE_LIMIT: i32 = 25;

/// From now on SIGINT, SIGTERM and SIGHUP ask `stop` for the end. The one that ends the process writes the metrics.
///
/// SIGHUP is left alone if it was ignored when the process began: under `nohup` it is to change nothing.
pub(super) fn watch_signals(stop: &Stop, metrics: &MetricsFile) -> Result<(), Error> {
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = if is_ignored(HANGUP) { None } else { Some(listen(SignalKind::hangup())?) };
    let (stop, metrics) = (stop.clone(), metrics.clone());
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
                Some(()) = next(hangup.as_mut()) => Signal::Terminate,
            };
            if asked {
                leave(signal, &metrics);
            }
            asked = true;
            eprint("coverbatch: stopping; answers on their way are awaited (a second signal leaves at once)\n");
            stop.request(Ended::Interrupted(signal));
        }
    });
    Ok(())
}

/// From now on a write past the limit of `ulimit -f` is an error like that of a full disk, which names its file.
pub(super) fn outlive_file_size_limit() -> Result<(), Error> {
    listen(SignalKind::from_raw(FILE_SIZE_LIMIT)).map(drop)
}

fn listen(kind: SignalKind) -> Result<Listener, Error> {
    signal(kind).map_err(|cause| Error::System { what: "listen for signals", cause })
}

/// The next signal; `None` if nobody listens for it.
async fn next(listener: Option<&mut Listener>) -> Option<()> {
    listener?.recv().await
}

/// Whether the process ignores a signal, as the kernel tells. Where it does not tell, none is taken over.
fn is_ignored(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (number - 1) & 1 == 1)
}

#[expect(clippy::exit, reason = "the second signal means at once; the ledger is safe at any time")]
fn leave(signal: Signal, metrics: &MetricsFile) {
    let exit = Exit::Signal(signal);
    metrics.write(exit, None);
    process::exit(i32::from(exit.code()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_a_command_line_that_cannot_be_understood() {
        let line = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let found = |words: &str| typed(&line(words), METRICS).map(|path| path.to_string_lossy().into_owned());
        for (words, path) in [
            ("run x --rate 20 --metrics-file m", "m"),
            ("run x --metrics-file=m --wrong", "m"),
            ("run x --metrics-file a --metrics-file b", "b"),
        ] {
            assert_eq!(found(words).as_deref(), Some(path), "{words}");
        }
        assert_eq!(found("run x --metrics-file"), None);
        assert!(has_metrics(&line("follow x --wrong")) && has_metrics(&line("status --metrics-file m")));
        for words in ["status x --wrong", "run x -n --wrong --metrics-file m", ""] {
            assert!(!has_metrics(&line(words)), "{words}");
        }
    }
}
