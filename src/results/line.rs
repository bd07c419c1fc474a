//! What the results say of one row, as it is looked at.

use std::{array, fmt};

use crate::catalog::{BadRow, Catalog};
use crate::clock::UnixMillis;
use crate::domain::{CoverTaskId, MAX_IMAGES, Reason, ResultColumn, RowState, Status, escape_formula, one_line};
use crate::join::{Joined, Trust};
use crate::ledger::{Artwork, Record};
use crate::policy::{InDoubt, is_retryable};

/// What is wanted of a row that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Nothing more.
    Accepted,
    /// That its images are known.
    Images,
    /// That its images are on disk.
    Files,
}

/// What to make of the rows.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Why rows that were not reached were not.
    pub unreached: Option<Reason>,
    /// What the next run does with rows in doubt.
    pub in_doubt: InDoubt,
    /// Which earlier results count where the ledger knows nothing.
    pub trust: Trust,
    /// What is wanted of accepted rows.
    pub goal: Goal,
    /// When it is looked at.
    pub now: UnixMillis,
    /// Pixels that the shorter side of an image on disk has to have, if it is to be told of others.
    pub warn_below: Option<u32>,
}

/// How far the cover of an accepted row has come, measured by what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// As far as is wanted, or there is none to speak of.
    Done,
    /// The next run that follows covers goes on with it.
    Awaited,
    /// Its id is not known, so that nobody can follow it.
    Unknown,
    /// Its images were gone from their host before they were on disk.
    Forgotten,
}

impl Cover {
    pub(super) fn of(record: Option<&Record>, view: View) -> Self {
        let Some(record) = record else { return Self::Done };
        let art = &record.artwork;
        let is_reached = match (record.state, view.goal) {
            (_, Goal::Accepted) => true,
            (RowState::Submitted | RowState::Exists, Goal::Images) => art.images.is_some(),
            // One that was completed for the addresses alone has no files yet.
            (RowState::Submitted | RowState::Exists | RowState::Completed, Goal::Files) => art.is_on_disk(),
            (RowState::Completed, Goal::Images) => true,
            (
                RowState::Pending
                | RowState::InFlight
                | RowState::InDoubt
                | RowState::Failed
                | RowState::GaveUp
                | RowState::GenerationFailed
                | RowState::Ignored,
                _,
            ) => true,
        };
        match &record.cover {
            _ if is_reached => Self::Done,
            None => Self::Unknown,
            Some(_) if art.is_forgotten => Self::Forgotten,
            Some(_) => Self::Awaited,
        }
    }
}

/// The verdict on one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultLine {
    /// What became of it.
    pub status: Status,
    /// Whether the next plain rerun sends it.
    pub retryable: bool,
    /// Why.
    pub reason: Option<Reason>,
    /// How far its cover has come.
    pub cover: Cover,
    /// Whether it is one of those that the command took up.
    pub is_taken_up: bool,
    /// Whether an image of it on disk has a shorter side than is wanted.
    pub is_small: bool,
    /// The cells, in the order of [`ResultColumn::ALL`].
    cells: [String; COLUMNS],
}

/// How many columns the results add.
const COLUMNS: usize = ResultColumn::ALL.len();

