//! One look at a cover or its music, or one download: claimed, called once, decided, written down.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::info;

use crate::api::CoverApi;
use crate::clock::UnixMillis;
use crate::domain::{Answer, CoverProgress, Found, MusicProgress, MusicTaskId, Reading, Reason, RowState, one_line};
use crate::files::FileError;
use crate::gate::{Departure, Permit, Refused};
use crate::images::{Draft, ImageNumber, Store};
use crate::ledger::{IMAGES_LAST, Ledger, LedgerError, Pursued, Pursuit};
use crate::policy::{Jitter, PollFailure, PollPolicy, Refusal, Scope, found};
use crate::runner::flight::{Checked, Fate, Landed, Pilot};
use crate::runner::{BLOCKING_THREADS, Following, Row, RunError};

/// What became of a cover that was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// It is due again later.
    Later,
    /// This run follows it no more.
    GivenUp,
    /// Its images are known; how long it took, if that is known too.
    Generated(Option<Duration>),
    /// It will never be finished.
    Failed,
    /// An image of it is on disk.
    Saved,
}

/// What is written down of a cover, what that means, and how the next call for it has to wait.
type Verdict = (Pursued, Followed);

impl<A: CoverApi, L: Ledger> Pilot<A, L> {
    /// Reads the record of a claimed cover.
    pub(super) async fn look(
        self: Arc<Self>,
        pursuit: Pursuit,
        permit: Permit,
        following: Arc<Following>,
        jitter: Jitter,
    ) -> Result<Landed, RunError> {
        let departure = permit.depart();
        let reading = self.api.read_cover(&pursuit.cover, &pursuit.task).await;
        report(departure, &reading, jitter);
        let answer = reading.answer.clone();
        let said = (reading.reason, answer.clone());
        let (pursued, followed) = match found(reading, pursuit.troubles, following.patience.max_attempts, jitter) {
            Ok(CoverProgress::Generated(cover)) => {
                let took = cover.took;
                info!(task = %pursuit.task, images = cover.images.urls().len(), "its cover is finished");
                (Pursued::Generated { cover, answer, files: following.images.is_some() }, Followed::Generated(took))
            }
            Ok(CoverProgress::Failed) => (Pursued::Failed(answer), Followed::Failed),
            Ok(CoverProgress::Unfinished) => self.unfinished(&pursuit, following.patience, said),
            Err(setback) => self.put_off(setback, &pursuit, following.patience, said),
        };
        self.write_down(&pursuit, pursued).await?;
        Ok(Landed::Looked(followed))
    }

    /// A cover that is not finished is looked at again, or given up by the run that waits for it.
    fn unfinished(&self, pursuit: &Pursuit, patience: PollPolicy, said: (Reason, Answer)) -> Verdict {
        let now = self.clock.unix();
        let age = pursuit.since.until(now);
        let waited = pursuit.since.max(self.began).until(now);
        // After trouble it is worth knowing that the record can be read again.
        let said = (pursuit.troubles > 0).then_some((Reason::Accepted, said.1));
        match patience.until_next_poll(age, waited) {
            Some(next) if patience.wait.is_some() || age < IMAGES_LAST => {
                let due = now.after(next);
                (Pursued::Later { due, troubles: 0, said, given_up: false }, Followed::Later)
            }
            Some(_) | None => Self::given_up(age, patience, now, said),
        }
    }

    /// A run gives a cover up for others to follow; whoever follows all gives it a rest, until its images are forgotten.
    fn given_up(age: Duration, patience: PollPolicy, now: UnixMillis, said: Option<(Reason, Answer)>) -> Verdict {
        let given_up = patience.wait.is_some();
        if !given_up && age >= IMAGES_LAST {
            return (Pursued::Forgotten(said), Followed::GivenUp);
        }
        let due = now.after(PollPolicy::rest(age));
        (Pursued::Later { due, troubles: 0, said, given_up }, Followed::GivenUp)
    }

    /// A call that found nothing is made again later.
    fn put_off(
        &self,
        setback: PollFailure,
        pursuit: &Pursuit,
        patience: PollPolicy,
        said: (Reason, Answer),
    ) -> Verdict {
        let now = self.clock.unix();
        let later = |due, troubles, said| (Pursued::Later { due, troubles, said, given_up: false }, Followed::Later);
        match setback {
            PollFailure::Again(Scope::Row(wait)) => later(now.after(wait), pursuit.troubles + 1, Some(said)),
            // The gate makes it wait, and everyone else.
            PollFailure::Again(Scope::Account(_)) => later(now, pursuit.troubles, None),
            PollFailure::Stop(ended) => {
                self.stop.request(ended);
                later(now, pursuit.troubles, None)
            }
            PollFailure::GiveUp => {
                info!(task = %pursuit.task, reason = %said.0, message = said.1.message, "given up for now");
                Self::given_up(pursuit.since.until(now), patience, now, Some(said))
            }
        }
    }

    async fn write_down(&self, pursuit: &Pursuit, pursued: Pursued) -> Result<(), LedgerError> {
        self.ledger.settle_pursuit(pursuit.key, pursued, self.clock.unix()).await
    }

