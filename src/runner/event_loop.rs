//! The loop itself: begins what is due and allowed, waits for the next event, and takes in what came of it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::attempt::FollowUp;
use super::covers::CoverJobs;
use super::progress::{Covers, Progress};
use super::stop::Asked;
use super::submissions::{Check, Submissions};
use super::task::{JobResult, Slot, Submitted, TaskOutput};
use super::{RunError, Runner};
use crate::api::CoverApi;
use crate::domain::Ended;
use crate::ledger::{JobKind, Ledger};
use crate::policy::Jitter;
use crate::ratelimit::{Gate, OutageOver, Reservation};

/// A read that may be begun as soon as its gate lets it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    BeforeSubmission(Check),
    Cover,
}

/// Something that happened.
enum Event {
    TaskDone(Result<TaskOutput, RunError>),
    MaySubmit(Reservation),
    MayRead(Read, Reservation),
    /// The service has refused everyone for too long; of the gate of reads, if it is that one.
    OutageOver(Option<Read>),
    /// This process has written down that a cover is due.
    Woken,
    /// Something may have become due, or the end was asked for.
    Time,
}

impl<A: CoverApi, L: Ledger> Runner<A, L> {
    /// Does what is to be done. When this returns, every answer that came is durable.
    ///
    /// A row has a slot from its reservation at the gate until the ledger is told of its answer, a cover until its own is durable.
    /// So at most `concurrency` rows are in doubt if the program dies, and nobody who waits at a gate keeps a slot from those
    /// who go on.
    ///
    /// # Errors
    /// [`RunError`]; answers still in flight are then lost, and the ledger knows which.
    pub async fn run(mut self) -> Result<Ended, RunError> {
        loop {
            while let Some(done) = self.tasks.try_join_next() {
                self.on_task_done(done?)?;
            }
            // Before the ledger is asked: an end that is asked for meanwhile is the next event.
            let heard = self.context.stop.asked();
            let room = self.free_slots();
            if let Some(submissions) = &mut self.submissions {
                submissions.prepare(&self.context, room).await?;
            }
            self.start_downloads().await?;
            self.show_next_poll();
            let read = self.next_read();
            if self.is_over(read) {
                return self.failure.take().map_or_else(
                    || Ok(self.context.stop.requested().unwrap_or(Ended::Finished)),
                    |failure| Err(failure.into()),
                );
            }
            match self.next_event(read, heard).await? {
                Event::TaskDone(done) => self.on_task_done(done)?,
                Event::MaySubmit(reservation) => self.submit(reservation),
                Event::MayRead(Read::BeforeSubmission(check), reservation) => self.check(check, reservation).await?,
                Event::MayRead(Read::Cover, reservation) => self.poll(reservation).await?,
                // Rows can be submitted although nobody tells what became of earlier ones.
                Event::OutageOver(Some(Read::Cover)) if !self.has_submitted_all() => {
                    self.progress.send_modify(|progress| progress.has_given_up_covers = true);
                }
                Event::OutageOver(_) => self.context.stop.request(Ended::Outage),
                Event::Woken => self.covers.iter_mut().for_each(CoverJobs::invalidate),
                Event::Time => {}
            }
        }
    }

    /// Waits for what comes first; `heard` is what of the end this round knows of. Who waits at a gate and is not served gives up
    /// nothing.
    async fn next_event(&mut self, read: Option<Read>, heard: Asked) -> Result<Event, RunError> {
        let context = Arc::clone(&self.context);
        let submit_gate =
            self.submissions.as_ref().filter(|_| self.free_slots() > 0).and_then(Submissions::gate).cloned();
        let read_gate = read.and_then(|read| self.gate_of(read)).cloned();
        let (woken, wake_at) = (self.tracked().map(|covers| Arc::clone(&covers.tracking.woken)), self.wakes_at());
        // The order counts when several are ready. The end is first, so that nothing is begun after it. A submission goes
        // before tasks that are done, as the top of each round takes those in anyway. Reads are last: they can wait.
        Ok(tokio::select! {
            biased;
            () = context.stop.wait_for_more_than(heard) => Event::Time,
            reserved = reserve(submit_gate.as_ref()) => reserved.map_or(Event::OutageOver(None), Event::MaySubmit),
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => Event::TaskDone(done?),
            _free = self.slots.acquire(), if self.slots.available_permits() == 0 => Event::Time,
            reserved = reserve(read_gate.as_ref()) => match (reserved, read) {
                (Ok(reservation), Some(read)) => Event::MayRead(read, reservation),
                (Ok(_), None) => Event::Time,
                (Err(OutageOver), read) => Event::OutageOver(read),
            },
            () = async { match &woken { Some(woken) => woken.notified().await, None => pending().await } } => Event::Woken,
            () = async { match wake_at { Some(at) => sleep_until(at).await, None => pending().await } } => Event::Time,
        })
    }

