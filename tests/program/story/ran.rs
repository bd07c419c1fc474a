//! What a run came to, and what can be expected of it.

use std::fs;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) results: PathBuf,
}

impl Ran {
    #[track_caller]
    pub(crate) fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Nothing was printed.
    #[track_caller]
    pub(crate) fn silent(self) -> Self {
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", ""));
        self
    }

    /// Standard error holds these words.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "`{words}` is not in:\n{}", self.stderr);
        self
    }

    /// Standard output holds these words.
    #[track_caller]
    pub(crate) fn prints(self, words: &str) -> Self {
        assert!(self.stdout.contains(words), "`{words}` is not in:\n{}", self.stdout);
        self
    }

    /// Standard error is exactly this.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert_eq!(self.stderr, text);
        self
    }

    /// The results CSV says this of its rows, one after the other: id, status, reason.
    #[track_caller]
    pub(crate) fn results(self, rows: &[&str]) -> Self {
        let found: Vec<String> = self.table().rows(&["task_id", "cover_status", "cover_reason"]);
        assert_eq!(found, rows, "stderr:\n{}", self.stderr);
        self
    }

    /// The results CSV.
    pub(crate) fn table(&self) -> Table {
        Table::read(&self.results, b',')
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout))
    }

    /// The command that the digest ends with.
    #[track_caller]
    pub(crate) fn next(&self) -> &str {
        let (_, next) = self.stderr.split_once("\nnext: ").unwrap_or_else(|| panic!("no next step:\n{}", self.stderr));
        let (_, command) = next.split_once("\n  ").unwrap();
        command.trim_end()
    }
}

/// A CSV file, read.
pub(crate) struct Table {
    header: StringRecord,
    rows: Vec<StringRecord>,
}

impl Table {
    #[track_caller]
    pub(crate) fn read(path: &Path, delimiter: u8) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        Self { header, rows: reader.records().map(Result::unwrap).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The cells of one column.
    #[track_caller]
    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        let at = self.header.iter().position(|cell| cell == name).unwrap_or_else(|| panic!("no column {name}"));
        self.rows.iter().map(|row| &row[at]).collect()
    }

    /// Some cells of each row, with a space between them; empty ones are left out.
    #[track_caller]
    pub(crate) fn rows(&self, names: &[&str]) -> Vec<String> {
        let columns: Vec<Vec<&str>> = names.iter().map(|name| self.column(name)).collect();
        let row = |at: usize| columns.iter().map(move |column| column[at]).filter(|cell| !cell.is_empty());
        (0..self.len()).map(|at| row(at).collect::<Vec<_>>().join(" ")).collect()
    }

    /// How many rows have this status.
    pub(crate) fn with(&self, status: &str) -> u64 {
        self.column("cover_status").iter().map(|cell| u64::from(*cell == status)).sum()
    }
}
