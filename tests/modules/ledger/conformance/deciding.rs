//! What people decide about single music tasks, and how that is taken back.

use coverbatch::ledger::{AnyLedger, PastDecision, check, copy};
use coverbatch::policy::{Objection, judge};

use super::super::{API, Ways};
use super::*;

async fn undone(ledger: &impl DecideLedger, kind: ManualKind, id: &str, ms: i64) -> Judgement {
    ledger.undo(kind, vec![task(id)], at(ms)).await.unwrap().remove(0)
}

fn refused(objection: Objection) -> Judgement {
    Judgement::Refused(objection)
}

/// All that can be asked about a music task but what was decided about it.
async fn told(ledger: &impl ReadLedger, id: &str) -> (Option<Record>, Option<i64>, usize) {
    (one(ledger, id).await, due(ledger, id).await, ledger.history(&task(id)).await.unwrap().len())
}

#[tokio::test]
async fn every_decision_about_every_state_is_carried_out_or_refused_and_taken_back_whole() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    every_state(&ledger, run).await;
    for kind in ManualKind::ALL {
        for (state, is_sure) in STATES.iter().flat_map(|state| [(*state, false), (*state, true)]) {
            let id = state.word();
            let before = told(&ledger, id).await;
            let asked = ManualDecision { is_sure, ..decision(*kind, 100) };
            let judgements = ledger.decide(asked, vec![task(id)]).await.unwrap();
            assert_eq!(judgements, [judge(*kind, is_sure, Some(state))], "{kind} {id}");
            if judgements == [Judgement::Moved(kind.state())] {
                let after = told(&ledger, id).await;
                let record = after.0.clone().unwrap();
                assert_eq!((record.state, after.1), (kind.state(), None), "{kind} {id}");
                assert_eq!(after.2, before.2, "what was sent is known");
                assert_eq!(undone(&ledger, *kind, id, 200).await, Judgement::Moved(state), "{kind} {id}");
            }
            assert_eq!(told(&ledger, id).await, before, "{kind} {id}");
        }
    }
}

#[tokio::test]
async fn what_is_ignored_says_why_and_no_run_sends_it_whatever_its_list_says() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "a", 10, RowState::Failed).await;
    decided(&ledger, ManualKind::Ignore, "a", 20).await;
    decided(&ledger, ManualKind::Ignore, "new", 20).await;
    for (id, submissions) in [("a", 1), ("new", 0)] {
        let record = one(&ledger, id).await.unwrap();
        let answer = Answer { message: "for a reason".to_owned(), ..Answer::default() };
        assert_eq!((record.state, record.reason, record.answer), (RowState::Ignored, Some(Reason::Ignored), answer));
        assert_eq!((record.submissions, record.finished_at), (submissions, Some(at(20))));
        assert_eq!(claim(&ledger, run, id, 30).await, Claim::Refused);
    }
    let again = ledger.decide(decision(ManualKind::Ignore, 40), vec![task("a"), task("new")]).await.unwrap();
    assert_eq!(again, [Judgement::Already, Judgement::Already]);
    assert_eq!(ledger.decisions(&task("a")).await.unwrap().len(), 1);
    assert_eq!(undone(&ledger, ManualKind::Ignore, "new", 50).await, Judgement::Moved(RowState::Pending));
    let record = one(&ledger, "new").await.unwrap();
    assert_eq!((record.state, record.reason, record.answer), (RowState::Pending, None, Answer::default()));
    granted(&ledger, run, "new", 60).await;
}

#[tokio::test]
async fn what_is_to_be_retried_has_all_its_runs_before_it() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for ms in [10, 20, 30] {
        sent(&ledger, run, "a", ms, RowState::Failed).await;
    }
    decided(&ledger, ManualKind::Retry, "a", 40).await;
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.failed_runs, record.submissions), (RowState::Pending, 0, 3));
    assert_eq!(undone(&ledger, ManualKind::Retry, "a", 50).await, Judgement::Moved(RowState::Failed));
    assert_eq!(one(&ledger, "a").await.unwrap().failed_runs, 3);
}

