use std::num::NonZeroU32;

use super::super::SqliteLedger;
use super::super::tests::{API, claim, granted, one, run_in, settle, settlement, task};
use super::*;
use crate::domain::{Ended, Generated, Images};
use crate::ledger::{Artwork, Claim, Ledger as _, Pursued, Record, RunId, Settlement};

const LEASE: Duration = Duration::from_secs(60);

/// A time long after 1970, so that 14 days before it is one too.
const T: i64 = 1_800_000_000_000;

fn at(ms: i64) -> UnixMillis {
    UnixMillis(T + ms)
}

fn words() -> Answer {
    Answer { http_status: Some(200), code: Some(200), message: "said".to_owned() }
}

fn pace(count: u32, seconds: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(seconds) }
}

fn generous() -> Rate {
    pace(1000, 1)
}

fn images(count: usize) -> Generated {
    let urls = ["https://x.example/1.png", "https://x.example/2.png"];
    Generated {
        images: Images::new(urls.into_iter().take(count)).unwrap(),
        completed_at: Some(at(40)),
        took: Some(Duration::from_millis(30)),
    }
}

/// A row that was sent at `ms`, accepted one later, and is due at once.
async fn accepted(ledger: &SqliteLedger, run: RunId, id: &str, ms: i64, followed: Option<FollowedBy>) -> RowKey {
    let row = granted(ledger, run, id, T + ms).await;
    let mut settled = settlement(RowState::Submitted, Reason::Accepted, T + ms + 1);
    settled.cover = CoverTaskId::new(format!("c-{id}")).ok();
    settled.followed = followed;
    settle(ledger, row, settled).await.unwrap();
    row
}

async fn look(ledger: &SqliteLedger, who: Follower, ms: i64) -> Option<String> {
    let due = ledger.claim_due(who, Lane::Look, at(ms), LEASE, generous()).await.unwrap();
    due.pursuit.map(|pursuit| pursuit.task.to_string())
}

async fn fetch(ledger: &SqliteLedger, who: Follower, ms: i64) -> Option<Step> {
    let due = ledger.claim_due(who, Lane::Fetch, at(ms), LEASE, generous()).await.unwrap();
    due.pursuit.map(|pursuit| pursuit.step)
}

fn later(ms: i64) -> Pursued {
    Pursued::Later { due: at(ms), troubles: 0, said: None, given_up: false }
}

fn finished(count: usize, files: bool) -> Pursued {
    Pursued::Generated { cover: images(count), answer: words(), files }
}

fn saved(number: ImageNumber, file: &str) -> Pursued {
    Pursued::Saved { number, file: file.to_owned() }
}

/// What the table holds in one column of a row.
async fn cell(ledger: &SqliteLedger, id: &str, column: &'static str) -> Option<i64> {
    let id = id.to_owned();
    let read = move |connection: &Connection| {
        connection.query_row(&format!("SELECT {column} FROM task WHERE id = ?1"), [id], |row| row.get(0))
    };
    ledger.call(read).await.unwrap()
}

#[tokio::test]
async fn a_claimed_cover_is_nobodys_before_its_lease_is_over() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, None).await;
    assert_eq!(look(&ledger, Follower::Everyone, 0).await, None, "it is due one later");
    assert_eq!(look(&ledger, Follower::Everyone, 1).await.as_deref(), Some("a"));
    assert_eq!(look(&ledger, Follower::Everyone, 60_000).await, None);
    assert_eq!(ledger.next_due(Follower::Everyone, at(2)).await.unwrap(), (Some(at(60_001)), None));
    assert_eq!(look(&ledger, Follower::Everyone, 60_001).await.as_deref(), Some("a"), "its process died");
}

#[tokio::test]
async fn what_has_been_due_for_longest_is_claimed_first() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for (id, ms) in [("b", 20), ("c", 30), ("a", 10)] {
        accepted(&ledger, run, id, ms, None).await;
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(look(&ledger, Follower::Everyone, 50).await);
    }
    assert_eq!(order.into_iter().flatten().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_run_claims_only_what_it_waits_for_and_everyone_claims_all_of_14_days() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let (run, other) = (run_in(&ledger).await, run_in(&ledger).await);
    accepted(&ledger, run, "mine", 10, Some(FollowedBy { run, files: false, wait: Duration::MAX })).await;
    accepted(&ledger, other, "theirs", 0, Some(FollowedBy { run: other, files: false, wait: Duration::MAX })).await;
    accepted(&ledger, run, "nobodys", 5, None).await;
    let forgotten = i64::try_from(IMAGES_LAST.as_millis()).unwrap();
    accepted(&ledger, run, "old", 50 - forgotten - 1, None).await;
    accepted(&ledger, run, "young", 51 - forgotten - 1, None).await;
    assert_eq!(look(&ledger, Follower::Run(run), 50).await.as_deref(), Some("mine"));
    assert_eq!(look(&ledger, Follower::Run(run), 50).await, None);
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(look(&ledger, Follower::Everyone, 50).await);
    }
    assert_eq!(all.into_iter().flatten().collect::<Vec<_>>(), ["young", "theirs", "nobodys"]);
}

