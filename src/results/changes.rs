//! What has changed since earlier results: where these say that the rows of a catalog stood, which whoever read about the
//! run before knows, and what is another way now.
//!
//! Both files are walked through in their order, and most catalogs only grow at their end. From the first row on that is
//! another, rows are matched by their names in temporary files, so memory grows by one byte a row however they moved.

use std::io;

use serde::Serialize;

use super::line::{Goal, View};
use super::named::{NamedRows, RowName};
use super::standing::Standing;
use crate::catalog::{Catalog, CatalogError, DuplicateIndex, Labels, Row, Rows};
use crate::clock::UnixMillis;
use crate::domain::{IMAGES_APPEAR, Reason};
use crate::join::{Joined, Trust, believed};
use crate::ledger::Record;
use crate::policy::REJECTED_RUNS;

/// Where the rows of a catalog stood when earlier results were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// Those of all rows, in their order.
    standings: Vec<Standing>,
    /// Rows of the earlier results that the catalog has no more.
    pub(super) vanished: NamedRows,
    /// Since when nobody was told anything, if that is known.
    pub(super) since: Option<UnixMillis>,
}

impl Before {
    /// What `earlier` results say of the rows of a catalog, whose `labels` name them; what has become of a row after
    /// `told_until`, if that is given, nobody was told yet. Blocks for as long as reading both files takes.
    ///
    /// # Errors
    /// [`CatalogError`] if one of them cannot be read, or temporary space runs out.
    pub fn read(
        catalog: &Catalog,
        earlier: &Catalog,
        labels: &Labels,
        (view, told_until): (View, Option<UnixMillis>),
    ) -> Result<Self, CatalogError> {
        let mut standings = Vec::with_capacity(catalog.check().rows as usize);
        let (mut rows, mut earlier_rows) = (Pass::new(catalog)?, Pass { told_until, ..Pass::new(earlier)? });
        while rows.next()? & earlier_rows.next()? && is_same(&rows, &earlier_rows) {
            standings.push(earlier_rows.standing(view));
        }
        let gone = matched(rows, earlier_rows, &mut standings, view)?;
        // Whoever asks for some rows does not ask for what became of others.
        let gone = if catalog.is_confined() { Vec::new() } else { gone };
        let vanished = named(earlier, &labels.within(earlier), gone)?;
        Ok(Self { standings, vanished, since: told_until.or(earlier.written_at()) })
    }

    /// Where a row stood, by its number.
    pub(super) fn of(&self, row_number: u32) -> Standing {
        let at = (row_number as usize).checked_sub(1);
        at.and_then(|at| self.standings.get(at)).copied().unwrap_or(Standing::New)
    }
}

/// A walk through the rows of a file.
struct Pass<'a> {
    catalog: &'a Catalog,
    rows: Rows,
    row: Row,
    is_over: bool,
    /// What is later than this has been told to nobody.
    told_until: Option<UnixMillis>,
}

impl<'a> Pass<'a> {
    fn new(catalog: &'a Catalog) -> Result<Self, CatalogError> {
        Ok(Self { catalog, rows: catalog.rows()?, row: Row::default(), is_over: false, told_until: None })
    }

    /// Goes to the next row, if there is one.
    fn next(&mut self) -> Result<bool, CatalogError> {
        self.is_over = !self.rows.next_row(&mut self.row)?;
        Ok(!self.is_over)
    }

    /// What tells the row from all others: its id, else all that it says.
    fn name(&self) -> Vec<u8> {
        match &self.row.id {
            Ok(id) => id.as_str().as_bytes().to_vec(),
            // No id holds such a character.
            Err(_) => self.catalog.own_cells(&self.row).flat_map(|cell| b"\x1f".iter().chain(cell)).copied().collect(),
        }
    }

    /// Where the row stood, by what its file says.
    fn standing(&self, view: View) -> Standing {
        if self.row.id.is_err() {
            return Standing::Left;
        }
        // Whoever tries with the stand-in has read of its covers too.
        let mut record = self.row.previous.as_deref().and_then(|previous| believed(previous, Trust::All));
        if let Some(record) = &mut record {
            // As the ledger knew it: what a host does not have at first may still come.
            let is_old = record.artwork.completed_at.zip(self.catalog.written_at());
            let is_old = is_old.is_some_and(|(completed, written)| completed.until(written) >= IMAGES_APPEAR);
            record.artwork.is_forgotten = is_old && record.reason == Some(Reason::NotFound);
        }
        match record.as_ref().filter(|record| self.told_until.is_some_and(|until| is_after(until, record, view.goal))) {
            Some(_) => Standing::Open,
            None => Standing::of_record(record.as_ref(), view),
        }
    }
}

