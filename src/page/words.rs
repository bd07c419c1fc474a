//! Statuses, reasons and the headline as a label's people would say them.

use crate::domain::{Reason, Status};

use super::{Kind, Page};

impl Page {
    /// What happened, in the words of the digest: `2 of 12 rows have no cover yet`.
    pub(super) fn headline(&self) -> String {
        let left = self.counts.iter().filter(|(status, _)| !status.is_settled()).map(|(_, rows)| rows).sum::<u64>()
            + self.awaited;
        let rows =
            format!("{} {}", self.rows_total.grouped(), if self.rows_total == 1 { "row has" } else { "rows have" });
        match (left, self.rows_total) {
            (_, 0) => "The catalog has no rows".to_owned(),
            (0, 1) => "The one row has its cover".to_owned(),
            (0, _) => format!("All {rows} their cover"),
            _ => format!("{} of {rows} no cover yet", left.grouped()),
        }
    }
}

/// Something that is said in a page.
pub(super) trait Said {
    /// In words, or as it is read.
    fn said(self) -> &'static str;
}

impl Said for Status {
    fn said(self) -> &'static str {
        match self {
            Status::Completed => "The cover is finished",
            Status::Submitted => "Accepted, the cover is being made",
            Status::Exists => "The service had a cover already",
            Status::Failed => "The service refuses this row",
            Status::GenerationFailed => "Accepted, but the cover could not be made",
            Status::GaveUp => "Given up for this run after repeated trouble",
            Status::InDoubt => "Sent, but the answer was lost",
            Status::Pending => "Not reached yet",
            Status::Invalid => "The row itself is unusable",
        }
    }
}

impl Said for Reason {
    fn said(self) -> &'static str {
        match self {
            Reason::Accepted => "The service accepted it",
            Reason::AlreadyExists => "A cover was made before",
            Reason::Conflict => "A cover record is there already",
            Reason::NotFound => "The service does not know this music task",
            Reason::InvalidRequest => "The service finds the request invalid",
            Reason::Rejected => "The service refuses this music task",
            Reason::RateLimited => "The service was asked too often",
            Reason::Maintenance => "The service was under maintenance",
            Reason::ServerError => "The service had trouble of its own",
            Reason::Timeout => "The service did not answer in time",
            Reason::Connection => "The connection failed or broke",
            Reason::BadResponse => "The answer did not say what happened",
            Reason::Unauthorized => "The service refused the key or this machine",
            Reason::NoCredits => "The account had no credits left",
            Reason::Deadline => "The run reached its deadline first",
            Reason::Outage => "The service refused everyone for too long",
            Reason::Interrupted => "The run was ended from outside",
            Reason::TooManyFailures => "The run stopped because too many rows failed",
            Reason::Held => "The answer was lost and the row is held back",
            Reason::BadRow => "The row in the catalog is not usable",
            Reason::Generated => "The images are there",
            Reason::GenerationFailed => "The service could not make the cover",
            Reason::MusicNotReady => "The music is not finished yet",
            Reason::MusicFailed => "The music could not be made",
        }
    }
}

impl Said for Kind {
    fn said(self) -> &'static str {
        match self {
            Kind::Accepted => "accepted",
            Kind::Existing => "cover was there",
            Kind::Throttled => "throttled",
            Kind::Unavailable => "service unavailable",
            Kind::Trouble => "trouble or no answer",
            Kind::Rejected => "refused",
        }
    }
}

/// How a status looks.
pub(super) trait Looks {
    /// Its class in the style sheet.
    fn tone(self) -> &'static str;
    /// A sign that tells it apart without colour.
    fn sign(self) -> &'static str;
}

impl Looks for Status {
    fn tone(self) -> &'static str {
        match self {
            Status::Completed | Status::Submitted | Status::Exists => "good",
            Status::GaveUp | Status::InDoubt | Status::Pending => "wait",
            Status::Failed | Status::GenerationFailed | Status::Invalid => "bad",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Status::Completed | Status::Exists => "✓",
            Status::Submitted => "…",
            Status::GaveUp | Status::InDoubt => "?",
            Status::Pending => "→",
            Status::Failed | Status::GenerationFailed | Status::Invalid => "✕",
        }
    }
}

/// A number that is read with its thousands apart: `10,000`.
pub(super) trait Grouped {
    /// The digits in groups.
    fn grouped(self) -> String;
}

impl Grouped for u64 {
    fn grouped(self) -> String {
        let digits = self.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_said_in_its_own_words() {
        let mut said: Vec<&str> = Reason::ALL.iter().map(|reason| reason.said()).collect();
        said.sort_unstable();
        said.dedup();
        assert_eq!(said.len(), Reason::ALL.len());
    }

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!([0, 999, 1000, 10_000, 1_234_567].map(u64::grouped), ["0", "999", "1,000", "10,000", "1,234,567"]);
    }
}
