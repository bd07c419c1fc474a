//! The sentences of the traits, one test or more for each. `super` names the engine: how a ledger is made.

mod copying;
mod deciding;
mod following;
mod importing;
mod naming;
mod reading;
mod submitting;
mod together;
mod waking;

use std::num::NonZeroU32;
use std::time::Duration;

use coverbatch::clock::UnixMillis;
use coverbatch::domain::{
    Answer, CoverTaskId, Credits, Generated, ImageFile, ImageSize, Images, ManualKind, MusicTaskId, Rate, Reason,
    Route, RowState,
};
use coverbatch::images::ImageNumber;
use coverbatch::ledger::{
    Artwork, AttemptKey, Begin, Begun, Claim, ClaimRequest, CoverJob, CoverScope, DecideLedger, FollowLedger, JobKind,
    JobOutcome, Ledger, LedgerError, ManualDecision, NewRun, ReadLedger, Record, RunId, Settled, Settlement,
    SubmitLedger, Waiter,
};
use coverbatch::policy::{Judgement, Refusal};
use coverbatch::ratelimit::{Asking, NotYet, PauseCause, PauseChange};

use super::{Shared, fresh};

/// How long a claim lasts here.
const LEASE: Duration = Duration::from_secs(60);

/// A time long after 1970, so that 14 days before it is one too.
const T: i64 = 1_800_000_000_000;

const STATES: [RowState; 10] = [
    RowState::Pending,
    RowState::InFlight,
    RowState::InDoubt,
    RowState::Submitted,
    RowState::Exists,
    RowState::Failed,
    RowState::GaveUp,
    RowState::Completed,
    RowState::GenerationFailed,
    RowState::Ignored,
];

/// So many milliseconds after [`T`].
fn at(ms: i64) -> UnixMillis {
    UnixMillis(T + ms)
}

fn task(id: &str) -> MusicTaskId {
    MusicTaskId::new(id).unwrap()
}

fn cover_of(id: &str) -> CoverTaskId {
    CoverTaskId::new(format!("c-{id}")).unwrap()
}

fn words() -> Answer {
    Answer { http_status: Some(200), code: Some(500), message: "words".to_owned() }
}

fn pace(count: u32, seconds: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(seconds) }
}

/// A finished cover of so many images.
fn images(count: usize) -> Generated {
    let urls = ["https://x.example/1.png", "https://x.example/2.png"];
    Generated {
        images: Images::new(urls.into_iter().take(count)).unwrap(),
        completed_at: Some(at(40)),
        took: Some(Duration::from_millis(30)),
        credits: None,
    }
}

/// A settlement of something that was sent one before `ms` and answered then.
fn settlement(state: RowState, reason: Reason, ms: i64) -> Settlement {
    let (sent_at, at) = (at(ms - 1), at(ms));
    Settlement {
        state,
        reason,
        answer: words(),
        cover: None,
        route: Route::Legacy,
        sent_at,
        at,
        poll_at: at,
        waiter: None,
        age: Duration::ZERO,
        pause: PauseChange::Keep,
    }
}

/// A settlement that knows the cover, which is due at once.
fn acceptance(id: &str, ms: i64, waiter: Option<Waiter>) -> Settlement {
    let settled = settlement(RowState::Submitted, Reason::Accepted, ms);
    Settlement { cover: Some(cover_of(id)), waiter, ..settled }
}

/// A cover that could not be made, which cost nothing that was told of.
fn failure() -> JobOutcome {
    JobOutcome::Failed { answer: words(), credits: None }
}

fn waiter(run: RunId, wants_files: bool) -> Waiter {
    Waiter { run, wants_files, began: at(0), longest: Duration::MAX }
}

/// What an earlier results CSV says of an accepted cover.
fn accepted_record(id: &str) -> Record {
    Record {
        state: RowState::Submitted,
        reason: Some(Reason::Accepted),
        answer: Answer::default(),
        cover: Some(cover_of(id)),
        route: Route::Legacy,
        credits: None,
        submissions: 4,
        failed_runs: 0,
        first_sent_at: Some(at(1)),
        finished_at: Some(at(2)),
        artwork: Artwork::default(),
    }
}

async fn run_in(ledger: &impl SubmitLedger) -> RunId {
    begun(ledger, "/c.csv", 0).await.run
}

/// A run over a catalog, which nothing keeps from beginning.
async fn begun(ledger: &impl SubmitLedger, catalog: &str, ms: i64) -> Begun {
    let (catalog, command) = (catalog.to_owned(), "again".to_owned());
    let new = NewRun { catalog, is_partial: false, results: None, command, at: at(ms) };
    match ledger.begin_run(new).await.unwrap() {
        Begin::Begun(begun) => begun,
        Begin::ResultsInUse(holder) => panic!("{holder:?}"),
    }
}

/// Everyone is paused for so many seconds.
fn begins(cause: PauseCause, seconds: u64) -> PauseChange {
    PauseChange::Begin { cause, wait: Duration::from_secs(seconds), window: Duration::from_secs(10) }
}

/// How a run asks that is as good as unlimited.
fn asking() -> Asking {
    Asking { rate: pace(100_000, 1), is_probe: false, promised: None }
}