#[tokio::test]
async fn two_processes_share_one_pace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let (one, two) = (SqliteLedger::open(&path, API).unwrap(), SqliteLedger::open(&path, API).unwrap());
    let run = run_in(&one).await;
    for n in 0..10 {
        accepted(&one, run, &format!("t{n}"), n, None).await;
    }
    let mut looks = Vec::new();
    for ms in (100..2300).step_by(100) {
        let ledger = if ms % 200 == 0 { &one } else { &two };
        let due = ledger.claim_due(Follower::Everyone, Lane::Look, at(ms), LEASE, pace(3, 1)).await.unwrap();
        match due.pursuit {
            Some(_) => looks.push(ms),
            None => assert_eq!(due.next, Some(at(looks[looks.len() - 3] + 1000)), "{ms}"),
        }
    }
    assert_eq!(looks, [100, 200, 300, 1100, 1200, 1300, 2100, 2200]);
    assert_eq!(two.looks_since(at(1300)).await.unwrap(), [1300, 2100, 2200].map(at));
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn a_download_keeps_no_pace_and_a_look_from_the_future_holds_nobody() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for n in 0..3 {
        accepted(&ledger, run, &format!("t{n}"), n, None).await;
    }
    let claim = |lane, ms| ledger.claim_due(Follower::Everyone, lane, at(ms), LEASE, pace(1, 10));
    let first = claim(Lane::Look, 90_000).await.unwrap().pursuit.unwrap();
    assert_eq!(claim(Lane::Look, 90_001).await.unwrap().pursuit, None);
    ledger.settle_pursuit(first.key, finished(1, true), at(90_002)).await.unwrap();
    assert!(claim(Lane::Fetch, 90_003).await.unwrap().pursuit.is_some());
    assert!(claim(Lane::Look, 80_000).await.unwrap().pursuit.is_some(), "the clock was set back");
}

#[tokio::test]
async fn a_look_and_a_download_are_lanes_of_their_own() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, Some(FollowedBy { run, files: true, wait: Duration::MAX })).await;
    let who = Follower::Run(run);
    assert_eq!(fetch(&ledger, who, 10).await, None);
    assert_eq!(look(&ledger, who, 10).await.as_deref(), Some("a"));
    ledger.settle_pursuit(row, finished(2, true), at(20)).await.unwrap();
    assert_eq!(ledger.next_due(who, at(20)).await.unwrap(), (None, Some(at(20))));
    assert_eq!(one(&ledger, "a").await.unwrap().state, RowState::Submitted);
    let [first, second] = [ImageNumber::One, ImageNumber::Two].map(|number| Step::Fetch {
        number,
        url: images(2).images.urls()[usize::from(number == ImageNumber::Two)].clone(),
    });
    assert_eq!(fetch(&ledger, who, 20).await, Some(first));
    ledger.settle_pursuit(row, saved(ImageNumber::One, "a-1.png"), at(30)).await.unwrap();
    assert_eq!(one(&ledger, "a").await.unwrap().state, RowState::Submitted);
    assert_eq!(fetch(&ledger, who, 30).await, Some(second));
    ledger.settle_pursuit(row, saved(ImageNumber::Two, "a-2.png"), at(41)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::Completed, Some(Reason::Generated)));
    assert!(record.artwork.is_on_disk());
    assert_eq!(record.artwork.files, [Some("a-1.png".to_owned()), Some("a-2.png".to_owned())]);
    assert_eq!(ledger.next_due(who, at(50)).await.unwrap(), (None, None));
}