#[tokio::test]
async fn of_what_is_forgotten_only_its_submissions_are_known() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 10, Some(waiter(run, true))).await;
    polled(&ledger, 20, generated(2, true)).await;
    let job = claim_job(&ledger, CoverScope::All, JobKind::Download, 30).await.unwrap();
    ledger.settle_job(job.key, saved(ImageNumber::One, "a.png"), at(31)).await.unwrap();
    decided(&ledger, ManualKind::Forget, "a", 40).await;
    let expected = Record {
        state: RowState::Pending,
        reason: None,
        cover: None,
        submissions: 1,
        first_sent_at: Some(at(10)),
        finished_at: None,
        ..accepted_record("a")
    };
    assert_eq!(one(&ledger, "a").await, Some(expected));
    assert_eq!(ledger.next_due(CoverScope::OfRun(run), at(50)).await.unwrap(), (None, None));
    assert_eq!(ledger.poll_stats(&task("a")).await.unwrap(), None);
    assert!(ledger.generation_times().await.unwrap().is_empty());
    ledger.import(vec![(task("a"), accepted_record("a"))]).await.unwrap();
    assert_eq!(state(&ledger, "a").await, Some(RowState::Pending), "earlier results are not believed");
}

#[tokio::test]
async fn what_comes_of_a_cover_that_was_forgotten_is_not_said_of_the_next_one() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 10, None).await;
    let job = poll(&ledger, 20).await.unwrap();
    decided(&ledger, ManualKind::Forget, "a", 30).await;
    let attempt = granted(&ledger, run, "a", 40).await;
    let next = Settlement { cover: Some(cover_of("next")), poll_at: at(9_000), ..acceptance("a", 41, None) };
    ledger.settle(attempt, next).await.unwrap();
    ledger.settle_job(job.key, generated(2, false), at(50)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.cover), (RowState::Submitted, Some(cover_of("next"))));
    assert_eq!((record.artwork.images, due(&ledger, "a").await), (None, Some(9_000)));
}

#[tokio::test]
async fn what_comes_of_a_cover_that_was_forgotten_is_not_said_of_the_next_one_that_somebody_follows() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 10, None).await;
    let old = claim_job(&ledger, CoverScope::All, JobKind::Poll, 20).await.unwrap();
    decided(&ledger, ManualKind::Forget, "a", 30).await;
    let attempt = granted(&ledger, run, "a", 40).await;
    let next = Settlement { cover: CoverTaskId::new("next").ok(), ..acceptance("a", 50, None) };
    ledger.settle(attempt, next).await.unwrap();
    assert!(claim_job(&ledger, CoverScope::All, JobKind::Poll, 60).await.is_some());
    ledger.settle_job(old.key, generated(2, false), at(70)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.artwork.images), (RowState::Submitted, None));
}

#[tokio::test]
async fn if_one_is_refused_nothing_is_decided_about_the_others() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "a", 10, RowState::Failed).await;
    granted(&ledger, run, "b", 20).await;
    let tasks = vec![task("a"), task("b")];
    let judgements = ledger.decide(decision(ManualKind::Retry, 30), tasks.clone()).await.unwrap();
    assert_eq!(judgements, [Judgement::Moved(RowState::Pending), refused(Objection::InFlight)]);
    assert_eq!(state(&ledger, "a").await, Some(RowState::Failed));
    assert_eq!(ledger.decisions(&task("a")).await.unwrap(), []);
    decided(&ledger, ManualKind::Retry, "a", 40).await;
    let judgements = ledger.undo(ManualKind::Retry, tasks, at(50)).await.unwrap();
    assert_eq!(judgements, [Judgement::Moved(RowState::Failed), refused(Objection::NothingToUndo)]);
    assert_eq!(state(&ledger, "a").await, Some(RowState::Pending));
}

#[tokio::test]
async fn only_the_last_decision_is_taken_back_and_only_as_long_as_nothing_was_sent() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "a", 10, RowState::Failed).await;
    decided(&ledger, ManualKind::Retry, "a", 20).await;
    decided(&ledger, ManualKind::Ignore, "a", 30).await;
    let other = refused(Objection::OtherDecision(ManualKind::Ignore));
    assert_eq!(undone(&ledger, ManualKind::Retry, "a", 40).await, other);
    assert_eq!(undone(&ledger, ManualKind::Ignore, "a", 50).await, Judgement::Moved(RowState::Pending));
    let attempt = granted(&ledger, run, "a", 60).await;
    let in_flight = refused(Objection::SentSince(RowState::InFlight));
    assert_eq!(undone(&ledger, ManualKind::Retry, "a", 61).await, in_flight);
    ledger.settle(attempt, settlement(RowState::Pending, Reason::ServerError, 70)).await.unwrap();
    let sent = refused(Objection::SentSince(RowState::Pending));
    assert_eq!(undone(&ledger, ManualKind::Retry, "a", 80).await, sent);
    assert_eq!(
        undone(&ledger, ManualKind::Ignore, "a", 80).await,
        refused(Objection::OtherDecision(ManualKind::Retry))
    );
}

