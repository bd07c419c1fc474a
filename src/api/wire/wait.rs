//! How long an answer asks to be left alone.

use std::time::{Duration, SystemTime};

use crate::clock::UnixMillis;

/// How long a `Retry-After` header asks for, given in seconds or as an HTTP date (RFC 9110, 10.2.3).
#[must_use]
pub fn read_retry_after(header: &str, now: UnixMillis) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.until(UnixMillis(i64::try_from(since_epoch.as_millis()).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = UnixMillis::from_rfc3339("2026-11-22T02:10:00Z").unwrap();
        let read = |header| read_retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(read(" 120 "), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 02:12:00 GMT"), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 02:00:00 GMT"), Some(0));
        assert_eq!([read("-1"), read("soon"), read("1.5"), read("")], [None; 4]);
    }
}
