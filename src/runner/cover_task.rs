//! One step for one cover: its record is read, or one of its images is fetched; decided upon, and written down.

use std::sync::Arc;

use tracing::info;

use super::task::{JobResult, RunError, TaskContext, TaskOutput, feedback};
use super::tracking::CoverTracking;
use crate::api::CoverApi;
use crate::domain::{Answer, CoverProgress, Found, ImageFile, Reading, Reason, RowState, one_line};
use crate::files::FileError;
use crate::images::{ImageFolder, ImageName, ImageNumber};
use crate::ledger::{CoverJob, JobOutcome, JobStep, Ledger, LedgerError};
use crate::policy::{GivenUp, Jitter, PollFailure, PollPolicy, Scope, found};
use crate::ratelimit::Reservation;

/// What is written down of a job, and what that comes to.
type Settled = (JobOutcome, JobResult);

/// A claimed job, and what it is done with.
pub(super) struct CoverTask<A, L> {
    pub(super) context: Arc<TaskContext<A, L>>,
    pub(super) tracking: Arc<CoverTracking>,
    pub(super) job: CoverJob,
}

impl<A: CoverApi, L: Ledger> CoverTask<A, L> {
    /// Reads the record of a claimed cover.
    pub(super) async fn poll(self, reservation: Reservation, jitter: Jitter) -> Result<TaskOutput, RunError> {
        let Self { context, tracking, job } = &self;
        let Some(in_flight) = context.begin_read(reservation) else {
            return Ok(TaskOutput::Poll(self.put_back().await?));
        };
        let reading = context.api.read_cover(job.route, &job.cover, &job.task).await;
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
            Ok(CoverProgress::Unfinished) => self.unfinished(said),
            Err(failure) => self.reschedule(failure, said),
        };
        self.settle(outcome).await?;
        if result == JobResult::Failed {
            context.tell_failure(&job.task, RowState::GenerationFailed, Reason::GenerationFailed, &message);
        }
        Ok(TaskOutput::Poll(result))
    }

    /// A cover that is not finished is polled again, or given up.
    fn unfinished(&self, said: (Reason, Answer)) -> Settled {
        let now = self.context.clock.unix();
        // After trouble it is worth knowing that the record can be read again.
        let said = (self.job.failures > 0).then_some((Reason::Accepted, said.1));
        match self.tracking.policy.until_next_poll(self.job.since, self.tracking.began, now) {
            Some(next) => {
                let due = now.after(next);
                (JobOutcome::Later { due, failures: 0, said, given_up_by: None }, JobResult::Later)
            }
            None => self.given_up(said),
        }
    }

    /// A call that found nothing is made again later.
    fn reschedule(&self, failure: PollFailure, said: (Reason, Answer)) -> Settled {
        let (now, job) = (self.context.clock.unix(), &self.job);
        let later =
            |due, failures, said| (JobOutcome::Later { due, failures, said, given_up_by: None }, JobResult::Later);
        match failure {
            PollFailure::Again(Scope::Row(wait)) => later(now.after(wait), job.failures + 1, Some(said)),
            // The gate makes it wait, and everyone else.
            PollFailure::Again(Scope::Account(_)) => later(now, job.failures, None),
            PollFailure::Stop(ended) => {
                self.context.stop.request(ended);
                later(now, job.failures, None)
            }
            PollFailure::GiveUp => {
                info!(task = %job.task, reason = %said.0, said = said.1.message, "given up for now");
                self.given_up(Some(said))
            }
        }
    }

    /// A run gives a cover up for others to follow; whoever follows all gives it a rest.
    fn given_up(&self, said: Option<(Reason, Answer)>) -> Settled {
        let now = self.context.clock.unix();
        let age = self.job.since.until(now);
        let given_up = match self.job.step {
            JobStep::Poll => self.tracking.policy.give_up_record(age),
            JobStep::Download { .. } => PollPolicy::give_up_image(age, said.as_ref().map(|(reason, _)| *reason)),
        };
        let given_up_by = self.tracking.gives_up();
        let outcome = match given_up {
            GivenUp::Forgotten => JobOutcome::Forgotten(said),
            GivenUp::Rests(rest) => JobOutcome::Later { due: now.after(rest), failures: 0, said, given_up_by },
        };
        (outcome, JobResult::GivenUp)
    }

    /// A job of which nothing came is due again at once.
    async fn put_back(&self) -> Result<JobResult, LedgerError> {
        let (due, failures) = (self.context.clock.unix(), self.job.failures);
        self.settle(JobOutcome::Later { due, failures, said: None, given_up_by: None }).await?;
        Ok(JobResult::Later)
    }

    async fn settle(&self, outcome: JobOutcome) -> Result<(), LedgerError> {
        self.context.ledger.settle_job(self.job.key, outcome, self.context.clock.unix()).await
    }

    /// Fetches one image of a claimed cover into its file.
    pub(super) async fn download(
        self,
        number: ImageNumber,
        url: String,
        folder: ImageFolder,
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let Self { context, tracking, job } = &self;
        let fetched = tokio::select! {
            fetched = self.fetch(number, &url, &folder) => fetched?,
            // An image can be fetched again: the end waits neither for its host nor for the folder.
            () = context.stop.wait_for_everything() => return Ok(TaskOutput::Download(self.put_back().await?)),
        };
        let said = (fetched.reason, image_answer(number, &fetched.answer));
        let (outcome, result) = match found(fetched, job.failures, tracking.policy.max_attempts, jitter) {
            Ok(file) => {
                info!(task = %job.task, file = file.name, "an image is on disk");
                (JobOutcome::Saved { number, file }, JobResult::Saved)
            }
            Err(failure) => self.reschedule(failure, said),
        };
        self.settle(outcome).await?;
        Ok(TaskOutput::Download(result))
    }

    /// The file that holds the image now, if it came and is one.
    async fn fetch(
        &self,
        number: ImageNumber,
        url: &str,
        folder: &ImageFolder,
    ) -> Result<Reading<ImageFile>, FileError> {
        let (job, mut draft) = (&self.job, folder.draft().await?);
        let reading = self.context.api.fetch_image(url, &mut draft).await.map_err(|cause| folder.error(cause))?;
        let Reading { found, reason, answer, retry_after } = reading;
        let name = ImageName { task: job.task.clone(), words: job.words.clone() };
        let found = match found {
            Found::Known(_) => match draft.keep(name, number, job.default_cover.clone()).await? {
                Ok(file) => Found::Known(file),
                Err(refusal) => {
                    let answer = Answer { message: refusal.to_string(), ..answer };
                    return Ok(Reading { found: Found::Troubled, reason: Reason::BadResponse, answer, retry_after });
                }
            },
            Found::Throttled => Found::Throttled,
            Found::Unavailable => Found::Unavailable,
            Found::Unauthorized => Found::Unauthorized,
            Found::WrongAddress => Found::WrongAddress,
            Found::Troubled => Found::Troubled,
        };
        Ok(Reading { found, reason, answer, retry_after })
    }
}

/// The answer of an image's host, with which image it is about.
fn image_answer(number: ImageNumber, answer: &Answer) -> Answer {
    let number = match number {
        ImageNumber::One => 1,
        ImageNumber::Two => 2,
    };
    Answer { message: one_line(&format!("image {number}: {}", answer.message)), ..answer.clone() }
}