/// A number, a time or an id as a cell: empty if there is none, never 0.
fn cell(value: Option<impl fmt::Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// Foreign words as a cell.
fn words(text: &str) -> String {
    escape_formula(&one_line(text))
}

impl ResultLine {
    /// The verdict on a joined row.
    #[must_use]
    pub fn new(catalog: &Catalog, joined: &Joined, view: View) -> Self {
        let is_taken_up = catalog.takes_up(&joined.row.id);
        // Why a command did not reach its rows is no reason for others.
        let view = View { unreached: view.unreached.filter(|_| is_taken_up), ..view };
        let line = match &joined.row.id {
            Err(bad) => Self::invalid(*bad),
            Ok(_) => Self::valid(joined.record.as_ref(), catalog.first_row_of(joined.row.number), view),
        };
        Self { is_taken_up, ..line }
    }

    fn invalid(bad: BadRow) -> Self {
        let (status, reason) = (Status::Invalid, Reason::BadRow);
        let mut cells: [String; COLUMNS] = Default::default();
        cells[ResultColumn::Status as usize] = status.to_string();
        cells[ResultColumn::Retryable as usize] = yes_no(false);
        cells[ResultColumn::Reason as usize] = reason.to_string();
        cells[ResultColumn::Message as usize] = words(&bad.to_string());
        Self {
            status,
            retryable: false,
            reason: Some(reason),
            cover: Cover::Done,
            is_taken_up: true,
            is_small: false,
            cells,
        }
    }

    fn valid(record: Option<&Record>, first_row: Option<u32>, view: View) -> Self {
        let state = record.map_or(RowState::Pending, |record| record.state);
        let status = state.status();
        let retryable = is_retryable(state, record.map_or(0, |record| record.failed_runs), view.in_doubt);
        let reason = reason(state, record.and_then(|record| record.reason), view);
        let answer = record.map(|record| &record.answer);
        let art = record.map(|record| &record.artwork);
        let covered = record.filter(|record| record.cover.is_some());
        let file = |number: usize| art.and_then(|art| art.files[number].as_ref());
        let size = |number: usize| file(number).and_then(|file| file.size);
        let image = |number: usize| cell(art.and_then(|art| art.images.as_ref()?.urls().get(number)));
        let cells = array::from_fn(|at| match ResultColumn::ALL[at] {
            ResultColumn::Status => status.to_string(),
            ResultColumn::Retryable => yes_no(retryable),
            ResultColumn::Reason => cell(reason),
            ResultColumn::HttpStatus => cell(answer.and_then(|answer| answer.http_status)),
            ResultColumn::Code => cell(answer.and_then(|answer| answer.code)),
            ResultColumn::Message => answer.map(|answer| words(&answer.message)).unwrap_or_default(),
            ResultColumn::CoverTaskId => cell(record.and_then(|record| record.cover.as_ref()).map(CoverTaskId::as_str)),
            ResultColumn::Attempts => record.map_or(0, |record| record.submissions).to_string(),
            ResultColumn::FirstSentAt => cell(record.and_then(|record| record.first_sent_at)),
            ResultColumn::FinishedAt => cell(record.and_then(|record| record.finished_at)),
            ResultColumn::DuplicateOfRow => cell(first_row),
            ResultColumn::Image1 => image(0),
            ResultColumn::Image2 => image(1),
            ResultColumn::File1 => cell(file(0).map(|file| &file.name).or(art.and_then(|art| art.fallback.as_ref()))),
            ResultColumn::File2 => cell(file(1).map(|file| &file.name)),
            ResultColumn::ExpiresAt => cell(art.and_then(Artwork::expires_at)),
            ResultColumn::Fallback => cell(art.and_then(|art| art.fallback.as_ref()).map(|_| yes_no(true))),
            ResultColumn::Route => cell(covered.map(|record| record.route)),
            ResultColumn::Credits => cell(record.and_then(|record| record.credits)),
            ResultColumn::Width1 => cell(size(0).map(|size| size.width)),
            ResultColumn::Height1 => cell(size(0).map(|size| size.height)),
            ResultColumn::Bytes1 => cell(size(0).map(|size| size.bytes)),
            ResultColumn::Width2 => cell(size(1).map(|size| size.width)),
            ResultColumn::Height2 => cell(size(1).map(|size| size.height)),
            ResultColumn::Bytes2 => cell(size(1).map(|size| size.bytes)),
        });
        let is_below = |least: u32| (0..MAX_IMAGES).filter_map(size).any(|size| size.shorter_side() < least);
        let is_small = view.warn_below.is_some_and(is_below);
        Self { status, retryable, reason, cover: Cover::of(record, view), is_taken_up: true, is_small, cells }
    }

    fn cell(&self, column: ResultColumn) -> &str {
        &self.cells[column as usize]
    }

    /// What was said of it.
    #[must_use]
    pub fn message(&self) -> &str {
        self.cell(ResultColumn::Message)
    }

    /// The same for a person: the words of an acceptance do not tell why its cover is not in hand.
    #[must_use]
    pub fn what_was_said(&self) -> &str {
        match (self.cover, self.reason) {
            (Cover::Awaited, Some(Reason::Accepted | Reason::AlreadyExists | Reason::Conflict)) => {
                "its cover is not finished yet"
            }
            (Cover::Forgotten, _) => "the service has forgotten its images",
            (Cover::Awaited | Cover::Done | Cover::Unknown, _) => self.message(),
        }
    }

    /// Whether it repeats an earlier row.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        !self.cell(ResultColumn::DuplicateOfRow).is_empty()
    }

    /// Its cells, in the order of [`ResultColumn::WORDS`].
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(String::as_str)
    }
}

