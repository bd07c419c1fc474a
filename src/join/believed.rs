//! What is believed of what earlier results say.
//!
//! The stand-in service's word is worth nothing to a real account, so rows that it wrote are not believed there.

use crate::catalog::PreviousResult;
use crate::domain::{Answer, IMAGES_LAST, Images, Route, RowState, Status};
use crate::ledger::{Artwork, Record};
use crate::policy::REJECTED_RUNS;

/// The word that the stand-in service puts into everything it says of a cover.
const STAND_IN: &str = "(sandbox)";

/// How the images of the stand-in service begin.
const STAND_IN_IMAGES: &str = "http://127.0.0.1:";

/// Whether the verdicts in a results CSV are believed where the ledger knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// All of them.
    All,
    /// All but those that come from the stand-in service.
    Real,
}

/// What a row of an earlier results CSV says of its music task, if that is worth keeping.
#[must_use]
pub fn believed(previous: &PreviousResult, trust: Trust) -> Option<Record> {
    let state = match previous.status {
        Status::Submitted => RowState::Submitted,
        Status::Exists => RowState::Exists,
        Status::Failed => RowState::Failed,
        Status::GaveUp => RowState::GaveUp,
        Status::InDoubt => RowState::InDoubt,
        Status::Completed => RowState::Completed,
        Status::GenerationFailed => RowState::GenerationFailed,
        Status::Ignored => RowState::Ignored,
        Status::Pending if previous.attempts > 0 => RowState::Pending,
        Status::Pending | Status::Invalid => return None,
    };
    if trust == Trust::Real && is_of_the_stand_in(previous) {
        return None;
    }
    // The file does not say in how many runs a row was rejected, but whether that was the last one.
    let failed_runs = match (state, previous.retryable) {
        (RowState::Failed | RowState::GenerationFailed, Some(false)) => REJECTED_RUNS,
        (RowState::Failed | RowState::GenerationFailed, _) => 1,
        (_, _) => 0,
    };
    Some(Record {
        state,
        reason: previous.reason,
        answer: Answer { http_status: previous.http_status, code: previous.code, message: previous.message.clone() },
        cover: previous.cover.clone(),
        route: previous.route.unwrap_or(Route::Legacy),
        credits: previous.credits,
        submissions: previous.attempts,
        failed_runs,
        first_sent_at: previous.first_sent_at,
        finished_at: previous.finished_at,
        artwork: artwork(previous),
    })
}

/// Whether the stand-in service wrote a row: by its word, or by images on this machine itself.
fn is_of_the_stand_in(previous: &PreviousResult) -> bool {
    let images = previous.images.as_ref().map_or(&[][..], Images::urls);
    previous.message.ends_with(STAND_IN) || images.iter().any(|url| url.starts_with(STAND_IN_IMAGES))
}

/// What a row of an earlier results CSV says of the images.
fn artwork(previous: &PreviousResult) -> Artwork {
    let [first, second] = previous.files.clone();
    let (files, fallback) =
        if previous.is_fallback { ([None, None], first.map(|file| file.name)) } else { ([first, second], None) };
    let completed_at = previous.expires_at.map(|expires| expires.before(IMAGES_LAST));
    Artwork { images: previous.images.clone(), completed_at, files, fallback, is_forgotten: false }
}
