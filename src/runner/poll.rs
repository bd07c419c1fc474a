//! One read, of the record of a cover, of that of the music before it, or of the balance: made once, decided upon, and
//! written down or taken in.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::RunError;
use super::queue::Row;
use super::schedule::CoverTracking;
use super::task::{BalanceRead, Disposition, JobResult, Slot, TaskContext, TaskOutput};
use crate::api::CoverApi;
use crate::domain::{Answer, CoverProgress, Ended, Found, MusicProgress, Reading, Reason, RowState};
use crate::ledger::{CoverJob, JobOutcome, JobStep, Ledger, LedgerError};
use crate::policy::{GivenUp, Jitter, PollFailure, PollPolicy, Refusal, Scope, found};
use crate::ratelimit::{Feedback, Refused, Reservation};

/// What is written down of a job, and what that comes to.
type Settled = (JobOutcome, JobResult);

impl<A: CoverApi, L: Ledger> TaskContext<A, L> {
    /// Reads the record of a claimed cover.
    pub(super) async fn poll(
        self: Arc<Self>,
        job: CoverJob,
        reservation: Reservation,
        tracking: Arc<CoverTracking>,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let Some(in_flight) = reservation.depart() else { return Ok(TaskOutput::Poll(self.put_back(&job).await?)) };
        let reading = self.api.read_cover(job.route, &job.cover, &job.task).await;
        in_flight.report(feedback(&reading), jitter);
        let answer = reading.answer.clone();
        let said = (reading.reason, answer.clone());
        let message = answer.message.clone();
        let (outcome, result) = match found(reading, job.failures, tracking.policy.max_attempts, jitter) {
            Ok(CoverProgress::Generated(cover)) => {
                let took = cover.took;
                info!(task = %job.task, images = cover.images.urls().len(), "its cover is finished");
                (
                    JobOutcome::Generated { cover, answer, wants_files: tracking.images.is_some() },
                    JobResult::Generated(took),
                )
            }
            Ok(CoverProgress::Failed { credits }) => (JobOutcome::Failed { answer, credits }, JobResult::Failed),
            Ok(CoverProgress::Unfinished) => self.unfinished(&job, tracking.policy, said),
            Err(failure) => self.reschedule(failure, &job, tracking.policy, said),
        };
        self.settle_job(&job, outcome).await?;
        if result == JobResult::Failed {
            self.tell_failure(&job.task, RowState::GenerationFailed, Reason::GenerationFailed, &message);
        }
        Ok(TaskOutput::Poll(result))
    }

    /// A cover that is not finished is polled again, or given up.
    fn unfinished(&self, job: &CoverJob, policy: PollPolicy, said: (Reason, Answer)) -> Settled {
        let now = self.clock.unix();
        // After trouble it is worth knowing that the record can be read again.
        let said = (job.failures > 0).then_some((Reason::Accepted, said.1));
        match policy.until_next_poll(job.since, self.began, now) {
            Some(next) => {
                let due = now.after(next);
                (JobOutcome::Later { due, failures: 0, said, given_up_by: None }, JobResult::Later)
            }
            None => self.given_up(job, policy, said),
        }
    }

    /// A call that found nothing is made again later.
    pub(super) fn reschedule(
        &self,
        failure: PollFailure,
        job: &CoverJob,
        policy: PollPolicy,
        said: (Reason, Answer),
    ) -> Settled {
        let now = self.clock.unix();
        let later =
            |due, failures, said| (JobOutcome::Later { due, failures, said, given_up_by: None }, JobResult::Later);
        match failure {
            PollFailure::Again(Scope::Row(wait)) => later(now.after(wait), job.failures + 1, Some(said)),
            // The gate makes it wait, and everyone else.
            PollFailure::Again(Scope::Account(_)) => later(now, job.failures, None),
            PollFailure::Stop(ended) => {
                self.stop.request(ended);
                later(now, job.failures, None)
            }
            PollFailure::GiveUp => {
                info!(task = %job.task, reason = %said.0, said = said.1.message, "given up for now");
                self.given_up(job, policy, Some(said))
            }
        }
    }

    /// A run gives a cover up for others to follow; whoever follows all gives it a rest.
    fn given_up(&self, job: &CoverJob, policy: PollPolicy, said: Option<(Reason, Answer)>) -> Settled {
        let now = self.clock.unix();
        let age = job.since.until(now);
        let given_up = match job.step {
            JobStep::Poll => policy.give_up_record(age),
            JobStep::Download { .. } => PollPolicy::give_up_image(age, said.as_ref().map(|(reason, _)| *reason)),
        };
        let given_up_by = policy.wait.map(|_| self.run.run);
        let outcome = match given_up {
            GivenUp::Forgotten => JobOutcome::Forgotten(said),
            GivenUp::Rests(rest) => JobOutcome::Later { due: now.after(rest), failures: 0, said, given_up_by },
        };
        (outcome, JobResult::GivenUp)
    }

    /// A job of which nothing came is due again at once.
    pub(super) async fn put_back(&self, job: &CoverJob) -> Result<JobResult, LedgerError> {
        let (due, failures) = (self.clock.unix(), job.failures);
        self.settle_job(job, JobOutcome::Later { due, failures, said: None, given_up_by: None }).await?;
        Ok(JobResult::Later)
    }

