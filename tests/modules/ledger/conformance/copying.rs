//! Copies of a ledger, each way that the engine can be copied from and to.

use std::sync::atomic::{AtomicBool, Ordering};

use coverbatch::clock::Clock;
use coverbatch::domain::Ended;
use coverbatch::ledger::{
    AnyLedger, Contents, KnownState, LedgerPlace, PastDecision, PastRun, PollStats, Sends, Submission, check, copy,
};

use super::super::{API, Ways};
use super::*;

const CATALOG: &str = "/c.csv";

/// Words in which everything is that means something where rows travel as lines.
const ODD_WORDS: &str = "\\N\ta\\tb\nc\r\u{b}\u{8}'\"\\";

async fn open(place: &LedgerPlace) -> AnyLedger {
    AnyLedger::open(place, API, Duration::from_secs(60)).await.unwrap()
}

async fn copied(from: &LedgerPlace, to: &LedgerPlace) -> AnyLedger {
    assert!(copy(from, to).await.unwrap());
    open(to).await
}

/// A run that wrote results and has ended, a follower, and a run over the same catalog that has every state.
async fn fill(ledger: &AnyLedger) -> RunId {
    let new = NewRun {
        catalog: CATALOG.to_owned(),
        is_partial: true,
        results: Some("/r.csv".to_owned()),
        command: "again".to_owned(),
        at: at(-9_000),
    };
    let Begin::Begun(first) = ledger.begin_run(new).await.unwrap() else { panic!("nobody else is there") };
    sent(ledger, first.run, "failed", -8_000, RowState::Failed).await;
    ledger.end_run(first.run, Ended::NoCredits, at(-7_000)).await.unwrap();
    ledger.begin_follow(CATALOG, "follow again", at(-6_000)).await.unwrap();
    ledger.note_default_covers(vec![(task("bare"), "default.png".to_owned())]).await.unwrap();
    let run = run_in(ledger).await;
    every_state(ledger, run).await;
    for (id, ms) in [("saved", 1_000), ("forgotten", 2_000)] {
        accepted(ledger, run, id, ms, Some(waiter(run, true))).await;
        polled(ledger, ms + 10, generated(2, true)).await;
    }
    for number in [ImageNumber::One, ImageNumber::Two] {
        let job = claim_job(ledger, CoverScope::All, JobKind::Download, 3_000).await.unwrap();
        ledger.settle_job(job.key, saved(number, "file.png"), at(3_001)).await.unwrap();
    }
    let odd = Settlement { answer: Answer { message: ODD_WORDS.to_owned(), ..words() }, ..rejection(4_000) };
    let attempt = granted(ledger, run, "odd", 3_999).await;
    ledger.settle(attempt, odd).await.unwrap();
    accepted(ledger, run, "late", 5_000, Some(waiter(run, true))).await;
    let failed = JobOutcome::Later { due: at(70_000), failures: 3, said: None, given_up_by: Some(run) };
    polled(ledger, 5_010, failed).await;
    ledger.wake(&task("exists"), at(6_000)).await.unwrap();
    ledger.import(vec![(task("earlier"), accepted_record("earlier"))]).await.unwrap();
    run
}

fn rejection(ms: i64) -> Settlement {
    settlement(RowState::Failed, Reason::NotFound, ms)
}

/// All that a ledger tells of some music tasks and of a catalog.
#[derive(Debug, PartialEq)]
struct Told {
    tasks: Vec<MusicTaskId>,
    records: Vec<Option<Record>>,
    states: Vec<Option<KnownState>>,
    histories: Vec<Vec<Submission>>,
    polls: Vec<Option<PollStats>>,
    runs: Vec<PastRun>,
    last_end: Option<Reason>,
    sends: Vec<Sends>,
    times: Vec<Duration>,
    due: (Option<UnixMillis>, Option<UnixMillis>),
    decisions: Vec<PastDecision>,
}

