//! Covers from their acceptance to their files.

use coverbatch::domain::IMAGES_LAST;
use coverbatch::ledger::JobStep;

use super::*;

async fn polled_task(ledger: &impl FollowLedger, scope: CoverScope, ms: i64) -> Option<String> {
    claim_job(ledger, scope, JobKind::Poll, ms).await.map(|job| job.task.to_string())
}

async fn download(ledger: &impl FollowLedger, scope: CoverScope, ms: i64) -> Option<JobStep> {
    claim_job(ledger, scope, JobKind::Download, ms).await.map(|job| job.step)
}

fn lasting() -> i64 {
    i64::try_from(IMAGES_LAST.as_millis()).unwrap()
}

#[tokio::test]
async fn a_claimed_cover_is_nobodys_before_its_lease_is_over() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    assert_eq!(polled_task(&ledger, CoverScope::All, 0).await, None, "it is due one later");
    let job = poll(&ledger, 1).await.unwrap();
    assert_eq!((job.task, job.cover, job.since, job.failures), (task("a"), cover_of("a"), at(1), 0));
    assert_eq!(polled_task(&ledger, CoverScope::All, 60_000).await, None);
    assert_eq!(ledger.next_due(CoverScope::All, at(2)).await.unwrap(), (Some(at(60_001)), None));
    assert_eq!(polled_task(&ledger, CoverScope::All, 60_001).await.as_deref(), Some("a"), "its process died");
}

#[tokio::test]
async fn a_cover_is_polled_when_its_settlement_says() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let attempt = granted(&ledger, run, "a", 0).await;
    ledger.settle(attempt, Settlement { poll_at: at(700), ..acceptance("a", 1, None) }).await.unwrap();
    let attempt = granted(&ledger, run, "without-id", 0).await;
    ledger.settle(attempt, settlement(RowState::Exists, Reason::Conflict, 1)).await.unwrap();
    assert_eq!(ledger.next_due(CoverScope::All, at(2)).await.unwrap(), (Some(at(700)), None));
    assert_eq!(polled_task(&ledger, CoverScope::All, 699).await, None);
    assert_eq!(polled_task(&ledger, CoverScope::All, 700).await.as_deref(), Some("a"));
    assert_eq!(polled_task(&ledger, CoverScope::All, 700).await, None);
}

#[tokio::test]
async fn what_has_been_due_for_longest_is_claimed_first() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for (id, ms) in [("b", 20), ("c", 30), ("a", 10)] {
        accepted(&ledger, run, id, ms, None).await;
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.extend(polled_task(&ledger, CoverScope::All, 50).await);
    }
    assert_eq!(order, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_run_claims_only_what_it_waits_for_and_all_means_those_of_14_days() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let other = ledger.begin_follow("/c.csv", "follow again", at(0)).await.unwrap();
    accepted(&ledger, run, "mine", 10, Some(waiter(run, false))).await;
    accepted(&ledger, run, "theirs", 0, Some(waiter(other, false))).await;
    accepted(&ledger, run, "nobodys", 5, None).await;
    accepted(&ledger, run, "old", 50 - lasting() - 1, None).await;
    accepted(&ledger, run, "young", 51 - lasting() - 1, None).await;
    assert_eq!(polled_task(&ledger, CoverScope::OfRun(run), 50).await.as_deref(), Some("mine"));
    assert_eq!(polled_task(&ledger, CoverScope::OfRun(run), 50).await, None);
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(polled_task(&ledger, CoverScope::All, 50).await);
    }
    assert_eq!(all, ["young", "theirs", "nobodys"]);
}

