//! The loop itself: begins what is due and allowed, waits for the next event, and takes in what came of it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::attempt::FollowUp;
use super::progress::{Covers, Progress};
use super::queue::Row;
use super::schedule::{BalanceChecks, CoverJobs};
use super::task::{Disposition, JobResult, Slot, Submitted, TaskOutput};
use super::{RunError, Runner};
use crate::api::CoverApi;
use crate::domain::{Ended, RowState};
use crate::ledger::{JobKind, JobStep, Ledger};
use crate::policy::{Allowance, Jitter};
use crate::ratelimit::{Gate, OutageOver, Reservation};

/// How often a row may be found on its way in another run: for two minutes, twice the usual `--timeout`.
const MOST_ELSEWHERE: u32 = 120;

/// A read that may be begun as soon as its gate lets it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Balance,
    Music,
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
            if self.context.stop.is_requested() {
                self.queue.end();
            }
            let is_paused = self.gate.is_paused();
            self.queue.load(self.context.clock.now(), self.free_slots(), is_paused).await?;
            if self.has_spent_all() {
                self.context.stop.request(Ended::Budget);
                continue;
            }
            if let Some(recovery) = &mut self.recovery {
                recovery.look(&self.context, &mut self.queue).await?;
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
            match self.next_event(read).await? {
                Event::TaskDone(done) => self.on_task_done(done)?,
                Event::MaySubmit(reservation) => self.submit(reservation),
                Event::MayRead(Read::Balance, reservation) => self.check_balance(reservation).await?,
                Event::MayRead(Read::Music, reservation) => self.check_music(reservation).await?,
                Event::MayRead(Read::Cover, reservation) => self.poll(reservation).await?,
                // Rows can be submitted although nobody tells what became of earlier ones.
                Event::OutageOver(Some(Read::Cover)) if !self.queue.is_over() => {
                    self.progress.send_modify(|progress| progress.has_given_up_covers = true);
                }
                Event::OutageOver(_) => self.context.stop.request(Ended::Outage),
                Event::Woken => self.covers.iter_mut().for_each(CoverJobs::invalidate),
                Event::Time => {}
            }
        }
    }

    /// Waits for what comes first. Who waits at a gate and is not served gives up nothing.
    async fn next_event(&mut self, read: Option<Read>) -> Result<Event, RunError> {
        let (context, is_stopped) = (Arc::clone(&self.context), self.context.stop.is_requested());
        let stop = &context.stop;
        let submit_gate =
            (self.queue.has_row() && self.free_slots() > 0 && self.may_spend()).then(|| Arc::clone(&self.gate));
        let read_gate = read.and_then(|read| self.gate_of(read)).cloned();
        let (woken, wake_at) = (self.tracked().map(|covers| Arc::clone(&covers.tracking.woken)), self.wakes_at());
        // The order counts when several are ready. The end is first, so that nothing is begun after it. A submission goes
        // before tasks that are done, as the top of each round takes those in anyway. Reads are last: they can wait.
        Ok(tokio::select! {
            biased;
            () = stop.wait(), if !is_stopped => Event::Time,
            () = stop.wait_for_everything(), if !stop.ends_everything() => Event::Time,
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
        let Some(slot) = self.slot() else { return };
        let Some(row) = self.queue.take() else { return };
        if let Some(balance) = &mut self.balance {
            balance.budget.ask();
        }
        let waiter = self.covers.as_ref().and_then(|covers| covers.tracking.waiter(self.context.began));
        let longest = waiter.map_or(Duration::MAX, |waiter| waiter.longest);
        let follow_up = FollowUp { usual: self.estimate.time().min(longest), waiter };
        let jitter = self.jitter();
        self.tasks.spawn(Arc::clone(&self.context).attempt((row, slot), reservation, follow_up, jitter));
    }

    /// Begins a read of the balance, if other processes leave room for it.
    async fn check_balance(&mut self, reservation: Reservation) -> Result<(), RunError> {
        let (jitter, at) = (self.jitter(), self.context.clock.unix());
        let Some(balance) = &mut self.balance else { return Ok(()) };
        if balance.claim(&*self.context.ledger, at).await? {
            self.tasks.spawn(Arc::clone(&self.context).check_balance(reservation, balance.troubles(), jitter));
        }
        Ok(())
    }

    /// Begins the check of the next row's music, if other processes leave room for it.
    async fn check_music(&mut self, reservation: Reservation) -> Result<(), RunError> {
        let (jitter, at) = (self.jitter(), self.context.clock.unix());
        let (Some(slot), Some(music)) = (self.slot(), &mut self.music) else { return Ok(()) };
        if music.claim(&*self.context.ledger, at).await?
            && let Some(row) = self.queue.take_unchecked()
        {
            self.tasks.spawn(Arc::clone(&self.context).check_music((row, slot), reservation, jitter));
        }
        Ok(())
    }

    /// Begins the poll of the cover that has been due for longest, if other processes leave one.
    async fn poll(&mut self, reservation: Reservation) -> Result<(), RunError> {
        let (jitter, at) = (self.jitter(), self.context.clock.unix());
        let Some(covers) = &mut self.covers else { return Ok(()) };
        if let Some(job) = covers.claim(&*self.context.ledger, JobKind::Poll, at).await? {
            covers.polls += 1;
            let tracking = Arc::clone(&covers.tracking);
            self.tasks.spawn(Arc::clone(&self.context).poll(job, reservation, tracking, jitter));
        }
        Ok(())
    }

    /// Finds out which covers are due, and begins to fetch images, which waits for no gate.
    async fn start_downloads(&mut self) -> Result<(), RunError> {
        if self.tracked().is_none() {
            return Ok(());
        }
        let (ledger, clock) = (Arc::clone(&self.context.ledger), self.context.clock);
        let Some(covers) = &mut self.covers else { return Ok(()) };
        covers.refresh(&*ledger, clock).await?;
        while let Some(store) = &covers.tracking.images.clone()
            && covers.is_download_due(clock.unix())
        {
            let Some(job) = covers.claim(&*ledger, JobKind::Download, clock.unix()).await? else { continue };
            let JobStep::Download { number, url } = job.step.clone() else { continue };
            covers.downloads += 1;
            let (jitter, to) = (Jitter::new(self.rng.f64()), (Arc::clone(&covers.tracking), store.clone()));
            self.tasks.spawn(Arc::clone(&self.context).download(job, (number, url), to, jitter));
        }
        Ok(())
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
                match disposition {
                    None => self.queue.put_back_checked(row),
                    Some(disposition) => self.put_away(row, disposition, &mut progress),
                }
            }
            Ok(TaskOutput::Balance(read)) => {
                progress.reads += 1;
                if let Some(balance) = &mut self.balance {
                    balance.note(read);
                    progress.spending = balance.budget.spending();
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
        progress.waiting = self.queue.waiting();
        self.progress.send_replace(progress);
        if self.max_failures.reached(progress.failed, progress.done) {
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
        if let Some(balance) = &mut self.balance {
            balance.budget.answer(reason);
        }
        if let (Some(poll_at), Some(covers)) = (poll_at, &mut self.covers) {
            covers.expect_poll(poll_at);
            progress.covers.accepted += 1;
            progress.last_accepted = Some(self.context.clock.unix());
        }
        self.put_away(row, disposition, progress);
    }

    /// A row goes back into the queue, or is done with.
    fn put_away(&mut self, row: Row, disposition: Disposition, progress: &mut Progress) {
        progress.failed += u64::from(matches!(disposition, Disposition::Done(RowState::Failed | RowState::GaveUp)));
        match disposition {
            Disposition::Again { due, counts } => {
                self.queue.put_back(Row { failures: row.failures + u32::from(counts), ..row }, due);
            }
            Disposition::Elsewhere { due } if row.found_elsewhere < MOST_ELSEWHERE => {
                self.queue.put_back(Row { found_elsewhere: row.found_elsewhere + 1, ..row }, due);
            }
            // A run that stands still for long with a row has it to itself: the row is told as it is.
            Disposition::Done(_) | Disposition::Refused | Disposition::Elsewhere { .. } => {
                progress.done += 1;
                self.queue.finish();
            }
            Disposition::NotYet => self.queue.put_first(row),
            Disposition::Stopped => self.queue.finish(),
        }
    }

    /// Counts what came of a job; nothing, if its image could not be saved.
    fn on_job_done(&mut self, kind: JobKind, result: Option<JobResult>, counts: &mut Covers) {
        let Some(covers) = &mut self.covers else { return };
        covers.invalidate();
        match kind {
            JobKind::Poll => covers.polls -= 1,
            JobKind::Download => covers.downloads -= 1,
        }
        match result {
            None | Some(JobResult::Later) => {}
            Some(JobResult::GivenUp) => counts.given_up += 1,
            Some(JobResult::Failed) => counts.failed += 1,
            Some(JobResult::Saved) => counts.saved += 1,
            Some(JobResult::Generated(took)) => {
                counts.generated += 1;
                if let Some(took) = took {
                    self.estimate.learn(took);
                }
            }
        }
    }

    /// Slots that neither a row nor a poll has.
    fn free_slots(&self) -> usize {
        // A row holds a permit, which its task lets go as soon as the ledger is told of its answer. A poll holds none: it is
        // counted until the loop has taken it in.
        let polls = self.covers.as_ref().map_or(0, |covers| covers.polls);
        self.slots.available_permits().saturating_sub(polls)
    }

    /// A slot for a row, if one is free.
    fn slot(&self) -> Option<Slot> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Whether one more cover may be asked for.
    fn may_spend(&self) -> bool {
        self.balance.as_ref().is_none_or(|balance| balance.budget.allowance() == Allowance::Cover)
    }

    /// Whether a row waits for money that may not be spent.
    fn has_spent_all(&self) -> bool {
        let is_spent = |balance: &BalanceChecks| balance.budget.allowance() == Allowance::Nothing;
        self.queue.has_row() && self.balance.as_ref().is_some_and(is_spent)
    }

    /// The covers that are followed, as long as they are.
    fn tracked(&self) -> Option<&CoverJobs> {
        let has_given_up = self.progress.borrow().has_given_up_covers || self.context.stop.ends_everything();
        self.covers.as_ref().filter(|_| !has_given_up)
    }

    /// What could be read as soon as the gate of reads lets it pass. Music goes first: covers can wait.
    fn next_read(&self) -> Option<Read> {
        if self.context.stop.ends_everything() || self.free_slots() == 0 {
            return None;
        }
        let now = self.context.clock.unix();
        let balance = self.balance.as_ref().filter(|balance| balance.is_due(self.queue.is_over()));
        if balance.is_some_and(|balance| balance.held_until(now).is_none()) {
            // It tells what covers cost only once it is known which of them were accepted.
            return (self.queue.in_flight() == 0).then_some(Read::Balance);
        }
        let music = self.music.as_ref().filter(|_| self.queue.has_unchecked_row());
        if music.is_some_and(|music| music.held_until(now).is_none()) {
            return Some(Read::Music);
        }
        self.tracked().is_some_and(|covers| covers.is_poll_due(now)).then_some(Read::Cover)
    }

    fn gate_of(&self, read: Read) -> Option<&Arc<Gate>> {
        match read {
            Read::Balance => self.balance.as_ref().map(|balance| &balance.gate),
            Read::Music => self.music.as_ref().map(|music| &music.gate),
            Read::Cover => self.covers.as_ref().map(|covers| &covers.tracking.gate),
        }
    }

    /// When to go round without another event: a row, the check of its music, or a cover may be due.
    fn wakes_at(&self) -> Option<Instant> {
        let (here, now) = (self.context.clock.now(), self.context.clock.unix());
        let row = self.queue.wakes_at(self.free_slots());
        let music = self.music.as_ref().filter(|_| self.queue.has_unchecked_row());
        let music = music.and_then(|music| music.held_until(now)).map(|until| here + now.until(until));
        let balance = self.balance.as_ref().and_then(|balance| balance.held_until(now));
        let balance = balance.map(|until| here + now.until(until));
        let cover = self.tracked().map(|covers| here + covers.wait(now));
        let look = self.recovery.as_ref().filter(|_| !self.context.stop.is_requested()).map(|recovery| recovery.due);
        [row, music, balance, cover, look].into_iter().flatten().min()
    }

    /// Whether nothing is on its way and nothing is left to begin.
    fn is_over(&self, read: Option<Read>) -> bool {
        let is_left = read.is_some() || self.tracked().is_some_and(CoverJobs::is_left);
        self.tasks.is_empty() && self.queue.is_over() && !is_left
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(self.rng.f64())
    }
}

/// A reservation at a gate; never, if nothing waits for it.
async fn reserve(gate: Option<&Arc<Gate>>) -> Result<Reservation, OutageOver> {
    match gate {
        Some(gate) => gate.reserve().await,
        None => pending().await,
    }
}
