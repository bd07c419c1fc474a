//! What a call that is over changes in the run: what is counted, what is due again, and whether the run goes on.

use super::flight::{Answered, Checked, Departing, Fate, Landed, Settled};
use super::progress::{Covers, Progress};
use super::pursuit::Followed;
use super::{RunError, Runner};
use crate::api::CoverApi;
use crate::domain::Ended;
use crate::ledger::{Claim, Ledger};

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// Takes a flight in. That images cannot be saved ends everything, but only after what is on its way: answers to
    /// submissions are worth more than an early end.
    pub(super) fn touch_down(&mut self, landed: Result<Landed, RunError>) -> Result<(), RunError> {
        match landed {
            Ok(landed) => self.land(landed),
            Err(RunError::Image(cause)) => {
                self.fetches -= 1;
                self.failure.get_or_insert(cause);
                self.pilot.stop.request(Ended::Deadline);
            }
            Err(fatal @ (RunError::Ledger(_) | RunError::Worklist(_) | RunError::Defect(_))) => return Err(fatal),
        }
        Ok(())
    }

    /// Counts what became of a flight, once everything about it is durable.
    pub(super) fn land(&mut self, landed: Landed) {
        let mut progress = *self.progress.borrow();
        match landed {
            Landed::Answered(answered) => {
                self.settle(answered);
                return;
            }
            Landed::Unsent(fate) => {
                self.submissions.is_back();
                self.land_row(fate, &mut progress);
            }
            Landed::Written { settled, claimed } => {
                self.is_writing = false;
                for settled in settled {
                    self.settled(settled, &mut progress);
                }
                if self.pilot.stop.requested().is_some() {
                    self.submissions.end();
                }
                // What has gathered meanwhile goes first: nothing takes longer than the disk.
                if self.may_write() {
                    self.write();
                }
                for (departing, claim) in claimed {
                    self.claimed(departing, claim, &mut progress);
                }
            }
            Landed::Checked(checked) => {
                self.submissions.is_back();
                progress.reads += 1;
                match checked {
                    Checked::MayBeSent(row) => self.submissions.checked(row),
                    Checked::Held(fate) => self.land_row(fate, &mut progress),
                }
            }
            Landed::Looked(followed) => {
                self.looks -= 1;
                progress.reads += 1;
                progress.covers.looks += 1;
                self.land_cover(followed, &mut progress.covers);
            }
            Landed::Fetched(followed) => {
                self.fetches -= 1;
                self.land_cover(followed, &mut progress.covers);
            }
        }
        progress.waiting = self.submissions.waiting();
        self.progress.send_replace(progress);
        self.stop_after_failures(&progress);
    }

    /// Lets an answer be written down. Whether the run goes on is decided before another row takes its place.
    fn settle(&mut self, answered: Answered) {
        self.submissions.answered(answered.took);
        self.unwritten += u64::from(answered.fate.is_failed());
        self.stop_after_failures(&self.progress.borrow());
        self.answered.push(answered);
    }

    /// Counts a row whose answer is written down.
    fn settled(&mut self, settled: Settled, progress: &mut Progress) {
        let Settled { reason, fate, look_at } = settled;
        self.submissions.written();
        self.unwritten -= u64::from(fate.is_failed());
        progress.sent += 1;
        progress.outcomes.add(reason);
        if let Some(look_at) = look_at {
            self.horizon.includes(look_at);
        }
        self.land_row(fate, progress);
    }

    /// A row that is announced is to be sent as soon as there is a place for it.
    fn claimed(&mut self, departing: Departing, claim: Claim, progress: &mut Progress) {
        match claim {
            Claim::Granted(key) => self.announced.push_back((key, departing, self.pilot.clock.now())),
            Claim::Refused => self.land_row(Fate::Refused, progress),
        }
    }

    /// Stops when too many rows have failed, those included whose failure is not written down yet.
    fn stop_after_failures(&self, progress: &Progress) {
        if self.max_failures.reached(progress.failed + self.unwritten, progress.done + self.unwritten) {
            self.pilot.stop.request(Ended::TooManyFailures);
        }
    }

    fn land_row(&mut self, fate: Fate, progress: &mut Progress) {
        progress.failed += u64::from(fate.is_failed());
        match fate {
            Fate::Done(_) => {
                progress.done += 1;
                self.submissions.returned(None);
            }
            Fate::Again(row, due) => self.submissions.returned(Some((row, due))),
            Fate::Stopped => self.submissions.returned(None),
            Fate::Refused => {
                progress.done += 1;
                self.submissions.returned(None);
            }
        }
    }

    fn land_cover(&mut self, followed: Followed, covers: &mut Covers) {
        self.horizon.forget();
        match followed {
            Followed::Later => {}
            Followed::GivenUp => covers.given_up += 1,
            Followed::Failed => covers.failed += 1,
            Followed::Saved => covers.saved += 1,
            Followed::Generated(took) => {
                covers.generated += 1;
                if let Some(took) = took {
                    self.usual.learn(took);
                }
            }
        }
    }
}
