//! Hints that a cover has news.

use super::*;

#[tokio::test]
async fn a_cover_that_is_woken_is_due_but_for_a_rest_after_the_last_claim() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    polled(&ledger, 10, later(90_000)).await;
    ledger.wake(&task("a"), at(5_000)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(10_010), "10 s after the claim");
    ledger.wake(&task("a"), at(20_000)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(10_010), "never later than before");

    polled(&ledger, 30_000, later(90_000)).await;
    ledger.wake(&task("a"), at(50_000)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(50_000), "now");
}

#[tokio::test]
async fn a_hint_during_a_claim_is_not_lost_and_counts_once() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    let key = poll(&ledger, 30_000).await.unwrap().key;
    ledger.wake(&task("a"), at(30_500)).await.unwrap();
    ledger.settle_job(key, later(90_000), at(31_000)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(40_000), "10 s after the claim");

    let key = poll(&ledger, 50_000).await.unwrap().key;
    ledger.wake(&task("a"), at(50_500)).await.unwrap();
    ledger.settle_job(key, later(90_000), at(65_000)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(65_000), "the rest is over");

    let key = poll(&ledger, 65_000).await.unwrap().key;
    ledger.wake(&task("a"), at(65_500)).await.unwrap();
    ledger.settle_job(key, later(66_000), at(65_600)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(66_000), "never later than without it");

    polled(&ledger, 80_000, later(90_000)).await;
    assert_eq!(due(&ledger, "a").await, Some(90_000), "the old hint was followed");
}

#[tokio::test]
async fn a_hint_changes_nothing_of_what_has_no_cover_to_follow() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    ledger.wake(&task("unknown"), at(1)).await.unwrap();
    assert_eq!(one(&ledger, "unknown").await, None);
    every_state(&ledger, run).await;
    let attempt = granted(&ledger, run, "no-id", 5).await;
    ledger.settle(attempt, settlement(RowState::Exists, Reason::Conflict, 6)).await.unwrap();
    for id in STATES.map(RowState::word).into_iter().chain(["no-id"]) {
        let (before, was_due) = (one(&ledger, id).await, due(&ledger, id).await);
        ledger.wake(&task(id), at(50_000)).await.unwrap();
        let is_followed = matches!(id, "submitted" | "exists");
        assert_eq!(due(&ledger, id).await, if is_followed { Some(50_000) } else { was_due }, "{id}");
        assert_eq!(one(&ledger, id).await, before, "{id}");
    }
}

#[tokio::test]
async fn a_forgotten_cover_that_is_woken_is_due_again() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    polled(&ledger, 10, JobOutcome::Forgotten(None)).await;
    ledger.wake(&task("a"), at(50_000)).await.unwrap();
    assert_eq!(due(&ledger, "a").await, Some(50_000));
}

#[tokio::test]
async fn a_hint_that_is_faster_than_the_answer_makes_the_cover_due_with_it() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for (id, hint, expected) in [("early", Some(20), 30), ("old", Some(5), 60_030), ("none", None, 60_030)] {
        let attempt = granted(&ledger, run, id, 0).await;
        if let Some(hint) = hint {
            ledger.wake(&task(id), at(hint)).await.unwrap();
            assert_eq!(due(&ledger, id).await, None, "its cover is not known yet");
        }
        let settled = Settlement { sent_at: at(10), poll_at: at(60_030), ..acceptance(id, 30, None) };
        ledger.settle(attempt, settled).await.unwrap();
        assert_eq!(due(&ledger, id).await, Some(expected), "{id}");
    }
}
