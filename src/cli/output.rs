//! Standard output, which is data, and standard error, which is talk: messages and log lines.
//!
//! Logs are text or JSON, as `RUST_LOG` says, else as `-v` and `-q` say.

use std::env;
use std::io::{self, IsTerminal as _, Write as _, stderr};

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::error::Error;
use crate::progress::{Screen, Style};

/// Tells a person something. That standard error is closed is no reason to fail.
pub(super) fn eprint(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// Prints what was asked for. That its reader has gone away, as `head` does, is no reason to fail.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(Error::Stdout(cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is told on the way.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct LogArgs {
    /// Format of log lines
    #[arg(long, value_enum, default_value_t, env = "COVERBATCH_LOG_FORMAT", hide_env = true)]
    log_format: LogFormat,

    /// Log more; may be repeated
    #[arg(short, long, action = ArgAction::Count, env = "COVERBATCH_VERBOSE", hide_env = true)]
    verbose: u8,

    /// Show no progress, and no summary of a clean run
    #[arg(short, long, env = "COVERBATCH_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,
}

impl LogArgs {
    /// How progress is shown, if it is: a terminal that cannot move its cursor is written to as a file is.
    pub(super) fn style(&self) -> Option<Style> {
        let is_dumb = env::var_os("TERM").is_some_and(|name| name == "dumb");
        self.style_at(stderr().is_terminal(), is_dumb)
    }

    fn style_at(&self, is_terminal: bool, is_dumb: bool) -> Option<Style> {
        match (self.quiet, is_terminal) {
            (true, _) => None,
            (false, true) => Some(if is_dumb { Style::Written } else { Style::Drawn }),
            (false, false) => (self.verbose > 0).then_some(Style::Written),
        }
    }

    /// Begins to log.
    pub(super) fn begin(&self, screen: &Screen) {
        begin_logging(self.log_format, self.verbose, self.quiet, screen);
    }
}

/// Begins to log. Without `-v` only warnings, because cron mails whatever is printed.
pub(super) fn begin_logging(format: LogFormat, verbose: u8, quiet: bool, screen: &Screen) {
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
        .with_writer(screen.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_drawn_at_a_terminal_and_written_where_it_cannot_be() {
        let style = |verbose, quiet, is_terminal, is_dumb| {
            LogArgs { log_format: LogFormat::Text, verbose, quiet }.style_at(is_terminal, is_dumb)
        };
        assert_eq!(style(0, false, true, false), Some(Style::Drawn));
        assert_eq!(style(0, false, true, true), Some(Style::Written));
        assert_eq!(style(1, false, false, false), Some(Style::Written));
        assert_eq!(style(0, false, false, true), None, "nobody watches");
        assert_eq!(style(1, true, true, false), None, "it is to be quiet");
    }
}
