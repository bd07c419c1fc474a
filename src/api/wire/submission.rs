//! The answer to a submission, read into an [`Outcome`]: the only place that knows the service's codes.
//!
//! The service gives its `code` with everything it says. What comes without one is from a gateway before it, which knows
//! nothing of rows: it never settles one. 429 means haste or an empty account, which depends on the provider, and where its
//! words do not tell, the balance does.

use super::envelope::{ADDRESS, Envelope, MAINTENANCE, speaks_of};
use super::raw::{Fault, RawAnswer};
use crate::domain::{Answer, Brief, CoverTaskId, MusicTaskId, Outcome, Reason, Verdict, one_line};
use crate::secret::{ApiKey, masked_url};

/// What the answer to a submission means; the service may repeat the key it was given, so its words are freed of it.
#[must_use]
pub fn read_submission(raw: RawAnswer<'_>, key: &ApiKey) -> Outcome {
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

/// Whether an answer of the balance endpoint says that the account is empty; `None` if it does not say.
///
/// Balances come with decimals, though documented as whole numbers.
#[must_use]
pub fn read_is_empty(body: &[u8]) -> Option<bool> {
    let text = RawAnswer::new(200, body).text();
    let envelope = Envelope::read(&text);
    match (envelope.code?, envelope.data) {
        (200, Some(data)) => serde_json::from_str::<f64>(data.get()).ok().map(|balance| balance <= 0.0),
        (402 | 433, _) => Some(true),
        (429, _) if Topic::of(&envelope.words) == Topic::Money => Some(true),
        (_, _) => None,
    }
}

/// The outcome of an unclear 429, once it is known whether the account is empty.
#[must_use]
pub fn resolved(outcome: Outcome, is_empty: bool) -> Outcome {
    if is_empty { Outcome { verdict: Verdict::NoCredits, reason: Reason::NoCredits, ..outcome } } else { outcome }
}

/// What the words of a 429 are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
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
pub(super) mod tests {
    use std::fmt::Write as _;
    use std::time::Duration;

    use super::*;

    pub(in crate::api::wire) const FREQUENCY: &str = "Your call frequency is too high. Please try again later.";
    pub(in crate::api::wire) const CREDITS: &str = "The current credits are insufficient. Please top up.";
    const COVER: &str = "21aee3c3c2a01fa5e030b3799fa4dd56";

    pub(in crate::api::wire) fn read(status: u16, body: &str) -> Outcome {
        read_submission(RawAnswer::new(status, body.as_bytes()), &ApiKey::new("canary-42").unwrap())
    }

    pub(in crate::api::wire) fn envelope(code: u16, message: &str, with_id: bool) -> String {
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
            | Verdict::WrongAddress
            | Verdict::Rejected
            | Verdict::Troubled
            | Verdict::Lost => format!("{:?}", outcome.verdict),
        };
        format!("{} {}", verdict.replace(COVER, "id"), outcome.reason)
    }

    /// Codes with the same reading are one line.
    pub(in crate::api::wire) fn ranges(reading: impl Fn(u16) -> String) -> String {
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
        let messages = [
            ("frequency", FREQUENCY),
            ("credits", CREDITS),
            ("no words", ""),
            ("maintenance", "The server is currently being maintained, please try again later~"),
            ("an address", "The page does not exist"),
        ];
        for (name, message) in messages {
            for with_id in [true, false] {
                let id = if with_id { "with id" } else { "without id" };
                let body = ranges(|code| shown(&read(200, &envelope(code, message, with_id))));
                let http = ranges(|code| shown(&read(code, &envelope(code, message, with_id))));
                writeln!(table, "== HTTP 200 with the code in the body, {name}, {id}\n{body}").unwrap();
                writeln!(table, "== the code as HTTP status too, {name}, {id}\n{http}").unwrap();
            }
        }
        for (name, body) in [
            ("an empty body", ""),
            ("a page", "<html>oops</html>"),
            ("plain words", "no\n"),
            ("the JSON of a framework", r#"{"status":404,"error":"Not Found","path":"/api"}"#),
            ("a page about maintenance", "<h1>Under maintenance</h1>"),
        ] {
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
        assert_eq!(read(500, &envelope(200, "success", true)).verdict, Verdict::Lost);
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
        assert_eq!(read(Fault::NoWay("no trust".into())), "WrongAddress bad_response");
        assert_eq!(
            [200, 500].map(|status| read(Fault::TooLarge(status))),
            ["Lost bad_response", "Troubled bad_response"]
        );
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

    #[test]
    fn an_unclear_429_is_one_that_may_mean_either() {
        let both = "Request frequency exceeds the credits of your plan";
        for (message, sunoapi, kie) in
            [(FREQUENCY, false, false), (CREDITS, false, false), ("", true, false), (both, true, true)]
        {
            for outcome in [read(200, &envelope(429, message, false)), read(429, message)] {
                assert_eq!(is_unclear(&outcome, Provider::Sunoapi), sunoapi, "{message}");
                assert_eq!(is_unclear(&outcome, Provider::Kie), kie, "{message}");
            }
        }
        assert!(!is_unclear(&read(200, &envelope(500, "", false)), Provider::Sunoapi));
    }

    #[test]
    fn a_balance_is_empty_at_nothing_or_less_and_says_nothing_when_it_cannot_be_read() {
        let table: [(&str, Option<bool>); 9] = [
            (r#"{"code":200,"msg":"success","data":100}"#, Some(false)),
            (r#"{"code":200,"data":0.4}"#, Some(false)),
            (r#"{"code":200,"data":0}"#, Some(true)),
            (r#"{"code":200,"data":-2.5}"#, Some(true)),
            (r#"{"code":200,"data":null}"#, None),
            (r#"{"code":429,"msg":"The current credits are insufficient."}"#, Some(true)),
            (r#"{"code":429,"msg":"Your call frequency is too high."}"#, None),
            (r#"{"code":402}"#, Some(true)),
            ("<html>", None),
        ];
        for (body, is_empty) in table {
            assert_eq!(read_is_empty(body.as_bytes()), is_empty, "{body}");
        }
    }
}
