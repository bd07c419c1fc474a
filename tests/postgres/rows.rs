//! Music tasks as a run sends them, without the run.

use std::time::Duration;

use coverbatch::clock::{Clock, UnixMillis};
use coverbatch::domain::{Answer, MusicTaskId, Reason, Route, RowState};
use coverbatch::ledger::{
    AttemptKey, Begin, Begun, Claim, ClaimRequest, NewRun, PostgresLedger, ReadLedger as _, Settlement,
    SubmitLedger as _,
};
use coverbatch::ratelimit::{Asking, PauseChange};

pub(super) fn task(id: &str) -> MusicTaskId {
    MusicTaskId::new(id).unwrap()
}

pub(super) fn now() -> UnixMillis {
    Clock::start().unix()
}

pub(super) async fn begin(ledger: &PostgresLedger) -> Begun {
    let (catalog, command) = ("/c.csv".to_owned(), "again".to_owned());
    let new = NewRun { catalog, is_partial: false, results: None, command, at: now() };
    match ledger.begin_run(new).await.unwrap() {
        Begin::Begun(begun) => begun,
        Begin::ResultsInUse(holder) => panic!("{holder:?}"),
    }
}

/// Asks at a rate that nothing here reaches.
pub(super) fn request(begun: Begun, id: &str) -> ClaimRequest {
    let asking = Asking { rate: "100000/1s".parse().unwrap(), is_probe: false, promised: None };
    ClaimRequest { run: begun.run, task: task(id), seen: begun.seen, asking, at: now() }
}

/// Claims a music task, as often as the pace of all runs asks for.
pub(super) async fn claim(ledger: &PostgresLedger, begun: Begun, id: &str) -> Option<AttemptKey> {
    loop {
        match ledger.claim(request(begun, id)).await.unwrap() {
            Claim::Granted(attempt) => return Some(attempt),
            Claim::Refused | Claim::InFlight => return None,
            Claim::NotYet(not_yet) => tokio::time::sleep(not_yet.wait).await,
        }
    }
}

pub(super) fn rejection() -> Settlement {
    let at = now();
    Settlement {
        state: RowState::Failed,
        reason: Reason::NotFound,
        answer: Answer::default(),
        cover: None,
        route: Route::Legacy,
        sent_at: at,
        at,
        poll_at: at,
        waiter: None,
        age: Duration::ZERO,
        pause: PauseChange::Keep,
    }
}

/// Holds that a ledger can do what a run asks of it.
pub(super) async fn works(ledger: &PostgresLedger) {
    let begun = begin(ledger).await;
    let attempt = claim(ledger, begun, "a").await.unwrap();
    ledger.settle(attempt, rejection()).await.unwrap();
    let found = ledger.look_up(vec![task("a")]).await.unwrap().remove(0).unwrap();
    assert_eq!((found.state, found.submissions), (RowState::Failed, 1));
}
