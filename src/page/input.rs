//! What a page is made of, in its own words, so that whoever fills it in decides where it comes from.

use crate::clock::UnixMillis;
use crate::domain::{Reason, Status};
use crate::results::Cause;

use super::chart::Activity;

/// Rows that one page shows at most and stays usable; whoever fills it in picks them.
pub const MAX_ROWS: usize = 10_000;

/// Everything a page tells.
#[derive(Debug, Clone)]
pub struct Page {
    /// The catalog's name.
    pub title: String,
    /// When this is told; what expires is measured against it.
    pub generated_at: UnixMillis,
    /// Rows by status, of the whole catalog.
    pub counts: Vec<(Status, u64)>,
    /// Rows of the catalog, also those that are not in `rows`.
    pub rows_total: u64,
    /// Rows that repeat an earlier one.
    pub duplicates: u64,
    /// Accepted rows whose cover is waited for and not in hand.
    pub awaited: u64,
    /// Why rows have no cover, the most frequent first.
    pub causes: Vec<Cause>,
    /// Submissions over time.
    pub activity: Activity,
    /// The runs, the latest first.
    pub runs: Vec<RunLine>,
    /// The command to go on with, ready for a shell; `None` if nothing is left to do.
    pub next: Option<String>,
    /// The rows to show, in the order of the catalog, each line once.
    pub rows: Vec<PageRow>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLine {
    /// When it began.
    pub started: UnixMillis,
    /// When it ended; `None` if it is still going on or was killed.
    pub ended: Option<UnixMillis>,
    /// How it ended, in words.
    pub how: String,
}

/// One row of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Its line in the catalog.
    pub line: u64,
    /// Its music task id, as the catalog has it.
    pub id: String,
    /// What people call the track.
    pub label: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// The service's words.
    pub message: String,
    /// Submissions made, all runs together.
    pub attempts: u32,
    /// When it was first sent.
    pub first_sent_at: Option<UnixMillis>,
    /// When it got its status.
    pub finished_at: Option<UnixMillis>,
    /// The service's id of the cover.
    pub cover_task_id: Option<String>,
    /// Its pictures, 2 at most.
    pub images: Vec<PageImage>,
    /// Whether the pictures are the default cover, standing in.
    pub fallback: bool,
    /// When the service deletes the pictures.
    pub expires_at: Option<UnixMillis>,
}

/// One picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageImage {
    /// Where the service has it; empty if it never had it.
    pub url: String,
    /// The file here, relative to the page.
    pub file: Option<String>,
    /// A small copy, as [`thumbnails`](crate::page::thumbnails) makes them.
    pub thumbnail: Option<String>,
}
