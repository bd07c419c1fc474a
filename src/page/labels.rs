//! What a page says and where it leads: statuses, reasons, numbers and times as a label's people would say them, in UTC
//! like the results CSV; addresses of the web, files beside it, pictures in it, and views of itself.
//!
//! What is not certainly harmless is shown as text and leads nowhere.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::UnixMillis;
use crate::domain::{Reason, Status};

impl Status {
    /// In words.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Completed => "The cover is finished",
            Self::Submitted => "Accepted, the cover is being made",
            Self::Exists => "The service had a cover already",
            Self::Ignored => "Left out by the decision of a person",
            Self::Failed => "The service refuses this row",
            Self::GenerationFailed => "Accepted, but the cover could not be made",
            Self::GaveUp => "Given up for this run after repeated trouble",
            Self::InDoubt => "Sent, but the answer was lost",
            Self::Pending => "Not reached yet",
            Self::Invalid => "The row itself is unusable",
        }
    }

    /// In a word or three.
    pub(super) const fn short(self) -> &'static str {
        match self {
            Self::Completed => "finished",
            Self::Submitted => "being made",
            Self::Exists => "was there",
            Self::Ignored => "left out",
            Self::Failed => "refused",
            Self::GenerationFailed => "not made",
            Self::GaveUp => "given up for now",
            Self::InDoubt => "answer lost",
            Self::Pending => "not sent yet",
            Self::Invalid => "unusable row",
        }
    }

    /// Its class in the style sheet.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Completed | Self::Submitted | Self::Exists => "good",
            Self::GaveUp | Self::InDoubt | Self::Pending | Self::Ignored => "wait",
            Self::Failed | Self::GenerationFailed | Self::Invalid => "bad",
        }
    }

    /// A sign that tells it apart without colour.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Completed | Self::Exists => "✓",
            Self::Submitted => "…",
            Self::GaveUp | Self::InDoubt => "?",
            Self::Pending => "→",
            Self::Ignored => "–",
            Self::Failed | Self::GenerationFailed | Self::Invalid => "✕",
        }
    }
}

impl Reason {
    /// In words.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "The service accepted it",
            Self::AlreadyExists => "A cover was made before",
            Self::Conflict => "A cover record is there already",
            Self::NotFound => "The service does not know this music task",
            Self::InvalidRequest => "The service finds the request invalid",
            Self::Rejected => "The service refuses this music task",
            Self::RateLimited => "The service was asked too often",
            Self::Maintenance => "The service was under maintenance",
            Self::ServerError => "The service had trouble of its own",
            Self::Timeout => "The service did not answer in time",
            Self::Connection => "The connection failed or broke",
            Self::BadResponse => "The answer did not say what happened",
            Self::Unauthorized => "The service refused the key or this machine",
            Self::NoCredits => "The account had no credits left",
            Self::Deadline => "The run reached its deadline first",
            Self::Outage => "The service refused everyone for too long",
            Self::Interrupted => "The run was ended from outside",
            Self::TooManyFailures => "The run stopped because too many rows failed",
            Self::Limit => "The run was to send fewer rows",
            Self::Budget => "The run was to spend no more",
            Self::Held => "The answer was lost and the row is held back",
            Self::BadRow => "The row in the catalog is not usable",
            Self::Generated => "The images are there",
            Self::GenerationFailed => "The service could not make the cover",
            Self::MusicNotReady => "The music is not finished yet",
            Self::MusicFailed => "The music could not be made",
            Self::Ignored => "A person has decided so",
        }
    }
}

/// A number that is read with its thousands apart: `10,000`.
pub(super) trait Thousands {
    /// The digits in groups.
    fn thousands(self) -> String;
}

impl Thousands for u64 {
    fn thousands(self) -> String {
        let digits = self.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(",")
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Lengths of time, in milliseconds.
pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// Days before the end at which people are warned.
const WARNING_DAYS: i64 = 3;

impl UnixMillis {
    /// `02:10`.
    pub(super) fn time_of_day(self) -> String {
        part(self, 11, 16)
    }

    /// `02:10:07`.
    pub(super) fn second_of_day(self) -> String {
        part(self, 11, 19)
    }

    /// `22 Nov`.
    pub(super) fn day(self) -> String {
        let month = part(self, 5, 7).parse().ok().and_then(|month: usize| MONTHS.get(month.wrapping_sub(1)));
        format!("{} {}", part(self, 8, 10).trim_start_matches('0'), month.unwrap_or(&"?"))
    }

    /// `22 Nov 2026`.
    pub(super) fn date(self) -> String {
        format!("{} {}", self.day(), part(self, 0, 4))
    }

    /// `22 Nov 2026, 02:10`.
    pub(super) fn day_and_time(self) -> String {
        format!("{}, {}", self.date(), self.time_of_day())
    }

    /// `22 Nov, 02:10`.
    pub(super) fn short(self) -> String {
        format!("{}, {}", self.day(), self.time_of_day())
    }
}

fn part(time: UnixMillis, from: usize, to: usize) -> String {
    time.to_string().get(from..to).unwrap_or_default().to_owned()
}

/// How much time is left of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Days enough.
    Later(i64),
    /// Less than [`WARNING_DAYS`].
    Soon(i64),
    /// None: the service promises nothing any more, and only its answer tells.
    Over,
}

impl Expiry {
    /// What is left at `now` until `end`, in begun days, so that the last hours are one day.
    pub(super) fn at(now: UnixMillis, end: UnixMillis) -> Self {
        let left = end.0.saturating_sub(now.0);
        let days = left / DAY + i64::from(left % DAY > 0);
        match left {
            ..=0 => Self::Over,
            _ if left < WARNING_DAYS * DAY => Self::Soon(days),
            _ => Self::Later(days),
        }
    }

