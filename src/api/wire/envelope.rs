//! The envelope `{code, msg, data}` in which every answer comes, read without trusting any of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::CoverTaskId;

/// What of the envelope `{code, msg, data}` is there and of the right type.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) is_json: bool,
    pub(super) code: Option<i64>,
    pub(super) message: Cow<'a, str>,
    pub(super) data: Option<&'a RawValue>,
}

/// The envelope's fields, each as it stands.
#[derive(Deserialize)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    msg: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The one field of `data` that is read.
#[derive(Deserialize)]
struct RawData<'a> {
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// The envelope in `body`; all empty if that is not a JSON object.
    pub(super) fn read(body: &'a [u8]) -> Self {
        let Some(raw) = object::<RawEnvelope<'a>>(body) else { return Self::default() };
        Self {
            is_json: true,
            code: raw.code.and_then(read_code),
            message: raw.msg.and_then(read_text).unwrap_or_default(),
            data: raw.data,
        }
    }

    /// `data.taskId`, if it is there and an id.
    pub(super) fn cover(&self) -> Option<CoverTaskId> {
        let data = object::<RawData<'_>>(self.data?.get().as_bytes())?;
        CoverTaskId::new(read_text(data.task_id?)?.as_bytes()).ok()
    }
}

/// The JSON object in `text`. Serde would take an array for a struct too, so that is ruled out first.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(text).ok())?
}

/// A code as a whole number, or as a text of one.
pub(super) fn read_code(raw: &RawValue) -> Option<i64> {
    serde_json::from_str(raw.get()).ok().or_else(|| read_text(raw)?.trim().parse().ok())
}

/// A JSON string.
pub(super) fn read_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned)
}
