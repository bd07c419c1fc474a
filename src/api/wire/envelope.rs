//! The envelope `{code, msg, data}` in which every answer comes, read without trusting any of it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::words;
use crate::api::json::{id, object, whole_number};
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
struct RawEnvelope<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The fields of `data` that may hold the id of a cover.
#[derive(Deserialize)]
struct RawData<'a> {
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "task_id")]
    snake_task_id: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// The envelope in `text`; nothing but words if that is not a JSON object.
    pub(super) fn read(text: &'a str) -> Self {
        match object::<RawEnvelope<'a>>(text.as_bytes()) {
            Some(RawEnvelope { code, data }) => {
                Self { is_json: true, code: code.and_then(whole_number), words: words::of_object(text), data }
            }
            None => Self { is_json: false, code: None, words: words::of_page(text), data: None },
        }
    }

    /// `data.taskId`, else `data.task_id`, if it is an id that does no harm wherever it is written: no formula, and not the
    /// key, which the service knows.
    pub(super) fn cover(&self, key: &ApiKey) -> Option<CoverTaskId> {
        let data: RawData<'_> = object(self.data?.get().as_bytes())?;
        let text = data.task_id.and_then(id).or_else(|| id(data.snake_task_id?))?;
        CoverTaskId::new(text).ok().filter(|id| !is_formula(id.as_str()) && !key.is_in(id.as_str()))
    }
}
