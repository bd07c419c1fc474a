//! Rows as a person finds them: counted, and the first of them named.

use std::fmt;

use serde::Serialize;

use crate::catalog::{Catalog, Labels, Row};

/// Rows that are named of many.
const FIRST_ROWS: usize = 3;

/// Longest label that is shown, in characters.
const MAX_LABEL_CHARS: usize = 40;

/// What a person finds a row by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowName {
    /// Its line in the catalog; none for a row that is there no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The music task it names; none if that is unusable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it: title, artist and the like.
    pub labels: Vec<String>,
}

impl RowName {
    /// The name of a row of this catalog.
    #[must_use]
    pub fn of(catalog: &Catalog, labels: &Labels, row: &Row) -> Self {
        let id = row.id.as_ref().ok().map(ToString::to_string);
        let labels = labels.of(catalog, row).into_iter().map(|label| shortened(&label)).collect();
        Self { line: Some(row.line), id, labels }
    }
}

/// `7 (So What, Miles Davis)`; the id of a row without a line.
impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}")?,
            None => f.write_str(self.id.as_deref().unwrap_or("a row without an id"))?,
        }
        if self.labels.is_empty() { Ok(()) } else { write!(f, " ({})", self.labels.join(", ")) }
    }
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL_CHARS {
        return label.to_owned();
    }
    label.chars().take(MAX_LABEL_CHARS - 1).chain(['…']).collect()
}

/// Rows, the first of which are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NamedRows {
    /// How many.
    pub rows: u64,
    /// The first three.
    pub first: Vec<RowName>,
}

impl NamedRows {
    /// Counts one more, which is named if it is among the first.
    pub(super) fn add(&mut self, name: impl FnOnce() -> RowName) {
        self.rows += 1;
        if self.first.len() < FIRST_ROWS {
            self.first.push(name());
        }
    }

    /// Whether the next one is named.
    pub(super) fn names_next(&self) -> bool {
        self.first.len() < FIRST_ROWS
    }

    /// `line 7 (So What)`, `lines 3, 9, 17 …`.
    #[must_use]
    pub fn list(&self) -> String {
        let word = match (self.first.first(), self.rows) {
            (Some(RowName { line: Some(_), .. }), 1) => "line ",
            (Some(RowName { line: Some(_), .. }), _) => "lines ",
            (Some(RowName { line: None, .. }) | None, _) => "",
        };
        format!("{word}{}", self.names(ToString::to_string))
    }

    /// `3, 9, 17 …`.
    #[must_use]
    pub fn lines(&self) -> String {
        self.names(|name| name.line.map(|line| line.to_string()).unwrap_or_default())
    }

    fn names(&self, told: impl Fn(&RowName) -> String) -> String {
        let names: Vec<String> = self.first.iter().map(told).collect();
        let more = self.rows > u64::try_from(names.len()).unwrap_or(u64::MAX);
        names.join(", ") + if more { " …" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[(Option<u64>, &str, &[&str])], more: u64) -> NamedRows {
        let mut rows = NamedRows::default();
        for (line, id, labels) in names {
            let labels = labels.iter().map(|label| shortened(label)).collect();
            rows.add(|| RowName { line: *line, id: Some((*id).to_owned()), labels });
        }
        rows.rows += more;
        rows
    }

    #[test]
    fn the_first_rows_are_named_by_line_and_label() {
        assert_eq!(rows(&[(Some(3), "a", &[])], 0).list(), "line 3");
        assert_eq!(rows(&[(Some(3), "a", &[]), (Some(9), "b", &[])], 0).list(), "lines 3, 9");
        let named = rows(&[(Some(3), "a", &["So What", "Miles"]), (Some(9), "b", &["Naima"])], 5);
        assert_eq!(named.list(), "lines 3 (So What, Miles), 9 (Naima) …");
        assert_eq!(named.lines(), "3, 9 …");
        assert_eq!(rows(&[(None, "gone-1", &["Naima"])], 0).list(), "gone-1 (Naima)");
    }

    #[test]
    fn of_many_rows_three_are_named_and_of_a_long_label_forty_characters() {
        let four = rows(&[(Some(1), "a", &[]), (Some(2), "b", &[]), (Some(3), "c", &[]), (Some(4), "d", &[])], 0);
        assert_eq!((four.rows, four.list().as_str()), (4, "lines 1, 2, 3 …"));
        let long = rows(&[(Some(1), "a", &[&"é".repeat(41)])], 0);
        assert_eq!(long.list(), format!("line 1 ({}…)", "é".repeat(39)));
        let short = rows(&[(Some(1), "a", &[&"é".repeat(40)])], 0);
        assert_eq!(short.list(), format!("line 1 ({})", "é".repeat(40)));
    }
}
