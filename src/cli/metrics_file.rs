//! The file of metrics, written at every end of a command. It is a service to others, so that it cannot be written is no
//! reason to fail.

use std::env;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::clock::Clock;
use crate::error::Exit;
use crate::files::{FileError, replace_whole};
use crate::metrics::{self, End};
use crate::report::Summary;

/// The option that names the file.
const OPTION: &str = "--metrics-file";

/// The variable that names it where the option does not.
const VARIABLE: &str = "COVERBATCH_METRICS_FILE";

/// The commands that have the option.
const COMMANDS: [&str; 2] = ["run", "follow"];

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
        Self::new(named_in(env::args_os().skip(1), env::var_os(VARIABLE)))
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

/// The file that a command line names, as far as it can be understood.
fn named_in(words: impl Iterator<Item = OsString>, variable: Option<OsString>) -> Option<PathBuf> {
    let words: Vec<OsString> = words.collect();
    if words.iter().any(|word| word == "-n" || word == "--dry-run") {
        return None;
    }
    let is_command = words.first().is_some_and(|word| COMMANDS.iter().any(|command| word == command));
    let mut found = variable.filter(|_| is_command);
    for (at, word) in words.iter().enumerate() {
        if word == OPTION {
            found = words.get(at + 1).cloned();
        } else if let Some(value) =
            word.as_bytes().strip_prefix(OPTION.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        {
            found = Some(OsString::from_vec(value.to_vec()));
        }
    }
    found.filter(|path| path != OsStr::new("")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_a_command_line_that_cannot_be_understood() {
        let found = |line: &str, variable: Option<&str>| {
            let path = named_in(line.split_whitespace().map(OsString::from), variable.map(OsString::from));
            path.map(|path| path.display().to_string())
        };
        assert_eq!(found("run x --rate 20 --metrics-file m", None).as_deref(), Some("m"));
        assert_eq!(found("run x --metrics-file=m --wrong", Some("v")).as_deref(), Some("m"));
        assert_eq!(found("run x --metrics-file a --metrics-file b", None).as_deref(), Some("b"));
        assert_eq!(found("follow x --wrong", Some("v")).as_deref(), Some("v"));
        for (line, variable) in [
            ("run x --wrong", None),
            ("run x --wrong", Some("")),
            ("status x --wrong", Some("v")),
            ("run x --metrics-file", None),
            ("run x -n --wrong --metrics-file m", None),
        ] {
            assert_eq!(found(line, variable), None, "{line}");
        }
    }
}