#[tokio::test]
async fn a_finished_cover_makes_its_submission_history() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, None).await;
    look(&ledger, Follower::Everyone, 10).await;
    ledger.settle_pursuit(row, finished(2, false), at(50)).await.unwrap();
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.finished_at), (RowState::Completed, Some(at(50))));
    assert_eq!(record.artwork.completed_at, Some(at(40)));
    assert_eq!(ledger.sends_since(UnixMillis(0)).await.unwrap(), [at(0)]);
    let history = ledger.history(&task("a")).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].run, history[0].sent_at, history[0].answered_at), (Some(run), at(0), Some(at(1))));
    assert_eq!(history[0].reason, Some(Reason::Accepted));
    assert_eq!(ledger.generation_times().await.unwrap(), [Duration::from_millis(30)]);
    assert_eq!(claim(&ledger, run, "a", T + 60).await, Claim::Refused);
}

#[tokio::test]
async fn a_time_of_completion_that_is_still_to_come_is_now() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, None).await;
    ledger.settle_pursuit(row, finished(1, false), at(39)).await.unwrap();
    assert_eq!(one(&ledger, "a").await.unwrap().artwork.completed_at, Some(at(39)));
}

#[tokio::test]
async fn a_cover_that_failed_can_be_sent_again_and_released_as_it_was() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, None).await;
    // In the same millisecond as it was accepted: then only the words tell the two answers apart.
    for (answered, ms) in [(1, 1), (101, 150)] {
        if ms > 1 {
            accepted(&ledger, run, "a", answered - 1, None).await;
        }
        look(&ledger, Follower::Everyone, ms).await;
        ledger.settle_pursuit(row, Pursued::Failed(words()), at(ms)).await.unwrap();
        let before = (one(&ledger, "a").await, ledger.history(&task("a")).await.unwrap());
        assert_eq!(before.0.as_ref().unwrap().state, RowState::GenerationFailed);
        let again = granted(&ledger, run, "a", T + ms + 40).await;
        assert_eq!(ledger.history(&task("a")).await.unwrap().len(), before.1.len() + 1);
        ledger.release(again).await.unwrap();
        assert_eq!((one(&ledger, "a").await, ledger.history(&task("a")).await.unwrap()), before, "{ms}");
    }
    assert_eq!(ledger.sends_since(UnixMillis(0)).await.unwrap(), [at(0), at(100)]);
    assert_eq!(one(&ledger, "a").await.unwrap().failed_runs, 2);
}

#[tokio::test]
async fn what_another_has_finished_meanwhile_stays_as_it_is() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, None).await;
    ledger.settle_pursuit(row, finished(2, false), at(50)).await.unwrap();
    let before = (one(&ledger, "a").await, ledger.history(&task("a")).await.unwrap());
    let said = Some((Reason::ServerError, words()));
    for late in [
        later(70),
        Pursued::Later { due: at(70), troubles: 3, said, given_up: true },
        finished(1, true),
        Pursued::Failed(words()),
        saved(ImageNumber::One, "late.png"),
    ] {
        ledger.settle_pursuit(row, late.clone(), at(60)).await.unwrap();
        assert_eq!((one(&ledger, "a").await, ledger.history(&task("a")).await.unwrap()), before, "{late:?}");
    }
    assert_eq!(cell(&ledger, "a", "due_at").await, None);
}

#[tokio::test]
async fn a_cover_put_off_is_due_then_and_one_given_up_is_nobodys() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, Some(FollowedBy { run, files: false, wait: Duration::MAX })).await;
    look(&ledger, Follower::Run(run), 10).await;
    ledger.settle_pursuit(row, later(500), at(20)).await.unwrap();
    assert_eq!(ledger.next_due(Follower::Run(run), at(20)).await.unwrap().0, Some(at(500)));
    let accepted = one(&ledger, "a").await.unwrap();
    assert_eq!(accepted.reason, Some(Reason::Accepted));
    let said = Some((Reason::ServerError, words()));
    let gone = Pursued::Later { due: at(900), troubles: 4, said, given_up: true };
    ledger.settle_pursuit(row, gone, at(600)).await.unwrap();
    assert_eq!(ledger.next_due(Follower::Run(run), at(600)).await.unwrap().0, None);
    assert_eq!(ledger.next_due(Follower::Everyone, at(600)).await.unwrap().0, Some(at(900)));
    let record = one(&ledger, "a").await.unwrap();
    assert_eq!((record.state, record.reason), (RowState::Submitted, Some(Reason::ServerError)));
    assert_eq!(ledger.history(&task("a")).await.unwrap()[0].reason, Some(Reason::Accepted));
    let due = ledger.claim_due(Follower::Everyone, Lane::Look, at(900), LEASE, generous()).await.unwrap();
    assert_eq!(due.pursuit.unwrap().troubles, 4);
}

