//! What a run tells: the closing digest for a person, and the same as one JSON document for a machine.
//!
//! A mail at 6 in the morning is read on a phone: at most [`DIGEST_LINES`] lines, what is left and why first, and the
//! exact next command last.

mod document;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::clock::UnixMillis;
use crate::domain::{Brief, Ended, Rate, Reason, Status};
use crate::error::Exit;
use crate::gate::GateView;
use crate::results::{Cause, Tally};
use crate::runner::Covers;

pub use document::RowCounts;

/// Most lines of a digest.
pub const DIGEST_LINES: usize = 25;

/// Lines of a digest besides the causes.
const FIXED_LINES: usize = 18;

/// Pauses told of one by one.
const SHOWN_PAUSES: usize = 3;

/// Characters shown of a message.
const MESSAGE_CHARS: usize = 60;

/// Everything worth telling about a run.
#[derive(Debug)]
pub struct Summary {
    /// How it ended.
    pub ended: Ended,
    /// Its exit code.
    pub exit: Exit,
    /// The rows, counted as the results show them.
    pub tally: Tally,
    /// Submissions, if it makes any.
    pub submissions: Option<Traffic>,
    /// Reads of records, if it makes any.
    pub reads: Option<Traffic>,
    /// What came of covers, if it follows them.
    pub covers: Option<Covers>,
    /// Answers of the service by what they meant.
    pub outcomes: BTreeMap<Reason, u64>,
    /// When it began.
    pub started: UnixMillis,
    /// How long it took.
    pub took: Duration,
    /// The files.
    pub files: Files,
    /// The command to go on with, ready for a shell.
    pub next: NextCommands,
}

/// Requests of one kind, and the limit they keep.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Requests made.
    pub requests: u64,
    /// The limit.
    pub rate: Rate,
    /// What the gate has seen.
    pub gate: GateView,
    /// When none was made because of the service.
    pub pauses: Vec<Paused>,
}

/// A time in which nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    /// Why.
    pub reason: Reason,
    /// From when.
    pub from: UnixMillis,
    /// Until when.
    pub until: UnixMillis,
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct Files {
    /// The results CSV.
    pub results: PathBuf,
    /// The failures CSV, if asked for.
    pub failures: Option<PathBuf>,
    /// The ledger.
    pub ledger: PathBuf,
    /// The folder of the images, if they are saved.
    pub images: Option<PathBuf>,
}

/// Commands, ready for a shell.
#[derive(Debug, Clone)]
pub struct NextCommands {
    /// The same command again.
    pub rerun: String,
    /// A run that sends what is left; the same, if the command is one that sends.
    pub send: String,
    /// The same run, with everything that failed for good.
    pub retry_all: String,
    /// The same run, with rows that are held back.
    pub resend: String,
}

/// What a person does after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NextStep<'a> {
    /// What to think of first.
    pub advice: &'static str,
    /// The exact command, ready for a shell.
    pub command: &'a str,
}

impl Summary {
    /// The digest, with `used` of its lines already printed.
    #[must_use]
    pub fn digest(&self, used: usize) -> String {
        let mut text = self.headline();
        self.write_counts(&mut text);
        self.write_causes(&mut text, DIGEST_LINES.saturating_sub(FIXED_LINES + used).max(1));
        self.write_facts(&mut text);
        if let Some(next) = self.next_step() {
            let _ = writeln!(text, "\nnext: {}\n  {}", next.advice, next.command);
        }
        text
    }

    fn headline(&self) -> String {
        let (left, rows) = (self.tally.left(), self.tally.rows);
        match (left, self.ended) {
            (0, _) => format!("coverbatch: {} their cover\n", plural(rows, "row has", "rows have")),
            (_, Ended::Finished) => {
                format!("coverbatch: {left} of {} no cover yet\n", plural(rows, "row has", "rows have"))
            }
            (_, ended) => format!(
                "coverbatch: stopped, {}; {left} of {} no cover yet\n",
                why(ended),
                plural(rows, "row has", "rows have")
            ),
        }
    }

    fn write_counts(&self, text: &mut String) {
        let counts: Vec<String> = Status::ALL
            .iter()
            .map(|status| (status, self.tally.with(*status)))
            .filter(|(_, rows)| *rows > 0)
            .map(|(status, rows)| format!("{status} {rows}"))
            .collect();
        let _ = writeln!(text, "  {}", if counts.is_empty() { "no rows".to_owned() } else { counts.join(", ") });
        if self.tally.duplicates > 0 {
            let _ = writeln!(
                text,
                "  {} of an earlier row, sent once",
                plural(self.tally.duplicates, "duplicate", "duplicates")
            );
        }
    }

    fn write_causes(&self, text: &mut String, most: usize) {
        let causes = self.tally.causes();
        if causes.is_empty() {
            return;
        }
        text.push('\n');
        let shown = if causes.len() > most { most.saturating_sub(1) } else { causes.len() };
        for cause in &causes[..shown] {
            let _ = writeln!(text, "  {}", cause_line(cause));
        }
        let rest: u64 = causes[shown..].iter().map(|cause| cause.rows).sum();
        if rest > 0 {
            let _ = writeln!(
                text,
                "  {} for {} more causes: see the results",
                plural(rest, "row", "rows"),
                causes.len() - shown
            );
        }
    }

