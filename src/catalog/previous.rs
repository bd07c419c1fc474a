//! The columns of a results CSV, and what an earlier one says of its rows: a help, never a reason to fail.

use csv::ByteRecord;

use crate::clock::UnixMillis;
use crate::domain::{CoverTaskId, Images, MAX_IMAGES, Reason, Status, one_line};

/// The columns that the results CSV has after those of the catalog, in this order.
pub const RESULT_COLUMNS: [&str; 17] = [
    STATUS_COLUMN,
    "cover_retryable",
    "cover_reason",
    "cover_http_status",
    "cover_code",
    "cover_message",
    "cover_task_id",
    "cover_attempts",
    "cover_first_sent_at",
    "cover_finished_at",
    "cover_duplicate_of_row",
    "cover_image_1",
    "cover_image_2",
    "cover_file_1",
    "cover_file_2",
    "cover_expires_at",
    "cover_fallback",
];

/// The column that makes a CSV file an earlier results CSV.
const STATUS_COLUMN: &str = "cover_status";

/// Whether a header cell names one of [`RESULT_COLUMNS`].
pub(super) fn is_result_column(cell: &[u8]) -> bool {
    RESULT_COLUMNS.iter().any(|name| cell.trim_ascii() == name.as_bytes())
}

/// The verdict of an earlier run on a row; whatever cannot be understood is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousResult {
    /// What became of the row.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// Whether the next plain rerun was to send it again.
    pub retryable: Option<bool>,
    /// The HTTP status of the last answer.
    pub http_status: Option<u16>,
    /// The `code` of the last answer.
    pub code: Option<i64>,
    /// The service's words, without the sign that protects spreadsheets; may be empty.
    pub message: String,
    /// The cover, if it was known.
    pub cover: Option<CoverTaskId>,
    /// Submissions made.
    pub attempts: u32,
    /// When the first one was made.
    pub first_sent_at: Option<UnixMillis>,
    /// When it was decided.
    pub finished_at: Option<UnixMillis>,
    /// Where the images of the cover are.
    pub images: Option<Images>,
    /// The files of the images, or that of the default cover.
    pub files: [Option<String>; MAX_IMAGES],
    /// When the service forgets the images.
    pub expires_at: Option<UnixMillis>,
    /// Whether the default cover stands in for the cover.
    pub is_fallback: bool,
}

/// Where the columns of an earlier run are.
#[derive(Debug)]
pub(super) struct PreviousColumns {
    status: usize,
    reason: Option<usize>,
    retryable: Option<usize>,
    http_status: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
    cover: Option<usize>,
    attempts: Option<usize>,
    first_sent_at: Option<usize>,
    finished_at: Option<usize>,
    images: [Option<usize>; MAX_IMAGES],
    files: [Option<usize>; MAX_IMAGES],
    expires_at: Option<usize>,
    fallback: Option<usize>,
}

impl PreviousColumns {
    /// Looks the columns up by their names; `None` without a status column.
    pub(super) fn find(position: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        Some(Self {
            status: position(STATUS_COLUMN)?,
            reason: position("cover_reason"),
            retryable: position("cover_retryable"),
            http_status: position("cover_http_status"),
            code: position("cover_code"),
            message: position("cover_message"),
            cover: position("cover_task_id"),
            attempts: position("cover_attempts"),
            first_sent_at: position("cover_first_sent_at"),
            finished_at: position("cover_finished_at"),
            images: [position("cover_image_1"), position("cover_image_2")],
            files: [position("cover_file_1"), position("cover_file_2")],
            expires_at: position("cover_expires_at"),
            fallback: position("cover_fallback"),
        })
    }