async fn told(ledger: &(impl FollowLedger + DecideLedger)) -> Told {
    let ids = STATES.map(RowState::word).into_iter();
    let ids = ids.chain(["bare", "earlier", "saved", "forgotten", "odd", "late", "unknown"]);
    let tasks: Vec<MusicTaskId> = ids.map(task).collect();
    let (mut histories, mut polls) = (Vec::new(), Vec::new());
    for task in &tasks {
        histories.push(ledger.history(task).await.unwrap());
        polls.push(ledger.poll_stats(task).await.unwrap());
    }
    let mut sends = ledger.sends_between((at(-20_000), at(20_000)), Duration::from_secs(1)).await.unwrap();
    sends.sort_by_key(|sends| (sends.at, sends.reason));
    Told {
        sends,
        records: ledger.look_up(tasks.clone()).await.unwrap(),
        states: ledger.states(tasks.clone()).await.unwrap(),
        tasks: ledger.beginning_with(&task("s"), 9).await.unwrap(),
        histories,
        polls,
        runs: ledger.past_runs(CATALOG, 9).await.unwrap(),
        last_end: ledger.last_end(CATALOG).await.unwrap(),
        times: ledger.generation_times().await.unwrap(),
        due: ledger.next_due(CoverScope::All, at(90_000)).await.unwrap(),
        decisions: ledger.decisions(&task("ignored")).await.unwrap(),
    }
}

#[tokio::test]
async fn a_copy_tells_what_the_ledger_tells_and_its_runs_are_dead_there_and_alive_here() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        let ledger = open(&from).await;
        let run = fill(&ledger).await;
        let expected = told(&ledger).await;
        let other = copied(&from, &to).await;
        assert_eq!(told(&other).await, expected, "{from} -> {to}");
        assert_eq!(one(&other, "odd").await.unwrap().answer.message, ODD_WORDS);
        let counts = Contents { music_tasks: 16, submissions: 15, runs: 3 };
        assert_eq!((check(&from).await.unwrap(), check(&to).await.unwrap()), (Some(counts), Some(counts)));
        // The next run takes up what the one that goes on here has left behind there.
        let next = begun(&other, CATALOG, 7_000).await;
        let states = (state(&other, "in_flight").await, state(&ledger, "in_flight").await);
        assert_eq!(states, (Some(RowState::InDoubt), Some(RowState::InFlight)));
        assert_eq!(other.past_runs(CATALOG, 9).await.unwrap()[1].cut_short, Some(Reason::Interrupted));
        for settled in ["submitted", "exists", "completed", "saved", "late", "earlier"] {
            assert_eq!(claim(&other, next.run, settled, 8_000).await, Claim::Refused, "{settled}");
        }
        let attempt = granted(&other, next.run, "in_flight", 8_000).await;
        other.settle(attempt, rejection(8_010)).await.unwrap();
        let history = other.history(&task("in_flight")).await.unwrap();
        let reasons: Vec<_> = history.iter().map(|submission| submission.reason).collect();
        assert_eq!(reasons, [Some(Reason::Interrupted), Some(Reason::NotFound)]);
        assert_eq!(told(&ledger).await, expected, "{from} knows nothing of {to}");
        sent(&ledger, run, "new", 9_000, RowState::GaveUp).await;
        assert_eq!(state(&other, "new").await, None);
        check(&to).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_of_an_empty_ledger_is_one_and_one_of_none_is_none() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        assert!(!copy(&from, &to).await.unwrap());
        assert_eq!((check(&from).await.unwrap(), check(&to).await.unwrap()), (None, None));
        open(&from).await.close().await;
        let other = copied(&from, &to).await;
        let run = run_in(&other).await;
        sent(&other, run, "a", 0, RowState::Failed).await;
    }
}

#[tokio::test]
async fn a_copy_replaces_nothing() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        let (ledger, other) = (open(&from).await, open(&to).await);
        let runs = (run_in(&ledger).await, run_in(&other).await);
        sent(&ledger, runs.0, "a", 0, RowState::Failed).await;
        sent(&other, runs.1, "b", 0, RowState::GaveUp).await;
        let refused = copy(&from, &to).await.unwrap_err();
        assert!(refused.to_string().starts_with("cannot make the ledger `"), "{refused}");
        assert_eq!((state(&other, "a").await, state(&other, "b").await), (None, Some(RowState::GaveUp)));
    }
}

