//! One download: the image of a finished cover, from its host into its file.

use std::sync::Arc;

use tracing::info;

use super::RunError;
use super::schedule::CoverTracking;
use super::task::{JobResult, TaskContext, TaskOutput};
use crate::api::CoverApi;
use crate::domain::{Answer, Found, ImageFile, Reading, Reason, one_line};
use crate::files::FileError;
use crate::images::{ImageFolder, ImageName, ImageNumber};
use crate::ledger::{CoverJob, JobOutcome, Ledger};
use crate::policy::{Jitter, found};

impl<A: CoverApi, L: Ledger> TaskContext<A, L> {
    /// Fetches one image of a claimed cover into its file.
    pub(super) async fn download(
        self: Arc<Self>,
        job: CoverJob,
        (number, url): (ImageNumber, String),
        (tracking, folder): (Arc<CoverTracking>, ImageFolder),
        jitter: Jitter,
    ) -> Result<TaskOutput, RunError> {
        let fetched = tokio::select! {
            fetched = self.fetch(&job, number, &url, &folder) => fetched?,
            // An image can be fetched again: the end waits neither for its host nor for the folder.
            () = self.stop.wait_for_everything() => return Ok(TaskOutput::Download(self.put_back(&job).await?)),
        };
        let said = (fetched.reason, image_answer(number, &fetched.answer));
        let (outcome, result) = match found(fetched, job.failures, tracking.policy.max_attempts, jitter) {
            Ok(file) => {
                info!(task = %job.task, file = file.name, "an image is on disk");
                (JobOutcome::Saved { number, file }, JobResult::Saved)
            }
            Err(failure) => self.reschedule(failure, &job, tracking.policy, said),
        };
        self.settle_job(&job, outcome).await?;
        Ok(TaskOutput::Download(result))
    }

    /// The file that holds the image now, if it came and is one.
    async fn fetch(
        &self,
        job: &CoverJob,
        number: ImageNumber,
        url: &str,
        folder: &ImageFolder,
    ) -> Result<Reading<ImageFile>, FileError> {
        let mut draft = folder.draft().await?;
        let reading = self.api.fetch_image(url, &mut draft).await.map_err(|cause| folder.error(cause))?;
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