    /// What a row's cells say; `None` without a known status.
    pub(super) fn read(&self, cells: &ByteRecord) -> Option<PreviousResult> {
        let text = |column: Option<usize>| column.and_then(|at| str::from_utf8(cells.get(at)?.trim_ascii()).ok());
        let time = |column| text(column).and_then(UnixMillis::from_rfc3339);
        Some(PreviousResult {
            status: text(Some(self.status)).and_then(Status::from_word)?,
            reason: text(self.reason).and_then(Reason::from_word),
            retryable: text(self.retryable).and_then(yes_or_no),
            http_status: text(self.http_status).and_then(|number| number.parse().ok()),
            code: text(self.code).and_then(|number| number.parse().ok()),
            message: text(self.message).map(unprotected).map(one_line).unwrap_or_default(),
            cover: text(self.cover).and_then(|id| CoverTaskId::new(id).ok()),
            attempts: text(self.attempts).and_then(|number| number.parse().ok()).unwrap_or(0),
            first_sent_at: time(self.first_sent_at),
            finished_at: time(self.finished_at),
            images: Images::new(self.images.into_iter().filter_map(text)),
            files: self.files.map(|column| text(column).filter(|name| !name.is_empty()).map(str::to_owned)),
            expires_at: time(self.expires_at),
            is_fallback: text(self.fallback).and_then(yes_or_no).unwrap_or(false),
        })
    }
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The message without the `'` that keeps a spreadsheet from taking it for a formula.
fn unprotected(message: &str) -> &str {
    match message.strip_prefix('\'') {
        Some(formula) if formula.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) => formula,
        Some(_) | None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> PreviousColumns {
        PreviousColumns::find(|name| RESULT_COLUMNS.iter().position(|column| *column == name)).unwrap()
    }

    fn read(cells: [&str; 11]) -> Option<PreviousResult> {
        let all = [&cells[..], &[""; 6]].concat();
        columns().read(&ByteRecord::from(all))
    }

    fn nothing() -> PreviousResult {
        PreviousResult {
            status: Status::Failed,
            reason: None,
            retryable: None,
            http_status: None,
            code: None,
            message: String::new(),
            cover: None,
            attempts: 0,
            first_sent_at: None,
            finished_at: None,
            images: None,
            files: [None, None],
            expires_at: None,
            is_fallback: false,
        }
    }

    #[test]
    fn a_finished_cover_is_read_back() {
        let cells = [
            "completed",
            "",
            "",
            "",
            "",
            "",
            "c",
            "",
            "",
            "",
            "",
            "https://x/1",
            "",
            "a-1.png",
            "",
            "2025-11-22T02:10:00.007Z",
            "yes",
        ];
        let previous = columns().read(&ByteRecord::from(cells.to_vec())).unwrap();
        let expected = PreviousResult {
            status: Status::Completed,
            cover: CoverTaskId::new("c").ok(),
            images: Images::new(["https://x/1"]),
            files: [Some("a-1.png".to_owned()), None],
            expires_at: Some(UnixMillis(1_763_777_400_007)),
            is_fallback: true,
            ..nothing()
        };
        assert_eq!(previous, expected);
    }

    #[test]
    fn every_column_that_is_read_is_one_that_is_written() {
        let found = columns();
        let all = [
            found.retryable,
            found.reason,
            found.http_status,
            found.code,
            found.message,
            found.cover,
            found.attempts,
            found.first_sent_at,
            found.finished_at,
        ];
        assert_eq!(all, std::array::from_fn(|at| Some(at + 1)));
        let covers = [found.images, found.files, [found.expires_at, found.fallback]].concat();
        assert_eq!(covers, [11, 12, 13, 14, 15, 16].map(Some));
    }

    #[test]
    fn a_full_row_is_read_back() {
        let (first, last) = ("2025-11-22T02:10:00.007Z", "2025-11-22T02:10:01.000Z");
        let previous = read(["exists", "no", "conflict", "200", "409", "'=1+1", "abc", "3", first, last, "7"]).unwrap();
        let expected = PreviousResult {
            status: Status::Exists,
            reason: Some(Reason::Conflict),
            retryable: Some(false),
            http_status: Some(200),
            code: Some(409),
            message: "=1+1".to_owned(),
            cover: Some(CoverTaskId::new("abc").unwrap()),
            attempts: 3,
            first_sent_at: Some(UnixMillis(1_763_777_400_007)),
            finished_at: Some(UnixMillis(1_763_777_401_000)),
            ..nothing()
        };
        assert_eq!(previous, expected);
    }

    #[test]
    fn what_is_empty_or_broken_is_missing() {
        let empty = read(["failed", "", "", "", "", "", "", "", "", "", ""]).unwrap();
        let broken =
            read(["failed", "maybe", "bad luck", "-1", "1e9", "", "a b", "-2", "today", "2025-13-01", "x"]).unwrap();
        let expected = nothing();
        assert_eq!(empty, expected);
        assert_eq!(broken, expected);
        for unknown in ["", "Failed", "in_flight", "\u{fffd}"] {
            assert_eq!(read([unknown, "no", "conflict", "200", "409", "", "", "1", "", "", ""]), None, "{unknown}");
        }
    }

    #[test]
    fn only_the_protecting_quote_is_removed() {
        let table = [
            ("'=x", "=x"),
            ("'+x", "+x"),
            ("'-x", "-x"),
            ("'@x", "@x"),
            ("'＝x", "＝x"),
            ("'＠x", "＠x"),
            ("'x", "'x"),
            ("''=x", "''=x"),
            ("'", "'"),
            ("=x", "=x"),
        ];
        for (cell, message) in table {
            assert_eq!(unprotected(cell), message, "{cell}");
        }
    }
}
