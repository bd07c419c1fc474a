//! The envelope `{code, msg, data}` in which every answer comes, read without trusting any of it; its words are found
//! wherever the service, its frameworks and the gateways before it put them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::json::{RawTask, id, object, text as text_of, whole_number};
use crate::domain::{CoverTaskId, is_formula};
use crate::secret::ApiKey;

/// What of the envelope `{code, msg, data}` is there and of the right type.
pub(super) struct Envelope<'a> {
    pub(super) is_json: bool,
    pub(super) code: Option<i64>,
    /// What is said, wherever it stands.
    pub(super) words: String,
    pub(super) data: Option<&'a RawValue>,
}

/// The envelope's fields, each as it stands.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawEnvelope<'a> {
    code: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// The envelope in `text`; nothing but words if that is not a JSON object.
    pub(super) fn read(text: &'a str) -> Self {
        match object::<RawEnvelope<'a>>(text.as_bytes()) {
            Some(RawEnvelope { code, data }) => {
                Self { is_json: true, code: code.and_then(whole_number), words: of_object(text), data }
            }
            None => Self { is_json: false, code: None, words: of_page(text), data: None },
        }
    }

    /// `data.taskId`, else `data.task_id`, if it is an id that does no harm wherever it is written: no formula, and not the
    /// key, which the service knows.
    pub(super) fn cover(&self, key: &ApiKey) -> Option<CoverTaskId> {
        let text = object::<RawTask<'_>>(self.data?.get().as_bytes())?.read(id)?;
        CoverTaskId::new(text).ok().filter(|id| !is_formula(id.as_str()) && !key.is_in(id.as_str()))
    }
}

/// Bytes of a page that are looked at for words.
const PAGE_BYTES: usize = 64 * 1024;

/// Characters of text that make further ones needless.
const ENOUGH_CHARS: usize = 1_000;

/// How deep words are looked for within each other.
const MAX_DEPTH: u8 = 3;

/// Words about maintenance. That of kie.ai comes as `code` 500: "The server is currently being maintained".
pub(super) const MAINTENANCE: [&str; 4] = ["maintenance", "maintained", "maintaining", "维护"];

/// Words about an address, and not about what was asked for there: kie.ai's for an endpoint that is gone, sunoapi.org's for
/// a wrong path, and those of common frameworks.
pub(super) const ADDRESS: [&str; 6] = [
    "page does not exist",
    "page not found",
    "wrong method or path",
    "no static resource",
    "no handler found",
    "页面不存在",
];

/// Whether `text` holds one of these words, in whatever case.
pub(super) fn speaks_of(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// The fields that hold words, each as it stands; what says most comes first.
#[derive(Deserialize, Default)]
#[serde(default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Fields<'a> {
    msg: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    error_description: Option<&'a RawValue>,
    detail: Option<&'a RawValue>,
    errors: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    title: Option<&'a RawValue>,
}

/// The words in a JSON object; empty if it holds none.
fn of_object(text: &str) -> String {
    in_object(text, 0).unwrap_or_default()
}

fn in_object(text: &str, depth: u8) -> Option<String> {
    let Fields { msg, message, error_description, detail, errors, error, title } = object(text.as_bytes())?;
    let fields = [msg, message, error_description, detail, errors, error, title];
    fields.into_iter().flatten().find_map(|raw| in_value(raw, depth))
}

/// The words of a text, an object, or the first entry of a list.
fn in_value(raw: &RawValue, depth: u8) -> Option<String> {
    match raw.get().as_bytes() {
        [b'{', ..] if depth < MAX_DEPTH => in_object(raw.get(), depth + 1),
        [b'[', ..] if depth < MAX_DEPTH => {
            let entries: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            in_value(entries.first()?, depth + 1)
        }
        _ => text_of(raw).filter(|text| !text.trim().is_empty()),
    }
}

/// The words of an answer that is no JSON object: the text of a page without its markup, else the beginning of whatever
/// it is.
fn of_page(text: &str) -> String {
    let is_binary = |c: char| c.is_control() && !c.is_whitespace();
    if text.chars().take(ENOUGH_CHARS).any(is_binary) {
        return "bytes that are no text".to_owned();
    }
    let page = text.split_at_checked(PAGE_BYTES).map_or(text, |(page, _)| page);
    let text = if is_markup(page) { without_markup(page) } else { String::new() };
    if text.trim().is_empty() { page.chars().take(ENOUGH_CHARS).collect() } else { text }
}