#[tokio::test]
async fn a_hint_makes_a_cover_due_but_for_a_rest_after_the_last_look() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, None).await;
    let due = || async { cell(&ledger, "a", "due_at").await.unwrap() - T };
    look(&ledger, Follower::Everyone, 10).await;
    ledger.settle_pursuit(row, later(90_000), at(20)).await.unwrap();
    ledger.hint(&task("a"), at(5_000)).await.unwrap();
    assert_eq!(due().await, 10_010, "10 s after the look");
    ledger.hint(&task("a"), at(20_000)).await.unwrap();
    assert_eq!(due().await, 10_010, "never later than before");

    look(&ledger, Follower::Everyone, 30_000).await;
    ledger.hint(&task("a"), at(30_500)).await.unwrap();
    ledger.settle_pursuit(row, later(90_000), at(31_000)).await.unwrap();
    assert_eq!(due().await, 40_000, "a hint during a claim is not lost");

    look(&ledger, Follower::Everyone, 50_000).await;
    ledger.settle_pursuit(row, later(90_000), at(50_100)).await.unwrap();
    assert_eq!(due().await, 90_000, "an old hint counts once");
}

#[tokio::test]
async fn a_hint_changes_nothing_that_is_not_followed() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    ledger.hint(&task("unknown"), at(1)).await.unwrap();
    assert_eq!(one(&ledger, "unknown").await, None);
    let settled = granted(&ledger, run, "settled", T).await;
    settle(&ledger, settled, settlement(RowState::Failed, Reason::NotFound, T + 1)).await.unwrap();
    let done = accepted(&ledger, run, "done", 0, None).await;
    ledger.settle_pursuit(done, finished(1, true), at(2)).await.unwrap();
    for id in ["settled", "done"] {
        let before = (one(&ledger, id).await, cell(&ledger, id, "due_at").await);
        ledger.hint(&task(id), at(90_000)).await.unwrap();
        assert_eq!((one(&ledger, id).await, cell(&ledger, id, "due_at").await), before, "{id}");
        assert_eq!(cell(&ledger, id, "hinted_at").await, None);
    }
}

#[tokio::test]
async fn a_hint_that_is_faster_than_the_answer_makes_the_cover_due_at_once() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for (id, hint, due) in [("early", Some(T + 20), T + 30), ("none", None, T + 60_030)] {
        let row = granted(&ledger, run, id, T).await;
        if let Some(hint) = hint {
            ledger.hint(&task(id), UnixMillis(hint)).await.unwrap();
        }
        let accepted = Settlement {
            cover: CoverTaskId::new("c").ok(),
            look_at: UnixMillis(T + 60_030),
            ..settlement(RowState::Submitted, Reason::Accepted, T + 30)
        };
        settle(&ledger, row, Settlement { sent_at: UnixMillis(T + 10), ..accepted }).await.unwrap();
        assert_eq!(cell(&ledger, id, "due_at").await, Some(due), "{id}");
    }
}

