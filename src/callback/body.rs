//! What comes with a callback: bounded while it is read, and never trusted to have a shape.

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::Refusal;
use crate::api::json::{self, object};

/// Longest body that is read; a cover's has a few hundred bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The whole body, if it is not too long; one that says so beforehand is not read at all.
pub(super) async fn read_whole(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Refusal::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        if whole.len() + piece.len() > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge);
        }
        // Copied, since pieces of one byte each would keep far more alive than they hold.
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The fields that may hold a task id, each as it stands.
#[derive(Deserialize)]
struct RawCallback<'a> {
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The fields of `data` that may hold one.
#[derive(Deserialize)]
struct RawData<'a> {
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "task_id")]
    snake_task_id: Option<&'a RawValue>,
}

/// The task id that a callback is about: `taskId`, else `data.taskId`, else `data.task_id`, the first that is a text
/// and not empty. All three are in use (docs.kie.ai, webhook verification and the callback pages).
///
/// It is what was sent, of any content; good for checking a signature and for nothing else.
#[must_use]
pub fn read_task_id(body: &[u8]) -> Option<String> {
    let callback: RawCallback<'_> = object(body)?;
    let said = |raw: &RawValue| json::text(raw).filter(|text| !text.is_empty());
    callback.task_id.and_then(said).or_else(|| {
        let data: RawData<'_> = object(callback.data?.get().as_bytes())?;
        data.task_id.and_then(said).or_else(|| said(data.snake_task_id?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
