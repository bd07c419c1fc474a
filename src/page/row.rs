//! A row of the catalog as the page shows it, how far its cover has come, and its pictures.

use super::labels::{beside, embedded, web};
use crate::clock::UnixMillis;
use crate::domain::{ImageSize, Reason, Status, words};

words! {
    /// How far the cover of a row has come, for those who wait for it; the order in which a page tells of them.
    Stage {
        /// All of its images are on disk.
        Saved = "saved",
        /// It is finished, and its images are online only.
        Online = "online",
        /// Accepted; no image is known yet.
        Accepted = "accepted",
        /// There is none, and somebody has to see to it.
        Person = "person",
        /// There is none, and the next run sees to it.
        NextRun = "next-run",
        /// There is none, as a person has decided.
        Ignored = "ignored",
    }
}

impl Stage {
    /// Whether there is a cover to show.
    const fn has_cover(self) -> bool {
        match self {
            Self::Saved | Self::Online => true,
            Self::Accepted | Self::Person | Self::NextRun | Self::Ignored => false,
        }
    }

    /// Of one row or of several, in words.
    pub(super) const fn label(self, is_one: bool) -> &'static str {
        match self {
            Self::Saved => "in hand",
            Self::Online => "finished, online only",
            Self::Accepted => "accepted, no image yet",
            Self::Person if is_one => "needs a person",
            Self::Person => "need a person",
            Self::NextRun => "left to the next run",
            Self::Ignored => "left out by decision",
        }
    }

    /// Above its rows.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Saved => "In hand",
            Self::Online => "Finished, online only",
            Self::Accepted => "Accepted, no image yet",
            Self::Person => "No cover: these need a person",
            Self::NextRun => "No cover: the next run sees to these",
            Self::Ignored => "Left out by decision",
        }
    }

    /// Its class in the style sheet.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Saved => "good",
            Self::Online | Self::Accepted | Self::NextRun | Self::Ignored => "wait",
            Self::Person => "bad",
        }
    }

    /// Where the page shows its rows.
    pub(super) const fn place(self) -> &'static str {
        match self {
            Self::Saved => "#covers",
            Self::Online => "#sort=expiry",
            Self::Accepted => "#accepted",
            Self::Person => "#causes",
            Self::NextRun => "#next-run",
            Self::Ignored => "#status=ignored",
        }
    }
}

/// One row of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Its line in the catalog.
    pub line: u64,
    /// Its music task id, as the catalog has it.
    pub id: String,
    /// What people call the track, the title first.
    pub labels: Vec<String>,
    /// What became of it.
    pub status: Status,
    /// How far its cover has come.
    pub stage: Stage,
    /// Why.
    pub reason: Option<Reason>,
    /// The service's code.
    pub code: Option<i64>,
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
    /// A copy that stands in the page, as [`thumbnails`](crate::page::thumbnails) makes them.
    pub thumbnail: Option<String>,
    /// How large the file is, if that is known.
    pub size: Option<ImageSize>,
}

impl PageRow {
    /// Whether it stands in a list of rows without a cover. There is its anchor, also if the default cover is shown.
    pub(super) fn is_listed(&self) -> bool {
        !self.stage.has_cover()
    }

    /// What people call it, or else its id.
    pub(super) fn name(&self) -> &str {
        self.labels.first().unwrap_or(&self.id)
    }

    pub(super) fn has_name(&self) -> bool {
        !self.labels.is_empty()
    }

    /// What else people call it.
    pub(super) fn more_labels(&self) -> &[String] {
        self.labels.get(1..).unwrap_or_default()
    }

    /// Whether its cover is on disk, so that nobody need hurry.
    pub(super) fn is_saved(&self) -> bool {
        self.stage == Stage::Saved
    }
}

impl PageImage {
    pub(super) fn address(&self) -> Option<&str> {
        web(&self.url)
    }

    pub(super) fn path(&self) -> Option<String> {
        self.file.as_deref().and_then(beside)
    }

    pub(super) fn picture(&self) -> Option<&str> {
        self.thumbnail.as_deref().and_then(embedded)
    }

    /// `3000 × 3000, 2.1 MB`
    pub(super) fn measures(&self) -> Option<String> {
        self.size.map(|ImageSize { width, height, bytes }| {
            let tenths = bytes.saturating_add(50_000) / 100_000;
            format!("{width} × {height}, {}.{} MB", tenths / 10, tenths % 10)
        })
    }

    /// Where its thumbnail leads: the full picture, here if it is here.
    pub(super) fn target(&self) -> Option<String> {
        self.path().or_else(|| self.address().map(str::to_owned))
    }
}