fn is_markup(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// The text between the tags.
fn without_markup(page: &str) -> String {
    // Of the same length, since only ASCII letters change.
    let lower = page.to_ascii_lowercase();
    let (mut text, mut at) = (String::new(), 0);
    while text.len() < ENOUGH_CHARS
        && let Some(tag) = page[at..].find('<').map(|tag| at + tag)
    {
        text.push_str(&page[at..tag]);
        text.push(' ');
        at = tag + markup_bytes(&lower[tag..]);
    }
    text.push_str(&page[at..]);
    let entities = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text, |text, (entity, plain)| text.replace(entity, plain))
}

/// How many bytes of markup begin here: one tag, or all of what is no text for a reader.
fn markup_bytes(lower: &str) -> usize {
    let silent = [("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"), ("<svg", "</svg>")];
    let end = silent.iter().find(|(open, _)| lower.starts_with(open)).map_or(">", |(_, close)| close);
    lower.find(end).map_or(lower.len(), |at| at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_wherever_they_stand() {
        let table = [
            (r#"{"msg":"a","message":"b","error":"c"}"#, "a"),
            (r#"{"msg":"","message":"b"}"#, "b"),
            (r#"{"msg":null,"message":7,"error":"c"}"#, "c"),
            (r#"{"error":{"message":"b","type":"auth"}}"#, "b"),
            (r#"{"error":{"code":1,"details":"x"},"title":"t"}"#, "t"),
            (r#"{"error":"invalid_token","error_description":"it has expired"}"#, "it has expired"),
            (
                r#"{"status":500,"error":"Internal Server Error","message":"the pool is exhausted"}"#,
                "the pool is exhausted",
            ),
            (
                r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"your address is blocked"}"#,
                "your address is blocked",
            ),
            (r#"{"title":"Forbidden","status":403}"#, "Forbidden"),
            (r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "field required"),
            (r#"{"errors":["first","second"]}"#, "first"),
            (r#"{"errors":[{"code":10000,"message":"no route"}],"success":false}"#, "no route"),
            (r#"{"errors":[],"error":"e"}"#, "e"),
            (r#"{"errors":{"taskId":["is required"]},"title":"invalid"}"#, "invalid"),
            (r#"{"error":{"error":{"error":{"error":"deep"}}}}"#, "deep"),
            (r#"{"error":{"error":{"error":{"error":{"error":"deeper"}}}}}"#, ""),
            (r#"{"text":"no"}"#, ""),
            (r#"{"msg":"a","msg":"b"}"#, ""),
            ("{}", ""),
            ("[]", ""),
        ];
        for (json, words) in table {
            assert_eq!(of_object(json), words, "{json}");
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        for (open, close) in [(r#"{"error":"#, "}"), ("[", "]")] {
            let deep = format!("{{\"error\":{}7{}}}", open.repeat(100_000), close.repeat(100_000));
            assert_eq!(of_object(&deep), "");
        }
    }

    /// On one line, as a message is.
    fn page(text: &str) -> String {
        crate::domain::one_line(&of_page(text))
    }

    #[test]
    fn the_text_of_a_page_comes_without_its_markup() {
        let table = [
            (
                "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1><hr>nginx</body></html>",
                "502 Bad Gateway 502 nginx",
            ),
            ("\n<!DOCTYPE html><STYLE>a{b:c}</STYLE><script>if(a<b){}</script>x<!-- <p>no</p> -->y", "x y"),
            ("<p>a &lt;b&gt; &amp;amp; c&nbsp;d</p>", "a <b> &amp; c d"),
            ("<?xml version=\"1.0\"?><Error><Code>Denied</Code><Message>no</Message></Error>", "Denied no"),
            ("<p>never closed", "never closed"),
            ("<script>never closed", "<script>never closed"),
            ("<html></html>", "<html></html>"),
            ("error code: 1010", "error code: 1010"),
            ("a < b", "a < b"),
            ("", ""),
            ("\u{1f}\u{fffd}\u{8}\u{0}", "bytes that are no text"),
        ];
        for (text, words) in table {
            assert_eq!(page(text), words, "{text:?}");
        }
        let long = format!("<style>{}</style><h1>Error 521</h1>", "x".repeat(50_000));
        assert_eq!(page(&long), "Error 521");
        assert!(page(&"曲".repeat(100_000)).starts_with("曲曲"));
    }

    #[test]
    fn words_have_topics_in_any_case() {
        assert!(speaks_of("The server is currently being MAINTAINED, please try again later~", &MAINTENANCE));
        assert!(speaks_of("系统维护中", &MAINTENANCE));
        assert!(speaks_of("The page does not exist", &ADDRESS));
        for words in ["Original music record does not exist", "Server exception, please try again later", ""] {
            assert!(!speaks_of(words, &MAINTENANCE) && !speaks_of(words, &ADDRESS), "{words}");
        }
    }
}
