//! The meaning of a code, and the words that go with it: the only place that knows the service's codes.

use std::borrow::Cow;

use super::account::Topic;
use super::envelope::Envelope;
use super::raw::RawAnswer;
use crate::domain::{Reason, Verdict};

/// Bytes of a body that is not JSON which are looked at for a message.
const GLANCE_BYTES: usize = 2_000;

/// Whether the service's documentation or its users speak of this code; others are worth a line in the log.
#[must_use]
pub const fn is_known_code(code: i64) -> bool {
    matches!(
        code,
        200 | 400 | 401 | 402 | 403 | 404 | 405 | 408 | 409 | 413 | 422 | 429 | 430 | 433 | 451 | 455 | 500..=505 | 531
    )
}

/// What an answer means, by its HTTP status and its code, and whether its own word may settle a row.
pub(super) fn judge(raw: RawAnswer<'_>, envelope: &Envelope<'_>) -> (Verdict, Reason) {
    let succeeded = (200..300).contains(&raw.status);
    match (envelope.code, raw.status) {
        (Some(200), _) if succeeded => accepted(envelope),
        // An HTTP error around a body that claims success: nobody can tell what happened.
        (Some(200), _) => (Verdict::Troubled, Reason::BadResponse),
        (Some(code), _) => judge_code(code, envelope),
        (None, _) if succeeded => (Verdict::Troubled, Reason::BadResponse),
        (None, 502..=504) => (Verdict::Unavailable, Reason::ServerError),
        // A gateway's error must not settle a row for ever: many answer 400 by themselves, and pages to everything,
        // while the service itself gives its code.
        (None, 400) => (Verdict::Troubled, Reason::BadResponse),
        (None, 409) if is_markup(raw.body) => (Verdict::Troubled, Reason::BadResponse),
        (None, status) => judge_code(i64::from(status), envelope),
    }
}

/// Code 200: accepted if the id of the cover is there (`data.taskId`).
fn accepted(envelope: &Envelope<'_>) -> (Verdict, Reason) {
    match envelope.cover() {
        Some(cover) => (Verdict::Accepted(cover), Reason::Accepted),
        None => (Verdict::Troubled, Reason::BadResponse),
    }
}

/// Every code but 200, in either form.
fn judge_code(code: i64, envelope: &Envelope<'_>) -> (Verdict, Reason) {
    match code {
        400 => (Verdict::Covered(envelope.cover()), Reason::AlreadyExists),
        409 => (Verdict::Covered(envelope.cover()), Reason::Conflict),
        401 | 403 => (Verdict::Unauthorized, Reason::Unauthorized),
        402 | 433 => (Verdict::NoCredits, Reason::NoCredits),
        // sunoapi.org's older table uses 429 for an empty account, its cover page and kie.ai for haste.
        429 if Topic::of(&envelope.message) == Topic::Money => (Verdict::NoCredits, Reason::NoCredits),
        405 | 429 | 430 => (Verdict::Throttled, Reason::RateLimited),
        455 => (Verdict::Unavailable, Reason::Maintenance),
        404 => (Verdict::Rejected, Reason::NotFound),
        422 => (Verdict::Rejected, Reason::InvalidRequest),
        413 | 451 => (Verdict::Rejected, Reason::Rejected),
        408 => (Verdict::Troubled, Reason::Timeout),
        500..=599 => (Verdict::Troubled, Reason::ServerError),
        _ => (Verdict::Troubled, Reason::BadResponse),
    }
}

/// The service's words; where they do not explain the verdict, what is wrong with the answer, and then its words.
pub(super) fn message_of<'a>(raw: RawAnswer<'a>, envelope: &'a Envelope<'_>, reason: Reason) -> Cow<'a, str> {
    let said = if envelope.is_json { Cow::Borrowed(envelope.message.as_ref()) } else { glance(raw.body) };
    let explained = |what: String| if said.is_empty() { what.into() } else { format!("{what}: {said}").into() };
    match (reason, envelope.code) {
        (Reason::Unauthorized, None) if raw.status == 403 => explained("blocked before the API, by its CDN".to_owned()),
        (Reason::BadResponse, _) if raw.body.is_empty() => format!("an empty answer (HTTP {})", raw.status).into(),
        (Reason::BadResponse, _) if !envelope.is_json => explained("not JSON".to_owned()),
        (Reason::BadResponse, None) => explained("JSON without a code".to_owned()),
        (Reason::BadResponse, Some(200)) => explained("code 200 without the id of a cover".to_owned()),
        (Reason::BadResponse, Some(code)) => explained(format!("code {code} is not documented")),
        (_, _) => said,
    }
}

/// The beginning of a body as text.
fn glance(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&body[..body.len().min(GLANCE_BYTES)])
}

/// Whether a body is a page and not a message.
fn is_markup(body: &[u8]) -> bool {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().starts_with(b"<")
}
