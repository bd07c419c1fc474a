//! Covers on their way from acceptance to the image in hand.
//!
//! Reading a record or downloading an image changes nothing at the service, so a claim need not be remembered beyond
//! its end: it only moves the due time of the cover into the future, and one whose process died is due again when that
//! has come.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Credits, Generated, ImageFile, MusicTaskId, Reason, Route};
use crate::images::{ImageNumber, NameWords};
use crate::ledger::run::RunId;

/// How long a cover rests after a poll, whoever wakes it.
pub(super) const WAKE_REST: Duration = Duration::from_secs(10);

/// How long reads are remembered: longer than the window of any pace.
pub(super) const READS_KEPT: Duration = Duration::from_secs(25 * 60 * 60);

/// A music task and its cover: one whose cover is forgotten may have another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoverKey {
    /// The music task.
    pub task: i64,
    /// Since when the cover is known.
    pub since: Option<UnixMillis>,
}

/// Whose covers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoverScope {
    /// Those that one run waits for.
    OfRun(RunId),
    /// All of them: records for as long as the service keeps images, images for as long as their host has them.
    All,
}

/// A run that waits for a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// Which run.
    pub run: RunId,
    /// Whether the cover is completed only once its images are on disk.
    pub wants_files: bool,
    /// Since when it waits.
    pub began: UnixMillis,
    /// How long it waits for a cover, at most, from then or from its acceptance: nothing that it waits for is due any later.
    pub longest: Duration,
}

impl Waiter {
    /// When a cover was accepted, at the earliest, that it still waits for at this time.
    pub(super) fn earliest(&self, at: UnixMillis) -> UnixMillis {
        let earliest = at.before(self.longest);
        if self.began >= earliest { UnixMillis(i64::MIN) } else { earliest }
    }

    /// Whether it begins to wait at this time, and does not take covers up again that it has waited for before.
    pub(super) fn begins(&self, at: UnixMillis) -> bool {
        at <= self.began
    }
}

/// What is done for a cover that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Its record is read: its images are not known.
    Poll,
    /// An image is downloaded: they are known, and wanted on disk.
    Download,
}

/// What [`FollowLedger::claim_job`](crate::ledger::FollowLedger::claim_job) found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The cover that is claimed, if one was due.
    pub job: Option<CoverJob>,
    /// When the next one is due, or may be read for the sake of the pace; `None` if nothing is left.
    pub next: Option<UnixMillis>,
}

/// A cover that is claimed for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverJob {
    /// Which one it is for the ledger.
    pub key: CoverKey,
    /// Its music task.
    pub task: MusicTaskId,
    /// Its cover.
    pub cover: CoverTaskId,
    /// The route by which that was asked for.
    pub route: Route,
    /// The words that its files are called by, if it has any.
    pub words: Option<NameWords>,
    /// The copy of the default cover that stands in for it.
    pub default_cover: Option<String>,
    /// Since when it is known; if its images are, since when it was finished.
    pub since: UnixMillis,
    /// Calls that failed since the last one that went well.
    pub failures: u32,
    /// What to do.
    pub step: JobStep,
}

/// The one call that a claimed cover gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStep {
    /// Read its record.
    Poll,
    /// Download an image.
    Download {
        /// Which one.
        number: ImageNumber,
        /// Where it is.
        url: String,
    },
}

/// What came of a claimed cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// Nothing yet: it is due again at a time.
    Later {
        /// When.
        due: UnixMillis,
        /// Calls that failed since the last one that went well.
        failures: u32,
        /// What was said, if it is worth keeping.
        said: Option<(Reason, Answer)>,
        /// The run that gives it up, if it was waited for in vain.
        given_up_by: Option<RunId>,
    },
    /// Nothing for so long that nobody follows it any more; or its images are known, and gone from their host.
    Forgotten(
        /// What was said, if it is worth keeping.
        Option<(Reason, Answer)>,
    ),
    /// Its images are known.
    Generated {
        /// The cover.
        cover: Generated,
        /// What was said.
        answer: Answer,
        /// Whether whoever polled it wants the images on disk.
        wants_files: bool,
    },
    /// It will never be finished.
    Failed {
        /// What was said.
        answer: Answer,
        /// What that cost, if it was told.
        credits: Option<Credits>,
    },
    /// An image is on disk.
    Saved {
        /// Which one.
        number: ImageNumber,
        /// In which file.
        file: ImageFile,
    },
}

/// How often a cover was polled, and when it will be next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollStats {
    /// Records read of it.
    pub polls: u32,
    /// When it is due, if it is followed.
    pub due_at: Option<UnixMillis>,
}
