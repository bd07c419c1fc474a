//! Claims, settlements, releases, runs, and what the pace counts.

use std::cell::Cell;
use std::time::Duration;

use coverbatch::domain::Ended;
use tokio::join;

use super::*;

#[tokio::test]
async fn a_claim_is_counted_before_anything_is_known_of_its_answer() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", 10).await;
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.submissions), (RowState::InFlight, 1));
    assert_eq!(record.first_sent_at, Some(at(10)));
}

#[tokio::test]
async fn every_other_process_sees_a_claim_and_a_settlement_that_have_returned() {
    let shared = Shared::new();
    let (ledger, other) = (shared.open().await, shared.open().await);
    let run = run_in(&ledger).await;
    let attempt = granted(&ledger, run, "a", 10).await;
    assert_eq!(state(&other, "a").await, Some(RowState::InFlight));
    assert_eq!(claim(&other, run, "a", 11).await, Claim::InFlight);
    ledger.settle(attempt, settlement(RowState::Failed, Reason::NotFound, 12)).await.unwrap();
    assert_eq!(state(&other, "a").await, Some(RowState::Failed));
    ledger.close().await;
    other.close().await;
}

#[tokio::test]
async fn nobody_sees_a_claim_without_the_answer_that_was_told_before_it() {
    let shared = Shared::new();
    let (ledger, other) = (shared.open().await, shared.open().await);
    let run = run_in(&ledger).await;
    let ids: Vec<String> = (0..100).map(|row| format!("row-{row}")).collect();
    let is_done = Cell::new(false);
    let write = async {
        let mut last = granted(&ledger, run, &ids[0], 10).await;
        for id in &ids[1..] {
            let answer = ledger.settle(last, settlement(RowState::Failed, Reason::NotFound, 12));
            let (settled, next) = join!(biased; answer, granted(&ledger, run, id, 11));
            settled.unwrap();
            last = next;
        }
        is_done.set(true);
    };
    let read = async {
        while !is_done.get() {
            // One statement, and so one moment: rows are looked up in several.
            let in_flight = count(&other, |reason| reason.is_none()).await;
            assert!(in_flight <= 1, "{in_flight} in flight");
        }
    };
    join!(write, read);
    assert_eq!(count(&other, |reason| reason == Some(Reason::NotFound)).await, 99);
    ledger.close().await;
    other.close().await;
}

/// How many submissions whose answers mean this another process sees.
async fn count(other: &impl ReadLedger, is_meant: impl Fn(Option<Reason>) -> bool) -> u64 {
    let sends = other.sends_between((at(0), at(100)), Duration::from_secs(1)).await.unwrap();
    sends.iter().filter(|sends| is_meant(sends.reason)).map(|sends| sends.count).sum()
}

#[tokio::test]
async fn what_is_in_flight_or_settled_cannot_be_claimed_and_everything_else_can() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    every_state(&ledger, run).await;
    for state in STATES {
        let before = one(&ledger, state.word()).await;
        let is_refused = matches!(claim(&ledger, run, state.word(), 100).await, Claim::Refused | Claim::InFlight);
        assert_eq!(is_refused, state.is_settled() || state == RowState::InFlight, "{state}");
        if is_refused {
            assert_eq!(one(&ledger, state.word()).await, before, "{state}");
        }
    }
}

#[tokio::test]
async fn a_music_task_that_is_sent_again_keeps_what_it_knows() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for state in [RowState::Pending, RowState::InDoubt, RowState::Failed, RowState::GaveUp] {
        sent(&ledger, run, state.word(), 10, state).await;
        accepted(&ledger, run, state.word(), 20, None).await;
        let record = one(&ledger, state.word()).await.unwrap();
        assert_eq!((record.submissions, record.first_sent_at), (2, Some(at(10))));
        assert_eq!((record.finished_at, record.cover), (Some(at(21)), Some(cover_of(state.word()))));
    }
}

