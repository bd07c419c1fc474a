//! What a request asks for, and what its body says: bounded while it is read, and never trusted to have a shape.

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::json::{RawTask, object, text};
use crate::domain::{MAX_ID_BYTES, MusicTaskId};
use crate::secret::CallbackSecret;

/// Longest body that is read; a cover's has a few hundred bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What stands before the task id.
const PREFIX: &str = "/callback/";

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// Not the address of a callback, whatever is wrong with it (404).
    Unknown,
    /// The signature is missing, old or wrong (401).
    BadSignature,
    /// More than [`MAX_BODY_BYTES`] (413).
    TooLarge,
    /// A body that took too long to come (408).
    TooSlow,
    /// A body that broke off (400).
    Broken,
    /// The hint could not be noted (503).
    NotNoted,
}

impl Rejection {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::NotNoted => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The cover of this music task may be done; its token is right.
    Callback(MusicTaskId),
    /// How are you?
    Health,
}

impl Route {
    /// What this request asks for; `None` for anything that is not known here, whatever is wrong with it.
    ///
    /// A query is ignored.
    pub(super) fn of(method: &Method, uri: &Uri, secret: &CallbackSecret) -> Option<Self> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return None;
        }
        match (method.as_str(), uri.path()) {
            ("GET" | "HEAD", "/healthz") => Some(Self::Health),
            ("POST", path) => callback(path, secret).map(Self::Callback),
            _ => None,
        }
    }
}

fn callback(path: &str, secret: &CallbackSecret) -> Option<MusicTaskId> {
    let (encoded, token) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let task = task_id(encoded)?;
    secret.admits(&task, token).then_some(task)
}

/// The id in one segment of a path, decoded once and not trimmed.
fn task_id(encoded: &str) -> Option<MusicTaskId> {
    if encoded.len() > 3 * MAX_ID_BYTES {
        return None;
    }
    let decoded: Vec<u8> = percent_decode_str(encoded).collect();
    let task = MusicTaskId::new(&decoded).ok()?;
    (task.as_str().as_bytes() == decoded).then_some(task)
}

/// The whole body, if it is not too long; one that says so beforehand is not read at all.
pub(super) async fn read_whole(mut body: Incoming) -> Result<Vec<u8>, Rejection> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Rejection::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Rejection::Broken)?.into_data() else { continue };
        if whole.len() + piece.len() > MAX_BODY_BYTES {
            return Err(Rejection::TooLarge);
        }
        // Copied, since pieces of one byte each would keep far more alive than they hold.
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The fields that may hold a task id, each as it stands.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawCallback<'a> {
    #[serde(rename = "taskId")]
    task_id: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