#[tokio::test]
async fn what_is_copied_of_the_pace_keeps_the_limit_and_the_pause() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        let ledger = open(&from).await;
        let now = Clock::start().unix().0 - T;
        let run = begun(&ledger, CATALOG, now).await.run;
        for id in ["a", "b"] {
            sent(&ledger, run, id, now, RowState::Failed).await;
        }
        let cause = PauseCause { refusal: Refusal::Unavailable, reason: Reason::Maintenance, refusals: 4 };
        let pause = begins(cause, 20);
        let attempt = granted(&ledger, run, "c", now).await;
        ledger.settle(attempt, Settlement { pause, ..rejection(now + 1) }).await.unwrap();
        assert_eq!(ledger.claim_read(at(now), pace(1, 60)).await.unwrap(), None);
        let other = copied(&from, &to).await;
        let next = begun(&other, CATALOG, now + 10).await;
        let Claim::NotYet(paused) = claim(&other, next.run, "a", now + 10).await else { panic!("{to} goes on") };
        assert_eq!(paused.pause, Some(cause));
        let asking = Asking { rate: pace(3, 60), is_probe: true, promised: None };
        let probe = |ms| ClaimRequest { asking, ..request(next.run, "a", ms) };
        let Claim::NotYet(full) = other.claim(probe(now + 30_000)).await.unwrap() else {
            panic!("{to} sends too much")
        };
        assert!(full.wait > Duration::from_secs(25), "{:?}", full.wait);
        assert!(other.claim_read(at(now + 10), pace(1, 60)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_is_copied_goes_on_at_the_pace_that_was_found_out() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        let ledger = open(&from).await;
        let now = Clock::start().unix().0 - T;
        let run = begun(&ledger, CATALOG, now).await.run;
        let cause = PauseCause { refusal: Refusal::Throttled, reason: Reason::RateLimited, refusals: 1 };
        let attempt = granted(&ledger, run, "a", now).await;
        let throttled = Settlement { pause: begins(cause, 1), ..rejection(now) };
        ledger.settle(attempt, throttled).await.unwrap();
        // A probe takes its turn among all runs, whether or not there are others: one in 0.615 s, and a tenth longer.
        let asking = Asking { rate: pace(100, 60), is_probe: true, promised: None };
        let probe = |run, id, ms| ClaimRequest { asking, ..request(run, id, ms) };
        let granted = ledger.claim(probe(run, "b", now + 2_000)).await.unwrap();
        assert!(matches!(granted, Claim::Granted(_)), "{granted:?}");
        let other = copied(&from, &to).await;
        let next = begun(&other, CATALOG, now + 2_001).await.run;
        let Claim::NotYet(told) = other.claim(probe(next, "c", now + 2_010)).await.unwrap() else {
            panic!("{to} has no pace")
        };
        assert!((told.share - 0.9).abs() < 1e-9, "{to}: {told:?}");
        assert!((620..=690).contains(&told.wait.as_millis()), "{to}: {told:?}");
    }
}

/// What is answered before a copy is begun is in it, and no half of a transaction is.
#[tokio::test]
async fn a_copy_that_is_made_while_a_run_writes_is_of_one_moment() {
    let ways = Ways::new();
    for (from, to) in ways.all() {
        let ledger = open(&from).await;
        let run = run_in(&ledger).await;
        let is_over = AtomicBool::new(false);
        let (mut before, mut after) = (0, 0);
        let writer = async {
            while !is_over.load(Ordering::Relaxed) {
                sent(&ledger, run, &format!("t{after}"), after, RowState::Failed).await;
                after += 1;
                tokio::task::yield_now().await;
            }
            after
        };
        let copier = async {
            while check(&from).await.unwrap().is_none_or(|contents| contents.submissions <= 20) {}
            before = check(&from).await.unwrap().unwrap().submissions;
            assert!(copy(&from, &to).await.unwrap());
            is_over.store(true, Ordering::Relaxed);
        };
        let (after, ()) = tokio::join!(writer, copier);
        let found = check(&to).await.unwrap().unwrap();
        assert!((before..=u64::try_from(after).unwrap()).contains(&found.submissions), "{before} {found:?} {after}");
        assert_eq!(found.submissions, found.music_tasks);
    }
}
