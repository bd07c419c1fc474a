//! The rows that a run submits: in which order, and which of them wait.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::domain::MusicTaskId;
use crate::ledger::AttemptKey;
use crate::worklist::{Worklist, WorklistError};

/// Rows that may wait for another attempt before no new ones are begun.
const MOST_WAITING: usize = 10_000;

/// A music task on its way through this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) task: MusicTaskId,
    /// Answers about it in this run that settled nothing.
    pub(super) failures: u32,
    /// Whether its music is known to be finished.
    pub(super) is_checked: bool,
    /// The last submission that was known when it was decided to send it, if that was after the run began.
    pub(super) seen: Option<AttemptKey>,
    /// How often it was found on its way in another run.
    pub(super) found_elsewhere: u32,
}

/// Rows on their way from the worklist to their end. Those that are due go before those that have not been sent yet.
#[derive(Debug)]
pub(super) struct Queue {
    worklist: Worklist,
    /// Rows that wait for another attempt, by when they are due; those due at one time keep their order.
    waiting: BTreeMap<(Instant, u64), Row>,
    /// Rows added to those that wait, so far.
    turns: u64,
    /// The next row, if one is due.
    next: Option<Row>,
    /// Rows that go before the next one: their music was found to be finished, or other runs left no room for them.
    front: VecDeque<Row>,
    checks_music: bool,
    /// Rows that were taken and have not come back.
    in_flight: usize,
    /// Whether the worklist has no more rows.
    is_exhausted: bool,
    /// Whether nothing new is submitted any more.
    has_ended: bool,
}

impl Queue {
    pub(super) fn of(worklist: Worklist) -> Self {
        Self {
            worklist,
            waiting: BTreeMap::new(),
            turns: 0,
            next: None,
            front: VecDeque::new(),
            checks_music: false,
            in_flight: 0,
            is_exhausted: false,
            has_ended: false,
        }
    }

    /// The same, with each row's music checked before it is submitted.
    pub(super) fn checking_music(self) -> Self {
        Self { checks_music: true, ..self }
    }

    /// Has the next row at hand, if one is due and there is `room` for it beside those under way.
    ///
    /// While everyone is paused it is one that has not been sent yet, if there is one: it probes for the others, and those that
    /// are due may be the only ones that the service has trouble with.
    pub(super) async fn load(&mut self, now: Instant, room: usize, is_paused: bool) -> Result<(), WorklistError> {
        if self.next.is_some() || self.has_ended || self.front.len() >= room {
            return Ok(());
        }
        if is_paused {
            self.next = self.unsent_row().await?;
        }
        if self.next.is_none() && self.next_due().is_some_and(|due| due <= now) {
            self.next = self.waiting.pop_first().map(|(_, row)| row);
        }
        if self.next.is_none() {
            self.next = self.unsent_row().await?;
        }
        Ok(())
    }

    /// A row that has not been sent in this run. Those in doubt come once nothing else is left.
    async fn unsent_row(&mut self) -> Result<Option<Row>, WorklistError> {
        if self.is_exhausted || self.waiting.len() >= MOST_WAITING {
            return Ok(None);
        }
        let others_are_done = self.is_idle();
        let task = self.worklist.next(others_are_done).await?;
        self.is_exhausted = task.is_none() && others_are_done;
        Ok(task.map(|task| Row { task, failures: 0, is_checked: !self.checks_music, seen: None, found_elsewhere: 0 }))
    }

    /// Whether a row can be submitted.
    pub(super) fn has_row(&self) -> bool {
        !self.front.is_empty() || self.next.as_ref().is_some_and(|row| row.is_checked)
    }

    /// Whether the music of a row is to be checked.
    pub(super) fn has_unchecked_row(&self) -> bool {
        self.next.as_ref().is_some_and(|row| !row.is_checked)
    }

    /// The row to submit, on its way now.
    pub(super) fn take(&mut self) -> Option<Row> {
        let row = self.front.pop_front().or_else(|| self.next.take_if(|row| row.is_checked))?;
        self.in_flight += 1;
        Some(row)
    }

    /// The row whose music is to be checked, on its way now.
    pub(super) fn take_unchecked(&mut self) -> Option<Row> {
        let row = self.next.take_if(|row| !row.is_checked)?;
        self.in_flight += 1;
        Some(row)
    }

    /// A row has come back that is not sent again in this run.
    pub(super) const fn finish(&mut self) {
        self.in_flight -= 1;
    }

    /// A row has come back, to wait for another attempt.
    pub(super) fn put_back(&mut self, row: Row, due: Instant) {
        self.in_flight -= 1;
        self.turns += 1;
        self.waiting.insert((due, self.turns), row);
    }

    /// A row has come back with finished music.
    pub(super) fn put_back_checked(&mut self, row: Row) {
        self.in_flight -= 1;
        if !self.has_ended {
            self.front.push_back(Row { is_checked: true, failures: 0, ..row });
        }
    }

    /// A row has come back that others left no room for: it is the next one.
    pub(super) fn put_first(&mut self, row: Row) {
        self.in_flight -= 1;
        if !self.has_ended {
            self.front.push_front(row);
        }
    }

    /// Adds rows that another run left in doubt, known from the submission `seen`; they are due at a time.
    pub(super) fn add(&mut self, tasks: Vec<MusicTaskId>, seen: AttemptKey, due: Instant) {
        for task in tasks {
            self.in_flight += 1;
            self.put_back(Row { task, failures: 0, is_checked: true, seen: Some(seen), found_elsewhere: 0 }, due);
        }
    }

