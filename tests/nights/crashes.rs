//! A store that fails at any call stops the run, and the next run brings the same end.

use std::collections::BTreeSet;
use std::sync::Arc;

use coverbatch::domain::{MusicTaskId, RowState, Verdict};
use coverbatch::ledger::{ReadLedger as _, SqliteLedger};

use crate::support::{Call, Fault, Faulty, Morning, Night, Reply, Sent, millis, nonzero, seconds};

const ROWS: [&str; 8] = ["plain", "troubled", "paused", "covered", "lost", "hasty", "late", "last"];

/// A night in which every kind of answer that leads to a cover occurs.
fn eventful(call: Call<'_>) -> Reply {
    match (call.id, call.nth) {
        ("troubled", 1) => Reply::code(500),
        ("paused", 1) => Reply::code(455),
        ("covered", _) => Reply::code(409),
        ("lost", 1) => Reply::lost().after(millis(1_170)),
        ("hasty", 1) => Reply::code(429),
        ("late", _) => Reply::cover().after(millis(2_710)),
        _ => Reply::cover(),
    }
}

/// Music tasks whose answer the ledger knows to be lost, as it would after the death of the process.
async fn in_doubt(ledger: &Arc<SqliteLedger>) -> BTreeSet<&'static str> {
    let tasks = ROWS.iter().map(|id| MusicTaskId::new(id).unwrap()).collect();
    let known = ledger.look_up(tasks).await.unwrap();
    let doubtful = |state| matches!(state, RowState::InFlight | RowState::InDoubt);
    ROWS.into_iter()
        .zip(known)
        .filter(|(_, known)| known.as_ref().is_some_and(|r| doubtful(r.state)))
        .map(|(id, _)| id)
        .collect()
}

/// Music tasks with a cover that were sent again although nobody doubted that they had one: no answer was lost in this
/// run, and the ledger knew of none in the run before.
fn out_of_the_blue(morning: &Morning, doubtful: &BTreeSet<&str>) -> Vec<String> {
    let lost = |id: &str| morning.sent_for(id).iter().any(|sent| sent.verdict == Some(Verdict::Lost));
    let known = |sent: &Sent| doubtful.contains(sent.id.as_str()) || lost(&sent.id);
    morning.sent.iter().filter(|sent| sent.is_repeat && !known(sent)).map(|sent| sent.id.clone()).collect()
}

/// Lets the store fail, runs again with a healthy one, and checks the end; whether the store failed at all.
async fn survives(fault: Fault, concurrency: u32) -> bool {
    let night = Night::of(&ROWS).answers(eventful).with(|with| with.run.concurrency = nonzero(concurrency));
    let broken = Faulty::new(&night.ledger, night.clock, fault);
    let died = night.run_on(&broken).await.is_err();
    let before = night.service.sent();
    tokio::time::sleep(seconds(3600)).await;
    assert_eq!(night.service.sent().len(), before.len(), "{fault:?}: sent after the end of the run");
    if let (Some(failed_at), Some(last)) = (broken.failed_at(), before.last()) {
        assert!(last.at <= failed_at, "{fault:?}: sent {:?} after the failure", last.at - failed_at);
    }
    let doubtful = in_doubt(&night.ledger).await;
    let morning = night.run().await;
    let settled = morning.results.count("submitted") + morning.results.count("exists");
    assert_eq!(settled, ROWS.len(), "{fault:?}: {:?}", morning.results.column("cover_status"));
    for id in ROWS.iter().filter(|id| **id != "covered") {
        assert_eq!(night.service.covers_of(id), 1, "{fault:?}: covers of {id}");
    }
    assert_eq!(out_of_the_blue(&morning, &doubtful), Vec::<String>::new(), "{fault:?}");
    died
}

async fn survives_every_call(fault: fn(usize) -> Fault, concurrency: u32) {
    let mut call = 1;
    while survives(fault(call), concurrency).await {
        call += 1;
    }
    assert!(call > 2 * ROWS.len(), "only {call} calls");
}

#[tokio::test(start_paused = true)]
async fn whichever_ledger_call_fails_the_next_run_finishes() {
    survives_every_call(Fault::Before, 32).await;
    survives_every_call(Fault::Before, 1).await;
}

#[tokio::test(start_paused = true)]
async fn whichever_ledger_call_is_done_and_not_confirmed_the_next_run_finishes() {
    survives_every_call(Fault::After, 32).await;
    survives_every_call(Fault::After, 1).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_the_next_run_finishes() {
    let mut moment = millis(50);
    loop {
        let night = Night::of(&ROWS).answers(eventful);
        if !night.is_killed_after(moment).await {
            break;
        }
        moment += millis(170);
        let doubtful = in_doubt(&night.ledger).await;
        let morning = night.run().await;
        let settled = morning.results.count("submitted") + morning.results.count("exists");
        assert_eq!(settled, ROWS.len(), "killed after {moment:?}");
        assert_eq!(out_of_the_blue(&morning, &doubtful), Vec::<String>::new(), "killed after {moment:?}");
    }
    assert!(moment > seconds(5), "the run took {moment:?}");
}
