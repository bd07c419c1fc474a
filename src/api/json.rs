//! JSON from outside, of which every field may be missing or of another type.
//!
//! Fields are kept as raw slices and read one by one: a bad one costs nothing but itself, and hostile nesting neither
//! stack nor memory.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The JSON object in `text`. Serde would take an array for a struct too, so that is ruled out first.
#[must_use]
pub fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(text).ok())?
}

/// The fields that may hold the id of a task, each as it stands: both spellings are in use.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct RawTask<'a> {
    #[serde(rename = "taskId")]
    task_id: Option<&'a RawValue>,
    #[serde(rename = "task_id")]
    snake_task_id: Option<&'a RawValue>,
}

impl RawTask<'_> {
    /// What `read` makes of `taskId`, else of `task_id`.
    pub fn read<T>(&self, read: impl Fn(&RawValue) -> Option<T>) -> Option<T> {
        self.task_id.and_then(&read).or_else(|| read(self.snake_task_id?))
    }
}

/// A JSON string.
#[must_use]
pub fn text(raw: &RawValue) -> Option<String> {
    // Ruled out first: an error in words is made for what is none.
    raw.get().starts_with('"').then(|| serde_json::from_str(raw.get()).ok())?
}

/// An id: a text, or a whole number as some libraries write it.
#[must_use]
pub fn id(raw: &RawValue) -> Option<String> {
    let is_number = raw.get().bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Some(raw.get().to_owned()) } else { text(raw) }
}

/// A whole number, also one that is written as a fraction (`200.0`) or as a text.
#[must_use]
pub fn whole_number(raw: &RawValue) -> Option<i64> {
    let text = text(raw);
    let digits = text.as_deref().unwrap_or(raw.get()).trim();
    digits.parse().ok().or_else(|| {
        let number: f64 = digits.parse().ok()?;
        (number.fract() == 0.0).then(|| format!("{number:.0}").parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_in_every_form_it_is_written_in() {
        let read = |json: &str| whole_number(serde_json::from_str(json).unwrap());
        for json in ["200", "200.0", "2e2", "\"200\"", "\" 200 \"", "\"200.00\""] {
            assert_eq!(read(json), Some(200), "{json}");
        }
        for json in ["200.5", "true", "null", "[200]", "\"\"", "\"200 OK\"", "\"NaN\"", "\"inf\"", "1e400", "1e30"] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!([read("-1"), read("9223372036854775807")], [Some(-1), Some(i64::MAX)]);
    }

    #[test]
    fn an_id_is_a_text_or_a_whole_number() {
        let read = |json: &str| id(serde_json::from_str(json).unwrap());
        assert_eq!(read("\"c1\""), Some("c1".to_owned()));
        assert_eq!(read("98765432109876543210"), Some("98765432109876543210".to_owned()));
        assert_eq!(["-1", "1.5", "1e3", "true", "null", "[1]", "{}"].map(read), [const { None }; 7]);
    }
}
