//! Covers on their way from acceptance to the image in hand.
//!
//! A look at a record and the download of an image change nothing at the service, so a claim need not be remembered
//! beyond its end: it only moves the due time of the row into the future, and a row whose process died is due again
//! when that has come.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverTaskId, Generated, MusicTaskId, Reason};
use crate::images::ImageNumber;
use crate::ledger::{RowKey, RunId};

/// How long the service keeps the images of a cover.
pub const IMAGES_LAST: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A look that was made so recently makes a hint wait.
pub(super) const HINT_REST: Duration = Duration::from_secs(10);

/// Whose covers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follower {
    /// Those that one run waits for.
    Run(RunId),
    /// All of them, as long as the service keeps their images.
    Everyone,
}

/// A run that waits for a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowedBy {
    /// Which run.
    pub run: RunId,
    /// Whether it is completed only once its images are on disk.
    pub files: bool,
    /// How long it waits, at most: nothing that it waits for is due any later.
    pub wait: Duration,
}

/// What is done for a cover that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Its record is read: its images are not known.
    Look,
    /// An image is fetched: they are known, and wanted on disk.
    Fetch,
}

/// What [`Ledger::claim_due`](crate::ledger::Ledger::claim_due) found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The cover that is claimed, if one was due.
    pub pursuit: Option<Pursuit>,
    /// When the next one is due, or may be read for the sake of the pace; `None` if nothing is left.
    pub next: Option<UnixMillis>,
}

/// A cover that is claimed for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pursuit {
    /// The row, as the ledger numbers it.
    pub key: RowKey,
    /// Its music task.
    pub task: MusicTaskId,
    /// Its cover.
    pub cover: CoverTaskId,
    /// Since when it is known.
    pub since: UnixMillis,
    /// Calls in trouble since the last one that went well.
    pub troubles: u32,
    /// What to do.
    pub step: Step,
}

/// The one call that a claimed cover gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read its record.
    Look,
    /// Fetch an image.
    Fetch {
        /// Which one.
        number: ImageNumber,
        /// Where it is.
        url: String,
    },
}

/// What came of a claimed cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pursued {
    /// Nothing yet: it is due again at a time.
    Later {
        /// When.
        due: UnixMillis,
        /// Calls in trouble since the last one that went well.
        troubles: u32,
        /// What was said, if it is worth keeping.
        said: Option<(Reason, Answer)>,
        /// Whether the run that waits for it gives it up.
        given_up: bool,
    },
    /// Nothing for so long that the service has forgotten its images, if there ever were any: nobody follows it any more.
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
        /// Whether whoever looked wants the images on disk.
        files: bool,
    },
    /// It will never be finished.
    Failed(Answer),
    /// An image is on disk.
    Saved {
        /// Which one.
        number: ImageNumber,
        /// The name of its file.
        file: String,
    },
}
