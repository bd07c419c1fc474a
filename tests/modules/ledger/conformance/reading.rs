//! What the ledger tells.

use coverbatch::domain::Ended;
use coverbatch::ledger::{KnownState, PastRun, PollStats, RunResult, Sends};

use super::*;

#[tokio::test]
async fn records_and_states_come_in_the_order_in_which_they_were_asked_for() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for (id, state) in [("b", RowState::Failed), ("a", RowState::GaveUp), ("c", RowState::Exists)] {
        sent(&ledger, run, id, 10, state).await;
    }
    let asked = || ["c", "unknown", "a", "b", "a"].map(task).to_vec();
    let expected =
        [Some(RowState::Exists), None, Some(RowState::GaveUp), Some(RowState::Failed), Some(RowState::GaveUp)];
    let records = ledger.look_up(asked()).await.unwrap();
    assert_eq!(records.iter().map(|known| known.as_ref().map(|record| record.state)).collect::<Vec<_>>(), expected);
    let states = ledger.states(asked()).await.unwrap();
    assert_eq!(states.iter().map(|known| known.map(|known| known.state)).collect::<Vec<_>>(), expected);
    assert_eq!(states[3], Some(KnownState { state: RowState::Failed, failed_runs: 1 }));
}

#[tokio::test]
async fn whatever_the_order_of_the_ledger_and_of_what_is_asked_the_answers_are_the_same() {
    const KNOWN: u32 = 300;
    let id = |nth: u32| task(&format!("{:03}-{nth}", nth * 389 % 1009));
    // Of another account they are other ones, and stand just before those that are looked up.
    let rows = |order: fn(u32) -> u32, least: u32| {
        let record = |nth| Record { failed_runs: least + nth, ..accepted_record("cover") };
        (0..KNOWN).map(|row| (id(order(row)), record(order(row)))).collect::<Vec<_>>()
    };
    let catalogs: [Vec<u32>; 6] = [
        (0..KNOWN).collect(),
        (0..KNOWN).rev().collect(),
        (0..KNOWN).map(|row| row * 7 % KNOWN).collect(),
        (KNOWN..KNOWN + 5).chain(0..KNOWN).collect(),
        (0..KNOWN).flat_map(|row| [row, KNOWN + row, row / 2]).collect(),
        (0..KNOWN).step_by(70).collect(),
    ];
    let orders: [fn(u32) -> u32; 3] = [|row| row, |row| KNOWN - 1 - row, |row| row * 97 % KNOWN];
    for order in orders {
        let (other, ledger) = (fresh().await, fresh().await);
        other.import(rows(order, KNOWN)).await.unwrap();
        ledger.import(rows(order, 0)).await.unwrap();
        for catalog in &catalogs {
            let asked: Vec<_> = catalog.iter().copied().map(id).collect();
            let expected: Vec<_> = catalog.iter().map(|nth| Some(*nth).filter(|nth| *nth < KNOWN)).collect();
            let records = ledger.look_up(asked.clone()).await.unwrap();
            assert_eq!(records.into_iter().map(|known| Some(known?.failed_runs)).collect::<Vec<_>>(), expected);
            let states = ledger.states(asked).await.unwrap();
            assert_eq!(states.into_iter().map(|known| Some(known?.failed_runs)).collect::<Vec<_>>(), expected);
        }
    }
}

#[tokio::test]
async fn every_submission_of_a_music_task_can_be_told() {
    let ledger = fresh().await;
    assert_eq!(ledger.history(&task("a")).await.unwrap(), []);
    let run = run_in(&ledger).await;
    sent(&ledger, run, "a", 10, RowState::Pending).await;
    granted(&ledger, run, "a", 20).await;
    let next = run_in(&ledger).await;
    granted(&ledger, next, "a", 30).await;
    granted(&ledger, next, "other", 40).await;
    let history = ledger.history(&task("a")).await.unwrap();
    let told: Vec<_> = history.iter().map(|s| (s.run, s.sent_at, s.answered_at, s.reason, s.answer.code)).collect();
    assert_eq!(
        told,
        [
            (run, at(10), Some(at(11)), Some(Reason::ServerError), Some(500)),
            (run, at(20), None, Some(Reason::Interrupted), None),
            (next, at(30), None, None, None),
        ]
    );
}

#[tokio::test]
async fn what_is_polled_changes_the_last_words_and_not_the_submission() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    let history = ledger.history(&task("a")).await.unwrap();
    polled(&ledger, 10, generated(2, false)).await;
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::Completed, Some(Reason::Generated)));
    assert_eq!((record.finished_at, record.artwork.completed_at), (Some(at(10)), Some(at(10))));
    assert_eq!(ledger.history(&task("a")).await.unwrap(), history);
    assert_eq!((history[0].sent_at, history[0].answered_at), (at(0), Some(at(1))));
}

#[tokio::test]
async fn polls_are_counted_and_downloads_are_not() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "failed", 0, RowState::Failed).await;
    accepted(&ledger, run, "a", 0, Some(waiter(run, true))).await;
    let stats = async |id| ledger.poll_stats(&task(id)).await.unwrap();
    assert_eq!((stats("unknown").await, stats("failed").await), (None, None));
    assert_eq!(stats("a").await, Some(PollStats { polls: 0, due_at: Some(at(1)) }));
    polled(&ledger, 10, later(500)).await;
    assert_eq!(stats("a").await, Some(PollStats { polls: 1, due_at: Some(at(500)) }));
    polled(&ledger, 500, generated(1, true)).await;
    let job = claim_job(&ledger, CoverScope::All, JobKind::Download, 510).await.unwrap();
    ledger.settle_job(job.key, saved(ImageNumber::One, "1.png"), at(520)).await.unwrap();
    assert_eq!(stats("a").await, Some(PollStats { polls: 2, due_at: None }));
}

