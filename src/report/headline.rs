//! The first line of the digest, which alone tells whether anything is new, and why a run stopped.

use super::summary::Summary;
use crate::domain::{Brief, Ended, Reason, Status, day_and_time, plural};
use crate::results::Cause;

/// Characters of the service's words in a headline.
const LONGEST_TROUBLE: usize = 120;

impl Summary {
    /// `coverbatch: 3 new covers, 1 newly failed; 2 of 215 rows have no cover yet`.
    pub(super) fn headline(&self) -> String {
        let (left, rows) = (self.tally.left(), self.tally.rows);
        let stopped = if self.ended == Ended::Finished { None } else { Some(self.why_stopped()) };
        let state = if left == 0 {
            plural(rows - self.tally.with(Status::Ignored), "row has its cover", "rows have their cover")
        } else {
            format!("{left} of {} no cover yet", plural(rows, "row has", "rows have"))
        };
        let parts: Vec<String> = [stopped, self.what_changed(), Some(state)].into_iter().flatten().collect();
        format!("coverbatch: {}", parts.join("; "))
    }

    /// `3 new covers, 1 newly failed`, or since when nothing has changed.
    fn what_changed(&self) -> Option<String> {
        let changes = &self.tally.changes;
        let parts = [
            (&changes.new_covers, "new cover", "new covers"),
            (&changes.mended, "mended", "mended"),
            (&changes.newly_failed, "newly failed", "newly failed"),
            (&changes.last_try, "row before its last try", "rows before their last try"),
            (&changes.left_alone, "row tried no more", "rows tried no more"),
            (&changes.new_rows, "new row", "new rows"),
            (&changes.vanished_rows, "row gone", "rows gone"),
        ];
        let told = parts.into_iter().filter(|(rows, ..)| rows.rows > 0);
        let told: Vec<String> = told.map(|(rows, one, many)| plural(rows.rows, one, many)).collect();
        match (told.as_slice(), changes.since) {
            ([], Some(since)) => Some(format!("nothing new since {}", day_and_time(since))),
            ([], None) => changes.has_before.then(|| "nothing new".to_owned()),
            (told, _) => Some(told.join(", ")),
        }
    }

    /// Why a run ended early, in words.
    fn why_stopped(&self) -> String {
        let why = match self.ended {
            Ended::Finished => "finished".to_owned(),
            Ended::Interrupted(_) => "interrupted by a signal".to_owned(),
            Ended::Deadline => "--deadline passed".to_owned(),
            Ended::Outage => {
                let trouble = self.trouble().map(|trouble| format!(": {trouble}")).unwrap_or_default();
                format!("the service refused every request for {} (--max-outage){trouble}", Brief(self.max_outage))
            }
            Ended::TooManyFailures => "too many rows failed (--max-failures)".to_owned(),
            Ended::Limit => "as --limit asked".to_owned(),
            Ended::Budget => "one more cover would cost more than --max-credits allows".to_owned(),
            Ended::BalanceUnknown => {
                "the balance cannot be read, without which --max-credits cannot be kept".to_owned()
            }
            Ended::Unauthorized => "the service refuses the key or this machine".to_owned(),
            Ended::NoCredits => "the account has no credits left".to_owned(),
            Ended::WrongAddress => "the service is not to be reached at this address".to_owned(),
            Ended::NotUnderstood => "none of the first answers could be understood".to_owned(),
        };
        format!("stopped, {why}")
    }

    /// What the service or the way to it said of the rows that a run could not send: `code 455, System maintenance`.
    fn trouble(&self) -> Option<String> {
        let causes = self.tally.causes();
        let (code, words) =
            causes.into_iter().find(|cause| cause.reason == Some(Reason::Outage)).map(Cause::commonest)?;
        let words: String = words.chars().take(LONGEST_TROUBLE).collect();
        let parts = [code.map(|code| format!("code {code}")), Some(words).filter(|words| !words.is_empty())];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}
