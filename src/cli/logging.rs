//! Log lines on standard error: text or JSON, as `RUST_LOG` says, else as `-v` and `-q` say.

use std::env;
use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::progress::{LogWriter, Screen};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. Without `-v` only warnings, because cron mails whatever is printed.
pub(super) fn begin(format: LogFormat, verbose: u8, quiet: bool, screen: &Screen) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "coverbatch=info,warn",
        (false, 2) => "coverbatch=debug,warn",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colour = stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogWriter::new(screen.clone()))
        .with_ansi(colour)
        // They would go to standard error with `eprintln!`, which panics where that is closed or full.
        .log_internal_errors(false)
        .with_target(false);
    // A second subscriber in one process is refused; the first one goes on.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
