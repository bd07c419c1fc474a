//! What a copy of a ledger takes along, and as which text, whichever engines keep the two.
//!
//! Rows travel as lines in the text form of COPY, which `PostgreSQL` reads and writes itself: a row is a line, its fields stand
//! between tabs, `\N` is none, and what would end a field or a line stands behind a backslash. The numbers of music tasks and submissions do not travel: each ledger counts its own, in the same order.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>

use std::borrow::Cow;

/// Bytes of lines that travel together.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Pieces that wait for whoever writes the copy: the memory that a copy of any size takes.
pub(super) const PIECES: usize = 4;

/// A field that holds nothing.
const NONE: &str = "\\N";

/// What travels, in this order: the account, then for each table its lines and an end, and the last word.
#[derive(Debug)]
pub(super) enum Part {
    Account(Account),
    /// Whole lines of a table.
    Lines(Vec<u8>),
    EndOfTable,
    /// All of it was read, and at one moment: without this there is no copy.
    Complete,
}

/// Whose ledger it is, and what all of its runs share of the pace.
#[derive(Debug)]
pub(super) struct Account {
    /// Its name, where a ledger holds several.
    pub(super) name: Option<String>,
    pub(super) api_url: String,
    pub(super) next_at: i64,
    pub(super) share: f64,
    pub(super) share_since: i64,
    pub(super) paused_until: Option<i64>,
    pub(super) refusal: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) refusals: i64,
}

/// A table that every engine has.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The column that tells in which order its rows were made.
    order: &'static str,
    /// What travels of it. That a run holds a lock does not: its rows are in doubt in the copy, as after its death.
    pub(super) columns: &'static [&'static str],
}

/// The column of a submission that tells whose it is, which travels as the id of the music task.
pub(super) const TASK: &str = "task";

/// The tables, those first that others refer to.
pub(super) const TABLES: [Table; 6] = [
    Table {
        name: "run",
        order: "run",
        columns: &[
            "run",
            "catalog",
            "kind",
            "is_partial",
            "results",
            "command",
            "host",
            "pid",
            "started_at",
            "ended_at",
            "ended",
            "sent",
            "new_covers",
            "failed",
            "exit_code",
        ],
    },
    Table {
        name: "task",
        order: "seq",
        columns: &[
            "id",
            "state",
            "reason",
            "http_status",
            "code",
            "message",
            "answered_at",
            "submissions",
            "failed_runs",
            "first_sent_at",
            "cover_id",
            "route",
            "accepted_at",
            "due_at",
            "waiter",
            "given_up_by",
            "wants_files",
            "claimed_at",
            "woken_at",
            "polls",
            "failures",
            "image_1",
            "image_2",
            "completed_at",
            "generated_in",
            "credits",
            "file_1",
            "width_1",
            "height_1",
            "bytes_1",
            "file_2",
            "width_2",
            "height_2",
            "bytes_2",
            "fallback",
        ],
    },
    Table {
        name: "attempt",
        order: "seq",
        columns: &[
            TASK,
            "run",
            "state_before",
            "sent_at",
            "paced_at",
            "answered_at",
            "reason",
            "http_status",
            "code",
            "message",
        ],
    },
    Table { name: "decision", order: "seq", columns: &["id", "kind", "reason", "host", "at", "known", "undone_at"] },
    Table { name: "file_name", order: "id", columns: &["id", "words", "folded"] },
    Table { name: "read_log", order: "seq", columns: &["at"] },
];

/// The table of music tasks.
const TASKS: &str = "task";

/// What is true of a music task whatever a person decides: who it is, and what was sent.
const SENT: [&str; 3] = ["id", "submissions", "first_sent_at"];

/// Who works on its cover at the moment.
const AT_WORK: [&str; 3] = ["waiter", "claimed_at", "woken_at"];

/// The columns of a music task that a decision about it may change and that come back when it is taken back: all but what was
/// sent, and who works on it.
pub(super) fn known_columns() -> impl Iterator<Item = &'static str> {
    let columns = TABLES.iter().filter(|table| table.name == TASKS).flat_map(|table| table.columns);
    columns.copied().filter(|column| !SENT.contains(column) && !AT_WORK.contains(column))
}

impl Table {
    /// The query for its rows, those of one account where the engine keeps several.
    pub(super) fn query(&self, condition: &str) -> String {
        let Self { name, order, .. } = self;
        let values: Vec<&str> = self.columns.iter().map(|column| value(column)).collect();
        format!("SELECT {} FROM {name} {condition} ORDER BY {order}", values.join(", "))
    }
}