#[tokio::test]
async fn the_last_run_over_a_catalog_says_why_it_stopped() {
    let ledger = fresh().await;
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), None);
    let run = run_in(&ledger).await;
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Interrupted));
    ledger.end_run(run, Ended::Deadline, at(5)).await.unwrap();
    begun(&ledger, "/other.csv", 6).await;
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Deadline));
    let follower = ledger.begin_follow("/c.csv", "follow again", at(7)).await.unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Deadline));
    ledger.end_run(follower, Ended::Outage, at(8)).await.unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Deadline));
    let run = run_in(&ledger).await;
    ledger.end_run(run, Ended::Finished, at(9)).await.unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), None);
    run_in(&ledger).await;
    begun(&ledger, "/other.csv", 10).await;
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Interrupted), "it is dead");
}

#[tokio::test]
async fn past_runs_are_told_latest_first_and_dead_ones_are_marked_as_interrupted() {
    let ledger = fresh().await;
    let past = |submits, started, ended: Option<i64>, cut_short| PastRun {
        submits,
        is_partial: false,
        started: at(started),
        ended: ended.map(at),
        cut_short,
        result: None,
        command: if submits { "again" } else { "follow again" }.to_owned(),
    };
    let begins = async |ms| begun(&ledger, "/c.csv", ms).await.run;
    let whole = begins(0).await;
    ledger.end_run(whole, Ended::Finished, at(5)).await.unwrap();
    let result = RunResult { sent: 9, new_covers: 7, failed: 2, exit_code: 4 };
    ledger.note_result(whole, result).await.unwrap();
    let short = begins(10).await;
    ledger.end_run(short, Ended::NoCredits, at(15)).await.unwrap();
    begins(20).await;
    ledger.begin_follow("/c.csv", "follow again", at(25)).await.unwrap();
    assert_eq!(ledger.past_runs("/c.csv", 2).await.unwrap(), [past(false, 25, None, None), past(true, 20, None, None)]);
    begun(&ledger, "/other.csv", 30).await;
    assert_eq!(
        ledger.past_runs("/c.csv", 9).await.unwrap(),
        [
            past(false, 25, None, None),
            past(true, 20, None, Some(Reason::Interrupted)),
            past(true, 10, Some(15), Some(Reason::NoCredits)),
            PastRun { result: Some(result), ..past(true, 0, Some(5), None) },
        ]
    );
}

#[tokio::test]
async fn submissions_are_counted_by_stretches_of_time_and_by_what_they_came_to() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "early", 999, RowState::Pending).await;
    granted(&ledger, run, "lost", 1_100).await;
    let run = begun(&ledger, "/c.csv", 1_200).await.run;
    for (id, ms, state) in [
        ("a", 1_500, RowState::Pending),
        ("b", 1_999, RowState::Pending),
        ("a", 2_000, RowState::Exists),
        ("late", 3_001, RowState::Pending),
    ] {
        sent(&ledger, run, id, ms, state).await;
    }
    granted(&ledger, run, "b", 3_000).await;
    let between = ledger.sends_between((at(1_000), at(3_000)), Duration::from_secs(1)).await.unwrap();
    let mut told: Vec<_> =
        between.into_iter().map(|Sends { at, reason, count }| (at.0 - T, reason.map(Reason::word), count)).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (1_000, Some("interrupted"), 1),
            (1_000, Some("server_error"), 2),
            (2_000, Some("server_error"), 1),
            (3_000, None, 1),
        ]
    );
}

#[tokio::test]
async fn the_last_100_times_of_generation_are_told_latest_first() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for n in 0..103 {
        accepted(&ledger, run, &format!("t{n}"), n, None).await;
        let took = if n == 102 { None } else { Some(Duration::from_millis(u64::try_from(n).unwrap())) };
        let cover = Generated { completed_at: Some(at(n)), took, ..images(1) };
        polled(&ledger, 500, JobOutcome::Generated { cover, answer: words(), wants_files: false }).await;
    }
    let times = ledger.generation_times().await.unwrap();
    assert_eq!(times, (2..102).rev().map(Duration::from_millis).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_a_failure_every_call_fails_and_nothing_is_written() {
    let shared = Shared::new();
    let ledger = shared.open().await;
    let run = run_in(&ledger).await;
    assert!(ledger.is_healthy());
    let failed = ledger.settle(AttemptKey(7), settlement(RowState::Submitted, Reason::Accepted, 1)).await.map(drop);
    let words = |failed: Result<_, LedgerError>| failed.unwrap_err().to_string();
    let first = words(failed);
    assert!(!ledger.is_healthy());
    assert_eq!(words(ledger.claim(request(run, "a", 2)).await.map(drop)), first);
    assert_eq!(words(ledger.look_up(vec![task("a")]).await.map(drop)), first);
    assert_eq!(words(ledger.next_due(CoverScope::All, at(2)).await.map(drop)), first);
    ledger.close().await;
    let reopened = shared.open().await;
    assert_eq!(one(&reopened, "a").await, None);
    assert!(reopened.is_healthy());
    reopened.close().await;
}