    /// Begins the submission of the next row.
    fn submit(&mut self, reservation: Reservation) {
        let (slot, jitter) = (free_slot(&self.slots), self.jitter());
        let waiter = self.covers.as_ref().and_then(|covers| covers.tracking.waiter());
        let longest = waiter.map_or(Duration::MAX, |waiter| waiter.longest);
        let follow_up = FollowUp { usual: self.estimate.time().min(longest), waiter };
        if let (Some(submissions), Some(slot)) = (&mut self.submissions, slot) {
            submissions.submit(&self.context, &mut self.tasks, slot, reservation, follow_up, jitter);
        }
    }

    /// Begins a read that comes before a submission.
    async fn check(&mut self, check: Check, reservation: Reservation) -> Result<(), RunError> {
        let jitter = self.jitter();
        let Some(submissions) = &mut self.submissions else { return Ok(()) };
        let (context, tasks) = (&self.context, &mut self.tasks);
        match check {
            Check::Balance => submissions.check_balance(context, tasks, reservation, jitter).await,
            Check::Music => match free_slot(&self.slots) {
                Some(slot) => submissions.check_music(context, tasks, slot, reservation, jitter).await,
                None => Ok(()),
            },
        }
    }

    /// Begins a poll.
    async fn poll(&mut self, reservation: Reservation) -> Result<(), RunError> {
        let jitter = self.jitter();
        match &mut self.covers {
            Some(covers) => covers.poll(&self.context, &mut self.tasks, reservation, jitter).await,
            None => Ok(()),
        }
    }

    /// Begins the downloads that are due.
    async fn start_downloads(&mut self) -> Result<(), RunError> {
        let is_tracked = self.tracked().is_some();
        match self.covers.as_mut().filter(|_| is_tracked) {
            Some(covers) => covers.start_downloads(&self.context, &mut self.tasks, &mut self.rng).await,
            None => Ok(()),
        }
    }

    /// Tells whoever watches when the next cover is polled.
    fn show_next_poll(&self) {
        let next = self.tracked().and_then(CoverJobs::next_poll);
        self.progress.send_if_modified(|progress| {
            let is_news = progress.next_poll != next;
            progress.next_poll = next;
            is_news
        });
    }

    /// Takes a task in. That images cannot be saved ends everything, but only after what is on its way: answers to
    /// submissions are worth more than an early end.
    fn on_task_done(&mut self, done: Result<TaskOutput, RunError>) -> Result<(), RunError> {
        let mut progress = *self.progress.borrow();
        match done {
            Ok(TaskOutput::Submission(submitted)) => self.on_submitted(submitted, &mut progress),
            Ok(TaskOutput::MusicCheck(row, disposition)) => {
                progress.reads += 1;
                if let Some(submissions) = &mut self.submissions {
                    submissions.put_checked(row, disposition, &mut progress);
                }
            }
            Ok(TaskOutput::Balance(read)) => {
                progress.reads += 1;
                if let Some(submissions) = &mut self.submissions {
                    submissions.note_balance(read, &mut progress);
                }
            }
            Ok(TaskOutput::Poll(result)) => {
                progress.reads += 1;
                progress.covers.polls += 1;
                self.on_job_done(JobKind::Poll, Some(result), &mut progress.covers);
            }
            Ok(TaskOutput::Download(result)) => {
                self.on_job_done(JobKind::Download, Some(result), &mut progress.covers);
            }
            Err(RunError::Image(cause)) => {
                self.on_job_done(JobKind::Download, None, &mut progress.covers);
                self.failure.get_or_insert(cause);
                self.context.stop.abort();
            }
            Err(fatal @ (RunError::Ledger(_) | RunError::Worklist(_) | RunError::Defect(_))) => return Err(fatal),
        }
        progress.waiting = self.submissions.as_ref().map_or(0, Submissions::waiting);
        self.progress.send_replace(progress);
        if self.submissions.as_ref().is_some_and(|submissions| submissions.has_failed_too_often(&progress)) {
            self.context.stop.request(Ended::TooManyFailures);
        }
        Ok(())
    }

