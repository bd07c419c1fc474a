//! The rows that a run submits: where they come from, and where they are.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Row;
use super::waiting::Waiting;
use crate::worklist::{Worklist, WorklistError};

/// Rows that may wait for another attempt before no new ones are begun.
const MOST_WAITING: usize = 10_000;

/// Rows on their way from the worklist to their answer. Those that are due go before those that have not been sent yet.
#[derive(Debug)]
pub(super) struct Submissions {
    worklist: Worklist,
    waiting: Waiting,
    /// Rows whose music is finished.
    checked: VecDeque<Row>,
    /// The next row to submit, once the gate lets it pass.
    pub(super) to_submit: Option<Row>,
    /// The next row whose music is to be checked, once the gate of reads lets that pass.
    pub(super) to_check: Option<Row>,
    in_flight: usize,
    /// Those of them that have their answer, which is being written down.
    answered: usize,
    /// Whether the worklist has no more rows.
    is_exhausted: bool,
    /// Whether nothing new is submitted any more.
    has_ended: bool,
}

impl Submissions {
    pub(super) fn of(worklist: Worklist) -> Self {
        Self {
            worklist,
            waiting: Waiting::default(),
            checked: VecDeque::new(),
            to_submit: None,
            to_check: None,
            in_flight: 0,
            answered: 0,
            is_exhausted: false,
            has_ended: false,
        }
    }

    /// Has the next rows at hand, if there is room for them.
    pub(super) async fn take(&mut self, now: Instant, room: usize, checks_music: bool) -> Result<(), WorklistError> {
        self.line_up();
        let has_place = if checks_music { self.to_check.is_none() } else { self.to_submit.is_none() };
        if !has_place || !self.has_room(room) {
            return Ok(());
        }
        let Some(row) = self.due_row(now).await? else { return Ok(()) };
        if !checks_music {
            self.to_submit = Some(row);
        } else if row.is_checked {
            self.checked.push_back(row);
            self.line_up();
        } else {
            self.to_check = Some(row);
        }
        Ok(())
    }

    /// Has a row with finished music at hand, if there is one.
    fn line_up(&mut self) {
        if self.to_submit.is_none() {
            self.to_submit = self.checked.pop_front();
        }
    }

    /// Whether another row may set out. While the answers of some are on their way to the disk, others are on theirs.
    fn has_room(&self, room: usize) -> bool {
        let at_hand = self.checked.len() + usize::from(self.to_submit.is_some());
        self.unanswered() + at_hand < room && self.answered < room
    }

    /// Rows on their way without an answer.
    pub(super) const fn unanswered(&self) -> usize {
        self.in_flight - self.answered
    }

    /// A row that waited long enough, else one that has not been sent in this run.
    async fn due_row(&mut self, now: Instant) -> Result<Option<Row>, WorklistError> {
        if let Some(row) = self.waiting.pop_due(now) {
            return Ok(Some(row));
        }
        if self.is_exhausted || self.waiting.len() >= MOST_WAITING {
            return Ok(None);
        }
        let others_are_done = self.is_idle();
        let task = self.worklist.next(others_are_done).await?;
        self.is_exhausted = task.is_none() && others_are_done;
        Ok(task.map(|task| Row { task, failures: 0, is_checked: false }))
    }

    /// Whether no row is at hand, on its way or waiting.
    fn is_idle(&self) -> bool {
        let is_at_hand = self.to_submit.is_some() || self.to_check.is_some() || !self.checked.is_empty();
        self.in_flight == 0 && self.waiting.len() == 0 && !is_at_hand
    }

    /// The row to submit, on its way now.
    pub(super) fn depart(&mut self) -> Option<Row> {
        let row = self.to_submit.take()?;
        self.in_flight += 1;
        Some(row)
    }

    /// The row whose music is to be checked, on its way now.
    pub(super) fn depart_to_check(&mut self) -> Option<Row> {
        let row = self.to_check.take()?;
        self.in_flight += 1;
        Some(row)
    }

    /// A row has come back with finished music.
    pub(super) fn checked(&mut self, row: Row) {
        self.in_flight -= 1;
        self.checked.push_back(Row { is_checked: true, failures: 0, ..row });
    }

    /// A row has its answer, which is being written down.
    pub(super) const fn answered(&mut self) {
        self.answered += 1;
    }

    /// An answer is written down.
    pub(super) const fn written(&mut self) {
        self.answered -= 1;
    }

    /// A row has come back, to wait for another attempt or for good.
    pub(super) fn returned(&mut self, again: Option<(Row, Instant)>) {
        self.in_flight -= 1;
        if let Some((row, due)) = again {
            self.waiting.push(row, due);
        }
    }

    /// Nothing new is submitted any more; the ledger knows the rows as they are.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.to_submit = None;
        self.to_check = None;
        self.checked.clear();
    }

    /// Whether nothing is on its way and nothing is left to submit.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && (self.has_ended || (self.is_exhausted && self.is_idle()))
    }

    /// When the next waiting row is due, if there is room for it.
    pub(super) fn next_due(&self, room: usize) -> Option<Instant> {
        let has_place = self.to_submit.is_none() && self.to_check.is_none() && self.has_room(room);
        self.waiting.next_due().filter(|_| has_place && !self.has_ended)
    }

    /// How many rows wait for another attempt.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }
}
