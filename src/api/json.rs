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

/// A JSON string.
#[must_use]
pub fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A whole number, or a text of one.
#[must_use]
pub fn whole_number(raw: &RawValue) -> Option<i64> {
    serde_json::from_str(raw.get()).ok().or_else(|| text(raw)?.trim().parse().ok())
}