    /// Counts a row whose answer is written down.
    fn on_submitted(&mut self, submitted: Submitted, progress: &mut Progress) {
        let Submitted { row, disposition, reason, poll_at } = submitted;
        if let Some(reason) = reason {
            progress.sent += 1;
            progress.outcomes.add(reason);
        }
        if let (Some(poll_at), Some(covers)) = (poll_at, &mut self.covers) {
            covers.expect_poll(poll_at);
            progress.covers.accepted += 1;
            progress.last_accepted = Some(self.context.clock.unix());
        }
        if let Some(submissions) = &mut self.submissions {
            submissions.note_answer(reason);
            submissions.put_away(row, disposition, progress);
        }
    }

    /// Counts what came of a job; nothing, if its image could not be saved.
    fn on_job_done(&mut self, kind: JobKind, result: Option<JobResult>, counts: &mut Covers) {
        if let Some(covers) = &mut self.covers {
            covers.note(kind, result, counts, &mut self.estimate);
        }
    }

    /// Slots that neither a row nor a poll has.
    fn free_slots(&self) -> usize {
        // A row holds a permit, which its task lets go as soon as the ledger is told of its answer. A poll holds none: it is
        // counted until the loop has taken it in.
        let polls = self.covers.as_ref().map_or(0, CoverJobs::polls);
        self.slots.available_permits().saturating_sub(polls)
    }

    /// The covers that are followed, as long as they are.
    fn tracked(&self) -> Option<&CoverJobs> {
        let has_given_up = self.progress.borrow().has_given_up_covers || self.context.stop.ends_everything();
        self.covers.as_ref().filter(|_| !has_given_up)
    }

    /// What could be read as soon as the gate of reads lets it pass. What comes before submissions goes first: covers can wait.
    fn next_read(&self) -> Option<Read> {
        if self.context.stop.ends_everything() || self.free_slots() == 0 {
            return None;
        }
        let check = self.submissions.as_ref().and_then(|submissions| submissions.next_check(&self.context));
        let is_poll_due = || self.tracked().is_some_and(|covers| covers.is_poll_due(self.context.clock.unix()));
        check.map(Read::BeforeSubmission).or_else(|| is_poll_due().then_some(Read::Cover))
    }

    fn gate_of(&self, read: Read) -> Option<&Arc<Gate>> {
        match read {
            Read::BeforeSubmission(check) => self.submissions.as_ref()?.gate_of(check),
            Read::Cover => self.covers.as_ref().map(|covers| &covers.tracking.gate),
        }
    }

    /// When to go round without another event: a row, the check of its music, or a cover may be due.
    fn wakes_at(&self) -> Option<Instant> {
        let (here, now) = (self.context.clock.now(), self.context.clock.unix());
        let submissions = self.submissions.as_ref();
        let row = submissions.and_then(|submissions| submissions.wakes_at(&self.context, self.free_slots()));
        let cover = self.tracked().map(|covers| here + covers.wait(now));
        [row, cover].into_iter().flatten().min()
    }

    /// Whether no row is on its way and none is left to submit.
    fn has_submitted_all(&self) -> bool {
        self.submissions.as_ref().is_none_or(Submissions::is_over)
    }

    /// Whether nothing is on its way and nothing is left to begin.
    fn is_over(&self, read: Option<Read>) -> bool {
        let is_left = read.is_some() || self.tracked().is_some_and(CoverJobs::is_left);
        self.tasks.is_empty() && self.has_submitted_all() && !is_left
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(self.rng.f64())
    }
}

/// A slot for a row, if one is free.
fn free_slot(slots: &Arc<Semaphore>) -> Option<Slot> {
    Arc::clone(slots).try_acquire_owned().ok()
}

/// A reservation at a gate; never, if nothing waits for it.
async fn reserve(gate: Option<&Arc<Gate>>) -> Result<Reservation, OutageOver> {
    match gate {
        Some(gate) => gate.reserve().await,
        None => pending().await,
    }
}
