//! The service's bytes read into an [`Outcome`]: pure, total, and the only place that knows its codes.
//!
//! The service answers nearly everything with HTTP 200 and puts the result into the body's `code`; gateways and CDNs
//! before it answer with real HTTP errors and pages. So an answer is read in this order: HTTP status, JSON, `code`,
//! `msg`, `data`. Nothing in it is trusted: every field may be missing or of another type, and the body is kept as
//! raw slices so that hostile nesting costs neither stack nor memory.

mod account;
mod envelope;
mod record;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::clock::UnixMillis;
use crate::domain::{Answer, Brief, CoverTaskId, MusicTaskId, Outcome, Reason, Verdict, one_line};

use crate::secret::ApiKey;

use account::Topic;
use envelope::Envelope;

pub use account::{is_unclear, read_is_empty, resolved};
pub use record::{read_cover_record, read_music_record, read_no_answer};

/// Largest body read of an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Bytes of a body that is not JSON which are looked at for a message.
const GLANCE_BYTES: usize = 2_000;

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

/// An answer as it came, whole.
#[derive(Debug, Clone, Copy)]
pub struct RawAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`MAX_BODY_BYTES`].
    pub body: &'a [u8],
    /// What the `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
}

/// How a submission ended without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection: nothing was sent. Says why.
    NotSent(String),
    /// No whole answer within the timeout.
    TimedOut(Duration),
    /// The connection broke after the request may have left. Says how.
    Broken(String),
    /// A body of more than [`MAX_BODY_BYTES`] came with this HTTP status.
    TooLarge(u16),
}

/// What the answer to a submission means; the service may repeat the key it was given, so its words are freed of it.
#[must_use]
pub fn read_submission(raw: RawAnswer<'_>, key: &ApiKey) -> Outcome {
    let envelope = Envelope::read(raw.body);
    let (verdict, reason) = judge(raw, &envelope);
    // Masked before it is cut, or half of a key could be left at the end.
    let message = key.masked_in(&message_of(raw, &envelope, reason));
    let answer = Answer { http_status: Some(raw.status), code: envelope.code, message: one_line(&message) };
    Outcome { verdict, reason, answer, retry_after: raw.retry_after }
}

/// The outcome without a cover whose id is only the music task's own, sent back: asked for by that id, the record of the
/// cover would stay empty for ever.
#[must_use]
pub fn without_echo(outcome: Outcome, task: &MusicTaskId) -> Outcome {
    let is_echo = |cover: &CoverTaskId| cover.as_str() == task.as_str();
    if matches!(&outcome.verdict, Verdict::Accepted(cover) if is_echo(cover)) {
        let message = format!("code 200 without the id of a cover, only the music task's: {}", outcome.answer.message);
        let answer = Answer { message: one_line(&message), ..outcome.answer };
        Outcome { verdict: Verdict::Troubled, reason: Reason::BadResponse, answer, ..outcome }
    } else if matches!(&outcome.verdict, Verdict::Covered(Some(cover)) if is_echo(cover)) {
        Outcome { verdict: Verdict::Covered(None), ..outcome }
    } else {
        outcome
    }
}

/// What the lack of an answer means.
#[must_use]
pub fn read_fault(fault: &Fault) -> Outcome {
    let (verdict, reason, http_status, message) = match fault {
        Fault::NotSent(why) => (Verdict::Unavailable, Reason::Connection, None, why.clone()),
        Fault::TimedOut(after) => (Verdict::Lost, Reason::Timeout, None, format!("no answer within {}", Brief(*after))),
        Fault::Broken(how) => (Verdict::Lost, Reason::Connection, None, how.clone()),
        Fault::TooLarge(status) => {
            (Verdict::Troubled, Reason::BadResponse, Some(*status), "the answer is larger than 1 MiB".to_owned())
        }
    };
    let answer = Answer { http_status, code: None, message: one_line(&message) };
    Outcome { verdict, reason, answer, retry_after: None }
}