#[tokio::test]
async fn two_processes_share_one_pace() {
    let shared = Shared::new();
    let (one, two) = (shared.open().await, shared.open().await);
    let run = run_in(&one).await;
    for n in 0..10 {
        accepted(&one, run, &format!("t{n}"), n, None).await;
    }
    let mut reads = Vec::new();
    for ms in (100..2700).step_by(100) {
        let ledger = if ms % 200 == 0 { &one } else { &two };
        let full = if ms % 300 == 0 {
            ledger.claim_read(at(ms), pace(3, 1)).await.unwrap()
        } else {
            let due = ledger.claim_job(CoverScope::All, JobKind::Poll, at(ms), LEASE, pace(3, 1)).await.unwrap();
            due.next.filter(|_| due.job.is_none())
        };
        match full {
            None => reads.push(ms),
            Some(until) => assert_eq!(until, at(reads[reads.len() - 3] + 1025), "{ms}"),
        }
    }
    assert_eq!(reads, [100, 200, 300, 1200, 1300, 1400, 2300, 2400, 2500]);
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn a_process_with_a_short_pace_forgets_no_read_that_a_longer_one_counts() {
    let shared = Shared::new();
    let (nightly, hasty) = (shared.open().await, shared.open().await);
    let day = 24 * 60 * 60;
    assert_eq!(nightly.claim_read(at(0), pace(1, day)).await.unwrap(), None);
    for second in 1..5 {
        assert_eq!(hasty.claim_read(at(second * 2_000), pace(1, 1)).await.unwrap(), None);
    }
    let free = nightly.claim_read(at(20_000), pace(5, day)).await.unwrap();
    assert_eq!(free, Some(at(i64::try_from(day).unwrap() * 1_020)), "a day and its slack after the first of five");
    nightly.close().await;
    hasty.close().await;
}

#[tokio::test]
async fn a_download_keeps_no_pace_and_a_read_from_the_future_holds_nobody() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for n in 0..3 {
        accepted(&ledger, run, &format!("t{n}"), n, None).await;
    }
    let claim = |kind, ms| ledger.claim_job(CoverScope::All, kind, at(ms), LEASE, pace(1, 10));
    let first = claim(JobKind::Poll, 90_000).await.unwrap().job.unwrap();
    assert_eq!(claim(JobKind::Poll, 90_001).await.unwrap().job, None);
    ledger.settle_job(first.key, generated(1, true), at(90_002)).await.unwrap();
    assert!(claim(JobKind::Download, 90_003).await.unwrap().job.is_some());
    assert!(claim(JobKind::Poll, 80_000).await.unwrap().job.is_some(), "the clock was set back");
}

#[tokio::test]
async fn polls_and_downloads_are_claimed_apart() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, Some(waiter(run, true))).await;
    let scope = CoverScope::OfRun(run);
    assert_eq!(download(&ledger, scope, 10).await, None);
    let key = claim_job(&ledger, scope, JobKind::Poll, 10).await.unwrap().key;
    ledger.settle_job(key, generated(2, true), at(20)).await.unwrap();
    assert_eq!(ledger.next_due(scope, at(20)).await.unwrap(), (None, Some(at(20))));
    assert_eq!(state(&ledger, "a").await, Some(RowState::Submitted));
    let [first, second] = [ImageNumber::One, ImageNumber::Two].map(|number| JobStep::Download {
        number,
        url: images(2).images.urls()[usize::from(number == ImageNumber::Two)].clone(),
    });
    assert_eq!(download(&ledger, scope, 20).await, Some(first));
    ledger.settle_job(key, saved(ImageNumber::One, "a-1.png"), at(30)).await.unwrap();
    assert_eq!(state(&ledger, "a").await, Some(RowState::Submitted));
    assert_eq!(download(&ledger, scope, 30).await, Some(second));
    ledger.settle_job(key, saved(ImageNumber::Two, "a-2.png"), at(41)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::Completed, Some(Reason::Generated)));
    assert_eq!((record.finished_at, record.answer.http_status), (Some(at(41)), Some(200)));
    assert_eq!(record.artwork.files, [Some(file("a-1.png")), Some(file("a-2.png"))]);
    assert_eq!(ledger.next_due(scope, at(50)).await.unwrap(), (None, None));
}

#[tokio::test]
async fn whoever_polls_may_want_the_files_that_its_run_did_not() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    polled(&ledger, 10, generated(1, true)).await;
    assert_eq!(state(&ledger, "a").await, Some(RowState::Submitted));
    assert!(download(&ledger, CoverScope::All, 20).await.is_some());
}

