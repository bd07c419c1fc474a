//! Answers to submissions in every form.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;

pub(in crate::api::wire) const FREQUENCY: &str = "Your call frequency is too high. Please try again later.";
pub(in crate::api::wire) const CREDITS: &str = "The current credits are insufficient. Please top up.";
const COVER: &str = "21aee3c3c2a01fa5e030b3799fa4dd56";

fn read(status: u16, body: &str) -> Outcome {
    read_submission(RawAnswer::new(status, body.as_bytes()), &ApiKey::new("canary-42").unwrap())
}

pub(in crate::api::wire) fn envelope(code: u16, message: &str, with_id: bool) -> String {
    let data = if with_id { format!(r#"{{"taskId":"{COVER}"}}"#) } else { "null".to_owned() };
    format!(r#"{{"code":{code},"msg":"{message}","data":{data}}}"#)
}

pub(in crate::api::wire) fn shown(outcome: &Outcome) -> String {
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
    assert_eq!([200, 500].map(|status| read(Fault::TooLarge(status))), ["Lost bad_response", "Troubled bad_response"]);
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