/// A row in each state, by the name of that state.
async fn every_state(ledger: &SqliteLedger) {
    let states =
        "INSERT INTO task (id, state, submissions, run, first_sent_at, sent_at, answered_at, cover_id, reason, key)
                  SELECT value, value, 1, 1, 5, 5, iif(value IN ('in_flight', 'in_doubt'), NULL, 6),
                         iif(value IN ('submitted', 'exists', 'completed', 'generation_failed'), 'c', NULL),
                         iif(value = 'in_flight', NULL, 'server_error'), id_key(value)
                  FROM json_each('[\"pending\", \"in_flight\", \"in_doubt\", \"submitted\", \"exists\", \"failed\",
                                  \"gave_up\", \"completed\", \"generation_failed\"]')";
    ledger.call(|connection| connection.execute(states, [])).await.unwrap();
}

const STATES: [RowState; 9] = [
    RowState::Pending,
    RowState::InFlight,
    RowState::InDoubt,
    RowState::Submitted,
    RowState::Exists,
    RowState::Failed,
    RowState::GaveUp,
    RowState::Completed,
    RowState::GenerationFailed,
];

#[tokio::test]
async fn news_of_the_music_change_only_what_may_be_sent_and_never_its_submissions() {
    for news in [RowState::Pending, RowState::Failed, RowState::GaveUp] {
        let ledger = SqliteLedger::in_memory(API).unwrap();
        every_state(&ledger).await;
        for state in STATES {
            let id = task(state.word());
            let (before, told) = (one(&ledger, state.word()).await, ledger.history(&id).await.unwrap());
            let said = (Reason::MusicNotReady, words());
            ledger.note_music(&id, news, said, UnixMillis(9)).await.unwrap();
            let after = one(&ledger, state.word()).await;
            let is_changed = match state {
                RowState::Pending | RowState::Failed | RowState::GaveUp | RowState::GenerationFailed => true,
                RowState::InFlight
                | RowState::InDoubt
                | RowState::Submitted
                | RowState::Exists
                | RowState::Completed => false,
            };
            assert_eq!(after.as_ref() != before.as_ref(), is_changed, "{state:?}");
            assert_eq!(ledger.history(&id).await.unwrap(), told, "{state:?}");
            assert!(!is_changed || after.unwrap().state == news, "{state:?}");
        }
        assert_eq!(ledger.sends_since(UnixMillis(0)).await.unwrap().len(), STATES.len());
        ledger.note_music(&task("new"), news, (Reason::MusicFailed, words()), UnixMillis(9)).await.unwrap();
        let new = one(&ledger, "new").await.unwrap();
        assert_eq!((new.state, new.submissions, new.failed_runs), (news, 0, u32::from(news == RowState::Failed)));
        assert_eq!(ledger.history(&task("new")).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_run_takes_up_what_is_accepted_and_not_looked_at_since_it_began() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    every_state(&ledger).await;
    let run = run_in(&ledger).await;
    let count = |files, ms| {
        let tasks = STATES.iter().map(|state| task(state.word())).chain([task("unknown")]).collect();
        ledger.follow(FollowedBy { run, files, wait: Duration::MAX }, tasks, at(ms))
    };
    assert_eq!(count(false, 0).await.unwrap(), 2, "submitted and exists");
    let key =
        ledger.claim_due(Follower::Run(run), Lane::Look, at(10), LEASE, generous()).await.unwrap().pursuit.unwrap();
    assert_eq!(count(false, 5).await.unwrap(), 1, "one was looked at since");
    ledger.settle_pursuit(key.key, finished(2, false), at(41)).await.unwrap();
    assert_eq!(count(false, 50).await.unwrap(), 1, "one is finished");
    assert_eq!(count(true, 50).await.unwrap(), 2, "and lacks its files");
    assert_eq!(one(&ledger, key.task.as_str()).await.unwrap().state, RowState::Submitted);
    let forgotten = i64::try_from(IMAGES_LAST.as_millis()).unwrap() + 40;
    assert_eq!(count(true, forgotten).await.unwrap(), 1, "its images are forgotten");
    assert_eq!(count(true, forgotten - 1).await.unwrap(), 2);
}

#[tokio::test]
async fn the_end_of_a_run_sets_its_covers_free() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let (run, other) = (run_in(&ledger).await, run_in(&ledger).await);
    accepted(&ledger, run, "a", 0, Some(FollowedBy { run, files: false, wait: Duration::MAX })).await;
    accepted(&ledger, other, "b", 0, Some(FollowedBy { run: other, files: false, wait: Duration::MAX })).await;
    ledger.end_run(run, Ended::Finished, at(5)).await.unwrap();
    assert_eq!(cell(&ledger, "a", "follow_run").await, None);
    assert_eq!(cell(&ledger, "b", "follow_run").await, Some(other.0));
    assert_eq!(ledger.next_due(Follower::Everyone, at(5)).await.unwrap().0, Some(at(1)));
}

#[tokio::test]
async fn a_command_that_follows_disturbs_neither_submissions_nor_the_last_run() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", T).await;
    ledger.end_run(run, Ended::Deadline, at(1)).await.unwrap();
    let follower = ledger.begin_follow("/c.csv", at(2)).await.unwrap();
    assert_ne!(follower, run);
    assert_eq!(one(&ledger, "a").await.unwrap().state, RowState::InFlight);
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Deadline));
    ledger.end_run(follower, Ended::Finished, at(3)).await.unwrap();
    assert_eq!(ledger.last_end("/c.csv").await.unwrap(), Some(Reason::Deadline));
}