#[tokio::test]
async fn a_time_of_completion_that_is_still_to_come_is_now() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for (id, ms, expected) in [("a", 39, 39), ("b", 50, 40)] {
        accepted(&ledger, run, id, 0, None).await;
        polled(&ledger, ms, generated(1, false)).await;
        assert_eq!(one(&ledger, id).await.unwrap().artwork.completed_at, Some(at(expected)));
    }
}

#[tokio::test]
async fn a_cover_that_failed_can_be_sent_again() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for failures in 1..3 {
        accepted(&ledger, run, "a", 100 * i64::from(failures), Some(waiter(run, false))).await;
        polled(&ledger, 100 * i64::from(failures) + 1, failure()).await;
        let record = one(&ledger, "a").await.unwrap();
        assert_eq!((record.state, record.reason), (RowState::GenerationFailed, Some(Reason::GenerationFailed)));
        assert_eq!((record.failed_runs, record.submissions), (failures, failures));
        assert_eq!(due(&ledger, "a").await, None);
    }
}

#[tokio::test]
async fn a_route_is_that_of_the_cover_and_credits_are_those_that_its_record_told() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let credits = Credits::of_thousandths(400);
    let attempt = granted(&ledger, run, "a", 0).await;
    ledger.settle(attempt, Settlement { route: Route::Jobs, ..acceptance("a", 1, None) }).await.unwrap();
    let job = poll(&ledger, 2).await.unwrap();
    assert_eq!(job.route, Route::Jobs);
    ledger.settle_job(job.key, JobOutcome::Failed { answer: words(), credits }, at(3)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.route, record.credits), (Route::Jobs, credits));

    // By the other route it is there already, and the answer tells no id.
    let attempt = granted(&ledger, run, "a", 10).await;
    ledger.settle(attempt, settlement(RowState::Exists, Reason::Conflict, 11)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.cover, record.route), (Some(cover_of("a")), Route::Jobs));

    accepted(&ledger, run, "b", 20, None).await;
    let cover = Generated { credits: Credits::of_thousandths(0), ..images(1) };
    polled(&ledger, 22, JobOutcome::Generated { cover, answer: words(), wants_files: false }).await;
    let record = one(&ledger, "b").await.unwrap();
    assert_eq!((record.route, record.credits), (Route::Legacy, Credits::of_thousandths(0)));
}

#[tokio::test]
async fn what_another_has_finished_meanwhile_stays_as_it_is() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    let key = poll(&ledger, 10).await.unwrap().key;
    ledger.settle_job(key, generated(2, false), at(50)).await.unwrap();
    let before = (one(&ledger, "a").await, ledger.history(&task("a")).await.unwrap());
    let said = Some((Reason::ServerError, words()));
    for late in [
        later(70),
        JobOutcome::Later { due: at(70), failures: 3, said: said.clone(), given_up_by: Some(run) },
        JobOutcome::Forgotten(said),
        generated(1, true),
        failure(),
        saved(ImageNumber::One, "late.png"),
    ] {
        ledger.settle_job(key, late.clone(), at(60)).await.unwrap();
        assert_eq!((one(&ledger, "a").await, ledger.history(&task("a")).await.unwrap()), before, "{late:?}");
    }
    assert_eq!(due(&ledger, "a").await, None);
}

#[tokio::test]
async fn a_cover_put_off_is_due_then_and_one_given_up_is_nobodys() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let scope = CoverScope::OfRun(run);
    accepted(&ledger, run, "a", 0, Some(waiter(run, false))).await;
    let key = claim_job(&ledger, scope, JobKind::Poll, 10).await.unwrap().key;
    ledger.settle_job(key, later(500), at(20)).await.unwrap();
    assert_eq!(ledger.next_due(scope, at(20)).await.unwrap().0, Some(at(500)));
    assert_eq!(one(&ledger, "a").await.unwrap().reason, Some(Reason::Accepted));
    let said = Some((Reason::ServerError, words()));
    let gone = JobOutcome::Later { due: at(900), failures: 4, said, given_up_by: Some(run) };
    ledger.settle_job(key, gone, at(600)).await.unwrap();
    assert_eq!(ledger.next_due(scope, at(600)).await.unwrap().0, None);
    assert_eq!(ledger.next_due(CoverScope::All, at(600)).await.unwrap().0, Some(at(900)));
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::Submitted, Some(Reason::ServerError)));
    assert_eq!(poll(&ledger, 900).await.unwrap().failures, 4);
}