    pub(super) async fn settle_job(&self, job: &CoverJob, outcome: JobOutcome) -> Result<(), LedgerError> {
        self.ledger.settle_job(job.key, outcome, self.clock.unix()).await
    }

    /// Reads the record of the music before its cover is asked for.
    pub(super) async fn check_music(
        self: Arc<Self>,
        (row, _slot): (Row, Slot),
        reservation: Reservation,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let again = |counts, wait| Some(Disposition::Again { due: self.clock.now() + wait, counts });
        let Some(in_flight) = reservation.depart() else {
            return Ok(TaskOutput::MusicCheck(row, again(false, Duration::ZERO)));
        };
        let reading = self.api.read_music(&row.task).await;
        in_flight.report(feedback(&reading), jitter);
        let (reason, answer) = (reading.reason, reading.answer.clone());
        let (state, reason) = match found(reading, row.failures, self.policy.max_attempts, jitter) {
            Ok(MusicProgress::Finished) => return Ok(TaskOutput::MusicCheck(row, None)),
            Ok(MusicProgress::Unfinished) => (RowState::Pending, Reason::MusicNotReady),
            Ok(MusicProgress::Failed) => (RowState::Failed, Reason::MusicFailed),
            // A mistyped id, or music that is as old as the service remembers.
            Ok(MusicProgress::Unknown) => (RowState::Failed, Reason::NotFound),
            Err(PollFailure::GiveUp) => (RowState::GaveUp, reason),
            Err(PollFailure::Again(Scope::Row(wait))) => return Ok(TaskOutput::MusicCheck(row, again(true, wait))),
            Err(PollFailure::Again(Scope::Account(_))) => {
                return Ok(TaskOutput::MusicCheck(row, again(false, Duration::ZERO)));
            }
            Err(PollFailure::Stop(ended)) => {
                self.stop.request(ended);
                return Ok(TaskOutput::MusicCheck(row, Some(Disposition::Stopped)));
            }
        };
        let message = answer.message.clone();
        self.ledger.note_music(&row.task, state, (reason, answer), self.clock.unix()).await?;
        self.tell_failure(&row.task, state, reason, &message);
        Ok(TaskOutput::MusicCheck(row, Some(Disposition::Done(state))))
    }

    /// Reads the balance. A budget cannot be kept without it, so that a run which cannot read it stops.
    pub(super) async fn check_balance(
        self: Arc<Self>,
        reservation: Reservation,
        troubles: u32,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let later = |wait, counts| BalanceRead::Later { at: self.clock.unix().after(wait), counts };
        let Some(in_flight) = reservation.depart() else {
            return Ok(TaskOutput::Balance(later(Duration::ZERO, false)));
        };
        let reading = self.api.read_balance().await;
        in_flight.report(feedback(&reading), jitter);
        let (reason, answer) = (reading.reason, reading.answer.clone());
        let stopped = |ended| {
            self.stop.request(ended);
            BalanceRead::Stopped
        };
        Ok(TaskOutput::Balance(match found(reading, troubles, self.policy.max_attempts, jitter) {
            Ok(balance) => BalanceRead::Known(balance),
            Err(PollFailure::Again(Scope::Row(wait))) => later(wait, true),
            // The gate makes it wait, and everyone else.
            Err(PollFailure::Again(Scope::Account(_))) => later(Duration::ZERO, false),
            Err(PollFailure::Stop(ended)) => stopped(ended),
            Err(PollFailure::GiveUp) => {
                warn!(%reason, said = answer.message, "the balance cannot be read, so that --max-credits cannot be kept");
                stopped(Ended::Budget)
            }
        }))
    }
}

/// What an answer tells the gate of reads.
fn feedback<T>(reading: &Reading<T>) -> Feedback {
    let refused =
        |refusal| Feedback::Refused(Refused { refusal, reason: reading.reason, retry_after: reading.retry_after });
    match reading.found {
        Found::Throttled => refused(Refusal::Throttled),
        Found::Unavailable => refused(Refusal::Unavailable),
        Found::Troubled if reading.answer.http_status.is_none() => Feedback::Lost,
        Found::Known(_) | Found::Unauthorized | Found::WrongAddress | Found::Troubled => Feedback::Answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_answered_leaves_the_gate_as_it_is() {
        let (unavailable, throttled) = (Refusal::Unavailable, Refusal::Throttled);
        let (reason, retry_after) = (Reason::Timeout, Some(Duration::from_secs(3)));
        let refused = |refusal| Feedback::Refused(Refused { refusal, reason, retry_after });
        for (found, with_status, without) in [
            (Found::Known(()), Feedback::Answered, Feedback::Answered),
            (Found::Throttled, refused(throttled), refused(throttled)),
            (Found::Unavailable, refused(unavailable), refused(unavailable)),
            (Found::Unauthorized, Feedback::Answered, Feedback::Answered),
            (Found::WrongAddress, Feedback::Answered, Feedback::Answered),
            (Found::Troubled, Feedback::Answered, Feedback::Lost),
        ] {
            for (http_status, expected) in [(Some(500), with_status), (None, without)] {
                let answer = Answer { http_status, ..Answer::default() };
                let reading = Reading { found: found.clone(), reason, answer, retry_after };
                assert_eq!(feedback(&reading), expected, "{reading:?}");
            }
        }
    }
}