    /// Nothing new is submitted any more; the ledger knows the rows as they are.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.next = None;
        self.front.clear();
    }

    /// Rows that were taken and have not come back.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether nothing is on its way and nothing is left to submit.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && (self.has_ended || (self.is_exhausted && self.is_idle()))
    }

    /// When the next row that waits is due, if it could be taken at hand then: see [`Self::load`].
    pub(super) fn wakes_at(&self, room: usize) -> Option<Instant> {
        self.next_due().filter(|_| self.next.is_none() && !self.has_ended && self.front.len() < room)
    }

    /// How many rows wait for another attempt.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Whether no row is at hand, on its way or waiting.
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.next.is_none() && self.front.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;
    use std::time::Duration;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::catalog::{Catalog, CatalogOptions};
    use crate::clock::Clock;
    use crate::ledger::SqliteLedger;
    use crate::policy::{InDoubt, Retry};
    use crate::worklist::Selection;

    const ROOM: usize = 8;

    /// Nothing but these rows, which are due at once.
    fn of(ids: &[&str], now: Instant) -> Queue {
        let mut queue = Queue::of(Worklist::default());
        let tasks = ids.iter().map(|id| MusicTaskId::new(*id).unwrap()).collect();
        queue.add(tasks, AttemptKey(7), now);
        queue
    }

    async fn taken(queue: &mut Queue, now: Instant) -> Option<Row> {
        queue.load(now, ROOM, false).await.unwrap();
        queue.take()
    }

    #[tokio::test]
    async fn rows_that_are_due_at_the_same_time_come_in_the_order_in_which_they_were_put_back() {
        let now = Clock::start().now();
        let mut queue = of(&["a", "b", "c"], now);
        assert_eq!((queue.in_flight(), queue.waiting()), (0, 3));
        for expected in ["a", "b", "c"] {
            let row = taken(&mut queue, now).await.unwrap();
            assert_eq!((row.task.as_str(), row.seen), (expected, Some(AttemptKey(7))));
        }
        assert_eq!(taken(&mut queue, now).await, None);
        assert_eq!(queue.in_flight(), 3);
    }

    #[tokio::test]
    async fn it_is_over_once_nothing_is_left_and_nothing_is_on_its_way() {
        let now = Clock::start().now();
        let mut queue = of(&["a"], now);
        assert!(!queue.is_over(), "a row waits");
        taken(&mut queue, now).await.unwrap();
        assert!(!queue.is_over(), "a row is on its way");
        queue.end();
        assert!(!queue.is_over(), "its answer is awaited in any case");
        queue.finish();
        assert!(queue.is_over());
        let mut ended = of(&["a"], now);
        ended.end();
        assert!(ended.is_over(), "what waits is not sent any more");
        let mut empty = Queue::of(Worklist::default());
        assert!(!empty.is_over(), "nobody has looked into the worklist yet");
        assert_eq!(taken(&mut empty, now).await, None);
        assert!(empty.is_over());
    }

    #[tokio::test]
    async fn a_row_whose_music_was_checked_begins_with_all_its_attempts() {
        let now = Clock::start().now();
        let mut queue = of(&["a"], now);
        let row = taken(&mut queue, now).await.unwrap();
        queue.put_back_checked(Row { failures: 5, is_checked: false, ..row.clone() });
        assert_eq!((queue.in_flight(), queue.take()), (0, Some(Row { failures: 0, is_checked: true, ..row })));
    }

    #[tokio::test]
    async fn what_waits_wakes_the_loop_if_it_could_be_taken_at_hand_then() {
        let now = Clock::start().now();
        let mut queue = of(&["a", "b"], now + Duration::from_secs(5));
        let due = Some(now + Duration::from_secs(5));
        assert_eq!((queue.wakes_at(1), queue.wakes_at(0)), (due, None));
        queue.load(now, ROOM, false).await.unwrap();
        assert!(!queue.has_row(), "it is not due yet");
        let row = taken(&mut queue, now + Duration::from_secs(5)).await.unwrap();
        queue.put_first(row);
        assert_eq!((queue.wakes_at(2), queue.wakes_at(1)), (due, None), "one is at the front");
        queue.end();
        assert_eq!(queue.wakes_at(2), None);
    }

    #[tokio::test]
    async fn while_ten_thousand_rows_wait_none_is_begun() {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(b"task_id\n").unwrap();
        (0..=MOST_WAITING).for_each(|row| writeln!(file, "t{row:07}").unwrap());
        let catalog = Arc::new(Catalog::open(&file.path().to_path_buf().into(), &CatalogOptions::default()).unwrap());
        let ledger = SqliteLedger::in_memory("https://api.example").unwrap();
        let selection = Selection { retry: Retry::Retryable, in_doubt: InDoubt::Resend, limit: None };
        let (worklist, _) = Worklist::plan(&catalog, vec![&ledger], selection).await.unwrap();
        let (mut queue, now) = (Queue::of(worklist), Clock::start().now());
        let later = now + Duration::from_secs(60);
        for _ in 0..MOST_WAITING {
            let row = taken(&mut queue, now).await.unwrap();
            queue.put_back(row, later);
        }
        assert_eq!(taken(&mut queue, now).await, None);
        assert_eq!(taken(&mut queue, later).await.unwrap().task.as_str(), "t0000000");
        assert_eq!(taken(&mut queue, now).await.unwrap().task.as_str(), format!("t{MOST_WAITING:07}"));
    }
}
