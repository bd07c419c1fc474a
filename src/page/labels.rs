//! Statuses, reasons, kinds of submissions and numbers as a label's people would say them.

use crate::domain::{Reason, Status};

use super::activity::Kind;

impl Status {
    /// In words.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Completed => "The cover is finished",
            Self::Submitted => "Accepted, the cover is being made",
            Self::Exists => "The service had a cover already",
            Self::Failed => "The service refuses this row",
            Self::GenerationFailed => "Accepted, but the cover could not be made",
            Self::GaveUp => "Given up for this run after repeated trouble",
            Self::InDoubt => "Sent, but the answer was lost",
            Self::Pending => "Not reached yet",
            Self::Invalid => "The row itself is unusable",
        }
    }

    /// Its class in the style sheet.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Completed | Self::Submitted | Self::Exists => "good",
            Self::GaveUp | Self::InDoubt | Self::Pending => "wait",
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
            Self::Held => "The answer was lost and the row is held back",
            Self::BadRow => "The row in the catalog is not usable",
            Self::Generated => "The images are there",
            Self::GenerationFailed => "The service could not make the cover",
            Self::MusicNotReady => "The music is not finished yet",
            Self::MusicFailed => "The music could not be made",
        }
    }
}

impl Kind {
    /// In words.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Existing => "cover was there",
            Self::Throttled => "throttled",
            Self::Unavailable => "service unavailable",
            Self::Trouble => "trouble or no answer",
            Self::Rejected => "refused",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words_of_its_own() {
        let mut labels: Vec<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::ALL.len());
    }

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!([0, 999, 1000, 10_000, 1_234_567].map(u64::thousands), ["0", "999", "1,000", "10,000", "1,234,567"]);
    }
}
