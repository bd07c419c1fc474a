//! Everything worth telling about a run, and what a person does next; for a machine, the same as one JSON document.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::next::{NextCommands, NextStep};
use crate::catalog::Unlike;
use crate::clock::UnixMillis;
use crate::domain::{Ended, Rate, Reason, Status};
use crate::error::Exit;
use crate::policy::Spending;
use crate::ratelimit::GateView;
use crate::results::{Cause, Changes, NamedRows, Tally};
use crate::runner::Covers;

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
    /// What it spent, if it may spend only so much.
    pub spending: Option<Spending>,
    /// What came of covers, if it follows them.
    pub covers: Option<Covers>,
    /// How long the service was allowed to refuse everyone.
    pub max_outage: Duration,
    /// Answers of the service by what they meant.
    pub outcomes: BTreeMap<Reason, u64>,
    /// When it began.
    pub started: UnixMillis,
    /// How long it took.
    pub took: Duration,
    /// Whether the catalog has lost most of its rows, as `--allow-shrink` lets it.
    pub has_shrunk: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// Whether this run made it.
    pub ledger_is_new: bool,
    /// Music tasks that it took over from earlier results.
    pub taken_over: u64,
    /// The folder of the images, if they are saved.
    pub images: Option<PathBuf>,
}

impl Summary {
    /// Whether a person was told all of it after the run before. One that stopped early, or whose ledger was made anew, is
    /// always worth a mail.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let is_as_usual = self.ended == Ended::Finished && !self.files.ledger_is_new && self.files.taken_over == 0;
        is_as_usual && self.tally.changes.is_none()
    }

    /// What to do now; nothing after a clean run.
    #[must_use]
    pub fn next_step(&self) -> Option<NextStep> {
        self.next.step(self.exit, self.ended, &self.tally)
    }
}

impl Summary {
    /// The whole as one JSON document.
    #[must_use]
    pub fn json(&self) -> String {
        let document = Document {
            ended: self.ended.reason().map_or("finished", Reason::word),
            exit_code: self.exit.code(),
            started_at: self.started,
            finished_at: self.started.after(self.took),
            seconds: self.took.as_secs_f64(),
            rows: RowCounts(&self.tally),
            requests: self.submissions.as_ref().map(|traffic| Requests {
                by_outcome: self.outcomes.iter().map(|(reason, count)| (reason.word(), *count)).collect(),
                ..Requests::new(traffic)
            }),
            reads: self.reads.as_ref().map(Requests::new),
            credits: self.spending,
            covers: self.covers.as_ref().map(|covers| CoverCounts {
                finished: covers.generated,
                failed: covers.failed,
                not_in_hand: self.tally.awaited,
                without_id: self.tally.unknown,
                forgotten: self.tally.forgotten,
                images_saved: covers.saved,
                default_covers: self.tally.fallbacks,
                records_read: covers.polls,
            }),
            pauses: self.submissions.iter().flat_map(|traffic| &traffic.pauses).collect(),
            causes: self.tally.causes(),
            changes: &self.tally.changes,
            is_first_run: !self.tally.changes.has_before,
            unlike_ids: self.tally.unlike.as_ref().map(UnlikeIds::new),
            small_covers: &self.tally.small,
            results: self.files.results.display().to_string(),
            failures: self.files.failures.as_ref().map(|path| path.display().to_string()),
            ledger: self.files.ledger.display().to_string(),
            ledger_is_new: self.files.ledger_is_new,
            taken_over: self.files.taken_over,
            images: self.files.images.as_ref().map(|path| path.display().to_string()),
            next: self.next_step(),
            digest: self.digest(),
        };
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    ended: &'static str,
    exit_code: u8,
    started_at: UnixMillis,
    finished_at: UnixMillis,
    seconds: f64,
    rows: RowCounts<'a>,
    requests: Option<Requests>,
    reads: Option<Requests>,
    credits: Option<Spending>,
    covers: Option<CoverCounts>,
    pauses: Vec<&'a Paused>,
    is_first_run: bool,
    changes: &'a Changes,
    causes: Vec<&'a Cause>,
    unlike_ids: Option<UnlikeIds>,
    small_covers: &'a NamedRows,
    results: String,
    failures: Option<String>,
    ledger: String,
    ledger_is_new: bool,
    taken_over: u64,
    images: Option<String>,
    next: Option<NextStep>,
    digest: String,
}

/// The rows of a catalog by status, for a JSON document.
#[derive(Debug)]
pub struct RowCounts<'a>(
    /// What is counted.
    pub &'a Tally,
);

impl Serialize for RowCounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tally) = self;
        let statuses = Status::ALL.iter().map(|status| (status.word(), tally.with(*status)));
        let more = [("duplicates", tally.duplicates), ("retryable", tally.retryable), ("others", tally.others)];
        serializer.collect_map([("total", tally.rows)].into_iter().chain(statuses).chain(more))
    }
}

#[derive(Serialize)]
struct Requests {
    sent: u64,
    limit: String,
    most_in_any_window: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    by_outcome: BTreeMap<&'static str, u64>,
    paused_seconds: f64,
}

impl Requests {
    fn new(traffic: &Traffic) -> Self {
        Self {
            sent: traffic.requests,
            limit: traffic.rate.to_string(),
            most_in_any_window: traffic.gate.most_in_window,
            by_outcome: BTreeMap::new(),
            paused_seconds: traffic.gate.paused_for.as_secs_f64(),
        }
    }
}

#[derive(Serialize)]
struct CoverCounts {
    finished: u64,
    failed: u64,
    not_in_hand: u64,
    without_id: u64,
    forgotten: u64,
    images_saved: u64,
    default_covers: u64,
    records_read: u64,
}

/// Ids that do not look like the others.
#[derive(Serialize)]
struct UnlikeIds {
    count: u64,
    others: u64,
    first: Vec<LineAndId>,
}

#[derive(Serialize)]
struct LineAndId {
    line: u64,
    id: String,
}

impl UnlikeIds {
    fn new(unlike: &Unlike) -> Self {
        let first = unlike.shown().map(|(line, id)| LineAndId { line, id }).collect();
        Self { count: unlike.count, others: unlike.alike, first }
    }
}