/// How a column is asked for, such that all engines say the same.
fn value(column: &'static str) -> &'static str {
    match column {
        TASK => "(SELECT id FROM task WHERE task.seq = attempt.task)",
        "is_partial" => "CASE WHEN is_partial THEN 1 ELSE 0 END",
        "wants_files" => "CASE WHEN wants_files THEN 1 ELSE 0 END",
        other => other,
    }
}

/// Adds a field to a line.
pub(super) fn push_field(line: &mut Vec<u8>, field: Option<&str>) {
    for byte in field.unwrap_or(NONE).bytes() {
        match byte {
            b'\\' if field.is_some() => line.extend(b"\\\\"),
            b'\t' => line.extend(b"\\t"),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            byte => line.push(byte),
        }
    }
    line.push(b'\t');
}

/// Ends a line behind its last field.
pub(super) fn end_line(line: &mut Vec<u8>) {
    line.pop();
    line.push(b'\n');
}

/// The fields of a line without its end.
pub(super) fn fields(line: &str) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    line.split('\t').map(|field| (field != NONE).then(|| unescaped(field)))
}

fn unescaped(field: &str) -> Cow<'_, str> {
    if !field.contains('\\') {
        return Cow::Borrowed(field);
    }
    let mut text = String::with_capacity(field.len());
    let mut rest = field.chars();
    while let Some(character) = rest.next() {
        let meant = if character == '\\' { rest.next().map(escaped) } else { Some(character) };
        text.extend(meant);
    }
    Cow::Owned(text)
}

/// What a character behind a backslash stands for.
const fn escaped(character: char) -> char {
    match character {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ledger::{PostgresLedger, SqliteLedger};

    /// The columns of the tables that a schema makes, as `table.column`.
    fn columns(schema: &str) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for table in schema.split("CREATE TABLE ").skip(1) {
            let (name, rest) = table.split_once(" (\n").unwrap();
            let name = name.trim_start_matches("coverbatch.");
            let lines = rest.lines().take_while(|line| !line.starts_with(')')).map(str::trim_start);
            let lines = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
            columns.extend(lines.map(|line| format!("{name}.{}", line.split(' ').next().unwrap())));
        }
        columns
    }

    fn copied() -> BTreeSet<String> {
        TABLES.iter().flat_map(|table| table.columns.iter().map(|column| format!("{}.{column}", table.name))).collect()
    }

    /// What is added to a schema has to be copied, or named here as what a copy has of its own.
    #[test]
    fn every_column_of_every_schema_is_copied_or_known_not_to_be() {
        let pace = ["next_at", "share", "share_since", "paused_until", "refusal", "reason", "refusals", "probe"];
        for (schema, own, account) in [
            (
                SqliteLedger::SCHEMA,
                &[
                    "account.api_url",
                    "run.lock",
                    "task.seq",
                    "task.is_forgotten",
                    "attempt.seq",
                    "decision.seq",
                    "read_log.seq",
                ][..],
                "pace",
            ),
            (
                PostgresLedger::SCHEMA,
                &[
                    "ledger.version",
                    "account.account",
                    "account.name",
                    "account.api_url",
                    "run.account",
                    "run.lock",
                    "run.locked_at",
                    "task.account",
                    "task.seq",
                    "attempt.account",
                    "checkpoint.account",
                    "checkpoint.at",
                    "checkpoint.attempt",
                    "file_name.account",
                    "attempt.seq",
                    "decision.account",
                    "decision.seq",
                    "read_log.account",
                    "read_log.seq",
                ][..],
                "account",
            ),
        ] {
            let mut expected = copied();
            expected.extend(own.iter().map(|column| (*column).to_owned()));
            expected.extend(pace.map(|column| format!("{account}.{column}")));
            assert_eq!(columns(schema), expected);
        }
    }

    #[test]
    fn a_decision_remembers_neither_what_was_sent_nor_who_works_on_a_cover() {
        let known: BTreeSet<&str> = known_columns().collect();
        let others = ["id", "submissions", "first_sent_at", "waiter", "claimed_at", "woken_at"];
        let all: BTreeSet<&str> =
            TABLES.iter().find(|table| table.name == "task").unwrap().columns.iter().copied().collect();
        assert_eq!(all.difference(&known).copied().collect::<BTreeSet<_>>(), others.into());
        assert!(known.contains("state"));
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        let texts =
            [None, Some(""), Some("a\tb\nc\rd"), Some("\\N"), Some("\\"), Some("\\t\u{8}\u{b}\u{c}é"), Some("7")];
        let mut line = Vec::new();
        for text in texts {
            push_field(&mut line, text);
        }
        end_line(&mut line);
        let line = String::from_utf8(line).unwrap();
        let read: Vec<_> = fields(line.strip_suffix('\n').unwrap()).collect();
        assert_eq!(read.iter().map(Option::as_deref).collect::<Vec<_>>(), texts);
        assert_eq!((line.matches('\n').count(), line.matches('\t').count()), (1, texts.len() - 1));
    }

    #[test]
    fn what_a_server_writes_behind_a_backslash_is_understood() {
        assert_eq!(fields(r"\b\f\n\r\t\v\\").next().unwrap().unwrap(), "\u{8}\u{c}\n\r\t\u{b}\\");
    }
}
