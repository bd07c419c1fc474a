//! What is known of many music tasks at once.
//!
//! Rows of a catalog mostly came into the ledger in about the order in which they stand there. So the table is walked
//! along from where one of them is, for as long as it holds what is asked for, which reads each page once; only what
//! such walks do not meet is searched in the index, in its order, so that neighbours there share their pages.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};

use super::columns::{answer, credits, image_file, reason, route, state, time_if_any, unusable};
use super::failure::Failure;
use crate::domain::{CoverTaskId, Images, MAX_IMAGES, MusicTaskId, RowState};
use crate::ledger::record::{Artwork, KnownState, Record};

/// Rows of the table in a row that may be in vain on a walk: submissions under way at the same time are in no order. As
/// many music tasks may be unknown before the rest of them is searched in its order.
const PATIENCE: u16 = 64;

/// What is looked up of each music task.
pub(super) trait Known: Clone {
    /// The columns that it is read from.
    const COLUMNS: &'static str;

    /// Reads it from the columns from the second on.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

/// What is known of each of these music tasks, in their order.
pub(super) fn look_up<K: Known>(connection: &Connection, tasks: &[MusicTaskId]) -> Result<Vec<Option<K>>, Failure> {
    let mut look_up = LookUp::new(connection, tasks)?;
    look_up.walk_along()?;
    look_up.search()
}

/// A look-up under way.
struct LookUp<'a, K> {
    place: CachedStatement<'a>,
    along: CachedStatement<'a>,
    one: CachedStatement<'a>,
    tasks: &'a [MusicTaskId],
    /// Where in `tasks` those are that a walk may still meet.
    wanted: HashMap<&'a str, usize>,
    found: Vec<Option<K>>,
}

impl<'a, K: Known> LookUp<'a, K> {
    /// Nothing looked up yet.
    fn new(connection: &'a Connection, tasks: &'a [MusicTaskId]) -> rusqlite::Result<Self> {
        let columns = K::COLUMNS;
        Ok(Self {
            place: connection.prepare_cached("SELECT seq FROM task WHERE id = ?1")?,
            along: connection
                .prepare_cached(&format!("SELECT id, {columns} FROM task WHERE seq >= ?1 ORDER BY seq"))?,
            one: connection.prepare_cached(&format!("SELECT id, {columns} FROM task WHERE id = ?1"))?,
            tasks,
            wanted: tasks.iter().map(MusicTaskId::as_str).zip(0..).collect(),
            found: vec![None; tasks.len()],
        })
    }

    /// Meets on walks what stands close together, for as long as that is most of it.
    fn walk_along(&mut self) -> Result<(), Failure> {
        let mut absent = 0;
        for task in self.tasks {
            // One that repeats an earlier one is searched for itself, since the walk gives each row to one only.
            if !self.wanted.contains_key(task.as_str()) {
                continue;
            }
            let is_in_vain = if let Some(seq) = self.place_of(task)? {
                self.walk(seq)? < usize::from(PATIENCE)
            } else {
                absent += 1;
                absent == PATIENCE
            };
            if is_in_vain {
                break;
            }
        }
        Ok(())
    }

    /// Where in the table a music task is; if nowhere, it is not wanted any more.
    fn place_of(&mut self, task: &MusicTaskId) -> rusqlite::Result<Option<i64>> {
        let place = self.place.query_row([task.as_str()], |row| row.get(0)).optional()?;
        if place.is_none() {
            self.wanted.remove(task.as_str());
        }
        Ok(place)
    }

    /// Walks along the table from shortly before a row; how many are met that are wanted.
    fn walk(&mut self, seq: i64) -> Result<usize, Failure> {
        let mut rows = self.along.query([seq - i64::from(PATIENCE)])?;
        let (mut met, mut in_vain) = (0, 0);
        while in_vain <= PATIENCE && !self.wanted.is_empty() {
            let Some(row) = rows.next()? else { break };
            if let Some(at) = self.wanted.remove(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?) {
                self.found[at] = Some(read(row, &self.tasks[at])?);
                (met, in_vain) = (met + 1, 0);
            } else {
                in_vain += 1;
            }
        }
        Ok(met)
    }

