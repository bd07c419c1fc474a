//! The last run as metrics: one file in the Prometheus text format, for the node exporter's textfile collector.
//!
//! Gauges only: each run is a new process, so nothing here counts on from the run before, but for the time of the last
//! success, which is carried over from the file it replaces.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::summary::{Summary, Traffic};
use crate::clock::UnixMillis;
use crate::domain::Status;
use crate::error::Exit;

/// The time of the last success, whose value outlives the runs that fail.
const LAST_SUCCESS: &str = "coverbatch_last_success_timestamp_seconds";

/// The time of the last end, which is always there.
const LAST_RUN: &str = "coverbatch_last_run_timestamp_seconds";

/// How and when a command ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Its exit code.
    pub exit: Exit,
    /// When.
    pub finished: UnixMillis,
    /// How long it took.
    pub took: Duration,
}

/// Whether a file holds metrics that [`text`] wrote.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    value_of(LAST_RUN, text).is_some()
}

/// The metrics of a command; `before` is what the file held. Without a summary they tell of the end alone.
#[must_use]
pub fn text(end: &End, summary: Option<&Summary>, before: &str) -> String {
    let finished = seconds(end.finished);
    let last_success = if end.exit == Exit::Success { Some(finished.clone()) } else { value_of(LAST_SUCCESS, before) };
    let mut text = String::new();
    if let Some(time) = last_success {
        gauge(&mut text, LAST_SUCCESS, "When a run last ended with every row settled.", time);
    }
    gauge(&mut text, LAST_RUN, "When the last run ended.", finished);
    let took = format!("{:.3}", end.took.as_secs_f64());
    gauge(&mut text, "coverbatch_duration_seconds", "How long the last run took.", took);
    gauge(&mut text, "coverbatch_exit_code", "The exit code of the last run.", end.exit.code());
    if let Some(summary) = summary {
        write_summary(&mut text, summary);
    }
    text
}

fn write_summary(text: &mut String, summary: &Summary) {
    let rows = Status::ALL.iter().map(|status| (status.word(), summary.tally.with(*status)));
    labelled(text, "coverbatch_rows", "Rows of the catalog by status.", "status", rows);
    let requests = summary.outcomes.iter().map(|(reason, count)| (reason.word(), *count));
    labelled(text, "coverbatch_requests", "Requests of the last run by outcome.", "outcome", requests);
    if let Some(traffic) = &summary.submissions {
        write_traffic(text, traffic);
    }
    if let Some(spending) = &summary.spending {
        gauge(text, "coverbatch_credits", "The balance when it was last read.", spending.left);
        gauge(text, "coverbatch_spent_credits", "By how much it became less in the last run.", spending.spent);
    }
    if let Some(covers) = &summary.covers {
        let counts = [
            ("finished", covers.generated),
            ("failed", covers.failed),
            ("not_in_hand", summary.tally.awaited),
            ("default_cover", summary.tally.fallbacks),
        ];
        labelled(text, "coverbatch_covers", "Covers that the last run followed.", "cover", counts);
    }
}

fn write_traffic(text: &mut String, traffic: &Traffic) {
    let (most, help) = (traffic.gate.most_in_window, "The most requests in any window of --rate.");
    gauge(text, "coverbatch_most_requests_in_any_window", help, most);
    let (limit, help) = (traffic.rate.count, "The number that --rate allows.");
    gauge(text, "coverbatch_limit_requests_in_any_window", help, limit);
    let closed = format!("{:.3}", traffic.gate.paused_for.as_secs_f64());
    gauge(text, "coverbatch_closed_seconds", "How long the last run waited for the service.", closed);
}

/// A gauge without labels.
fn gauge(text: &mut String, name: &str, help: &str, value: impl Display) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

/// A gauge for each value of one label; the values are words of this program.
fn labelled<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (word, value) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{word}\"}} {value}");
    }
}

/// Whole seconds, which is what timestamps have.
fn seconds(time: UnixMillis) -> String {
    (time.0 / 1000).to_string()
}

/// The value of a metric without labels, if it is there and a number.
fn value_of(name: &str, text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.parse::<u64>().ok().map(|seconds| seconds.to_string())
}
