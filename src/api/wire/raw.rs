//! An answer as it came, or how it did not come: its body without the packing that some gateways send to everyone, and how
//! long its headers ask to be left alone.

use std::borrow::Cow;
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::clock::UnixMillis;

/// Largest body read of an answer, in bytes, packed or not.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// An answer as it came, whole.
#[derive(Debug, Clone, Copy)]
pub struct RawAnswer<'a> {
    /// The address that was asked, without a query.
    pub address: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Where the `Location` header points to.
    pub location: Option<&'a str>,
    /// The body, unpacked, at most [`MAX_BODY_BYTES`].
    pub body: &'a [u8],
    /// What the `Content-Encoding` header says of it.
    pub encoding: Option<&'a str>,
    /// What its headers ask for.
    pub wait: Wait,
    /// When it was given, by the service's clock.
    pub date: Option<UnixMillis>,
}

/// How long the headers of an answer ask to be left alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wait {
    /// By `Retry-After` or `retry-after-ms`, whatever the answer means.
    pub retry_after: Option<Duration>,
    /// Until the limit of calls begins anew: counts if that was reached.
    pub reset: Option<Duration>,
}

impl Wait {
    /// What is asked for: the limit counts only if it was reached.
    pub(super) fn asked(self, is_throttled: bool) -> Option<Duration> {
        self.retry_after.or(self.reset.filter(|_| is_throttled))
    }
}

impl<'a> RawAnswer<'a> {
    /// An answer with nothing but a status and a body.
    #[must_use]
    pub fn new(status: u16, body: &'a [u8]) -> Self {
        Self { address: "", status, location: None, body, encoding: None, wait: Wait::default(), date: None }
    }

    /// Whether the HTTP status says that all went well.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, without byte order marks: UTF-16 if it begins with one of those, else UTF-8, with a mark in the
    /// place of what is not.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self.body {
            [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes).into(),
            [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes).into(),
            body => match String::from_utf8_lossy(body) {
                Cow::Borrowed(text) => text.trim_start_matches('\u{feff}').into(),
                Cow::Owned(text) => text.trim_start_matches('\u{feff}').to_owned().into(),
            },
        }
    }
}

/// How a submission ended without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection: nothing was sent. Says why.
    NotSent(String),
    /// No connection, as long as nobody changes something: nothing was sent. Says what.
    NoWay(String),
    /// No whole answer within the timeout.
    TimedOut(Duration),
    /// The connection broke after the request may have left. Says how.
    Broken(String),
    /// A body of more than [`MAX_BODY_BYTES`] came with this HTTP status.
    TooLarge(u16),
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks().0.iter().map(|pair| unit(*pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A number of seconds from here on is a time since 1970: nobody asks for thirty years.
const EPOCH_SECONDS: f64 = 1e9;

/// And from here on one in milliseconds.
const EPOCH_MILLIS: f64 = 1e12;

/// What the headers of an answer ask for; `header` gives the first one of a name.
///
/// Dates and times are the service's, so they count from its own `Date`; from `now` only where it gives none.
#[must_use]
pub fn read_wait<'a>(header: impl Fn(&str) -> Option<&'a str>, now: UnixMillis) -> Wait {
    let now = header("date").and_then(read_date).unwrap_or(now);
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
        None => read_date(text).map(|at| now.until(at)),
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
pub(in crate::api) fn read_date(text: &str) -> Option<UnixMillis> {
    let Ok(date) = httpdate::parse_http_date(text.trim()) else { return UnixMillis::from_rfc3339(text.trim()) };
    Some(UnixMillis(0).after(date.duration_since(SystemTime::UNIX_EPOCH).ok()?))
}

/// Most layers taken off: some gateways pack what is packed already.
const MAX_LAYERS: usize = 3;

/// The body without its packing, told by its first bytes, and by the `Content-Encoding` header where these do not tell.
/// One that cannot be unpacked stays as it is; `None` if it is larger than [`MAX_BODY_BYTES`] unpacked.
#[must_use]
pub fn unpacked(mut body: Vec<u8>, encoding: Option<&str>) -> Option<Vec<u8>> {
    let is_deflate = encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("deflate"));
    for _ in 0..MAX_LAYERS {
        let inner = match body[..] {
            // RFC 1952.
            [0x1f, 0x8b, ..] => whole(MultiGzDecoder::new(&body[..])),
            // RFC 1950: the method is 8, and the first two bytes are a multiple of 31.
            [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0 => {
                whole(ZlibDecoder::new(&body[..]))
            }
            [b'{', ..] | [] => break,
            // RFC 1951 has no mark of its own.
            _ if is_deflate => whole(DeflateDecoder::new(&body[..])),
            _ => break,
        };
        let Ok(inner) = inner else { break };
        if inner.len() > MAX_BODY_BYTES {
            return None;
        }
        body = inner;
    }
    Some(body)
}

/// Everything that `packed` holds, as far as it is not too large.
fn whole(packed: impl Read) -> io::Result<Vec<u8>> {
    let mut inner = Vec::new();
    packed.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut inner)?;
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

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

    const BODY: &[u8] = br#"{"code":200,"msg":"success","data":{"taskId":"c1"}}"#;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_packed_body_is_unpacked_whatever_the_header_says() {
        for encoding in [None, Some("gzip"), Some("deflate"), Some("x-gzip"), Some("identity"), Some("br")] {
            for packed in [gzip(BODY), zlib(BODY), gzip(&gzip(BODY)), gzip(&zlib(BODY)), BODY.to_vec()] {
                assert_eq!(unpacked(packed, encoding).unwrap(), BODY, "{encoding:?}");
            }
        }
        assert_eq!(unpacked(deflate(BODY), Some(" Deflate")).unwrap(), BODY);
        let parts = [gzip(&BODY[..20]), gzip(&BODY[20..])].concat();
        assert_eq!(unpacked(parts, None).unwrap(), BODY, "in two members");
    }

    #[test]
    fn what_cannot_be_unpacked_stays_as_it_is() {
        let cut = |packed: Vec<u8>| packed[..packed.len() - 9].to_vec();
        for body in [cut(gzip(BODY)), cut(zlib(BODY)), deflate(BODY), vec![0x1f, 0x8b], b"x\x9cx".to_vec(), Vec::new()]
        {
            assert_eq!(unpacked(body.clone(), Some("gzip")).unwrap(), body);
        }
        let page = b"<html>".to_vec();
        assert_eq!(unpacked(page.clone(), Some("deflate")).unwrap(), page);
    }

    #[test]
    fn a_bomb_is_not_set_off() {
        let large = vec![b' '; MAX_BODY_BYTES];
        assert_eq!(unpacked(gzip(&large), None).unwrap().len(), MAX_BODY_BYTES);
        let too_large = vec![b' '; MAX_BODY_BYTES + 1];
        for bomb in [gzip(&too_large), zlib(&too_large), gzip(&vec![0; 64 * MAX_BODY_BYTES])] {
            assert!(bomb.len() < MAX_BODY_BYTES);
            assert_eq!(unpacked(bomb, None), None);
        }
    }
}