    /// Searches what no walk has met.
    fn search(mut self) -> Result<Vec<Option<K>>, Failure> {
        let tasks = self.tasks;
        let mut left: Vec<usize> = (0..tasks.len()).filter(|at| self.found[*at].is_none()).collect();
        left.sort_unstable_by_key(|at| tasks[*at].as_str());
        for at in left {
            let mut rows = self.one.query([tasks[at].as_str()])?;
            self.found[at] = rows.next()?.map(|row| read(row, &tasks[at])).transpose()?;
        }
        Ok(self.found)
    }
}

/// Reads what is known of a music task; what cannot be is an error that names it.
fn read<K: Known>(row: &Row<'_>, task: &MusicTaskId) -> Result<K, Failure> {
    K::read(row).map_err(|cause| Failure::Unbelievable { task: task.to_string(), cause })
}

impl Known for KnownState {
    const COLUMNS: &'static str = "state, failed_runs";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { state: state(row, 1)?, failed_runs: row.get(2)? })
    }
}

impl Known for Record {
    const COLUMNS: &'static str = "state, reason, http_status, code, message, cover_id, submissions, failed_runs,
                                   first_sent_at, answered_at, route, credits, image_1, image_2, completed_at, file_1,
                                   width_1, height_1, bytes_1, file_2, width_2, height_2, bytes_2, fallback, is_forgotten";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        record(row)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let state = state(row, 1)?;
    let finished_at = match state {
        RowState::Submitted
        | RowState::Exists
        | RowState::Failed
        | RowState::GaveUp
        | RowState::Completed
        | RowState::GenerationFailed
        | RowState::Ignored => time_if_any(row, 10)?,
        RowState::Pending | RowState::InFlight | RowState::InDoubt => None,
    };
    Ok(Record {
        state,
        reason: reason(row, 2)?,
        answer: answer(row, 3)?,
        cover: row.get_ref(6)?.as_str_or_null()?.map(CoverTaskId::new).transpose().map_err(|bad| unusable(6, bad))?,
        route: route(row, 11)?,
        credits: credits(row, 12)?,
        submissions: row.get(7)?,
        failed_runs: row.get(8)?,
        first_sent_at: time_if_any(row, 9)?,
        finished_at,
        artwork: artwork(row, 13)?,
    })
}