/// The word for why a row is where it is.
fn reason(state: RowState, known: Option<Reason>, view: View) -> Option<Reason> {
    match state {
        RowState::Pending => view.unreached.or(known),
        RowState::InFlight | RowState::InDoubt => match view.in_doubt {
            InDoubt::Hold => Some(Reason::Held),
            InDoubt::Resend => known.or(Some(Reason::Interrupted)),
        },
        RowState::Submitted
        | RowState::Exists
        | RowState::Failed
        | RowState::GaveUp
        | RowState::Completed
        | RowState::GenerationFailed
        | RowState::Ignored => known,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Arc;

    use super::*;
    use crate::catalog::{CatalogOptions, Row};
    use crate::clock::UnixMillis;
    use crate::domain::IMAGES_LAST;
    use crate::domain::{Answer, Credits, ImageFile, Images, Route};
    use crate::error::Exit;
    use crate::join::{Join, Trust};
    use crate::ledger::SqliteLedger;
    use crate::results::Tally;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn view(goal: Goal) -> View {
        View { unreached: None, in_doubt: InDoubt::Resend, trust: Trust::All, goal, now: NOW, warn_below: None }
    }

    fn record(state: RowState, cover: Option<&str>, artwork: Artwork) -> Record {
        Record {
            state,
            reason: Some(Reason::Generated),
            answer: Answer { http_status: Some(200), code: Some(200), message: "+1 said".to_owned() },
            cover: cover.and_then(|id| CoverTaskId::new(id).ok()),
            route: cover.map_or(Route::Legacy, |_| Route::Jobs),
            credits: Credits::of_thousandths(400),
            submissions: 2,
            failed_runs: 0,
            first_sent_at: Some(UnixMillis(1_799_000_000_000)),
            finished_at: Some(UnixMillis(1_799_000_000_007)),
            artwork,
        }
    }

    fn finished(completed_at: UnixMillis, files: [Option<&str>; 2]) -> Artwork {
        Artwork {
            images: Images::new(["https://x.example/1.png", "https://x.example/2.png"]),
            completed_at: Some(completed_at),
            files: files.map(|file| file.map(|name| ImageFile { name: name.to_owned(), size: None })),
            fallback: None,
            is_forgotten: false,
        }
    }

    fn forgotten(files: [Option<&str>; 2]) -> Artwork {
        Artwork { is_forgotten: true, ..finished(NOW, files) }
    }

    const STATES: [RowState; 9] = [
        RowState::Pending,
        RowState::InFlight,
        RowState::InDoubt,
        RowState::Submitted,
        RowState::Exists,
        RowState::Failed,
        RowState::GaveUp,
        RowState::Completed,
        RowState::GenerationFailed,
    ];

    #[test]
    fn how_far_a_cover_has_come_in_every_state_by_every_goal() {
        let artworks = [
            ("no id", None, Artwork::default()),
            ("no images", Some("c"), Artwork::default()),
            ("images", Some("c"), finished(NOW, [None, None])),
            ("old images", Some("c"), finished(NOW.before(2 * IMAGES_LAST), [None, None])),
            ("one file", Some("c"), finished(NOW, [Some("1"), None])),
            ("both files", Some("c"), finished(NOW, [Some("1"), Some("2")])),
            ("forgotten", Some("c"), forgotten([Some("1"), None])),
            ("forgotten, both files", Some("c"), forgotten([Some("1"), Some("2")])),
            ("no time", Some("c"), Artwork { completed_at: None, ..finished(NOW, [None, None]) }),
        ];
        let mut table = String::new();
        for (name, cover, artwork) in artworks {
            for state in STATES {
                let record = record(state, cover, artwork.clone());
                let of = |goal| format!("{:?}", Cover::of(Some(&record), view(goal)));
                let all = [Goal::Accepted, Goal::Images, Goal::Files].map(of);
                writeln!(table, "{name:<22}{:<18}{:<10}{:<10}{}", state.word(), all[0], all[1], all[2]).unwrap();
            }
        }
        assert_eq!(Cover::of(None, view(Goal::Files)), Cover::Done);
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_cover_that_is_awaited_is_left_and_one_that_is_forgotten_failed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "task_id\n").unwrap();
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        let exit = |rows: &[(RowState, Option<&str>, Artwork)], goal| {
            let mut tally = Tally::default();
            for (number, (state, cover, artwork)) in rows.iter().enumerate() {
                let record = record(*state, *cover, artwork.clone());
                let line = ResultLine::valid(Some(&record), None, view(goal));
                let row = Row { number: u32::try_from(number).unwrap(), ..Row::default() };
                tally.add(&catalog, &Joined { row, record: Some(record) }, &line);
            }
            Exit::of_rows(&tally)
        };
        let done = (RowState::Completed, Some("c"), finished(NOW, [Some("1"), Some("2")]));
        let open = (RowState::Submitted, Some("c"), Artwork::default());
        let lost = (RowState::Submitted, Some("c"), forgotten([None, None]));
        let late = (RowState::Completed, Some("c"), forgotten([None, None]));
        let blind = (RowState::Exists, None, Artwork::default());
        for (rows, goal, expected) in [
            (vec![done.clone(), open.clone(), lost.clone(), blind.clone()], Goal::Accepted, Exit::Success),
            (vec![done.clone(), open.clone()], Goal::Images, Exit::Left),
            (vec![done.clone(), open.clone(), lost.clone()], Goal::Files, Exit::Left),
            (vec![done.clone(), lost.clone()], Goal::Files, Exit::Failed),
            (vec![done.clone(), lost], Goal::Images, Exit::Success),
            (vec![done.clone(), late], Goal::Files, Exit::Failed),
            (vec![done, blind], Goal::Files, Exit::Success),
        ] {
            assert_eq!(exit(&rows, goal), expected, "{rows:?} {goal:?}");
        }
    }

    #[tokio::test]
    async fn a_row_of_the_results_is_read_back_without_its_ledger() {
        let both = finished(NOW, [Some("a-1.png"), Some("a-2.png")]);
        let stand_in = Artwork { fallback: Some("a-default.png".to_owned()), ..finished(NOW, [None, None]) };
        let records = [
            record(RowState::Completed, Some("c1"), both),
            record(RowState::Completed, Some("c1"), finished(NOW, [Some("a-1.png"), None])),
            record(RowState::Submitted, Some("c1"), stand_in),
            record(RowState::Exists, None, Artwork::default()),
            record(RowState::Submitted, Some("c1"), finished(NOW, [None, None])),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        let names: Vec<&str> = ResultColumn::ALL.iter().map(|column| column.word()).collect();
        let mut text = format!("task_id,{}\n", names.join(","));
        for (number, record) in records.iter().enumerate() {
            let line = ResultLine::valid(Some(record), None, view(Goal::Accepted));
            writeln!(text, "t{number},{}", line.cells.join(",")).unwrap();
        }
        std::fs::write(&path, text).unwrap();
        let catalog = Arc::new(Catalog::open(&path.into(), &CatalogOptions::default()).unwrap());
        let mut join = Join::new(&catalog, None::<&SqliteLedger>, Trust::All).unwrap();
        let read: Vec<Record> = join.next().await.unwrap().into_iter().filter_map(|joined| joined.record).collect();
        assert_eq!(read, records);
    }
}