/// A claim of a run that knows every submission until now.
fn request(run: RunId, id: &str, ms: i64) -> ClaimRequest {
    ClaimRequest { run, task: task(id), seen: AttemptKey(i64::MAX), asking: asking(), at: at(ms) }
}

async fn one(ledger: &impl ReadLedger, id: &str) -> Option<Record> {
    ledger.look_up(vec![task(id)]).await.unwrap().remove(0)
}

async fn state(ledger: &impl ReadLedger, id: &str) -> Option<RowState> {
    one(ledger, id).await.map(|record| record.state)
}

/// When a cover is due, if it is.
async fn due(ledger: &impl ReadLedger, id: &str) -> Option<i64> {
    Some(ledger.poll_stats(&task(id)).await.unwrap()?.due_at?.0 - T)
}

async fn claim(ledger: &impl SubmitLedger, run: RunId, id: &str, ms: i64) -> Claim {
    ledger.claim(request(run, id, ms)).await.unwrap()
}

async fn granted(ledger: &impl SubmitLedger, run: RunId, id: &str, ms: i64) -> AttemptKey {
    match claim(ledger, run, id, ms).await {
        Claim::Granted(attempt) => attempt,
        claim @ (Claim::Refused | Claim::InFlight | Claim::NotYet(_)) => panic!("{id}: {claim:?}"),
    }
}

/// Sent at `ms` and answered one later with what moves it to `state`.
async fn sent(ledger: &impl SubmitLedger, run: RunId, id: &str, ms: i64, state: RowState) {
    let attempt = granted(ledger, run, id, ms).await;
    ledger.settle(attempt, settlement(state, Reason::ServerError, ms + 1)).await.unwrap();
}

/// Sent at `ms` and accepted one later; its cover is due at once.
async fn accepted(ledger: &impl SubmitLedger, run: RunId, id: &str, ms: i64, waiter: Option<Waiter>) {
    let attempt = granted(ledger, run, id, ms).await;
    ledger.settle(attempt, acceptance(id, ms + 1, waiter)).await.unwrap();
}

async fn claim_job(ledger: &impl FollowLedger, scope: CoverScope, kind: JobKind, ms: i64) -> Option<CoverJob> {
    ledger.claim_job(scope, kind, at(ms), LEASE, pace(1000, 1)).await.unwrap().job
}

async fn poll(ledger: &impl FollowLedger, ms: i64) -> Option<CoverJob> {
    claim_job(ledger, CoverScope::All, JobKind::Poll, ms).await
}

fn later(ms: i64) -> JobOutcome {
    JobOutcome::Later { due: at(ms), failures: 0, said: None, given_up_by: None }
}

fn generated(count: usize, wants_files: bool) -> JobOutcome {
    JobOutcome::Generated { cover: images(count), answer: words(), wants_files }
}

fn file(name: &str) -> ImageFile {
    ImageFile { name: name.to_owned(), size: Some(ImageSize { width: 3000, height: 2000, bytes: 5_000_000_000 }) }
}

fn saved(number: ImageNumber, file: &str) -> JobOutcome {
    JobOutcome::Saved { number, file: self::file(file) }
}

/// Claims the only cover that is due and records what came of it.
async fn polled(ledger: &impl FollowLedger, ms: i64, outcome: JobOutcome) {
    let job = poll(ledger, ms).await.expect("one is due");
    ledger.settle_job(job.key, outcome, at(ms)).await.unwrap();
}

fn decision(kind: ManualKind, ms: i64) -> ManualDecision {
    ManualDecision { kind, is_sure: true, reason: "for a reason".to_owned(), at: at(ms) }
}

/// Decided about by someone who is sure.
async fn decided(ledger: &impl DecideLedger, kind: ManualKind, id: &str, ms: i64) {
    let judgements = ledger.decide(decision(kind, ms), vec![task(id)]).await.unwrap();
    assert_eq!(judgements, [Judgement::Moved(kind.state())], "{kind} {id}");
}

/// A music task in each state, by the name of that state; those whose covers are not finished have one.
async fn every_state(ledger: &(impl Ledger + DecideLedger), run: RunId) {
    for state in STATES {
        let id = state.word();
        match state {
            RowState::InFlight => drop(granted(ledger, run, id, 5).await),
            RowState::Pending | RowState::InDoubt | RowState::Failed | RowState::GaveUp => {
                sent(ledger, run, id, 5, state).await;
            }
            RowState::Submitted | RowState::Exists => {
                let attempt = granted(ledger, run, id, 5).await;
                let settled = Settlement { state, poll_at: at(90_000), ..acceptance(id, 6, None) };
                ledger.settle(attempt, settled).await.unwrap();
            }
            RowState::Completed => {
                accepted(ledger, run, id, 5, None).await;
                polled(ledger, 7, generated(2, false)).await;
            }
            RowState::GenerationFailed => {
                accepted(ledger, run, id, 5, None).await;
                polled(ledger, 7, failure()).await;
            }
            RowState::Ignored => {
                sent(ledger, run, id, 5, RowState::Failed).await;
                decided(ledger, ManualKind::Ignore, id, 7).await;
            }
        }
    }
}
