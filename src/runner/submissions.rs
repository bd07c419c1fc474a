//! The rows that a run submits: where they come from, and where they are.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Row;
use super::flight::Departing;
use super::waiting::Waiting;
use crate::worklist::{Worklist, WorklistError};

/// Rows that may wait for another attempt before no new ones are begun.
const MOST_WAITING: usize = 10_000;

/// As long as an announced row may wait for a place. It is announced with the time, which the pace of the next run counts
/// from if this one is killed.
pub(super) const MOMENT: Duration = Duration::from_millis(50);

/// What limits the rows under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Requests that may be on their way.
    pub(super) places: usize,
    /// Whether the gate is open: who comes after a pause may be its probe, and has to have a place.
    pub(super) is_open: bool,
}

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
    /// Rows that have leave to be sent and are not announced yet.
    leaving: Vec<Departing>,
    /// Rows that are announced or being announced, or whose music is being checked.
    in_flight: usize,
    /// Those of them that have a place: a request is on its way, or about to be.
    sent: usize,
    /// Those of them that have their answer, which is being written down.
    answered: usize,
    /// Whether the last answer came so soon that a row which waits for a place waits for a moment only.
    is_swift: bool,
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
            leaving: Vec::new(),
            in_flight: 0,
            sent: 0,
            answered: 0,
            is_swift: false,
            is_exhausted: false,
            has_ended: false,
        }
    }

    /// Has the next rows at hand, if there is room for them.
    pub(super) async fn take(&mut self, now: Instant, room: Room, checks_music: bool) -> Result<(), WorklistError> {
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

    /// Whether there is room for another row at hand.
    fn has_room(&self, room: Room) -> bool {
        let at_hand = self.checked.len() + usize::from(self.to_submit.is_some());
        self.has_room_beside(at_hand, room)
    }

    /// Whether the row at hand may ask for leave. It may have come to hand when answers came at once, and they do not now.
    pub(super) fn may_leave(&self, room: Room) -> bool {
        self.to_submit.is_some() && self.has_room_beside(0, room)
    }

    /// Whether another row may get leave beside so many others. While the answers of some are on their way to the disk,
    /// others are on theirs; and while answers come at once, rows are announced before there is a place for them.
    fn has_room_beside(&self, others: usize, Room { places, is_open }: Room) -> bool {
        let ahead = if self.is_swift && is_open { 0 } else { self.unanswered() };
        self.leaving.len() + others + ahead < places && self.answered < places
    }

    /// How many of the rows with leave may be announced: with the requests and the answers that are being written down not
    /// more than three times the places. If the program dies, they are all in doubt.
    pub(super) fn announceable(&self, places: usize) -> usize {
        self.leaving.len().min((3 * places).saturating_sub(self.in_flight))
    }

    /// Rows that are announced and have no answer.
    const fn unanswered(&self) -> usize {
        self.in_flight - self.answered
    }

    /// Rows with leave or announced that have no answer.
    pub(super) fn under_way(&self) -> usize {
        self.leaving.len() + self.unanswered()
    }

    /// The rows with leave that may be announced, on their way now.
    pub(super) fn announce(&mut self, places: usize) -> Vec<Departing> {
        let count = self.announceable(places);
        self.in_flight += count;
        self.leaving.drain(..count).collect()
    }

    /// Places that are taken.
    pub(super) const fn sent(&self) -> usize {
        self.sent
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
        !self.is_any_under_way() && self.waiting.len() == 0 && !is_at_hand
    }

    const fn is_any_under_way(&self) -> bool {
        !self.leaving.is_empty() || self.in_flight > 0
    }

    /// A row has leave to be sent, and is to be announced.
    pub(super) fn depart(&mut self, departing: Departing) {
        self.leaving.push(departing);
    }

    /// The row whose music is to be checked, on its way now.
    pub(super) fn depart_to_check(&mut self) -> Option<Row> {
        let row = self.to_check.take()?;
        self.in_flight += 1;
        self.sent += 1;
        Some(row)
    }

    /// A row that is announced takes a place, to be sent or to be withdrawn.
    pub(super) const fn sets_out(&mut self) {
        self.sent += 1;
    }

    /// An announced row has waited for too long: no more are announced ahead until answers come at once again.
    pub(super) const fn slows_down(&mut self) {
        self.is_swift = false;
    }

    /// It has left its place without an answer.
    pub(super) const fn is_back(&mut self) {
        self.sent -= 1;
    }

    /// A row has come back with finished music.
    pub(super) fn checked(&mut self, row: Row) {
        self.in_flight -= 1;
        self.checked.push_back(Row { is_checked: true, failures: 0, ..row });
    }

    /// A row has its answer after that time, which is being written down.
    pub(super) fn answered(&mut self, took: Duration) {
        self.sent -= 1;
        self.answered += 1;
        self.is_swift = took <= MOMENT;
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
        self.leaving.clear();
    }

    /// Whether nothing is on its way and nothing is left to submit.
    pub(super) fn is_over(&self) -> bool {
        !self.is_any_under_way() && (self.has_ended || (self.is_exhausted && self.is_idle()))
    }

    /// When the next waiting row is due, if there is room for it.
    pub(super) fn next_due(&self, room: Room) -> Option<Instant> {
        let has_place = self.to_submit.is_none() && self.to_check.is_none() && self.has_room(room);
        self.waiting.next_due().filter(|_| has_place && !self.has_ended)
    }

    /// How many rows wait for another attempt.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }
}