#[tokio::test]
async fn a_cover_that_is_forgotten_is_due_for_nobody() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, Some(waiter(run, false))).await;
    polled(&ledger, 10, JobOutcome::Forgotten(Some((Reason::Timeout, words())))).await;
    for scope in [CoverScope::All, CoverScope::OfRun(run)] {
        assert_eq!(ledger.next_due(scope, at(20)).await.unwrap(), (None, None));
    }
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::Submitted, Some(Reason::Timeout)));
}

#[tokio::test]
async fn a_run_takes_up_what_is_accepted_also_while_another_process_has_claimed_it() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    every_state(&ledger, run).await;
    let run = ledger.begin_follow("/c.csv", "follow again", at(20)).await.unwrap();
    let watch = async |wants_files, ms| {
        let tasks = STATES.iter().map(|state| task(state.word())).chain([task("unknown")]).collect();
        ledger.watch(waiter(run, wants_files), tasks, at(ms)).await.unwrap()
    };
    let job = poll(&ledger, 90_000).await.unwrap();
    assert_eq!(watch(false, 20).await, 2, "submitted and exists, though one was claimed since");
    assert_eq!(due(&ledger, job.task.as_str()).await, Some(150_000), "its lease is left to whoever claimed it");
    ledger.settle_job(job.key, generated(2, false), at(90_010)).await.unwrap();
    assert_eq!(watch(false, 20).await, 1, "one is finished");
    assert_eq!(watch(true, 20).await, 3, "and lacks its files, as the completed one does");
    assert_eq!(state(&ledger, job.task.as_str()).await, Some(RowState::Submitted));
    assert_eq!(watch(true, 2 * lasting()).await, 3, "however old they are");
}

#[tokio::test]
async fn what_a_run_has_given_up_is_left_to_others() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    let other = ledger.begin_follow("/c.csv", "follow again", at(0)).await.unwrap();
    // Not due at the same time, which would leave open which one is first.
    for (id, ms) in [("a", 0), ("b", 1)] {
        accepted(&ledger, run, id, ms, Some(waiter(run, false))).await;
    }
    let job = claim_job(&ledger, CoverScope::OfRun(run), JobKind::Poll, 10).await.unwrap();
    let watch = async |run| ledger.watch(waiter(run, false), vec![task("a"), task("b")], at(0)).await.unwrap();
    assert_eq!(watch(other).await, 2);
    let gone = JobOutcome::Later { due: at(900), failures: 0, said: None, given_up_by: Some(run) };
    ledger.settle_job(job.key, gone, at(20)).await.unwrap();
    assert_eq!(ledger.next_due(CoverScope::OfRun(other), at(20)).await.unwrap().0, Some(at(2)));
    assert_eq!(polled_task(&ledger, CoverScope::OfRun(other), 20).await.as_deref(), Some("b"));
    assert_eq!(
        polled_task(&ledger, CoverScope::OfRun(other), 900).await.as_deref(),
        Some("a"),
        "it waits for it still"
    );
    assert_eq!(watch(run).await, 1, "the other one");
}

#[tokio::test]
async fn images_that_are_gone_from_their_host_are_followed_by_nobody() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, Some(waiter(run, true))).await;
    polled(&ledger, 10, generated(2, true)).await;
    let watch = async || ledger.watch(waiter(run, true), vec![task("a")], at(0)).await.unwrap();
    let failed = |given_up_by| JobOutcome::Later {
        due: at(30),
        failures: 1,
        said: Some((Reason::NotFound, words())),
        given_up_by,
    };
    let job = claim_job(&ledger, CoverScope::All, JobKind::Download, 20).await.unwrap();
    assert_eq!(job.since, at(10), "when its images were finished");
    ledger.settle_job(job.key, failed(None), at(25)).await.unwrap();
    assert!(!one(&ledger, "a").await.unwrap().artwork.is_forgotten, "it is fetched again");
    assert_eq!(watch().await, 1);
    let job = claim_job(&ledger, CoverScope::All, JobKind::Download, 2 * lasting()).await.unwrap();
    let said = Some((Reason::NotFound, words()));
    ledger.settle_job(job.key, JobOutcome::Forgotten(said), at(2 * lasting())).await.unwrap();
    assert!(one(&ledger, "a").await.unwrap().artwork.is_forgotten);
    assert_eq!((due(&ledger, "a").await, watch().await), (None, 0));
}