    /// Fetches one image of a claimed cover into its file.
    pub(super) async fn fetch(
        self: Arc<Self>,
        pursuit: Pursuit,
        (number, url): (ImageNumber, String),
        (following, store): (Arc<Following>, Store),
        jitter: Jitter,
    ) -> Result<Landed, RunError> {
        let mut draft = new_draft(&store).await?;
        let fetched = tokio::select! {
            fetched = self.api.fetch_image(&url, &mut draft) => fetched,
            // An image can be fetched again: the end need not wait for it.
            () = self.stop.wait_for_everything() => return self.dropped(&pursuit).await,
        };
        let mut reading = fetched.map_err(|cause| store.error(cause))?;
        let mut file = String::new();
        if let Found::Known(_) = reading.found {
            match kept(draft, pursuit.task.clone(), number).await? {
                Ok(name) => file = name,
                Err(refusal) => {
                    reading.found = Found::Troubled;
                    reading.reason = Reason::BadResponse;
                    reading.answer.message = refusal;
                }
            }
        }
        let said = (reading.reason, image_answer(number, &reading.answer));
        let (pursued, followed) = match found(reading, pursuit.troubles, following.patience.max_attempts, jitter) {
            Ok(_) => {
                info!(task = %pursuit.task, file, "an image is on disk");
                (Pursued::Saved { number, file }, Followed::Saved)
            }
            Err(setback) => self.put_off(setback, &pursuit, following.patience, said),
        };
        self.write_down(&pursuit, pursued).await?;
        Ok(Landed::Fetched(followed))
    }

    /// A download that is not waited for is due again at once.
    async fn dropped(&self, pursuit: &Pursuit) -> Result<Landed, RunError> {
        let (due, troubles) = (self.clock.unix(), pursuit.troubles);
        self.write_down(pursuit, Pursued::Later { due, troubles, said: None, given_up: false }).await?;
        Ok(Landed::Fetched(Followed::Later))
    }

    /// Reads the record of the music before its cover is asked for.
    pub(super) async fn check(self: Arc<Self>, row: Row, permit: Permit, jitter: Jitter) -> Result<Landed, RunError> {
        let departure = permit.depart();
        let reading = self.api.read_music(&row.task).await;
        report(departure, &reading, jitter);
        let (reason, answer) = (reading.reason, reading.answer.clone());
        let now = self.clock.now();
        let fate = match found(reading, row.failures, self.policy.max_attempts, jitter) {
            Ok(MusicProgress::Finished) => return Ok(Landed::Checked(Checked::MayBeSent(row))),
            Ok(MusicProgress::Unfinished) => {
                self.note(&row.task, RowState::Pending, (Reason::MusicNotReady, answer)).await?
            }
            Ok(MusicProgress::Failed) => self.note(&row.task, RowState::Failed, (Reason::MusicFailed, answer)).await?,
            Err(PollFailure::GiveUp) => self.note(&row.task, RowState::GaveUp, (reason, answer)).await?,
            Err(PollFailure::Again(Scope::Row(wait))) => {
                Fate::Again(Row { failures: row.failures + 1, ..row }, now + wait)
            }
            Err(PollFailure::Again(Scope::Account(_))) => Fate::Again(row, now),
            Err(PollFailure::Stop(ended)) => {
                self.stop.request(ended);
                Fate::Stopped
            }
        };
        Ok(Landed::Checked(Checked::Held(fate)))
    }

    /// Writes down what keeps a row from being sent in this run.
    async fn note(&self, task: &MusicTaskId, state: RowState, said: (Reason, Answer)) -> Result<Fate, LedgerError> {
        self.ledger.note_music(task, state, said, self.clock.unix()).await?;
        Ok(Fate::Done(state))
    }
}

/// Tells the gate at once: it may have to close for everyone.
fn report<T>(departure: Departure, reading: &Reading<T>, jitter: Jitter) {
    let refused = |refusal| Refused { refusal, reason: reading.reason, retry_after: reading.retry_after };
    match reading.found {
        Found::Throttled => departure.refused(refused(Refusal::Throttled), jitter),
        Found::Unavailable => departure.refused(refused(Refusal::Unavailable), jitter),
        Found::Troubled if reading.answer.http_status.is_none() => departure.lost(jitter),
        Found::Known(_) | Found::Unauthorized | Found::WrongAddress | Found::Troubled => departure.answered(),
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

async fn new_draft(store: &Store) -> Result<Draft, FileError> {
    let store = store.clone();
    blocking(move || store.draft()).await
}

/// The name of the file that a draft has become, or why it is no image.
async fn kept(draft: Draft, task: MusicTaskId, number: ImageNumber) -> Result<Result<String, String>, FileError> {
    let kept = blocking(move || draft.keep(&task, number)).await?;
    Ok(kept.map_err(|refusal| refusal.to_string()))
}

/// Pieces of work in the folder of images that go on at once: a folder that hangs leaves a thread to the ledger.
static AT_WORK: Semaphore = Semaphore::const_new(BLOCKING_THREADS - 1);

/// Runs what waits for the folder of images beside everything else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It is never closed. The permit goes along, since the work goes on if nobody waits for it any more.
    let permit = AT_WORK.acquire().await;
    let work = spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::super::following::FETCHES;
    use super::*;

    #[test]
    fn a_folder_of_images_that_hangs_leaves_a_thread_to_the_ledger() {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build().unwrap();
        runtime.block_on(async {
            let (hangs, works): (Vec<_>, Vec<_>) = (0..FETCHES)
                .map(|_| {
                    let (release, released) = channel::<()>();
                    (release, tokio::spawn(blocking(move || released.recv().is_err())))
                })
                .unzip();
            tokio::task::yield_now().await;
            let ledger = spawn_blocking(|| 7);
            assert_eq!(timeout(Duration::from_secs(10), ledger).await.expect("it waits").unwrap(), 7);
            drop(hangs);
            for work in works {
                assert!(work.await.unwrap());
            }
        });
    }
}