#[tokio::test]
async fn one_that_is_put_back_is_pending_or_in_doubt_if_it_was_so_before() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for (before, after) in [
        (RowState::Pending, RowState::Pending),
        (RowState::InDoubt, RowState::InDoubt),
        (RowState::GaveUp, RowState::Pending),
    ] {
        sent(&ledger, run, before.word(), 10, before).await;
        sent(&ledger, run, before.word(), 20, RowState::Pending).await;
        assert_eq!(state(&ledger, before.word()).await, Some(after), "{before}");
    }
}

#[tokio::test]
async fn a_settlement_knows_when_it_was_sent() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let attempt = granted(&ledger, run, "a", 10).await;
    let slow = Settlement { sent_at: at(300), ..settlement(RowState::Pending, Reason::ServerError, 320) };
    ledger.settle(attempt, slow).await.unwrap();
    assert_eq!(ledger.history(&task("a")).await.unwrap()[0].sent_at, at(300));
}

#[tokio::test]
async fn what_is_not_in_flight_can_neither_be_settled_nor_released() {
    for again in [true, false] {
        for releases in [true, false] {
            let ledger = fresh().await;
            let run = run_in(&ledger).await;
            let attempt = if again { granted(&ledger, run, "a", 10).await } else { AttemptKey(7) };
            let settled = settlement(RowState::Submitted, Reason::Accepted, 12);
            if again {
                ledger.settle(attempt, settled.clone()).await.unwrap();
            }
            let ended =
                if releases { ledger.release(attempt).await } else { ledger.settle(attempt, settled).await.map(drop) };
            assert!(ended.is_err(), "{again} {releases}");
        }
    }
}

#[tokio::test]
async fn a_released_music_task_is_as_it_was_before_its_claim() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let new = granted(&ledger, run, "new", 10).await;
    ledger.release(new).await.unwrap();
    assert_eq!(one(&ledger, "new").await, None);
    assert_eq!(ledger.history(&task("new")).await.unwrap(), []);

    every_state(&ledger, run).await;
    ledger.import(vec![(task("imported"), Record { state: RowState::GaveUp, ..accepted_record("i") })]).await.unwrap();
    ledger.note_default_covers(vec![(task("default"), "d.png".to_owned())]).await.unwrap();
    for id in ["pending", "in_doubt", "failed", "gave_up", "generation_failed", "imported", "default"] {
        let before = (one(&ledger, id).await, ledger.history(&task(id)).await.unwrap());
        let attempt = granted(&ledger, run, id, 30).await;
        assert_eq!(ledger.history(&task(id)).await.unwrap().len(), before.1.len() + 1, "{id}");
        ledger.release(attempt).await.unwrap();
        assert_eq!((one(&ledger, id).await, ledger.history(&task(id)).await.unwrap()), before, "{id}");
    }
}

#[tokio::test]
async fn the_next_run_knows_what_was_in_flight_to_be_in_doubt() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "again", 5, RowState::Pending).await;
    for id in ["a", "again"] {
        granted(&ledger, run, id, 10).await;
    }
    let next = run_in(&ledger).await;
    assert_eq!((run, next), (RunId(1), RunId(2)));
    for (id, submissions) in [("a", 1), ("again", 2)] {
        let record = one(&ledger, id).await.unwrap();
        assert_eq!((record.state, record.reason), (RowState::InDoubt, Some(Reason::Interrupted)));
        assert_eq!((record.submissions, record.answer), (submissions, Answer::default()));
    }
}

#[tokio::test]
async fn rejections_are_counted_by_run() {
    let ledger = fresh().await;
    for expected in 1..=3 {
        let run = run_in(&ledger).await;
        sent(&ledger, run, "a", 10, RowState::Failed).await;
        assert_eq!(one(&ledger, "a").await.unwrap().failed_runs, expected);
    }
}

