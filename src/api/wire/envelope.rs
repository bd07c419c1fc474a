//! The envelope `{code, msg, data}` in which every answer comes, read without trusting any of it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::json::{object, text, whole_number};
use crate::domain::CoverTaskId;

/// What of the envelope `{code, msg, data}` is there and of the right type.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) is_json: bool,
    pub(super) code: Option<i64>,
    pub(super) message: String,
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
            code: raw.code.and_then(whole_number),
            message: raw.msg.and_then(text).unwrap_or_default(),
            data: raw.data,
        }
    }

    /// `data.taskId`, if it is there and an id.
    pub(super) fn cover(&self) -> Option<CoverTaskId> {
        let data = object::<RawData<'_>>(self.data?.get().as_bytes())?;
        CoverTaskId::new(text(data.task_id?)?.as_bytes()).ok()
    }
}
