//! The page itself: what it is made of, in its own words, so that whoever fills it in decides where it comes from; and how
//! it is written out, by the template and the few questions it asks of what it is given.

use std::io::{self, BufWriter, Write};

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::chart::{Activity, Chart, Kind};
use super::labels::{Expiry, Thousands as _};
use super::row::{PageRow, Stage};
use super::stages::Stages;
use crate::clock::UnixMillis;
use crate::domain::{Brief, Status, one_line};
use crate::results::{Cause, Remedy};

/// Rows that one page shows at most and stays usable; whoever fills it in picks them.
pub const MAX_ROWS: usize = 10_000;

/// Everything a page tells.
#[derive(Debug, Clone)]
pub struct Page {
    /// The catalog's name.
    pub title: String,
    /// When this is told; what expires is measured against it.
    pub generated_at: UnixMillis,
    /// How far the covers have come, of the whole catalog.
    pub stages: Stages,
    /// Rows by status, of the whole catalog.
    pub counts: Vec<(Status, u64)>,
    /// Rows of the catalog, also those that are not in `rows`.
    pub rows_total: u64,
    /// Rows that repeat an earlier one.
    pub duplicates: u64,
    /// Rows for which the default cover stands in.
    pub default_covers: u64,
    /// Why rows have no cover, the most frequent first.
    pub causes: Vec<Cause>,
    /// Submissions over time.
    pub activity: Activity,
    /// The runs, the latest first.
    pub runs: Vec<RunLine>,
    /// What to do next; `None` if nothing is left to do.
    pub next: Option<Next>,
    /// The rows to show, in the order of the catalog, each line once.
    pub rows: Vec<PageRow>,
}

/// What a person does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// What to think of first.
    pub advice: &'static str,
    /// The command to go on with, ready for a shell.
    pub command: String,
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

    /// How many covers are in hand: `198 of 215 covers are in hand`.
    fn headline(&self) -> String {
        let (saved, online) = (self.stages.with(Stage::Saved), self.stages.with(Stage::Online));
        // Nobody waits for one that is left out.
        let all = self.rows_total.saturating_sub(self.stages.with(Stage::Ignored));
        let of_all = |rows: u64| match (rows, all) {
            (1, 1) => "The one cover is".to_owned(),
            (0, 1) => "The one cover is not".to_owned(),
            (0, _) => format!("None of {} covers is", all.thousands()),
            (1, _) => format!("1 of {} covers is", all.thousands()),
            (_, _) if rows == all => format!("All {} covers are", all.thousands()),
            (_, _) => format!("{} of {} covers are", rows.thousands(), all.thousands()),
        };
        match (all, saved, online) {
            (0, _, _) if self.rows_total > 0 => "No row of the catalog is to have a cover".to_owned(),
            (0, _, _) => "The catalog has no rows".to_owned(),
            (_, 0, 1..) => format!("{} finished, online only", of_all(online)),
            (_, _, _) => format!("{} in hand", of_all(saved)),
        }
    }

    fn bare_title(&self) -> String {
        one_line(&self.title)
    }

    fn covered(&self) -> Vec<&PageRow> {
        self.rows.iter().filter(|row| !row.images.is_empty()).collect()
    }

    /// The rows without a cover by their stage, those first that somebody has to see to.
    fn lacking(&self) -> Vec<(Stage, Vec<&PageRow>)> {
        let stages = [Stage::Person, Stage::NextRun, Stage::Accepted];
        let of = |stage| (stage, self.rows.iter().filter(|row| row.stage == stage).collect::<Vec<_>>());
        stages.map(of).into_iter().filter(|(_, rows)| !rows.is_empty()).collect()
    }

    /// What needs a person first.
    fn causes_by_remedy(&self) -> Vec<(Remedy, Vec<&Cause>)> {
        let of = |remedy| (remedy, self.causes.iter().filter(|cause| cause.remedy == remedy).collect::<Vec<_>>());
        [Remedy::Person, Remedy::NextRun].map(of).into_iter().filter(|(_, causes)| !causes.is_empty()).collect()
    }

    fn needs_a_person(&self) -> bool {
        self.causes.iter().any(|cause| cause.remedy == Remedy::Person)
    }

    /// How long the images of a row are kept.
    fn expiry_of(&self, row: &PageRow) -> Option<Expiry> {
        row.expires_at.map(|end| Expiry::at(self.generated_at, end))
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