/// What is known of the images in the columns from `first`.
fn artwork(row: &Row<'_>, first: usize) -> rusqlite::Result<Artwork> {
    let urls: [Option<String>; MAX_IMAGES] = [row.get(first)?, row.get(first + 1)?];
    Ok(Artwork {
        images: Images::new(urls.into_iter().flatten()),
        completed_at: time_if_any(row, first + 2)?,
        files: [image_file(row, first + 3)?, image_file(row, first + 7)?],
        fallback: row.get(first + 11)?,
        is_forgotten: row.get(first + 12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sqlite::open;

    const KNOWN: usize = 700;

    /// A ledger of some rows, the first of which was sent at 0 and so on, `order` saying which row is where.
    fn ledger(order: impl Fn(usize) -> usize) -> Connection {
        let connection = open::in_memory("https://api.example").unwrap();
        let mut insert = connection
            .prepare(
                "INSERT INTO task (id, state, submissions, failed_runs, first_sent_at)
                      VALUES (?1, 'failed', 1, ?2, ?2)",
            )
            .unwrap();
        for row in (0..KNOWN).map(order) {
            insert.execute((id(row).as_str(), i64::try_from(row).unwrap())).unwrap();
        }
        drop(insert);
        connection
    }

    /// Ids whose order is not that of the rows.
    fn id(row: usize) -> MusicTaskId {
        MusicTaskId::new(format!("{:03}-{row}", row * 389 % 1009)).unwrap()
    }

    #[test]
    fn every_order_of_the_ledger_and_the_catalog_gives_the_same() {
        let shuffled = |row: usize| row * 297 % KNOWN;
        let scrambled = |row: usize| row ^ 5;
        let orders: [fn(usize) -> usize; 4] = [|row| row, |row| KNOWN - 1 - row, shuffled, |row| (row + 350) % KNOWN];
        let catalogs: [Vec<usize>; 8] = [
            (0..KNOWN).collect(),
            (0..KNOWN).rev().collect(),
            (0..KNOWN).map(shuffled).collect(),
            (0..KNOWN).map(scrambled).collect(),
            (0..KNOWN + 200).collect(),
            (KNOWN..KNOWN + 200).chain(0..KNOWN).collect(),
            (0..KNOWN).flat_map(|row| [row, KNOWN + row, row / 2]).collect(),
            (0..KNOWN).step_by(70).collect(),
        ];
        for order in orders {
            let connection = ledger(order);
            for catalog in &catalogs {
                let tasks: Vec<MusicTaskId> = catalog.iter().map(|row| id(*row)).collect();
                let expected: Vec<Option<usize>> =
                    catalog.iter().map(|row| Some(*row).filter(|row| *row < KNOWN)).collect();
                let records = look_up::<Record>(&connection, &tasks).unwrap();
                let sent = |record: Record| usize::try_from(record.first_sent_at.unwrap().0).unwrap();
                assert_eq!(records.into_iter().map(|record| record.map(sent)).collect::<Vec<_>>(), expected);
                let states = look_up::<KnownState>(&connection, &tasks).unwrap();
                let failed = |known: KnownState| usize::try_from(known.failed_runs).unwrap();
                assert_eq!(states.into_iter().map(|known| known.map(failed)).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn a_walk_goes_on_past_rows_that_are_not_asked_for_and_gives_up_after_too_many() {
        let connection = ledger(|row| row);
        let walked = |rows: Vec<usize>| {
            let tasks: Vec<MusicTaskId> = rows.into_iter().map(id).collect();
            let mut look_up = LookUp::<KnownState>::new(&connection, &tasks).unwrap();
            let place = look_up.place_of(&tasks[0]).unwrap().unwrap();
            look_up.walk(place).unwrap()
        };
        let gap = usize::from(PATIENCE) + 1;
        assert_eq!(walked(vec![100, 101, 103, 102, 101 + gap]), 5);
        assert_eq!(walked(vec![100, 100 + gap, 101 + 2 * gap]), 2);
        assert_eq!(walked(vec![100, 100 - gap + 1, 99]), 3, "those shortly before it are met too");
    }

    #[test]
    fn walks_meet_what_stands_close_together_and_end_with_the_first_that_is_in_vain() {
        let connection = ledger(|row| row);
        let met = |rows: Vec<usize>| {
            let tasks: Vec<MusicTaskId> = rows.into_iter().map(id).collect();
            let mut look_up = LookUp::<KnownState>::new(&connection, &tasks).unwrap();
            look_up.walk_along().unwrap();
            look_up.found.iter().flatten().count()
        };
        let enough = usize::from(PATIENCE);
        assert_eq!(met((0..KNOWN).collect()), KNOWN);
        assert_eq!(met((0..KNOWN).rev().collect()), KNOWN);
        assert_eq!(met((0..enough).chain(300..300 + enough).collect()), 2 * enough);
        assert_eq!(met((1..enough).chain(300..300 + enough).collect()), enough - 1);
        assert_eq!(met((0..KNOWN).step_by(200).collect()), 1);
        let after = |absent: usize| met((KNOWN..KNOWN + absent).chain(0..100).collect());
        assert_eq!([after(enough - 1), after(enough)], [100, 0]);
    }
}
