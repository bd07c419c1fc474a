//! How long an answer asks to be left alone.

use std::time::{Duration, SystemTime};

use super::raw::Wait;
use crate::clock::UnixMillis;

/// A number of seconds from here on is a time since 1970: nobody asks for thirty years.
const EPOCH_SECONDS: f64 = 1e9;

/// And from here on one in milliseconds.
const EPOCH_MILLIS: f64 = 1e12;

/// What the headers of an answer ask for; `header` gives the first one of a name.
///
/// Dates and times are the service's, so they count from its own `Date`; from `now` only where it gives none.
#[must_use]
pub fn read_wait<'a>(header: impl Fn(&str) -> Option<&'a str>, now: UnixMillis) -> Wait {
    let now = header("date").and_then(date).unwrap_or(now);
    let asked = |name| header(name).and_then(|text| wait(text.trim(), now));
    let millis = || header("retry-after-ms").and_then(|text| duration(text.trim(), 1e-3));
    Wait {
        retry_after: asked("retry-after").or_else(millis),
        reset: asked("ratelimit-reset").or_else(|| asked("x-ratelimit-reset")),
    }
}

/// Seconds, with or without a fraction, a time since 1970 in seconds or milliseconds, or a date.
fn wait(text: &str, now: UnixMillis) -> Option<Duration> {
    match number(text) {
        Some(number) if number < EPOCH_SECONDS => Duration::try_from_secs_f64(number).ok(),
        Some(number) => {
            let unit = if number < EPOCH_MILLIS { 1.0 } else { 1e-3 };
            let at = Duration::try_from_secs_f64(number * unit).unwrap_or(Duration::MAX);
            Some(now.until(UnixMillis(0).after(at)))
        }
        None => date(text).map(|at| now.until(at)),
    }
}

/// A number of `unit` seconds.
fn duration(text: &str, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number(text)? * unit).ok()
}

/// A number without sign or exponent.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| matches!(c, '0'..='9' | '.'));
    is_plain.then(|| text.parse().ok())?
}

/// A date as HTTP writes it (RFC 9110, 5.6.7), or as ISO 8601 does.
fn date(text: &str) -> Option<UnixMillis> {
    let Ok(date) = httpdate::parse_http_date(text.trim()) else { return UnixMillis::from_rfc3339(text.trim()) };
    Some(UnixMillis(0).after(date.duration_since(SystemTime::UNIX_EPOCH).ok()?))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Half past two in the night; 1795314600 since 1970.
    const NOW: &str = "2026-11-22T02:30:00Z";

    fn read(headers: &[(&str, &'static str)]) -> Wait {
        let header = |name: &str| headers.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        read_wait(header, UnixMillis::from_rfc3339(NOW).unwrap())
    }

    #[test]
    fn every_form_in_every_header() {
        let values = [
            "120",
            " 007 ",
            "1.5",
            "0",
            "0.001",
            "Sun, 22 Nov 2026 02:32:00 GMT",
            "Sunday, 22-Nov-26 02:32:00 GMT",
            "Sun Nov 22 02:32:00 2026",
            "2026-11-22T02:32:00Z",
            "Sun, 22 Nov 2026 02:00:00 GMT",
            "1795314605",
            "1795314605.5",
            "1795314605000",
            "1795314000",
            "999999999",
            "99999999999999999999999999",
            "-1",
            "+1",
            "1e3",
            "0x10",
            "1.2.3",
            ".5",
            "7, 8",
            "5s",
            "soon",
            "",
            "７",
            "NaN",
            "inf",
            "Mon, 01 Jan 0001 00:00:00 GMT",
        ];
        let mut table = String::new();
        for value in values {
            let by = ["retry-after", "retry-after-ms", "ratelimit-reset", "x-ratelimit-reset"].map(|name| {
                let Wait { retry_after, reset } = read(&[(name, value)]);
                retry_after.or(reset).map_or_else(|| "-".to_owned(), |wait| format!("{wait:?}"))
            });
            writeln!(table, "{value:<30} {}", by.join(" | ")).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn what_is_not_usable_leaves_it_to_the_next_header() {
        let wait = |headers| read(headers).retry_after.map(|wait| wait.as_millis());
        assert_eq!(wait(&[("retry-after", "2"), ("retry-after-ms", "10")]), Some(2000));
        assert_eq!(wait(&[("retry-after", "soon"), ("retry-after-ms", "10")]), Some(10));
        let reset = |headers| read(headers).reset.map(|wait| wait.as_secs());
        assert_eq!(reset(&[("ratelimit-reset", "3"), ("x-ratelimit-reset", "4")]), Some(3));
        assert_eq!(reset(&[("ratelimit-reset", "w=1"), ("x-ratelimit-reset", "4")]), Some(4));
        assert_eq!(read(&[("ratelimit-reset", "3")]).retry_after, None);
        assert_eq!(read(&[]), Wait::default());
    }

    #[test]
    fn dates_count_from_the_services_own_clock() {
        // It is an hour ahead of ours.
        let date = ("date", "Sun, 22 Nov 2026 03:30:00 GMT");
        for asked in ["Sun, 22 Nov 2026 03:30:05 GMT", "1795318205", "1795318205000", "2026-11-22T03:30:05Z", "5"] {
            for name in ["retry-after", "x-ratelimit-reset"] {
                let Wait { retry_after, reset } = read(&[date, (name, asked)]);
                assert_eq!(retry_after.or(reset), Some(Duration::from_secs(5)), "{name}: {asked}");
            }
        }
        let unreadable = [("date", "now"), ("retry-after", "Sun, 22 Nov 2026 02:30:05 GMT")];
        assert_eq!(read(&unreadable).retry_after, Some(Duration::from_secs(5)));
    }
}
