//! The page itself: what it is made of, in its own words, so that whoever fills it in decides where it comes from; and how
//! it is written out, by the template and the few questions it asks of what it is given.

use std::io::{self, BufWriter, Write};

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::chart::{Activity, Chart, Kind};
use super::labels::{Expiry, Thousands as _, beside, embedded, web};
use crate::clock::UnixMillis;
use crate::domain::{Brief, Reason, Status, one_line};
use crate::results::Cause;

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

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

#[derive(Template)]
#[template(path = "page.html")]
struct Document<'a> {
    page: &'a Page,
    policy: String,
    headline: String,
    chart: Option<Chart>,
    style: &'static str,
    script: &'static str,
}

impl Page {
    /// Writes the page as HTML, piece by piece.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn write_html(&self, to: &mut impl Write) -> io::Result<()> {
        let mut to = BufWriter::new(to);
        let document = Document {
            page: self,
            policy: csp(STYLE, SCRIPT),
            headline: self.headline(),
            chart: Chart::of(&self.activity),
            style: STYLE,
            script: SCRIPT,
        };
        document.write_into(&mut to)?;
        to.flush()
    }

    /// What happened, in the words of the digest: `2 of 12 rows have no cover yet`.
    fn headline(&self) -> String {
        let left = self.counts.iter().filter(|(status, _)| !status.is_settled()).map(|(_, rows)| rows).sum::<u64>()
            + self.awaited;
        let rows =
            format!("{} {}", self.rows_total.thousands(), if self.rows_total == 1 { "row has" } else { "rows have" });
        match (left, self.rows_total) {
            (_, 0) => "The catalog has no rows".to_owned(),
            (0, 1) => "The one row has its cover".to_owned(),
            (0, _) => format!("All {rows} their cover"),
            _ => format!("{} of {rows} no cover yet", left.thousands()),
        }
    }

    fn bare_title(&self) -> String {
        one_line(&self.title)
    }

    fn uncovered(&self) -> Vec<&PageRow> {
        self.rows.iter().filter(|row| !row.status.is_settled()).collect()
    }

    fn awaited(&self) -> Vec<&PageRow> {
        self.rows.iter().filter(|row| row.status.is_settled() && row.images.is_empty()).collect()
    }

    fn covered(&self) -> Vec<&PageRow> {
        self.rows.iter().filter(|row| !row.images.is_empty()).collect()
    }

    fn shown_rows(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    fn occurring(&self) -> impl Iterator<Item = &(Status, u64)> {
        self.counts.iter().filter(|(_, rows)| *rows > 0)
    }
}

impl RunLine {
    fn took(&self) -> String {
        self.ended.map_or_else(|| "–".to_owned(), |ended| Brief(self.started.until(ended)).to_string())
    }
}

impl PageRow {
    /// Whether its place in the page is the wall of covers; its anchor is where it stands first.
    fn is_only_covered(&self) -> bool {
        self.status.is_settled()
    }

    /// What people call it, or else its id.
    fn name(&self) -> &str {
        self.label.as_deref().map(str::trim).filter(|label| !label.is_empty()).unwrap_or(&self.id)
    }

    fn has_name(&self) -> bool {
        self.name() != self.id
    }

    fn expiry(&self, page: &Page) -> Option<Expiry> {
        self.expires_at.map(|end| Expiry::at(page.generated_at, end))
    }

    /// `sent 22 Nov, 02:10, done 02:11, 2 submissions`; `None` if it was never sent.
    fn times(&self) -> Option<String> {
        let first = self.first_sent_at?;
        let done =
            self.finished_at.map(|done| if done.date() == first.date() { done.time_of_day() } else { done.short() });
        let done = done.map(|done| format!(", done {done}")).unwrap_or_default();
        let again = if self.attempts > 1 { format!(", {} submissions", self.attempts) } else { String::new() };
        Some(format!("sent {}{done}{again}", first.short()))
    }

    /// Whether every picture is on disk, so that nobody need hurry.
    fn is_saved(&self) -> bool {
        !self.images.is_empty() && self.images.iter().all(|image| image.file.is_some())
    }
}

impl PageImage {
    fn address(&self) -> Option<&str> {
        web(&self.url)
    }

    fn path(&self) -> Option<String> {
        self.file.as_deref().and_then(beside)
    }

    fn picture(&self) -> Option<&str> {
        self.thumbnail.as_deref().and_then(embedded)
    }

    /// Where its thumbnail leads: the full picture, here if it is here.
    fn target(&self) -> Option<String> {
        self.path().or_else(|| self.address().map(str::to_owned))
    }
}

/// The content security policy: nothing is loaded, and nothing runs or styles but the two texts it gives the hashes of.
fn csp(style: &str, script: &str) -> String {
    format!(
        "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(script)
    )
}

/// The source expression for an inline text (<https://www.w3.org/TR/CSP3/#grammardef-hash-source>).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests;
