//! What an earlier run said of a row: a help, never a reason to fail.

use std::borrow::Cow;

use crate::clock::UnixMillis;
use crate::domain::{
    CoverTaskId, Credits, ImageFile, ImageSize, Images, MAX_IMAGES, Reason, ResultColumn, Route, Status, one_line,
    unescape_formula,
};

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
    pub files: [Option<ImageFile>; MAX_IMAGES],
    /// When the service forgets the images.
    pub expires_at: Option<UnixMillis>,
    /// Whether the default cover stands in for the cover.
    pub is_fallback: bool,
    /// The route by which the cover was asked for.
    pub route: Option<Route>,
    /// What the cover cost.
    pub credits: Option<Credits>,
}

/// Where the columns of an earlier run are, in the order of [`ResultColumn::WORDS`].
#[derive(Debug)]
pub(super) struct PreviousColumns([usize; ResultColumn::WORDS.len()]);

impl PreviousColumns {
    /// Looks the columns up by their names; `None` unless all are there.
    pub(super) fn find(position: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        let mut columns = [0; ResultColumn::WORDS.len()];
        for (column, name) in columns.iter_mut().zip(ResultColumn::WORDS) {
            *column = position(name)?;
        }
        Some(Self(columns))
    }

    /// Whether a column is one of them.
    pub(super) fn contains(&self, column: usize) -> bool {
        self.0.contains(&column)
    }

    /// What the cells of a row say; `None` without a known status.
    pub(super) fn read<'a>(&self, value: impl Fn(usize) -> Option<Cow<'a, [u8]>>) -> Option<PreviousResult> {
        let texts = self.0.map(|column| text(value(column)?));
        let [status, retryable, reason, http_status, code, message, cover, attempts, first_sent, finished, rest @ ..] =
            texts.each_ref().map(Option::as_deref);
        let [_, image_1, image_2, file_1, file_2, expires, fallback, route, credits, sizes @ ..] = rest;
        let [width_1, height_1, bytes_1, width_2, height_2, bytes_2] = sizes;
        let file = |name: Option<&str>, size: [Option<&str>; 3]| {
            let name = name.filter(|name| !name.is_empty())?.to_owned();
            Some(ImageFile { name, size: image_size(size.map(Option::unwrap_or_default)) })
        };
        Some(PreviousResult {
            status: status.and_then(Status::from_word)?,
            reason: reason.and_then(Reason::from_word),
            retryable: retryable.and_then(yes_or_no),
            http_status: http_status.and_then(|number| number.parse().ok()),
            code: code.and_then(|number| number.parse().ok()),
            message: message.map(unescape_formula).map(one_line).unwrap_or_default(),
            cover: cover.and_then(|id| CoverTaskId::new(id).ok()),
            attempts: attempts.and_then(|number| number.parse().ok()).unwrap_or(0),
            first_sent_at: first_sent.and_then(UnixMillis::from_rfc3339),
            finished_at: finished.and_then(UnixMillis::from_rfc3339),
            images: Images::new([image_1, image_2].into_iter().flatten()),
            files: [file(file_1, [width_1, height_1, bytes_1]), file(file_2, [width_2, height_2, bytes_2])],
            expires_at: expires.and_then(UnixMillis::from_rfc3339),
            is_fallback: fallback.and_then(yes_or_no).unwrap_or(false),
            route: route.and_then(Route::from_word),
            credits: credits.and_then(|amount| amount.parse().ok()),
        })
    }
}

fn text(value: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match value {
        Cow::Borrowed(value) => str::from_utf8(value).ok().map(Cow::Borrowed),
        Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
    }
}

fn image_size([width, height, bytes]: [&str; 3]) -> Option<ImageSize> {
    Some(ImageSize { width: width.parse().ok()?, height: height.parse().ok()?, bytes: bytes.parse().ok()? })
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

    fn read_all(cells: &[&str]) -> Option<PreviousResult> {
        let columns =
            PreviousColumns::find(|name| ResultColumn::WORDS.iter().position(|column| *column == name)).unwrap();
        columns.read(|column| cells.get(column).map(|cell| Cow::Borrowed(cell.as_bytes())))
    }

    fn read(cells: [&str; 11]) -> Option<PreviousResult> {
        read_all(&cells)
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
            route: None,
            credits: None,
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
            "jobs",
            "0.4",
            "3000",
            "2000",
            "5000000000",
            "3000",
            "",
            "7",
        ];
        let size = ImageSize { width: 3000, height: 2000, bytes: 5_000_000_000 };
        let previous = read_all(&cells).unwrap();
        let expected = PreviousResult {
            status: Status::Completed,
            cover: CoverTaskId::new("c").ok(),
            images: Images::new(["https://x/1"]),
            files: [Some(ImageFile { name: "a-1.png".to_owned(), size: Some(size) }), None],
            expires_at: Some(UnixMillis(1_763_777_400_007)),
            is_fallback: true,
            route: Some(Route::Jobs),
            credits: Credits::of_thousandths(400),
            ..nothing()
        };
        assert_eq!(previous, expected);
    }

    #[test]
    fn only_the_whole_set_of_columns_is_an_earlier_results_csv() {
        let found = |missing: &str| PreviousColumns::find(|name| (name != missing).then_some(7));
        assert!(found("none of them").unwrap().contains(7));
        for name in ResultColumn::WORDS {
            assert!(found(name).is_none(), "{name}");
        }
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