#[tokio::test]
async fn a_run_that_ends_or_is_found_dead_leaves_its_covers_to_others() {
    for dies in [false, true] {
        let ledger = fresh().await;
        let run = run_in(&ledger).await;
        let follower = ledger.begin_follow("/c.csv", "follow again", at(1)).await.unwrap();
        accepted(&ledger, run, "a", 10, Some(waiter(run, false))).await;
        accepted(&ledger, run, "b", 20, Some(waiter(follower, false))).await;
        claim_job(&ledger, CoverScope::OfRun(run), JobKind::Poll, 30).await.unwrap();
        if dies {
            begun(&ledger, "/c.csv", 50).await;
        } else {
            ledger.end_run(run, Ended::Finished, at(50)).await.unwrap();
        }
        assert_eq!(ledger.next_due(CoverScope::OfRun(run), at(50)).await.unwrap(), (None, None));
        assert_eq!(due(&ledger, "a").await, Some(50), "nothing of it is under way any more");
        assert_eq!(ledger.next_due(CoverScope::OfRun(follower), at(50)).await.unwrap(), (Some(at(21)), None));
    }
}

#[tokio::test]
async fn news_of_the_music_change_only_what_may_be_sent_and_never_its_submissions() {
    for news in [RowState::Pending, RowState::Failed, RowState::GaveUp] {
        let ledger = fresh().await;
        let run = run_in(&ledger).await;
        every_state(&ledger, run).await;
        for state in STATES {
            let id = task(state.word());
            let (before, told) = (one(&ledger, state.word()).await.unwrap(), ledger.history(&id).await.unwrap());
            ledger.note_music(&id, news, (Reason::MusicNotReady, words()), at(9)).await.unwrap();
            let after = one(&ledger, state.word()).await.unwrap();
            let is_changed = match state {
                RowState::Pending | RowState::Failed | RowState::GaveUp | RowState::GenerationFailed => true,
                RowState::InFlight
                | RowState::InDoubt
                | RowState::Submitted
                | RowState::Exists
                | RowState::Completed
                | RowState::Ignored => false,
            };
            assert_eq!(after != before, is_changed, "{state:?}");
            assert_eq!(ledger.history(&id).await.unwrap(), told, "{state:?}");
            if is_changed {
                assert_eq!((after.state, after.reason), (news, Some(Reason::MusicNotReady)), "{state:?}");
                assert_eq!(after.failed_runs, before.failed_runs + u32::from(news == RowState::Failed), "{state:?}");
            }
        }
        ledger.note_music(&task("new"), news, (Reason::MusicFailed, words()), at(9)).await.unwrap();
        let new = one(&ledger, "new").await.unwrap();
        assert_eq!((new.state, new.submissions, new.failed_runs), (news, 0, u32::from(news == RowState::Failed)));
        assert_eq!(ledger.history(&task("new")).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_default_cover_stands_in_until_the_image_itself_is_on_disk() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, Some(waiter(run, true))).await;
    let rows = [("a", "a-default.png"), ("new", "new-default.png")];
    ledger.note_default_covers(rows.map(|(id, file)| (task(id), file.to_owned())).to_vec()).await.unwrap();
    let fallback = |record: Option<Record>| record.unwrap().artwork.fallback;
    assert_eq!(fallback(one(&ledger, "a").await).as_deref(), Some("a-default.png"));
    let new = one(&ledger, "new").await.unwrap();
    assert_eq!((new.state, new.submissions), (RowState::Pending, 0));
    assert_eq!(new.artwork.fallback.as_deref(), Some("new-default.png"));
    let key = poll(&ledger, 10).await.unwrap().key;
    ledger.settle_job(key, generated(2, true), at(50)).await.unwrap();
    ledger.settle_job(key, saved(ImageNumber::Two, "2"), at(51)).await.unwrap();
    assert!(fallback(one(&ledger, "a").await).is_some());
    ledger.settle_job(key, saved(ImageNumber::One, "1"), at(52)).await.unwrap();
    assert_eq!(fallback(one(&ledger, "a").await), None);
}
