//! The summary as one JSON document, for a machine.

use std::collections::BTreeMap;

use serde::Serialize;

use super::summary::{NextStep, Paused, Summary, Traffic};
use crate::catalog::Unlike;
use crate::domain::{Reason, Status};
use crate::results::{Cause, Tally};

impl Summary {
    /// The whole as one JSON document.
    #[must_use]
    pub fn json(&self) -> String {
        let document = Document {
            ended: self.ended.reason().map_or("finished", Reason::word),
            exit_code: self.exit.code(),
            started_at: self.started.to_string(),
            finished_at: self.started.after(self.took).to_string(),
            seconds: self.took.as_secs_f64(),
            rows: RowCounts::new(&self.tally),
            requests: self.submissions.as_ref().map(|traffic| Requests {
                by_outcome: self.outcomes.iter().map(|(reason, count)| (reason.word(), *count)).collect(),
                ..Requests::new(traffic)
            }),
            reads: self.reads.as_ref().map(Requests::new),
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
            pauses: self.submissions.iter().flat_map(|traffic| &traffic.pauses).map(PauseDocument::new).collect(),
            causes: self.tally.causes().into_iter().map(CauseDocument::new).collect(),
            unlike_ids: self.tally.unlike.as_ref().map(UnlikeIds::new),
            results: self.files.results.display().to_string(),
            failures: self.files.failures.as_ref().map(|path| path.display().to_string()),
            ledger: self.files.ledger.display().to_string(),
            images: self.files.images.as_ref().map(|path| path.display().to_string()),
            next: self.next_step(),
        };
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    ended: &'static str,
    exit_code: u8,
    started_at: String,
    finished_at: String,
    seconds: f64,
    rows: RowCounts,
    requests: Option<Requests>,
    reads: Option<Requests>,
    covers: Option<CoverCounts>,
    pauses: Vec<PauseDocument>,
    causes: Vec<CauseDocument>,
    unlike_ids: Option<UnlikeIds>,
    results: String,
    failures: Option<String>,
    ledger: String,
    images: Option<String>,
    next: Option<NextStep<'a>>,
}

/// The rows of a catalog by status, for a JSON document.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each field is a status or counts what its name says")]
pub struct RowCounts {
    pub total: u64,
    pub completed: u64,
    pub submitted: u64,
    pub exists: u64,
    pub failed: u64,
    pub generation_failed: u64,
    pub gave_up: u64,
    pub in_doubt: u64,
    pub pending: u64,
    pub invalid: u64,
    pub duplicates: u64,
    pub retryable: u64,
}

impl RowCounts {
    /// The counts of a tally.
    #[must_use]
    pub fn new(tally: &Tally) -> Self {
        Self {
            total: tally.rows,
            completed: tally.with(Status::Completed),
            submitted: tally.with(Status::Submitted),
            exists: tally.with(Status::Exists),
            failed: tally.with(Status::Failed),
            generation_failed: tally.with(Status::GenerationFailed),
            gave_up: tally.with(Status::GaveUp),
            in_doubt: tally.with(Status::InDoubt),
            pending: tally.with(Status::Pending),
            invalid: tally.with(Status::Invalid),
            duplicates: tally.duplicates,
            retryable: tally.retryable,
        }
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

#[derive(Serialize)]
struct CauseDocument {
    status: &'static str,
    reason: Option<&'static str>,
    code: Option<i64>,
    message: String,
    rows: u64,
    first_lines: Vec<u64>,
}

impl CauseDocument {
    fn new(cause: &Cause) -> Self {
        Self {
            status: cause.status.word(),
            reason: cause.reason.map(Reason::word),
            code: cause.code,
            message: cause.message.clone(),
            rows: cause.rows,
            first_lines: cause.lines.clone(),
        }
    }
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

#[derive(Serialize)]
struct PauseDocument {
    reason: &'static str,
    from: String,
    until: String,
}

impl PauseDocument {
    fn new(pause: &Paused) -> Self {
        Self { reason: pause.reason.word(), from: pause.from.to_string(), until: pause.until.to_string() }
    }
}
