use std::fmt::{Debug, Write as _};

use super::super::submission::tests::{CREDITS, FREQUENCY, envelope, ranges};
use super::*;

const IMAGES: &str = r#"{"images":["https://x.example/1.png","https://x.example/2.png"]}"#;

fn answer(status: u16, body: &str) -> RawAnswer<'_> {
    RawAnswer::new(status, body.as_bytes())
}

fn key() -> ApiKey {
    ApiKey::new("canary-42").unwrap()
}

fn cover(body: &str) -> Reading<CoverProgress> {
    cover_of(200, body)
}

fn cover_of(status: u16, body: &str) -> Reading<CoverProgress> {
    let (cover, task) = (CoverTaskId::new("c1").unwrap(), MusicTaskId::new("m1").unwrap());
    read_cover_record(answer(status, body), &key(), &cover, &task)
}

fn music(body: &str) -> Reading<MusicProgress> {
    read_music_record(answer(200, body), &key())
}

/// A reading on one line.
fn shown<T: Debug>(reading: &Reading<T>) -> String {
    format!("{:?} {} | {}", reading.found, reading.reason, reading.answer.message)
}

/// An answer around a record.
fn success(data: &str) -> String {
    format!(r#"{{"code":200,"msg":"success","data":{data}}}"#)
}

/// The record of the cover with these fields more.
fn with(fields: &str) -> String {
    success(&format!(r#"{{"taskId":"c1","parentTaskId":"m1"{fields}}}"#))
}

#[test]
fn every_flag_and_status_with_and_without_images() {
    let flags = (0..10).map(|flag| format!(r#","successFlag":{flag}"#));
    let odd = ["", "null", "\"1\"", "\" 3 \"", "\"done\"", "-1", "1.0", "true", "[1]", "{}", "99999999999999999999"];
    let odd = odd.map(|flag| if flag.is_empty() { String::new() } else { format!(r#","successFlag":{flag}"#) });
    let statuses = ["PENDING", "SUCCESS", "CREATE_TASK_FAILED", "GENERATE_COVER_FAILED", "success", "", "OTHER"];
    let statuses = statuses.map(|status| format!(r#","status":"{status}""#));
    let both = [r#","successFlag":0,"status":"SUCCESS""#, r#","successFlag":9,"status":"SUCCESS""#, r#","status":7"#];
    let mut table = String::new();
    for fields in flags.chain(odd).chain(statuses).chain(both.map(str::to_owned)) {
        writeln!(table, "{}", fields.trim_start_matches(',')).unwrap();
        for images in [IMAGES, "null", r#"{"images":null}"#] {
            let words = r#","errorCode":200,"errorMessage":"""#;
            let reading = cover(&with(&format!(r#"{fields},"response":{images}{words}"#)));
            writeln!(table, "    {}", shown(&reading)).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_record_is_believed_only_if_it_is_that_of_the_cover_and_its_music() {
    let done = format!(r#""successFlag":1,"response":{IMAGES}"#);
    let mut table = String::new();
    for ids in [
        r#""taskId":"c1","parentTaskId":"m1","#,
        r#""parentTaskId":"m1","#,
        r#""taskId":null,"parentTaskId":"m1","#,
        r#""taskId":"c2","parentTaskId":"m1","#,
        r#""taskId":17,"parentTaskId":"m1","#,
        r#""taskId":"m1","parentTaskId":"m1","#,
        r#""taskId":"c1","parentTaskId":"m2","#,
        r#""taskId":"c1","parentTaskId":null,"#,
        r#""taskId":"c1","parentTaskId":["m1"],"#,
        r#""taskId":"c1","parentTaskId":"M1","#,
        r#""taskId":"c1","parentTaskId":" m1","#,
        r#""taskId":"c1","#,
        r#""taskId":"c1","parentTaskId":"m2","parentTaskId":"m1","#,
    ] {
        let reading = cover(&success(&format!("{{{ids}{done}}}")));
        writeln!(table, "{ids}\n    {}", shown(&reading)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn data_of_every_type() {
    let deep = format!("{{\"response\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut table = String::new();
    for data in ["null", "{}", "[]", "\"c1\"", "7", "true", "\"\"", "[{\"successFlag\":1}]", &deep, &wide] {
        let (cover, music) = (cover(&success(data)), music(&success(data)));
        let name = if data.len() > 100 { "100,000 levels" } else { data };
        writeln!(table, "{name}\n    {}\n    {}", shown(&cover), shown(&music)).unwrap();
    }
    for body in ["", "<html>", r#"{"code":200}"#, "null", "[]", r#"{"code":200,"data":{}"#, "\u{feff}{\"code\":200}"] {
        writeln!(table, "{body:?}\n    {}\n    {}", shown(&cover(body)), shown(&music(body))).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn times_in_both_forms_and_absurd_ones() {
    let iso = |time: &str| format!("\"{time}\"");
    let mut table = String::new();
    for (created, completed) in [
        (iso("2026-11-22T02:10:00.000Z"), iso("2026-11-22T02:12:26.500Z")),
        ("1763777400000".to_owned(), "1763777546000".to_owned()),
        (iso("2026-11-22T02:10:00.000Z"), "null".to_owned()),
        ("null".to_owned(), iso("2026-11-22T02:12:26+02:00")),
        (iso("2026-11-22T02:12:26.500Z"), iso("2026-11-22T02:10:00.000Z")),
        ("1763777400".to_owned(), "1763777546".to_owned()),
        ("0".to_owned(), "-1".to_owned()),
        ("1763777400000".to_owned(), "9223372036854775807".to_owned()),
        ("1763777400000".to_owned(), "99999999999999999999".to_owned()),
        (iso("1763777400000"), iso("soon")),
        ("{}".to_owned(), "[]".to_owned()),
        (iso("-009999-01-01T00:00:00Z"), iso("9999-12-30T00:00:00Z")),
        ("1577836800000".to_owned(), "1577836799999".to_owned()),
        ("1.7637774e12".to_owned(), iso("2026-02-30T00:00:00Z")),
    ] {
        let fields =
            format!(r#","createTime":{created},"completeTime":{completed},"successFlag":1,"response":{IMAGES}"#);
        let Found::Known(CoverProgress::Generated(cover)) = cover(&with(&fields)).found else { panic!("{fields}") };
        writeln!(table, "{created} to {completed}\n    {:?} took {:?}", cover.completed_at, cover.took).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn lists_of_images_that_are_none() {
    let many = format!("[{}]", vec![r#""https://x.example/1""#; 10_000].join(","));
    let late = format!("[{}\"https://x.example/1\"]", "7,".repeat(100));
    let long = format!(r#"["https://x.example/{}"]"#, "a".repeat(2_000));
    let nested = format!("[{}{},\"https://x.example/1\"]", "[".repeat(1000), "]".repeat(1000));
    let mut table = String::new();
    for images in [
        "[]",
        "{}",
        r#""https://x.example/1""#,
        r#"[7,null,["https://x.example/1"],{"url":"https://x.example/1"}]"#,
        r#"[null,"https://x.example/2"]"#,
        r#"["","https://","http://","https:/x","HTTPS://x.example/1","//x.example/1"]"#,
        r#"["javascript:alert(1)","file:///etc/passwd","data:image/png;base64,AA","ftp://x.example/1"]"#,
        r#"["https://x.example/a b","https://x.example/\n","https://x.example/\u0000","https://x.example/é"]"#,
        r#"["https://x.example/1","https://x.example/1"]"#,
        r#"["https://x.example/\u0031"]"#,
        r#"["https://x.example/?key=canary-42","https://x.example/2"]"#,
        &many,
        &late,
        &long,
        &nested,
    ] {
        let reading = cover(&with(&format!(r#","successFlag":1,"response":{{"images":{images}}}"#)));
        let name: String = images.chars().take(90).collect();
        writeln!(table, "{name}\n    {}", shown(&reading)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_code_in_both_forms_for_covers_and_for_music() {
    let mut table = String::new();
    for (name, message) in [("frequency", FREQUENCY), ("credits", CREDITS), ("no words", "")] {
        let found = |status: u16, code: u16| {
            let body = envelope(code, message, false);
            let (cover, music) = (cover_of(status, &body), read_music_record(answer(status, &body), &key()));
            assert_eq!((cover.reason, cover.answer.code), (music.reason, music.answer.code));
            format!("{:?} {:?} {}", cover.found, music.found, cover.reason)
        };
        writeln!(table, "== HTTP 200 with the code in the body, {name}\n{}", ranges(|code| found(200, code))).unwrap();
        writeln!(table, "== the code as HTTP status too, {name}\n{}", ranges(|code| found(code, code))).unwrap();
    }
    for (name, body) in [("an empty body", ""), ("a page", "<html>oops</html>"), ("a record", &with(""))] {
        let bare = ranges(|code| {
            let (cover, music) = (cover_of(code, body), read_music_record(answer(code, body), &key()));
            format!("{:?} {:?} {}", cover.found, music.found, cover.reason)
        });
        writeln!(table, "== HTTP status with {name}\n{bare}").unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_empty_account_closes_the_reads_and_a_refused_one_ends_them() {
    for (code, message) in [(402, ""), (433, ""), (429, CREDITS), (455, "")] {
        let body = envelope(code, message, false);
        assert_eq!((cover(&body).found, music(&body).found), (Found::Unavailable, Found::Unavailable), "{code}");
    }
    for code in [401, 403] {
        let body = envelope(code, "", false);
        assert_eq!((cover(&body).found, music(&body).found), (Found::Unauthorized, Found::Unauthorized), "{code}");
    }
}

#[test]
fn every_status_of_music_with_every_code_of_error() {
    let statuses = MUSIC_FAILED.iter().chain(&MUSIC_UNFINISHED).chain(&["SUCCESS", "success", "", "OTHER"]);
    let mut table = String::new();
    for status in statuses.map(|status| format!("\"{status}\"")).chain(["null", "7"].map(str::to_owned)) {
        for error in ["null", "0", "200", "500", "\"400\"", "\"\"", "[]"] {
            for words in ["", "no luck"] {
                let data = format!(r#"{{"status":{status},"errorCode":{error},"errorMessage":"{words}"}}"#);
                writeln!(table, "{status} {error} {words:?}\n    {}", shown(&music(&success(&data)))).unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_key_that_a_record_repeats_is_masked_also_where_the_message_is_cut() {
    for pad in 150..=200 {
        let words = format!("{}canary-42", "x".repeat(pad));
        let failed = cover(&with(&format!(r#","successFlag":3,"errorMessage":"{words}""#)));
        assert_eq!(failed.found, Found::Known(CoverProgress::Failed { credits: None }));
        let unclear = cover(&with(&format!(r#","errorMessage":"{words}""#)));
        let refused = cover(&envelope(500, &words, false));
        let music = music(&success(&format!(r#"{{"status":"SUCCESS","errorMessage":"{words}"}}"#)));
        for message in [failed.answer, unclear.answer, refused.answer, music.answer].map(|answer| answer.message) {
            assert!(!message.contains("can") && !message.contains("-42"), "{pad}: {message}");
        }
    }
}

#[test]
fn words_with_control_characters_are_one_line() {
    let reading = cover(&with(r#","successFlag":3,"errorMessage":"a\u001b[2Jb\r\nc\u0000d\u202ee""#));
    assert!(!reading.answer.message.contains(char::is_control), "{:?}", reading.answer.message);
}

#[test]
fn a_reading_without_an_answer_is_trouble_or_an_outage() {
    let found = |fault| read_no_answer::<()>(&fault).found;
    assert_eq!(found(Fault::NotSent("refused".into())), Found::Unavailable);
    assert_eq!(found(Fault::TimedOut(std::time::Duration::from_secs(30))), Found::Troubled);
    assert_eq!(found(Fault::Broken("reset".into())), Found::Troubled);
    assert_eq!(found(Fault::TooLarge(200)), Found::Troubled);
}

#[test]
fn a_balance_is_a_number_and_that_of_an_account_without_credits_is_nothing() {
    let table = [
        (r#"{"code":200,"msg":"success","data":100}"#, "Known(100)"),
        (r#"{"code":200,"data":5916.25}"#, "Known(5916.25)"),
        (r#"{"code":200,"data":"0.4"}"#, "Known(0.4)"),
        (r#"{"code":200,"data":-2.5}"#, "Known(0)"),
        (r#"{"code":200,"data":null}"#, "Troubled"),
        (r#"{"code":200,"data":{"credits":7}}"#, "Troubled"),
        (r#"{"code":200,"data":1e300}"#, "Troubled"),
        (r#"{"code":429,"msg":"The current credits are insufficient."}"#, "Known(0)"),
        (r#"{"code":429,"msg":"Your call frequency is too high."}"#, "Throttled"),
        (r#"{"code":402}"#, "Known(0)"),
        (r#"{"code":401}"#, "Unauthorized"),
        (r#"{"code":500}"#, "Troubled"),
        ("<html>", "Troubled"),
    ];
    for (body, found) in table {
        let reading = read_balance(RawAnswer::new(200, body.as_bytes()), &key());
        let told = if let Found::Known(balance) = reading.found {
            format!("Known({balance})")
        } else {
            format!("{:?}", reading.found)
        };
        assert_eq!(told, found, "{body}");
    }
}