#[tokio::test]
async fn a_default_cover_stands_in_until_every_image_is_on_disk() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    let row = accepted(&ledger, run, "a", 0, Some(FollowedBy { run, files: true, wait: Duration::MAX })).await;
    let rows = [("a", "a-default.png"), ("new", "new-default.png")];
    ledger.fall_back(rows.map(|(id, file)| (task(id), file.to_owned())).to_vec()).await.unwrap();
    let fallback = |record: Option<Record>| record.unwrap().artwork.fallback;
    assert_eq!(fallback(one(&ledger, "a").await).as_deref(), Some("a-default.png"));
    let new = one(&ledger, "new").await;
    assert_eq!(new.as_ref().map(|new| (new.state, new.submissions)), Some((RowState::Pending, 0)));
    let claimed = granted(&ledger, run, "new", T).await;
    ledger.release(claimed).await.unwrap();
    assert_eq!(one(&ledger, "new").await, new);
    ledger.settle_pursuit(row, finished(2, true), at(50)).await.unwrap();
    ledger.settle_pursuit(row, saved(ImageNumber::Two, "2"), at(51)).await.unwrap();
    assert!(fallback(one(&ledger, "a").await).is_some());
    ledger.settle_pursuit(row, saved(ImageNumber::One, "1"), at(52)).await.unwrap();
    assert_eq!(fallback(one(&ledger, "a").await), None);
}

#[tokio::test]
async fn the_last_100_times_of_generation_are_told_latest_first() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    for n in 0..103 {
        let row = accepted(&ledger, run, &format!("t{n}"), n, None).await;
        let took = if n == 102 { None } else { Some(Duration::from_millis(u64::try_from(n).unwrap())) };
        let cover = Generated { completed_at: Some(at(n)), took, ..images(1) };
        ledger.settle_pursuit(row, Pursued::Generated { cover, answer: words(), files: false }, at(500)).await.unwrap();
    }
    let times = ledger.generation_times().await.unwrap();
    assert_eq!(times, (2..102).rev().map(Duration::from_millis).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_results_file_says_of_images_is_adopted_whole() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let earlier = Record {
        state: RowState::Completed,
        reason: Some(Reason::Generated),
        answer: words(),
        cover: CoverTaskId::new("c").ok(),
        submissions: 2,
        failed_runs: 0,
        first_sent_at: Some(at(1)),
        finished_at: Some(at(2)),
        artwork: Artwork {
            images: Some(images(2).images),
            completed_at: Some(at(2)),
            files: [Some("a-1.png".to_owned()), None],
            fallback: None,
        },
    };
    ledger.adopt(vec![(task("a"), earlier.clone())]).await.unwrap();
    assert_eq!(one(&ledger, "a").await, Some(earlier));
    let run = run_in(&ledger).await;
    assert_eq!(
        ledger.follow(FollowedBy { run, files: true, wait: Duration::MAX }, vec![task("a")], at(9)).await.unwrap(),
        1
    );
    let url = images(2).images.urls()[1].clone();
    assert_eq!(fetch(&ledger, Follower::Run(run), 9).await, Some(Step::Fetch { number: ImageNumber::Two, url }));
}

#[tokio::test]
async fn what_is_due_is_found_by_index_among_100_000_old_rows() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let plans = |connection: &Connection| {
        connection.execute_batch(
            "INSERT INTO task (id, state, submissions, cover_id, image_1, completed_at, key)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             SELECT 'old' || i, 'completed', 1, 'c' || i, 'https://x/' || i, i, id_key('old' || i) FROM n;",
        )?;
        let mut plans = Vec::new();
        for analysed in [false, true] {
            for who in [Follower::Run(RunId(1)), Follower::Everyone] {
                for lane in [Lane::Look, Lane::Fetch] {
                    let condition = condition(who, lane);
                    let sql =
                        format!("EXPLAIN QUERY PLAN SELECT due_at FROM task WHERE {condition} ORDER BY due_at LIMIT 1");
                    let plan: String = connection.query_row(&sql, [1], |row| row.get(3))?;
                    plans.push((who, lane, analysed, plan));
                }
            }
            connection.execute_batch("ANALYZE")?;
        }
        Ok(plans)
    };
    for (who, lane, analysed, plan) in ledger.call(plans).await.unwrap() {
        let index = match (who, lane) {
            (Follower::Run(_), Lane::Look) => "SEARCH task USING INDEX task_followed_look (follow_run=? AND due_at>?)",
            (Follower::Run(_), Lane::Fetch) => {
                "SEARCH task USING INDEX task_followed_fetch (follow_run=? AND due_at>?)"
            }
            (Follower::Everyone, Lane::Look) => "SEARCH task USING INDEX task_due_look (due_at>?)",
            (Follower::Everyone, Lane::Fetch) => "SEARCH task USING INDEX task_due_fetch (due_at>?)",
        };
        assert_eq!(plan, index, "{who:?} {lane:?} analysed: {analysed}");
    }
}
