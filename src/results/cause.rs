//! Rows that are not settled for one and the same cause.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::named::{NamedRows, RowName};
use super::standing::Remedy;
use crate::domain::{Reason, Status};

/// Codes with words told apart within one cause; the service may invent them without end.
const MOST_SAYINGS: usize = 20;

/// The code of a success, which an answer carries whatever it tells.
const SUCCESS: i64 = 200;

/// Rows that are not settled for one and the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What became of them.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// Who sees to them.
    pub remedy: Remedy,
    /// All of them.
    pub all: NamedRows,
    /// Those of them that were better off before.
    pub news: NamedRows,
    /// What was said of them: the service's code, the words, and of how many rows.
    said: Vec<(Option<i64>, String, u64)>,
}

impl Cause {
    /// No rows yet.
    #[must_use]
    pub fn new(status: Status, reason: Option<Reason>, remedy: Remedy) -> Self {
        Self { status, reason, remedy, all: NamedRows::default(), news: NamedRows::default(), said: Vec::new() }
    }

    /// Counts a row of which this was said.
    pub fn add(&mut self, is_news: bool, (code, words): (Option<i64>, &str), name: impl Fn() -> RowName) {
        self.all.add(&name);
        if is_news {
            self.news.add(name);
        }
        let known = self.said.iter_mut().find(|(known, said, _)| *known == code && said == words);
        if let Some((_, _, rows)) = known {
            *rows += 1;
        } else if self.said.len() < MOST_SAYINGS {
            self.said.push((code, words.to_owned(), 1));
        }
    }

    /// The service's code and the words that were said of most rows, those aside of which nothing was said.
    #[must_use]
    pub fn commonest(&self) -> (Option<i64>, &str) {
        let weight = |(_, words, rows): &&(Option<i64>, String, u64)| (!words.is_empty(), *rows);
        // Of several that are as frequent, the first.
        let most = self.said.iter().rev().max_by_key(weight);
        most.map_or((None, ""), |(code, words, _)| (*code, words))
    }

    /// The same code, unless it is that of a success.
    #[must_use]
    pub fn failure_code(&self) -> Option<i64> {
        self.commonest().0.filter(|code| *code != SUCCESS)
    }
}

/// `failed: not_found (code 404)`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        // `generation_failed` is the word for both.
        if let Some(reason) = self.reason.filter(|reason| reason.word() != self.status.word()) {
            write!(f, ": {reason}")?;
        }
        self.failure_code().map_or(Ok(()), |code| write!(f, " (code {code})"))
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (code, words) = self.commonest();
        let mut fields = serializer.serialize_struct("Cause", 8)?;
        fields.serialize_field("status", &self.status)?;
        fields.serialize_field("reason", &self.reason)?;
        fields.serialize_field("code", &code)?;
        fields.serialize_field("message", words)?;
        fields.serialize_field("mends_by_itself", &(self.remedy == Remedy::NextRun))?;
        fields.serialize_field("rows", &self.all.rows)?;
        fields.serialize_field("new_rows", &self.news.rows)?;
        fields.serialize_field("first", &self.all.first)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_success_is_no_cause() {
        let mut cause = Cause::new(Status::GenerationFailed, Some(Reason::GenerationFailed), Remedy::NextRun);
        cause.add(true, (Some(200), "no"), || RowName { line: Some(2), id: None, labels: Vec::new() });
        assert_eq!(cause.to_string(), "generation_failed");
    }

    #[test]
    fn the_code_and_the_words_of_most_rows_speak_for_all() {
        let mut cause = Cause::new(Status::GaveUp, Some(Reason::ServerError), Remedy::NextRun);
        let name = || RowName { line: Some(2), id: None, labels: Vec::new() };
        for (code, words) in [(501, "no"), (500, "rare"), (500, "often"), (500, "often"), (501, "no")] {
            cause.add(words == "no", (Some(code), words), name);
        }
        assert_eq!(cause.to_string(), "gave_up: server_error (code 501)");
        assert_eq!(cause.commonest(), (Some(501), "no"), "the first of those that are as frequent");
        assert_eq!((cause.all.rows, cause.news.rows), (5, 2));
        cause.add(false, (Some(500), "often"), name);
        (0..9).for_each(|_| cause.add(false, (None, ""), name));
        for other in 0..1000 {
            cause.add(false, (Some(other), "of one row"), name);
        }
        assert_eq!((cause.commonest(), cause.all.rows, cause.said.len()), ((Some(500), "often"), 1015, MOST_SAYINGS));
    }
}