#[tokio::test]
async fn nothing_that_a_run_waits_for_is_due_later_than_it_waits() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    for (id, poll_at) in [("soon", 10), ("late", 90_000)] {
        let attempt = granted(&ledger, run, id, 0).await;
        ledger.settle(attempt, Settlement { poll_at: at(poll_at), ..acceptance(id, 1, None) }).await.unwrap();
    }
    let follower = ledger.begin_follow("/c.csv", "follow again", at(5)).await.unwrap();
    let waiter = Waiter { longest: Duration::from_millis(100), ..waiter(follower, false) };
    assert_eq!(ledger.watch(waiter, vec![task("soon"), task("late")], at(5)).await.unwrap(), 2);
    assert_eq!((due(&ledger, "soon").await, due(&ledger, "late").await), (Some(10), Some(105)));
}

#[tokio::test]
async fn a_run_takes_a_cover_from_others_as_long_as_it_waits_for_it() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 1_000, Some(waiter(run, false))).await;
    let follower = ledger.begin_follow("/c.csv", "follow again", at(2_000)).await.unwrap();
    let longest = Duration::from_millis(500);
    let watch = async |began, ms| {
        let waiter = Waiter { began: at(began), longest, ..waiter(follower, false) };
        ledger.watch(waiter, vec![task("a")], at(ms)).await.unwrap()
    };
    assert_eq!(watch(2_000, 2_501).await, 0, "neither from its acceptance nor from the beginning of the command");
    assert_eq!(watch(0, 1_501).await, 1, "it was accepted a moment ago");
    assert_eq!(watch(2_000, 2_500).await, 1);
}

#[tokio::test]
async fn who_begins_to_wait_gives_a_cover_all_its_attempts_and_who_takes_it_back_does_not() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    let waiter = Waiter { began: at(30), ..waiter(run, false) };
    for (taken, left) in [(30, 0), (60, 3)] {
        let failed = JobOutcome::Later { due: at(taken), failures: 3, said: None, given_up_by: None };
        polled(&ledger, taken - 10, failed).await;
        assert_eq!(ledger.watch(waiter, vec![task("a")], at(taken)).await.unwrap(), 1);
        let job = poll(&ledger, taken).await.unwrap();
        assert_eq!(job.failures, left, "taken up at {taken}");
        ledger.settle_job(job.key, later(taken + 20), at(taken)).await.unwrap();
    }
}

#[tokio::test]
async fn jobs_that_are_released_are_due_for_others_at_once() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "polled", 0, Some(waiter(run, true))).await;
    accepted(&ledger, run, "fetched", 0, Some(waiter(run, true))).await;
    let scope = CoverScope::OfRun(run);
    let job = claim_job(&ledger, scope, JobKind::Poll, 1).await.unwrap();
    ledger.settle_job(job.key, generated(1, true), at(2)).await.unwrap();
    assert!(download(&ledger, scope, 3).await.is_some());
    assert!(claim_job(&ledger, scope, JobKind::Poll, 3).await.is_some());
    assert_eq!(ledger.next_due(CoverScope::All, at(3)).await.unwrap(), (Some(at(60_003)), Some(at(60_003))));
    ledger.release_jobs(run, at(4)).await.unwrap();
    assert_eq!(ledger.next_due(CoverScope::All, at(4)).await.unwrap(), (Some(at(4)), Some(at(4))));
    assert_eq!(ledger.next_due(scope, at(4)).await.unwrap(), (None, None));
}

#[tokio::test]
async fn a_command_that_follows_disturbs_no_submission() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", 0).await;
    let follower = ledger.begin_follow("/c.csv", "follow again", at(2)).await.unwrap();
    assert_ne!(follower, run);
    assert_eq!(state(&ledger, "a").await, Some(RowState::InFlight));
}
