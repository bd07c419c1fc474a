//! The answer to a submission, read into an [`Outcome`]: the only place that knows the service's codes.
//!
//! The service gives its `code` with everything it says. What comes without one is from a gateway before it, which knows
//! nothing of rows: it never settles one. 429 means haste or an empty account, which depends on the provider, and where its
//! words do not tell, the balance does.

use super::envelope::{ADDRESS, Envelope, MAINTENANCE, speaks_of};
use super::raw::{Fault, RawAnswer};
use crate::domain::{Answer, Brief, CoverTaskId, MusicTaskId, Outcome, Reason, Route, Verdict, one_line};
use crate::secret::{ApiKey, masked_url};

/// What the answer to a submission means; the service may repeat the key it was given, so its words are freed of it.
#[must_use]
pub fn read_submission(raw: RawAnswer<'_>, key: &ApiKey) -> Outcome {
    read_judged(raw, key, judge)
}

/// The same, with its meaning from `judge`.
pub(super) fn read_judged(
    raw: RawAnswer<'_>,
    key: &ApiKey,
    judge: impl FnOnce(RawAnswer<'_>, &Envelope<'_>, &ApiKey) -> (Verdict, Reason),
) -> Outcome {
    let text = raw.text();
    let envelope = Envelope::read(&text);
    let (verdict, reason) = judge(raw, &envelope, key);
    let message = key.masked_line(&message_of(raw, &envelope, (&verdict, reason)));
    let is_throttled = verdict == Verdict::Throttled;
    let answer = Answer { http_status: Some(raw.status), code: envelope.code, message };
    Outcome { verdict, reason, answer, retry_after: raw.wait.asked(is_throttled) }
}

/// The outcome without a cover whose id is only the music task's own, sent back: asked for by that id, the record of the
/// cover would stay empty for ever.
#[must_use]
pub fn without_echo(outcome: Outcome, task: &MusicTaskId) -> Outcome {
    let is_echo = |cover: &CoverTaskId| cover.as_str() == task.as_str();
    if matches!(&outcome.verdict, Verdict::Accepted(cover) if is_echo(cover)) {
        let message = format!("code 200 without the id of a cover, only the music task's: {}", outcome.answer.message);
        let answer = Answer { message: one_line(&message), ..outcome.answer };
        Outcome { verdict: Verdict::Lost, reason: Reason::BadResponse, answer, ..outcome }
    } else if matches!(&outcome.verdict, Verdict::Covered(Some(cover)) if is_echo(cover)) {
        Outcome { verdict: Verdict::Covered(None), ..outcome }
    } else {
        outcome
    }
}

/// The outcome with what to do if the path is gone that kie.ai calls old.
#[must_use]
pub fn with_successor(outcome: Outcome, provider: Provider, route: Route) -> Outcome {
    let is_gone = outcome.verdict == Verdict::WrongAddress
        && outcome.answer.code.is_none()
        && matches!(outcome.answer.http_status, Some(404 | 410));
    match (provider, route) {
        (Provider::Kie, Route::Legacy) if is_gone => {
            let message = format!("kie.ai may have retired it, then give --kie-api jobs; {}", outcome.answer.message);
            Outcome { answer: Answer { message: one_line(&message), ..outcome.answer }, ..outcome }
        }
        (Provider::Sunoapi | Provider::Kie, Route::Legacy | Route::Jobs) => outcome,
    }
}

/// What the lack of an answer means.
#[must_use]
pub fn read_fault(fault: &Fault) -> Outcome {
    let (verdict, reason, http_status, message) = match fault {
        Fault::NotSent(why) => (Verdict::Unavailable, Reason::Connection, None, why.clone()),
        Fault::NoWay(what) => (Verdict::WrongAddress, Reason::BadResponse, None, what.clone()),
        Fault::TimedOut(after) => (Verdict::Lost, Reason::Timeout, None, format!("no answer within {}", Brief(*after))),
        Fault::Broken(how) => (Verdict::Lost, Reason::Connection, None, how.clone()),
        Fault::TooLarge(status) => {
            let verdict = if RawAnswer::new(*status, &[]).is_success() { Verdict::Lost } else { Verdict::Troubled };
            (verdict, Reason::BadResponse, Some(*status), "the answer is larger than 1 MiB".to_owned())
        }
    };
    let answer = Answer { http_status, code: None, message: one_line(&message) };
    Outcome { verdict, reason, answer, retry_after: None }
}

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

/// Who offers the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `api.sunoapi.org`.
    Sunoapi,
    /// `api.kie.ai`.
    Kie,
}

impl Provider {
    /// Where the API is.
    #[must_use]
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::Sunoapi => "https://api.sunoapi.org",
            Self::Kie => "https://api.kie.ai",
        }
    }

    /// Where the balance of the account can be read.
    #[must_use]
    pub const fn balance_path(self) -> &'static str {
        match self {
            Self::Sunoapi => "/api/v1/generate/credit",
            Self::Kie => "/api/v1/chat/credit",
        }
    }

    /// Whether a 429 without any words may mean an empty account: sunoapi.org's older table says so, while kie.ai
    /// documents 402 for that.
    const fn means_money_by_429(self) -> bool {
        match self {
            Self::Sunoapi => true,
            Self::Kie => false,
        }
    }
}

/// Whether a 429 can mean haste as well as an empty account, so that only the balance can tell.
#[must_use]
pub fn is_unclear(outcome: &Outcome, provider: Provider) -> bool {
    let is_429 =
        outcome.answer.code == Some(429) || (outcome.answer.code, outcome.answer.http_status) == (None, Some(429));
    match Topic::of(&outcome.answer.message) {
        Topic::Both => is_429,
        Topic::Neither => is_429 && provider.means_money_by_429(),
        Topic::Haste | Topic::Money => false,
    }
}

/// The outcome of an unclear 429, once it is known whether the account is empty.
#[must_use]
pub fn resolved(outcome: Outcome, is_empty: bool) -> Outcome {
    if is_empty { Outcome { verdict: Verdict::NoCredits, reason: Reason::NoCredits, ..outcome } } else { outcome }
}

/// What the words of a 429 are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Haste,
    Money,
    Both,
    Neither,
}

impl Topic {
    pub(super) fn of(message: &str) -> Self {
        const HASTE: [&str; 5] = ["frequen", "too many", "too fast", "rate limit", "频率"];
        const MONEY: [&str; 7] = ["credit", "balance", "insufficient", "top up", "recharge", "余额", "积分"];
        match (speaks_of(message, &HASTE), speaks_of(message, &MONEY)) {
            (true, true) => Self::Both,
            (true, false) => Self::Haste,
            (false, true) => Self::Money,
            (false, false) => Self::Neither,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