    fn write_facts(&self, text: &mut String) {
        let _ = writeln!(text, "\n  began    {}, took {}", self.started, Brief(self.took));
        for (what, traffic) in [("sent  ", &self.submissions), ("read  ", &self.reads)] {
            if let Some(traffic) = traffic {
                traffic.write(text, what);
            }
        }
        if let Some(covers) = &self.covers {
            let _ = writeln!(text, "  covers   {}", self.cover_list(covers));
        }
        let _ = writeln!(text, "  results  {}", self.files.results.display());
        if let Some(failures) = &self.files.failures {
            let _ = writeln!(text, "  failures {}", failures.display());
        }
        let _ = writeln!(text, "  ledger   {}", self.files.ledger.display());
        if let Some(images) = &self.files.images {
            let _ = writeln!(text, "  images   {}", images.display());
        }
    }

    /// `27 finished, 1 failed, 2 not finished yet, 54 images saved`.
    fn cover_list(&self, covers: &Covers) -> String {
        let (awaited, unknown) = (self.tally.awaited, self.tally.unknown);
        let parts = [
            (covers.generated, "finished"),
            (covers.failed, "failed"),
            (awaited, "not in hand yet"),
            (unknown, "without an id to follow"),
            (self.tally.forgotten, "forgotten by the service"),
            (covers.saved, if covers.saved == 1 { "image saved" } else { "images saved" }),
            (self.tally.fallbacks, "with the default cover"),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if told.is_empty() { "none to follow".to_owned() } else { told.join(", ") }
    }

    /// What to do now; nothing after a clean run.
    #[must_use]
    pub fn next_step(&self) -> Option<NextStep<'_>> {
        let NextCommands { rerun, send, retry_all, resend } = &self.next;
        let (advice, command) = match (self.exit, self.ended) {
            (Exit::Account, Ended::Unauthorized) => ("check the API key, then", rerun),
            (Exit::Account, _) => ("top up the account, then", rerun),
            (Exit::Left | Exit::Signal(_), Ended::TooManyFailures) => {
                ("look at the causes above before you go on with", send)
            }
            (Exit::Left | Exit::Signal(_), _) if self.tally.retryable == 0 && self.tally.awaited > 0 => {
                ("to go on waiting for these covers", rerun)
            }
            (Exit::Left, _) if self.tally.retryable == 0 => {
                ("these rows may have been paid for; to send them again", resend)
            }
            (Exit::Signal(_), _) if self.tally.is_all_settled() => return None,
            (Exit::Left | Exit::Signal(_), _) => ("to go on with what is left", send),
            (Exit::Failed, _) if self.tally.with(Status::Failed) > 0 => {
                ("correct these rows in the catalog; to send all failed rows once more", retry_all)
            }
            (Exit::Failed, _) => ("correct these rows in the catalog, then", send),
            (Exit::Success | Exit::Defect | Exit::Usage | Exit::Held | Exit::Catalog | Exit::Unwritten, _) => {
                return None;
            }
        };
        Some(NextStep { advice, command })
    }
}

impl Traffic {
    fn write(&self, text: &mut String, what: &str) {
        let Rate { count, period } = self.rate;
        let _ = write!(text, "  {what}   {}, ", plural(self.requests, "request", "requests"));
        let _ = writeln!(text, "at most {} in any {} (limit {count})", self.gate.most_in_window, Brief(period));
        if !self.pauses.is_empty() {
            let _ = writeln!(text, "  paused   {} in all: {}", Brief(self.gate.closed_for), self.pause_list());
        }
    }

    /// `maintenance 02:10:00-02:40:12, rate_limited 03:00:00-03:00:01 and 2 more`.
    fn pause_list(&self) -> String {
        let times =
            |pause: &Paused| format!("{} {}-{}", pause.reason, time_of_day(pause.from), time_of_day(pause.until));
        let shown: Vec<String> = self.pauses.iter().take(SHOWN_PAUSES).map(times).collect();
        let more = self.pauses.len() - shown.len();
        shown.join(", ") + &if more == 0 { String::new() } else { format!(" and {more} more") }
    }
}

/// Why a run ended early, in words.
const fn why(ended: Ended) -> &'static str {
    match ended {
        Ended::Finished => "finished",
        Ended::Interrupted(_) => "interrupted by a signal",
        Ended::Deadline => "--deadline passed",
        Ended::Outage => "the service refused everyone for --max-outage",
        Ended::TooManyFailures => "too many rows failed (--max-failures)",
        Ended::Unauthorized => "the service refuses the key or this machine",
        Ended::NoCredits => "the account has no credits left",
    }
}

/// One cause of a digest: `212 rows gave_up: server_error (code 500), lines 3, 9, 17 …: Unexpected server error`.
fn cause_line(cause: &Cause) -> String {
    let mut line = format!("{} {}", plural(cause.rows, "row", "rows"), cause.status);
    if let Some(reason) = cause.reason {
        let _ = write!(line, ": {reason}");
    }
    if let Some(code) = cause.code {
        let _ = write!(line, " (code {code})");
    }
    let numbers: Vec<String> = cause.lines.iter().map(u64::to_string).collect();
    let more = if cause.rows > u64::try_from(numbers.len()).unwrap_or(u64::MAX) { " …" } else { "" };
    let _ = write!(line, ", {} {}{more}", if cause.rows == 1 { "line" } else { "lines" }, numbers.join(", "));
    if !cause.message.is_empty() {
        let short: String = cause.message.chars().take(MESSAGE_CHARS).collect();
        let _ = write!(line, ": {short}{}", if short.len() < cause.message.len() { "…" } else { "" });
    }
    line
}

/// The time of day in UTC.
fn time_of_day(time: UnixMillis) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
