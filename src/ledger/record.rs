//! What the ledger holds of one music task: how far it has come, the part of that which decides whether it is sent, and what
//! people decide about it.

use crate::clock::UnixMillis;
use crate::domain::{
    Answer, CoverTaskId, Credits, IMAGES_LAST, ImageFile, ImageSize, Images, MAX_IMAGES, ManualKind, MusicTaskId,
    Reason, Route, RowState,
};
use crate::policy::Judgement;

/// What the ledger holds of a music task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub state: RowState,
    /// Why, if anything happened yet.
    pub reason: Option<Reason>,
    /// The last answer.
    pub answer: Answer,
    /// Its cover, if the service gave an id.
    pub cover: Option<CoverTaskId>,
    /// The route by which the cover was asked for.
    pub route: Route,
    /// What the cover cost, if its record told.
    pub credits: Option<Credits>,
    /// Submissions made for it, all runs together.
    pub submissions: u32,
    /// Runs in which the service rejected it.
    pub failed_runs: u32,
    /// When it was sent for the first time.
    pub first_sent_at: Option<UnixMillis>,
    /// When it came to the state it is in; `None` while it is still to be sent.
    pub finished_at: Option<UnixMillis>,
    /// Its cover in hand, as far as that has come.
    pub artwork: Artwork,
}

impl Record {
    /// Since when its cover is known, if its images are not.
    pub(super) fn unfinished_since(&self) -> Option<UnixMillis> {
        let is_accepted = matches!(self.state, RowState::Submitted | RowState::Exists) && self.cover.is_some();
        let is_unfinished = is_accepted && self.artwork.images.is_none();
        self.finished_at.or(self.first_sent_at).filter(|_| is_unfinished)
    }
}

/// How far a music task has come, as far as that decides whether it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownState {
    /// Where it stands.
    pub state: RowState,
    /// Runs in which the service rejected it.
    pub failed_runs: u32,
}

impl From<&Record> for KnownState {
    fn from(record: &Record) -> Self {
        Self { state: record.state, failed_runs: record.failed_runs }
    }
}

/// A cover from its images to its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Artwork {
    /// Where its images are; `None` until it is finished.
    pub images: Option<Images>,
    /// When it was finished.
    pub completed_at: Option<UnixMillis>,
    /// The file of each image; `None` if it has none.
    pub files: [Option<ImageFile>; MAX_IMAGES],
    /// The copy of the default cover that stands in for it.
    pub fallback: Option<String>,
    /// Whether the host of the images has told that one without a file is gone, so that nobody follows them any more.
    pub is_forgotten: bool,
}

/// Width, height and bytes of an image, as ledgers keep them.
pub(super) fn numbers_of(file: Option<&ImageFile>) -> [Option<i64>; 3] {
    let size = file.and_then(|file| file.size);
    let bytes = size.and_then(|size| i64::try_from(size.bytes).ok());
    [size.map(|size| size.width.into()), size.map(|size| size.height.into()), bytes]
}

/// The same again, if all three are there.
pub(super) fn image_size([width, height, bytes]: [Option<i64>; 3]) -> Option<ImageSize> {
    Some(ImageSize { width: width?.try_into().ok()?, height: height?.try_into().ok()?, bytes: bytes?.try_into().ok()? })
}

impl Artwork {
    /// Until when the service promises to keep the images.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.completed_at.map(|at| at.after(IMAGES_LAST))
    }

    /// Whether every image that is known has its file.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        let known = self.images.as_ref().map_or(0, |images| images.urls().len());
        known > 0 && self.files.iter().take(known).all(Option::is_some)
    }
}

/// A decision that is to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualDecision {
    /// Which.
    pub kind: ManualKind,
    /// Whether also what might be a mistake is meant, as [`judge`](crate::policy::judge) says.
    pub is_sure: bool,
    /// Why, in one line; may be empty.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
}

/// A decision as the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDecision {
    /// Which.
    pub kind: ManualKind,
    /// Why, in one line; may be empty.
    pub reason: String,
    /// On which machine.
    pub host: String,
    /// When.
    pub at: UnixMillis,
    /// Where the music task stood before; `None` if the ledger did not know it.
    pub before: Option<RowState>,
    /// Its cover then, if that was known.
    pub cover: Option<CoverTaskId>,
    /// When it was taken back, if it was.
    pub undone_at: Option<UnixMillis>,
}

/// The music tasks that a decision moves: none, if it is refused for one.
pub(super) fn moved<'a>(tasks: &'a [MusicTaskId], judgements: &[Judgement]) -> impl Iterator<Item = &'a MusicTaskId> {
    let is_refused = judgements.iter().any(|judgement| matches!(judgement, Judgement::Refused(_)));
    let is_moved = move |judgement: &Judgement| !is_refused && matches!(judgement, Judgement::Moved(_));
    tasks.iter().zip(judgements).filter(move |(_, judgement)| is_moved(judgement)).map(|(task, _)| task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_kept_for_14_days_from_their_completion() {
        let completed = |at| Artwork { completed_at: at, ..Artwork::default() }.expires_at();
        assert_eq!(completed(Some(UnixMillis(5))), Some(UnixMillis(14 * 24 * 3_600_000 + 5)));
        assert_eq!(completed(None), None);
    }
}
