//! The digest in words.

use std::fmt::Write as _;
use std::path::Path;

use super::summary::{Paused, Summary, Traffic};
use crate::clock::UnixMillis;
use crate::domain::{Brief, Ended, Rate, Status};
use crate::files::is_stdout;
use crate::policy::Spending;
use crate::results::Cause;
use crate::runner::Covers;

/// Most lines of a digest.
pub const DIGEST_LINES: usize = 25;

/// Lines of a digest besides the causes.
const FIXED_LINES: usize = 21;

/// Pauses told of one by one.
const SHOWN_PAUSES: usize = 3;

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
        let (left, rows) = (self.tally.left(), plural(self.tally.rows, "row has", "rows have"));
        match (left, self.ended) {
            (0, _) => format!("coverbatch: {rows} their cover\n"),
            (_, Ended::Finished) => format!("coverbatch: {left} of {rows} no cover yet\n"),
            (_, ended) => format!("coverbatch: stopped, {}; {left} of {rows} no cover yet\n", self.why(ended)),
        }
    }

    /// Why a run ended early, in words.
    fn why(&self, ended: Ended) -> String {
        match ended {
            Ended::Finished => "finished".to_owned(),
            Ended::Interrupted(_) => "interrupted by a signal".to_owned(),
            Ended::Deadline => "--deadline passed".to_owned(),
            Ended::Outage => {
                format!("the service refused every request for {} (--max-outage)", Brief(self.max_outage))
            }
            Ended::TooManyFailures => "too many rows failed (--max-failures)".to_owned(),
            Ended::Limit => "as --limit asked".to_owned(),
            Ended::Budget => "one more cover would cost more than --max-credits allows".to_owned(),
            Ended::Unauthorized => "the service refuses the key or this machine".to_owned(),
            Ended::NoCredits => "the account has no credits left".to_owned(),
            Ended::WrongAddress => "the service is not to be reached at this address".to_owned(),
            Ended::NotUnderstood => "none of the first answers could be understood".to_owned(),
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
            let duplicates = plural(self.tally.duplicates, "duplicate", "duplicates");
            let _ = writeln!(text, "  {duplicates} of an earlier row, sent once");
        }
        if self.tally.others > 0 {
            let others = plural(self.tally.others, "other row is left as it is", "other rows are left as they are");
            let _ = writeln!(text, "  {others}, as --only asked");
        }
        if let Some(unlike) = &self.tally.unlike {
            let _ = writeln!(text, "  {unlike}");
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
            let (rows, more) = (plural(rest, "row", "rows"), causes.len() - shown);
            let _ = writeln!(text, "  {rows} for {more} more causes: see the results");
        }
    }

    fn write_facts(&self, text: &mut String) {
        let _ = writeln!(text, "\n  began    {}, took {}", self.started, Brief(self.took));
        for (what, traffic) in [("sent  ", &self.submissions), ("read  ", &self.reads)] {
            if let Some(traffic) = traffic {
                traffic.write(text, what);
            }
        }
        if let Some(Spending { limit, at_start, left, spent }) = self.spending {
            let _ = writeln!(text, "  credits  {left} left of {at_start}, {spent} spent (limit {limit})");
        }
        if let Some(covers) = &self.covers {
            let _ = writeln!(text, "  covers   {}", self.cover_list(covers));
        }
        let _ = writeln!(text, "  results  {}", place(&self.files.results));
        if let Some(failures) = &self.files.failures {
            let _ = writeln!(text, "  failures {}", place(failures));
        }
        let _ = writeln!(text, "  ledger   {}{}", self.files.ledger.display(), self.news_of_ledger());
        if let Some(images) = &self.files.images {
            let _ = writeln!(text, "  images   {}", images.display());
        }
    }

    /// `, new; 25 music tasks were taken over from earlier results`.
    fn news_of_ledger(&self) -> String {
        let new = if self.files.ledger_is_new { ", new" } else { "" };
        let taken = match self.files.taken_over {
            0 => String::new(),
            count => {
                format!("; {} taken over from earlier results", plural(count, "music task was", "music tasks were"))
            }
        };
        format!("{new}{taken}")
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
}

impl Traffic {
    fn write(&self, text: &mut String, what: &str) {
        let Rate { count, period } = self.rate;
        let _ = write!(text, "  {what}   {}, ", plural(self.requests, "request", "requests"));
        let _ = writeln!(text, "at most {} in any {} (limit {count})", self.gate.most_in_window, Brief(period));
        if !self.pauses.is_empty() {
            let _ = writeln!(text, "  paused   {} in all: {}", Brief(self.gate.paused_for), self.pause_list());
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

/// One cause of a digest: `212 rows gave_up: server_error (code 500), lines 3, 9, 17 …: Unexpected server error`.
fn cause_line(cause: &Cause) -> String {
    let mut line = format!("{} {}", plural(cause.rows, "row", "rows"), cause.status);
    if let Some(reason) = cause.reason {
        let _ = write!(line, ": {reason}");
    }
    if let Some(code) = cause.code {
        let _ = write!(line, " (code {code})");
    }
    let _ = write!(line, ", {} {}", if cause.rows == 1 { "line" } else { "lines" }, cause.line_list());
    if !cause.message.is_empty() {
        // Whole: what to do often stands at its end.
        let _ = write!(line, ": {}", cause.message);
    }
    line
}

/// Where a file is.
fn place(path: &Path) -> String {
    if is_stdout(path) { "standard output".to_owned() } else { path.display().to_string() }
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