/// How long a `Retry-After` header asks for, given in seconds or as an HTTP date (RFC 9110, 10.2.3).
#[must_use]
pub fn read_retry_after(header: &str, now: UnixMillis) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.until(UnixMillis(i64::try_from(since_epoch.as_millis()).ok()?)))
}

/// Whether the service's documentation or its users speak of this code; others are worth a line in the log.
#[must_use]
pub const fn is_known_code(code: i64) -> bool {
    matches!(
        code,
        200 | 400 | 401 | 402 | 403 | 404 | 405 | 408 | 409 | 413 | 422 | 429 | 430 | 433 | 451 | 455 | 500..=505 | 531
    )
}

/// The code that an answer is judged by, and whether its own word may settle a row.
fn judge(raw: RawAnswer<'_>, envelope: &Envelope<'_>) -> (Verdict, Reason) {
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
fn message_of<'a>(raw: RawAnswer<'a>, envelope: &'a Envelope<'_>, reason: Reason) -> Cow<'a, str> {
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    pub(super) const FREQUENCY: &str = "Your call frequency is too high. Please try again later.";
    pub(super) const CREDITS: &str = "The current credits are insufficient. Please top up.";
    const COVER: &str = "21aee3c3c2a01fa5e030b3799fa4dd56";

    pub(super) fn read(status: u16, body: &str) -> Outcome {
        read_submission(
            RawAnswer { status, body: body.as_bytes(), retry_after: None },
            &ApiKey::new("canary-42").unwrap(),
        )
    }

    pub(super) fn envelope(code: u16, message: &str, with_id: bool) -> String {
        let data = if with_id { format!(r#"{{"taskId":"{COVER}"}}"#) } else { "null".to_owned() };
        format!(r#"{{"code":{code},"msg":"{message}","data":{data}}}"#)
    }

    fn shown(outcome: &Outcome) -> String {
        let verdict = match &outcome.verdict {
            Verdict::Accepted(cover) => format!("Accepted({cover})"),
            Verdict::Covered(Some(cover)) => format!("Covered({cover})"),
            Verdict::Covered(None)
            | Verdict::Throttled
            | Verdict::Unavailable
            | Verdict::NoCredits
            | Verdict::Unauthorized
            | Verdict::Rejected
            | Verdict::Troubled
            | Verdict::Lost => format!("{:?}", outcome.verdict),
        };
        format!("{} {}", verdict.replace(COVER, "id"), outcome.reason)
    }

    /// Codes with the same reading are one line.
    fn ranges(reading: impl Fn(u16) -> String) -> String {
        let mut table = String::new();
        let mut first = 100;
        for code in 100..=999 {
            if code == 999 || reading(code + 1) != reading(first) {
                let codes = if code == first { code.to_string() } else { format!("{first}-{code}") };
                writeln!(table, "{codes:<9}{}", reading(first)).unwrap();
                first = code + 1;
            }
        }
        table
    }

    #[test]
    fn every_code_in_both_forms_with_every_message_that_changes_its_meaning() {
        let mut table = String::new();
        for (name, message) in [("frequency", FREQUENCY), ("credits", CREDITS), ("no words", "")] {
            for with_id in [true, false] {
                let id = if with_id { "with id" } else { "without id" };
                let body = ranges(|code| shown(&read(200, &envelope(code, message, with_id))));
                let http = ranges(|code| shown(&read(code, &envelope(code, message, with_id))));
                writeln!(table, "== HTTP 200 with the code in the body, {name}, {id}\n{body}").unwrap();
                writeln!(table, "== the code as HTTP status too, {name}, {id}\n{http}").unwrap();
            }
        }
        for (name, body) in [("an empty body", ""), ("a page", "<html>oops</html>"), ("plain words", "no\n")] {
            let bare = ranges(|code| shown(&read(code, body)));
            writeln!(table, "== HTTP status with {name}\n{bare}").unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn bodies_that_break_the_documented_shape() {
        let deep = format!(r#"{{"code":200,"data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let bodies = [
            r#"{"code":"200","msg":"success","data":{"taskId":"c1"}}"#,
            r#"{"code":"429","msg":null}"#,
            r#"{"code":200,"msg":"success","data":null}"#,
            r#"{"code":200,"msg":"success","data":"c1"}"#,
            r#"{"code":200,"msg":"success","data":["c1"]}"#,
            r#"{"code":200,"msg":"success","data":{"taskId":17}}"#,
            r#"{"code":200,"msg":"success","data":{"taskId":""}}"#,
            r#"{"code":200,"msg":"success","data":{"taskId":"two words"}}"#,
            r#"{"code":200,"msg":["odd"],"data":{"taskId":"c1","more":{"deep":[1]}}}"#,
            r#"{"code":200.0,"data":{"taskId":"c1"}}"#,
            r#"{"code":null,"data":{"taskId":"c1"}}"#,
            r#"{"code":true}"#,
            r#"{"code":-1}"#,
            r#"{"code":99999999999999999999}"#,
            r#"{"code":401,"msg":"You do not have access permissions"}"#,
            r#"{"status":404,"error":"Not Found","path":"/api"}"#,
            "\u{feff}{\"code\":455}",
            r#"[200,"success",{"taskId":"c1"}]"#,
            r#"{"code":200,"data":{"taskId":"c1"}"#,
            r#"{"code":200} trailing"#,
            r#"{"code":500,"code":200}"#,
            "200",
            "null",
            "",
            "  ",
            "<html><body>hello</body></html>",
            "error code: 1010",
        ];
        let mut table = String::new();
        for body in bodies {
            let outcome = read(200, body);
            writeln!(table, "{body:?}\n    {} | {}", shown(&outcome), outcome.answer.message).unwrap();
        }
        writeln!(table, "100,000 levels\n    {}", shown(&read(200, &deep))).unwrap();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn an_http_error_around_a_body_that_claims_success_settles_nothing() {
        assert_eq!(read(500, &envelope(200, "success", true)).verdict, Verdict::Troubled);
    }

    #[test]
    fn a_key_that_the_service_repeats_is_masked_also_where_the_message_is_cut() {
        for pad in 180..=200 {
            let outcome = read(200, &envelope(401, &format!("{}canary-42", "x".repeat(pad)), false));
            assert!(!outcome.answer.message.contains("can"), "{pad}");
        }
    }

    #[test]
    fn the_cdns_block_says_so() {
        let outcome = read(403, "error code: 1010");
        assert_eq!(outcome.answer.message, "blocked before the API, by its CDN: error code: 1010");
    }

    #[test]
    fn every_fault_has_its_reading() {
        let read = |fault| shown(&read_fault(&fault));
        assert_eq!(read(Fault::NotSent("refused".into())), "Unavailable connection");
        assert_eq!(read(Fault::TimedOut(Duration::from_secs(30))), "Lost timeout");
        assert_eq!(read(Fault::Broken("reset".into())), "Lost connection");
        assert_eq!(read(Fault::TooLarge(200)), "Troubled bad_response");
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = UnixMillis::from_rfc3339("2026-11-22T02:10:00Z").unwrap();
        let read = |header| read_retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(read(" 120 "), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 02:12:00 GMT"), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 02:00:00 GMT"), Some(0));
        assert_eq!([read("-1"), read("soon"), read("1.5"), read("")], [None; 4]);
    }

    #[test]
    fn a_code_with_a_verdict_of_its_own_is_known() {
        let read_as = |code: u16| shown(&read(200, &envelope(code, "", false)));
        let odd = read_as(999);
        for code in 100..=999 {
            let has_own = read_as(code) != odd && !(500..=599).contains(&code);
            assert!(!has_own || is_known_code(i64::from(code)), "{code}");
        }
    }
}