/// Whether a row came to where it stands after this.
fn is_after(until: UnixMillis, record: &Record, goal: Goal) -> bool {
    let completed_at = if goal == Goal::Accepted { None } else { record.artwork.completed_at };
    record.finished_at.max(completed_at).is_some_and(|at| at > until)
}

fn is_same(one: &Pass<'_>, other: &Pass<'_>) -> bool {
    match (&one.row.id, &other.row.id) {
        (Ok(id), Ok(before)) => id == before,
        (Err(_), Err(_)) => one.name() == other.name(),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// Adds where the rows from the current one on stood, by their names. Returns the numbers of the earlier rows that there
/// are no more.
fn matched(
    mut rows: Pass<'_>,
    mut earlier: Pass<'_>,
    standings: &mut Vec<Standing>,
    view: View,
) -> Result<Vec<u32>, CatalogError> {
    let (mut index, mut known, first_earlier) = (DuplicateIndex::new(), Vec::new(), earlier.row.number);
    while !earlier.is_over {
        note(&mut index, &earlier, known.len())?;
        known.push((earlier.standing(view), earlier.catalog.first_row_of(earlier.row.number).is_some()));
        earlier.next()?;
    }
    let in_order = standings.len();
    while !rows.is_over {
        note(&mut index, &rows, known.len() + standings.len() - in_order)?;
        standings.push(Standing::New);
        rows.next()?;
    }
    let found = index.each(|row, first| {
        let (row, first) = (row as usize, first as usize);
        // Rows of the catalog may repeat one another too.
        if let (Some(at), Some((standing, is_found))) = (row.checked_sub(known.len()), known.get_mut(first)) {
            standings[in_order + at] = *standing;
            *is_found = true;
        }
        Ok(())
    });
    found.map_err(CatalogError::TemporarySpace)?;
    let gone = known.iter().zip(first_earlier..).filter(|((_, is_found), _)| !is_found).map(|(_, number)| number);
    Ok(gone.collect())
}

fn note(index: &mut DuplicateIndex, pass: &Pass<'_>, at: usize) -> Result<(), CatalogError> {
    let number = u32::try_from(at).map_err(io::Error::other);
    number.and_then(|number| index.note(&pass.name(), number)).map_err(CatalogError::TemporarySpace)
}

/// Rows of a file by their numbers, the first of which are named.
fn named(catalog: &Catalog, labels: &Labels, numbers: Vec<u32>) -> Result<NamedRows, CatalogError> {
    let mut named = NamedRows::default();
    let mut numbers = numbers.into_iter().peekable();
    let mut pass = Pass::new(catalog)?;
    while named.names_next() && numbers.peek().is_some() && pass.next()? {
        if numbers.next_if_eq(&pass.row.number).is_some() {
            named.add(|| RowName { line: None, ..RowName::of(catalog, labels, &pass.row) });
        }
    }
    named.rows += numbers.count() as u64;
    Ok(named)
}

/// What has changed since earlier results; with none, everything is new. Each music task is counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// When the earlier results told of were written.
    pub since: Option<UnixMillis>,
    /// Whether there were any.
    #[serde(skip)]
    pub has_before: bool,
    /// Covers of rows that had not failed.
    pub new_covers: NamedRows,
    /// Covers of rows that had failed.
    pub mended: NamedRows,
    /// Rows that had not failed, or only for what may pass, and that somebody has to see to now.
    pub newly_failed: NamedRows,
    /// Failed rows that the next run tries for the last time.
    pub last_try: NamedRows,
    /// Failed rows that no run tries any more by itself.
    pub left_alone: NamedRows,
    /// Rows that the earlier results do not have.
    pub new_rows: NamedRows,
    /// Rows that only the earlier results have.
    pub vanished_rows: NamedRows,
}

impl Changes {
    /// Nothing yet; beside the rows that are gone.
    pub(super) fn since(before: Option<&Before>) -> Self {
        Self {
            since: before.and_then(|before| before.since),
            has_before: before.is_some(),
            vanished_rows: before.map(|before| before.vanished.clone()).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Counts what has changed of a row that stood and stands so.
    pub(super) fn add(&mut self, (before, now): (Standing, Standing), joined: &Joined, name: impl Fn() -> RowName) {
        if self.has_before && before == Standing::New {
            self.new_rows.add(&name);
        }
        if now.has_failed() && is_at_last_try(joined, now) {
            self.last_try.add(&name);
        }
        let change = match (before, now) {
            (Standing::New | Standing::Ignored | Standing::Open, Standing::Covered) => &mut self.new_covers,
            (Standing::Retried | Standing::Refused | Standing::Left, Standing::Covered) => &mut self.mended,
            (Standing::Refused, Standing::Left) => &mut self.left_alone,
            (before, now) if now.has_failed() && now > before => &mut self.newly_failed,
            (_, _) => return,
        };
        change.add(name);
    }

    /// Whether there were earlier results and all is as they say.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self { new_covers, mended, newly_failed, last_try, left_alone, new_rows, vanished_rows, .. } = self;
        let all = [new_covers, mended, newly_failed, last_try, left_alone, new_rows, vanished_rows];
        self.has_before && all.iter().all(|rows| rows.rows == 0)
    }
}

/// Whether the next run is the last that tries a row by itself.
fn is_at_last_try(joined: &Joined, now: Standing) -> bool {
    now != Standing::Left && joined.record.as_ref().is_some_and(|record| record.failed_runs + 1 == REJECTED_RUNS)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::catalog::CatalogOptions;
    use crate::domain::ResultColumn;
    use crate::policy::InDoubt;

    fn open(text: &str) -> (NamedTempFile, Catalog) {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let catalog = Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap();
        (file, catalog)
    }

    fn catalog(ids: &[&str]) -> (NamedTempFile, Catalog) {
        open(&ids.iter().fold("task_id,title\n".to_owned(), |text, id| text + id + ",title\n"))
    }

    /// Results with these ids and statuses.
    fn results(rows: &[(&str, &str, &str)]) -> (NamedTempFile, Catalog) {
        let mut text = format!("task_id,title,{}\n", ResultColumn::WORDS.join(","));
        for (id, status, retryable) in rows {
            writeln!(text, "{id},title,{status},{retryable}{}", ",".repeat(ResultColumn::WORDS.len() - 2)).unwrap();
        }
        open(&text)
    }

    fn view() -> View {
        let now = UnixMillis(0);
        View {
            unreached: None,
            in_doubt: InDoubt::Resend,
            trust: Trust::All,
            goal: Goal::Accepted,
            now,
            warn_below: None,
        }
    }

    const RESULTS: [(&str, &str, &str); 6] = [
        ("a", "submitted", "no"),
        ("b", "failed", "yes"),
        ("c", "gave_up", "yes"),
        ("", "invalid", "no"),
        ("d", "failed", "no"),
        ("e", "pending", "yes"),
    ];

    fn read(ids: &[&str]) -> (Vec<Standing>, Vec<String>, u64) {
        let ((_file, catalog), (_results, earlier)) = (catalog(ids), results(&RESULTS));
        let before = Before::read(&catalog, &earlier, &Labels::default(), (view(), None)).unwrap();
        let standings = (1..=u32::try_from(ids.len()).unwrap()).map(|number| before.of(number)).collect();
        let vanished = before.vanished.first.iter().map(ToString::to_string).collect();
        (standings, vanished, before.vanished.rows)
    }

    #[test]
    fn a_row_is_found_wherever_it_moved() {
        use Standing::{Covered, Left, New, Open, Refused, Retried};
        let all = vec![Covered, Refused, Retried, Left, Left, Open];
        assert_eq!(read(&["a", "b", "c", "", "d", "e"]), (all.clone(), vec![], 0));
        let grown = [all.clone(), vec![New]].concat();
        assert_eq!(read(&["a", "b", "c", "", "d", "e", "f"]), (grown, vec![], 0));
        assert_eq!(read(&["new", "a", "b", "c", "", "d", "e"]), ([vec![New], all].concat(), vec![], 0));
        assert_eq!(read(&["e", "d", "", "c", "b", "a"]).0, [Open, Left, Left, Retried, Refused, Covered]);
        assert_eq!(read(&["x", "a", "x", "a"]).0[..2], [New, Covered]);
    }

    #[test]
    fn rows_that_are_there_no_more_are_counted_and_the_first_named() {
        assert_eq!(read(&["a", "b", "c", "", "d"]).1, ["e (title)"]);
        assert_eq!(
            read(&["e"]),
            (
                vec![Standing::Open],
                vec![
                    "a (title)".into(),
                    "b (title)".into(),
                    "c (title)".into(),
                    "a row without an id (title)".into(),
                    "d (title)".into()
                ],
                5
            )
        );
        assert_eq!(read(&["a", "e", "b", "c", "d"]).1, ["a row without an id (title)"]);
    }

    #[test]
    fn a_repeated_row_of_the_results_does_not_vanish() {
        let (_results, earlier) = results(&[("a", "submitted", "no"), ("a", "submitted", "no"), ("b", "failed", "no")]);
        let (_file, catalog) = catalog(&["b", "a"]);
        let before = Before::read(&catalog, &earlier, &Labels::default(), (view(), None)).unwrap();
        assert_eq!(before.vanished.rows, 0);
        assert_eq!((before.of(1), before.of(2), before.of(3)), (Standing::Left, Standing::Covered, Standing::New));
    }
}