#[tokio::test]
async fn decisions_are_remembered_with_what_was_known_before() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 10, None).await;
    decided(&ledger, ManualKind::Forget, "a", 20).await;
    undone(&ledger, ManualKind::Forget, "a", 30).await;
    decided(&ledger, ManualKind::Ignore, "a", 40).await;
    let found = ledger.decisions(&task("a")).await.unwrap();
    let expected = |kind, ms, undone_at| PastDecision {
        kind,
        reason: "for a reason".to_owned(),
        host: found[0].host.clone(),
        at: at(ms),
        before: Some(RowState::Submitted),
        cover: Some(cover_of("a")),
        undone_at,
    };
    assert_eq!(found, [expected(ManualKind::Forget, 20, Some(at(30))), expected(ManualKind::Ignore, 40, None)]);
    assert!(!found[0].host.is_empty());
}

#[tokio::test]
async fn what_a_dead_run_had_in_flight_can_be_decided_about_and_a_late_answer_still_counts() {
    for kind in ManualKind::ALL {
        let shared = Shared::new();
        let (dead, ledger) = (shared.open().await, shared.open().await);
        let run = run_in(&dead).await;
        let attempt = granted(&dead, run, "a", 10).await;
        let in_flight = ledger.decide(decision(*kind, 20), vec![task("a")]).await.unwrap();
        assert_eq!(in_flight, [refused(Objection::InFlight)], "it is alive");
        dead.close().await;
        decided(&ledger, *kind, "a", 30).await;
        assert_eq!(ledger.settle(attempt, acceptance("a", 40, None)).await.unwrap(), Settled::Recorded, "{kind}");
        let record = one(&ledger, "a").await.unwrap();
        assert_eq!((record.state, record.cover), (RowState::Submitted, Some(cover_of("a"))), "{kind}");
        let sent = refused(Objection::SentSince(RowState::Submitted));
        assert_eq!(undone(&ledger, *kind, "a", 50).await, sent, "{kind}");
    }
}

#[tokio::test]
async fn a_late_answer_that_settles_nothing_leaves_ignored_what_a_person_has_had_ignored() {
    for (state_then, reason) in [
        (RowState::Failed, Reason::NotFound),
        (RowState::GaveUp, Reason::ServerError),
        (RowState::Pending, Reason::RateLimited),
        (RowState::InDoubt, Reason::Timeout),
    ] {
        let shared = Shared::new();
        let (dead, ledger) = (shared.open().await, shared.open().await);
        let run = run_in(&dead).await;
        let attempt = granted(&dead, run, "a", 10).await;
        dead.close().await;
        decided(&ledger, ManualKind::Ignore, "a", 30).await;
        let expected = one(&ledger, "a").await;
        let settled = ledger.settle(attempt, settlement(state_then, reason, 40)).await.unwrap();
        assert_eq!(settled, Settled::Overtaken, "{state_then}");
        assert_eq!(one(&ledger, "a").await, expected, "{state_then}");
        assert_eq!(ledger.history(&task("a")).await.unwrap()[0].reason, Some(reason), "it is written down");
        assert_eq!(undone(&ledger, ManualKind::Ignore, "a", 50).await, Judgement::Moved(RowState::InDoubt));
    }
}

#[tokio::test]
async fn a_copy_knows_how_to_take_a_decision_back() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        let ledger = AnyLedger::open(&from, API, Duration::from_secs(60)).await.unwrap();
        let run = run_in(&ledger).await;
        accepted(&ledger, run, "a", 10, Some(waiter(run, true))).await;
        polled(&ledger, 20, generated(2, true)).await;
        let expected = told(&ledger, "a").await;
        decided(&ledger, ManualKind::Forget, "a", 30).await;
        decided(&ledger, ManualKind::Ignore, "new", 30).await;
        assert!(copy(&from, &to).await.unwrap());
        let copied = AnyLedger::open(&to, API, Duration::from_secs(60)).await.unwrap();
        assert_eq!(undone(&copied, ManualKind::Forget, "a", 40).await, Judgement::Moved(RowState::Submitted));
        assert_eq!(undone(&copied, ManualKind::Ignore, "new", 40).await, Judgement::Moved(RowState::Pending));
        assert_eq!(told(&copied, "a").await, (expected.0, expected.1, 1), "{from} -> {to}");
        assert!(check(&to).await.unwrap().is_some());
        let job = claim_job(&copied, CoverScope::All, JobKind::Download, 50).await;
        assert!(job.is_some(), "its images are wanted as before");
    }
}