    /// Begun days that are left.
    pub(super) const fn days(self) -> i64 {
        match self {
            Self::Later(days) | Self::Soon(days) => days,
            Self::Over => 0,
        }
    }

    /// How it looks: a class of the style sheet.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Later(_) => "later",
            Self::Soon(_) => "soon",
            Self::Over => "gone",
        }
    }

    /// `12 days left`; the page's script says the same.
    pub(super) fn words(self) -> String {
        match self {
            Self::Later(1) | Self::Soon(1) => "last day".to_owned(),
            Self::Later(days) | Self::Soon(days) => format!("{days} days left"),
            Self::Over => "may be gone".to_owned(),
        }
    }
}

/// What stands for itself in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What stands for itself in the page's own view.
const IN_VIEW: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The address, if it is one of the web.
pub(super) fn web(url: &str) -> Option<&str> {
    let has = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let plain = !url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
    (plain && (has("http://") || has("https://"))).then_some(url)
}

/// The way to a file beside the page; `None` for one that is not.
pub(super) fn beside(file: &str) -> Option<String> {
    let relative = !file.is_empty() && !file.starts_with('/');
    relative.then(|| format!("./{}", utf8_percent_encode(file, IN_PATH)))
}

/// The picture, if it is one that stands in the page.
pub(super) fn embedded(picture: &str) -> Option<&str> {
    let base64 = picture.strip_prefix("data:image/jpeg;base64,")?;
    base64.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).then_some(picture)
}

impl Status {
    /// The address within the page of what has this status and text; any text if it is empty.
    pub(super) fn view(self, text: &str) -> String {
        let status = format!("#status={self}");
        if text.is_empty() { status } else { format!("{status}&q={}", utf8_percent_encode(text, IN_VIEW)) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_and_status_has_words_of_its_own() {
        let reasons: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(reasons.len(), Reason::ALL.len());
        let statuses: BTreeSet<&str> = Status::ALL.iter().flat_map(|status| [status.label(), status.short()]).collect();
        assert_eq!(statuses.len(), 2 * Status::ALL.len());
    }

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!([0, 999, 1000, 10_000, 1_234_567].map(u64::thousands), ["0", "999", "1,000", "10,000", "1,234,567"]);
    }

    #[test]
    fn times_are_short_and_in_utc() {
        let time = UnixMillis::from_rfc3339("2026-11-02T02:10:07.500Z").unwrap();
        assert_eq!(time.day_and_time(), "2 Nov 2026, 02:10");
        assert_eq!(time.second_of_day(), "02:10:07");
        assert_eq!(UnixMillis(i64::MAX).day(), "30 Dec");
    }

    #[test]
    fn people_are_warned_in_the_last_three_days() {
        let at = |left| {
            let expiry = Expiry::at(UnixMillis(0), UnixMillis(left));
            format!("{} {}", expiry.tone(), expiry.words())
        };
        assert_eq!(at(14 * DAY), "later 14 days left");
        assert_eq!(at(3 * DAY), "later 3 days left");
        assert_eq!(at(3 * DAY - 1), "soon 3 days left");
        assert_eq!(at(DAY + 1), "soon 2 days left");
        assert_eq!(at(1), "soon last day");
        assert_eq!(at(0), "gone may be gone");
        assert_eq!(at(i64::MIN), "gone may be gone");
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        assert_eq!(web("https://cdn.example/a.png?x=1&y='2'"), Some("https://cdn.example/a.png?x=1&y='2'"));
        assert_eq!(web("HTTP://cdn.example/a"), Some("HTTP://cdn.example/a"));
        for bad in [
            "",
            "http",
            "javascript:alert(1)",
            " https://x",
            "https://x/\njavascript:1",
            "java\tscript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "//evil.example/x",
            "file:///etc/passwd",
            "https:\\\\evil.example",
            "ｈttps://x",
        ] {
            assert_eq!(web(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_is_a_path_and_never_a_scheme() {
        assert_eq!(beside("covers/a-1.png").unwrap(), "./covers/a-1.png");
        assert_eq!(beside("../c o/ä%41.png").unwrap(), "./../c%20o/%C3%A4%2541.png");
        assert_eq!(beside("javascript:alert(1)").unwrap(), "./javascript%3Aalert%281%29");
        assert_eq!(beside("a\"onclick=x?#").unwrap(), "./a%22onclick%3Dx%3F%23");
        assert_eq!(beside("/etc/passwd"), None);
        assert_eq!(beside("//evil.example/a"), None);
        assert_eq!(beside(""), None);
    }

    #[test]
    fn only_pictures_are_embedded() {
        assert_eq!(embedded("data:image/jpeg;base64,/9j+A="), Some("data:image/jpeg;base64,/9j+A="));
        assert_eq!(embedded("data:image/svg+xml;base64,AAAA"), None);
        assert_eq!(embedded("data:image/jpeg;base64,\" onerror=\"x"), None);
        assert_eq!(embedded("https://cdn.example/a.jpg"), None);
    }

    #[test]
    fn a_view_is_read_back_as_it_was_meant() {
        assert_eq!(Status::GaveUp.view(""), "#status=gave_up");
        assert_eq!(Status::Failed.view("a&b=c é+"), "#status=failed&q=a%26b%3Dc%20%C3%A9%2B");
    }
}
