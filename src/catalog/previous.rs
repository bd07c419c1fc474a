//! The columns of a results CSV, and what an earlier one says of its rows: a help, never a reason to fail.

use csv::ByteRecord;

use crate::clock::UnixMillis;
use crate::domain::{
    CoverTaskId, Images, MAX_IMAGES, Reason, ResultColumn as Column, Status, one_line, unescape_formula,
};

/// Whether a header cell names a column of the results.
pub(super) fn is_result_column(cell: &[u8]) -> bool {
    Column::ALL.iter().any(|column| cell.trim_ascii() == column.word().as_bytes())
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

/// Where the columns of an earlier run are, in the order of [`Column::ALL`].
#[derive(Debug)]
pub(super) struct PreviousColumns(Vec<Option<usize>>);

impl PreviousColumns {
    /// Looks the columns up by their names; `None` without a status column.
    pub(super) fn find(position: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        let columns = Self(Column::ALL.iter().map(|column| position(column.word())).collect());
        columns.at(Column::Status).is_some().then_some(columns)
    }

    fn at(&self, column: Column) -> Option<usize> {
        self.0[column as usize]
    }

    /// What a row's cells say; `None` without a known status.
    pub(super) fn read(&self, cells: &ByteRecord) -> Option<PreviousResult> {
        let text = |column| str::from_utf8(cells.get(self.at(column)?)?.trim_ascii()).ok();
        let time = |column| text(column).and_then(UnixMillis::from_rfc3339);
        let file = |column| text(column).filter(|name| !name.is_empty()).map(str::to_owned);
        Some(PreviousResult {
            status: text(Column::Status).and_then(Status::from_word)?,
            reason: text(Column::Reason).and_then(Reason::from_word),
            retryable: text(Column::Retryable).and_then(yes_or_no),
            http_status: text(Column::HttpStatus).and_then(|number| number.parse().ok()),
            code: text(Column::Code).and_then(|number| number.parse().ok()),
            message: text(Column::Message).map(unescape_formula).map(one_line).unwrap_or_default(),
            cover: text(Column::CoverTaskId).and_then(|id| CoverTaskId::new(id).ok()),
            attempts: text(Column::Attempts).and_then(|number| number.parse().ok()).unwrap_or(0),
            first_sent_at: time(Column::FirstSentAt),
            finished_at: time(Column::FinishedAt),
            images: Images::new([Column::Image1, Column::Image2].into_iter().filter_map(text)),
            files: [Column::File1, Column::File2].map(file),
            expires_at: time(Column::ExpiresAt),
            is_fallback: text(Column::Fallback).and_then(yes_or_no).unwrap_or(false),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> PreviousColumns {
        PreviousColumns::find(|name| Column::ALL.iter().position(|column| column.word() == name)).unwrap()
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
}
