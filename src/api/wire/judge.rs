//! The meaning of a code, and the words that go with it: the only place that knows the service's codes.
//!
//! The service gives its `code` with everything it says. What comes without one is from a gateway before it, which knows
//! nothing of rows: it never settles one.

use super::account::Topic;
use super::envelope::Envelope;
use super::raw::RawAnswer;
use super::words::{ADDRESS, MAINTENANCE, speaks_of};
use crate::domain::{Reason, Verdict};
use crate::secret::{ApiKey, masked_url};

/// Whether the service's documentation or its users speak of this code; others are worth a line in the log.
#[must_use]
pub const fn is_known_code(code: i64) -> bool {
    matches!(
        code,
        200 | 400 | 401 | 402 | 403 | 404 | 405 | 408 | 409 | 413 | 422 | 429 | 430 | 433 | 451 | 455 | 500..=505 | 531
    )
}

/// What an answer means, by its HTTP status, its code and its words.
pub(super) fn judge(raw: RawAnswer<'_>, envelope: &Envelope<'_>, key: &ApiKey) -> (Verdict, Reason) {
    match envelope.code {
        Some(200) if raw.is_success() => match envelope.cover(key) {
            Some(cover) => (Verdict::Accepted(cover), Reason::Accepted),
            None => (Verdict::Lost, Reason::BadResponse),
        },
        // An HTTP error around a body that claims success: nobody can tell what happened.
        Some(200) => (Verdict::Lost, Reason::BadResponse),
        Some(code) => judge_words(&envelope.words).unwrap_or_else(|| judge_code(code, envelope, key)),
        None => judge_status(raw.status, envelope, key),
    }
}

/// What the words mean whatever number they come with.
fn judge_words(words: &str) -> Option<(Verdict, Reason)> {
    if speaks_of(words, &MAINTENANCE) {
        Some((Verdict::Unavailable, Reason::Maintenance))
    } else if speaks_of(words, &ADDRESS) {
        Some((Verdict::WrongAddress, Reason::BadResponse))
    } else {
        None
    }
}

/// An HTTP status without a code.
fn judge_status(status: u16, envelope: &Envelope<'_>, key: &ApiKey) -> (Verdict, Reason) {
    match (status, judge_words(&envelope.words)) {
        (300..=399 | 404 | 410, _) => (Verdict::WrongAddress, Reason::BadResponse),
        // Who is let in, and how fast, is a gateway's business too.
        (401 | 403 | 429, _) => judge_code(i64::from(status), envelope, key),
        (_, Some(said)) => said,
        (200..=299, None) => (Verdict::Lost, Reason::BadResponse),
        // 400 and 409 among them: that there is a cover already is only the service's to say.
        (400 | 405 | 409 | 413 | 414 | 422 | 451, None) => (Verdict::Troubled, Reason::BadResponse),
        // A gateway without the service, in Cloudflare's numbers too.
        (502..=504 | 520..=527 | 530, None) => (Verdict::Unavailable, Reason::ServerError),
        (_, None) => judge_code(i64::from(status), envelope, key),
    }
}

/// Every code but 200, in either form.
fn judge_code(code: i64, envelope: &Envelope<'_>, key: &ApiKey) -> (Verdict, Reason) {
    match code {
        400 => (Verdict::Covered(envelope.cover(key)), Reason::AlreadyExists),
        409 => (Verdict::Covered(envelope.cover(key)), Reason::Conflict),
        401 | 403 => (Verdict::Unauthorized, Reason::Unauthorized),
        402 | 433 => (Verdict::NoCredits, Reason::NoCredits),
        // sunoapi.org's older table uses 429 for an empty account, its cover page and kie.ai for haste.
        429 if Topic::of(&envelope.words) == Topic::Money => (Verdict::NoCredits, Reason::NoCredits),
        405 | 429 | 430 => (Verdict::Throttled, Reason::RateLimited),
        455 => (Verdict::Unavailable, Reason::Maintenance),
        404 => (Verdict::Rejected, Reason::NotFound),
        422 => (Verdict::Rejected, Reason::InvalidRequest),
        413 | 451 => (Verdict::Rejected, Reason::Rejected),
        // kie.ai's error list: the feature is switched off.
        505 => (Verdict::WrongAddress, Reason::BadResponse),
        408 => (Verdict::Troubled, Reason::Timeout),
        500..=599 => (Verdict::Troubled, Reason::ServerError),
        _ => (Verdict::Troubled, Reason::BadResponse),
    }
}

/// The words of an answer; where they do not explain the verdict, what is wrong with it, and then its words.
pub(super) fn message_of(raw: RawAnswer<'_>, envelope: &Envelope<'_>, (verdict, reason): (&Verdict, Reason)) -> String {
    let and = |what: String, words: &str| if words.trim().is_empty() { what } else { format!("{what}: {words}") };
    let said = envelope.words.as_str();
    match (reason, envelope.code) {
        // The page of a redirect says nothing more.
        (_, code) if *verdict == Verdict::WrongAddress => {
            and(address(raw, code), if raw.location.is_some() { "" } else { said })
        }
        (Reason::Unauthorized, None) if raw.status == 403 && !envelope.is_json => {
            and("blocked before the API, by its CDN".to_owned(), said)
        }
        (Reason::BadResponse, None) if raw.body.is_empty() => format!("an empty answer (HTTP {})", raw.status),
        (Reason::BadResponse, None) if !raw.is_success() => and(format!("HTTP {} without a code", raw.status), said),
        (Reason::BadResponse, None) if !envelope.is_json => and(form(raw.encoding), said),
        // Its words are seldom what is wrong with it.
        (Reason::BadResponse, None) => and("JSON without a code".to_owned(), &raw.text()),
        (Reason::BadResponse, Some(200)) if !raw.is_success() => {
            and(format!("code 200 with HTTP {}", raw.status), said)
        }
        (Reason::BadResponse, Some(200)) => and("code 200 without the id of a cover".to_owned(), &raw.text()),
        (Reason::BadResponse, Some(code)) => and(format!("code {code} is not documented"), said),
        (_, _) => said.to_owned(),
    }
}

/// What answers in the place of the service.
fn address(raw: RawAnswer<'_>, code: Option<i64>) -> String {
    let answers = code.map_or_else(|| format!("HTTP {}", raw.status), |code| format!("code {code}"));
    let points = raw.location.map(|location| format!(" and points to `{}`", masked_url(location)));
    format!("`{}` answers {answers}{}", raw.address, points.unwrap_or_default())
}

/// What a body is that holds no JSON object.
fn form(encoding: Option<&str>) -> String {
    encoding.map_or_else(|| "not JSON".to_owned(), |encoding| format!("not JSON, and packed as `{encoding}` unasked"))
}