/// The task id that a callback is about: `taskId`, else `data.taskId`, else `data.task_id`, the first that is a text
/// and not empty. All three are in use (docs.kie.ai, webhook verification and the callback pages).
///
/// It is what was sent, of any content; good for checking a signature and for nothing else.
pub(super) fn read_task_id(body: &[u8]) -> Option<String> {
    let callback: RawCallback<'_> = object(body)?;
    let said = |raw: &RawValue| text(raw).filter(|text| !text.is_empty());
    callback.task_id.and_then(said).or_else(|| object::<RawTask<'_>>(callback.data?.get().as_bytes())?.read(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> CallbackSecret {
        CallbackSecret::new("canary-canary-42").unwrap()
    }

    fn token(id: &str) -> String {
        secret().token_for(&MusicTaskId::new(id).unwrap())
    }

    fn route(method: &str, uri: &str) -> Option<Route> {
        Route::of(&method.parse().unwrap(), &uri.parse().unwrap(), &secret())
    }

    #[test]
    fn a_callback_names_its_task_decoded_once() {
        let longest = "x".repeat(MAX_ID_BYTES);
        let all_encoded = "%78".repeat(MAX_ID_BYTES);
        let table = [
            ("m-1", "m-1"),
            ("%6D-1", "m-1"),
            ("a%2Fb%3fc", "a/b?c"),
            ("a%252Fb", "a%2Fb"),
            ("..", ".."),
            (&longest, &longest),
            (&all_encoded, &longest),
        ];
        for (segment, id) in table {
            let call = route("POST", &format!("/callback/{segment}/{}", token(id)));
            assert_eq!(call, Some(Route::Callback(MusicTaskId::new(id).unwrap())), "{segment}");
        }
        let with_query = route("POST", &format!("/callback/m-1/{}?from=there", token("m-1")));
        assert_eq!(with_query, Some(Route::Callback(MusicTaskId::new("m-1").unwrap())));
    }

    #[test]
    fn anything_else_is_no_callback() {
        let (right, other) = (token("m-1"), token("m-2"));
        let wrong_paths = [
            format!("/callback/m-1/{other}"),
            format!("/callback/m-2/{right}"),
            format!("/callback/m-1/{}", right.to_uppercase()),
            format!("/callback/m-1/{}", &right[..63]),
            format!("/callback/m-1/{right}/"),
            format!("/callback/m-1/{right}%00"),
            format!("/callback/m-1/%{:02x}{}", right.as_bytes()[0], &right[1..]),
            format!("/callback/m-1//{right}"),
            format!("/callback//m-1/{right}"),
            format!("//callback/m-1/{right}"),
            format!("/./callback/m-1/{right}"),
            format!("/x/../callback/m-1/{right}"),
            format!("/callback/../callback/m-1/{right}"),
            format!("/callback/m-1%2f{right}"),
            format!("/callback%2fm-1/{right}"),
            format!("/%63allback/m-1/{right}"),
            format!("/Callback/m-1/{right}"),
            format!("/callback/m-1%00/{right}"),
            format!("/callback/%20m-1/{right}"),
            format!("/callback/m-1%0a/{right}"),
            format!("/callback/m%252d1/{right}"),
            format!("/callback/{}/{right}", "x".repeat(MAX_ID_BYTES + 1)),
            format!("/callback/{}/{right}", "x".repeat(60_000)),
            format!("/callback/{}m-1/{right}", "%20".repeat(MAX_ID_BYTES)),
            format!("/callback/{right}"),
            format!("/callback//{right}"),
            format!("http://127.0.0.1/callback/m-1/{right}"),
            "/callback/m-1/".to_owned(),
            "/callback/m-1".to_owned(),
            "/callback/".to_owned(),
            "/callback".to_owned(),
            "/".to_owned(),
            "*".to_owned(),
            "127.0.0.1:80".to_owned(),
            "/healthz".to_owned(),
        ];
        for path in &wrong_paths {
            assert_eq!(route("POST", path), None, "{path}");
        }
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "post", "X"] {
            assert_eq!(route(method, &format!("/callback/m-1/{right}")), None, "{method}");
        }
    }

    #[test]
    fn only_one_spelling_asks_how_we_are() {
        for method in ["GET", "HEAD"] {
            assert_eq!(route(method, "/healthz"), Some(Route::Health));
        }
        for path in ["/healthz/", "//healthz", "/Healthz", "/health%7a", "http://x/healthz", "/"] {
            assert_eq!(route("GET", path), None, "{path}");
        }
        assert_eq!(route("OPTIONS", "/healthz"), None);
    }

    #[test]
    fn an_id_is_found_in_each_of_its_places_in_order() {
        let table = [
            (r#"{"taskId":"a","data":{"taskId":"b","task_id":"c"}}"#, Some("a")),
            (r#"{"data":{"task_id":"c","taskId":"b"}}"#, Some("b")),
            (r#"{"data":{"task_id":"c"}}"#, Some("c")),
            (r#"{"taskId":7,"data":{"taskId":null,"task_id":"c"}}"#, Some("c")),
            (r#"{"taskId":"","data":{"taskId":{"x":1},"task_id":"c"}}"#, Some("c")),
            ("\u{feff} {\"task\\u0049d\":\"a\\u0062\"}", Some("ab")),
            (r#"{"code":200,"msg":"success","data":{"taskId":"b","images":["https://x.example/1.png"]}}"#, Some("b")),
            (
                r#"{"code":501,"msg":"failed","data":{"taskId":"b","state":"fail","param":"{\"input\":\"{\\\"task_id\\\":\\\"m\\\"}\"}"}}"#,
                Some("b"),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(read_task_id(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn other_spellings_and_shapes_hold_no_id() {
        let table = [
            "",
            "null",
            "7",
            r#""taskId""#,
            r#"["a"]"#,
            r#"[{"taskId":"a"}]"#,
            "{}",
            r#"{"taskid":"a","TaskId":"a","task_id":"a","id":"a"}"#,
            r#"{"data":["a"]}"#,
            r#"{"data":"{\"taskId\":\"a\"}"}"#,
            r#"{"data":{"data":{"taskId":"a"}}}"#,
            r#"{"taskId":["a"]}"#,
            r#"{"taskId":"a""#,
            r#"{"taskId":"a"} x"#,
            r#"{"taskId":"a","taskId":"b"}"#,
            "taskId=a",
        ];
        for body in table {
            assert_eq!(read_task_id(body.as_bytes()), None, "{body}");
        }
        assert_eq!(read_task_id(b"{\"taskId\":\"\xff\"}"), None);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = "[".repeat(MAX_BODY_BYTES);
        assert_eq!(read_task_id(format!(r#"{{"x":{deep}"#).as_bytes()), None);
        let whole = format!(r#"{{"x":{}{},"taskId":"a"}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read_task_id(whole.as_bytes()).as_deref(), Some("a"));
        let inside = format!(r#"{{"data":{{"x":{}{},"taskId":"a"}}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read_task_id(inside.as_bytes()).as_deref(), Some("a"));
    }
}
