//! Numbers and times as people say them.

use crate::clock::UnixMillis;

/// `2026-11-22 02:10 UTC`.
pub(super) fn day_and_time(time: UnixMillis) -> String {
    format!("{} UTC", time.to_string().get(..16).unwrap_or_default().replace('T', " "))
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
