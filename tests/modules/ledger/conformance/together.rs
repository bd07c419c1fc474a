//! Several runs of one account at a time: who is alive, who may send what, and what they share of the pace.

use coverbatch::domain::Ended;

use super::*;

const SECOND: i64 = 1_000;

/// A run of a process of its own.
struct Process<L> {
    ledger: L,
    begun: Begun,
}

impl<L: Ledger> Process<L> {
    async fn begin(ledger: L, ms: i64) -> Self {
        let begun = begun(&ledger, "/c.csv", ms).await;
        Self { ledger, begun }
    }

    /// A claim with what this run knew when it began.
    fn request(&self, id: &str, ms: i64) -> ClaimRequest {
        ClaimRequest { seen: self.begun.seen, ..request(self.begun.run, id, ms) }
    }

    async fn claim(&self, id: &str, ms: i64) -> Claim {
        self.ledger.claim(self.request(id, ms)).await.unwrap()
    }

    /// A claim at a rate of two in ten seconds.
    async fn slow_claim(&self, id: &str, ms: i64, is_probe: bool) -> Claim {
        let asking = Asking { rate: pace(2, 10), is_probe, promised: None };
        self.ledger.claim(ClaimRequest { asking, ..self.request(id, ms) }).await.unwrap()
    }

    /// A claim at that rate with a time that was promised.
    async fn claim_with(&self, id: &str, promised: Option<UnixMillis>, ms: i64) -> Claim {
        let asking = Asking { rate: pace(2, 10), is_probe: false, promised };
        self.ledger.claim(ClaimRequest { asking, ..self.request(id, ms) }).await.unwrap()
    }

    async fn granted(&self, id: &str, ms: i64) -> AttemptKey {
        granted_by(self.claim(id, ms).await)
    }

    async fn settle(&self, attempt: AttemptKey, settlement: Settlement) -> Settled {
        self.ledger.settle(attempt, settlement).await.unwrap()
    }
}

fn granted_by(claim: Claim) -> AttemptKey {
    match claim {
        Claim::Granted(attempt) => attempt,
        Claim::Refused | Claim::InFlight | Claim::NotYet(_) => panic!("{claim:?}"),
    }
}

/// How long to wait, in milliseconds.
fn waits(claim: Claim) -> u128 {
    match claim {
        Claim::NotYet(not_yet) => not_yet.wait.as_millis(),
        Claim::Granted(_) | Claim::Refused | Claim::InFlight => panic!("{claim:?}"),
    }
}

fn failed(ms: i64) -> Settlement {
    settlement(RowState::Failed, Reason::NotFound, ms)
}

#[tokio::test]
async fn two_runs_are_alive_beside_each_other_and_only_one_gets_a_row() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 1).await;
    let attempt = one.granted("a", 10).await;
    assert_eq!(two.claim("a", 11).await, Claim::InFlight);
    assert_eq!(state(&two.ledger, "a").await, Some(RowState::InFlight), "nobody believes the other one dead");
    assert_eq!(one.settle(attempt, failed(20)).await, Settled::Recorded);
    assert_eq!(two.claim("a", 21).await, Claim::Refused, "the list of the second one is older than that failure");
    let three = Process::begin(shared.open().await, 30).await;
    three.granted("a", 31).await;
}

#[tokio::test]
async fn what_was_in_flight_elsewhere_when_a_run_began_is_left_to_its_answer() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let (answered, lost) = (one.granted("answered", 10).await, one.granted("lost", 10).await);
    let two = Process::begin(shared.open().await, 20).await;
    one.settle(answered, failed(30)).await;
    assert_eq!(two.claim("answered", 40).await, Claim::Refused);
    one.ledger.close().await;
    let (_, seen) = two.ledger.recover(two.begun.run, two.begun.seen, at(50)).await.unwrap();
    assert!(seen >= lost);
    two.granted("lost", 60).await;
}

#[tokio::test]
async fn a_run_that_is_gone_is_found_by_whoever_is_there_and_its_rows_in_doubt_are_told_once() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 1).await;
    let three = Process::begin(shared.open().await, 2).await;
    one.granted("a", 10).await;
    one.granted("b", 11).await;
    let nothing = two.ledger.recover(two.begun.run, two.begun.seen, at(15)).await.unwrap();
    assert_eq!(nothing.0, []);
    one.ledger.close().await;
    let (left, seen) = two.ledger.recover(two.begun.run, two.begun.seen, at(20)).await.unwrap();
    assert_eq!(left, [task("a"), task("b")]);
    assert_eq!(state(&two.ledger, "a").await, Some(RowState::InDoubt));
    assert_eq!(two.claim("a", 30).await, Claim::Refused, "not by the list of before");
    let request = ClaimRequest { seen, ..two.request("a", 31) };
    granted_by(two.ledger.claim(request).await.unwrap());
    let (left, _) = three.ledger.recover(three.begun.run, three.begun.seen, at(40)).await.unwrap();
    assert_eq!(left, [task("b")]);
    assert_eq!(two.ledger.recover(two.begun.run, seen, at(50)).await.unwrap().0, []);
}

/// Were its number used again, whoever has seen that would take what is sent by it for something older.
#[tokio::test]
async fn what_is_sent_after_a_claim_was_taken_back_is_news_to_whoever_has_seen_that_claim() {
    let shared = Shared::new();
    let dead = Process::begin(shared.open().await, 0).await;
    let one = Process::begin(shared.open().await, 1).await;
    let two = Process::begin(shared.open().await, 2).await;
    dead.granted("in-doubt", 10).await;
    dead.ledger.close().await;
    let (_, seen_by_one) = one.ledger.recover(one.begun.run, one.begun.seen, at(20)).await.unwrap();
    let taken_back = one.granted("other", 30).await;
    let (left, seen_by_two) = two.ledger.recover(two.begun.run, two.begun.seen, at(40)).await.unwrap();
    assert_eq!(left, [task("in-doubt")]);
    assert!(seen_by_two >= taken_back, "{seen_by_two:?}");
    one.ledger.release(taken_back).await.unwrap();
    let request = ClaimRequest { seen: seen_by_one, ..one.request("in-doubt", 50) };
    let attempt = granted_by(one.ledger.claim(request).await.unwrap());
    one.settle(attempt, failed(60)).await;
    let request = ClaimRequest { seen: seen_by_two, ..two.request("in-doubt", 70) };
    assert_eq!(two.ledger.claim(request).await.unwrap(), Claim::Refused);
}

#[tokio::test]
async fn a_run_over_another_catalog_is_not_told_of_rows_that_are_not_its_own() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let other = shared.open().await;
    let begun = begun(&other, "/other.csv", 1).await;
    one.granted("a", 10).await;
    one.ledger.close().await;
    assert_eq!(other.recover(begun.run, begun.seen, at(20)).await.unwrap().0, []);
    assert_eq!(state(&other, "a").await, Some(RowState::InDoubt));
}

/// The process was believed dead, and is not: its lock is gone, and its answer comes.
#[tokio::test]
async fn a_late_answer_settles_its_row_unless_that_was_sent_again() {
    for is_sent_again in [false, true] {
        let shared = Shared::new();
        let (late, two) = (shared.open().await, shared.open().await);
        let one = Process::begin(late, 0).await;
        let attempt = one.granted("a", 10).await;
        // The same value begins another run: that the first one is over is what the others see.
        let again = begun(&one.ledger, "/c.csv", 20).await;
        assert_eq!(state(&two, "a").await, Some(RowState::InDoubt));
        if is_sent_again {
            granted(&two, again.run, "a", 30).await;
        }
        let settled = one.settle(attempt, acceptance("a", 40, None)).await;
        let (expected, state_after) = if is_sent_again {
            (Settled::Overtaken, RowState::InFlight)
        } else {
            (Settled::Recorded, RowState::Submitted)
        };
        assert_eq!((settled, state(&two, "a").await), (expected, Some(state_after)));
        assert_eq!(two.history(&task("a")).await.unwrap()[0].reason, Some(Reason::Accepted), "it is written down");
        assert!(one.ledger.settle(attempt, failed(50)).await.is_err(), "an answer comes once");
    }
}

#[tokio::test]
async fn a_claim_that_is_taken_back_after_its_run_was_believed_dead_stays_in_doubt() {
    let ledger = fresh().await;
    let one = begun(&ledger, "/c.csv", 0).await;
    let attempt = granted(&ledger, one.run, "a", 10).await;
    begun(&ledger, "/c.csv", 20).await;
    ledger.release(attempt).await.unwrap();
    assert_eq!(state(&ledger, "a").await, Some(RowState::InDoubt));
}

#[tokio::test]
async fn results_have_one_writer_and_catalogs_may_have_many() {
    let shared = Shared::new();
    let (one, two) = (shared.open().await, shared.open().await);
    let new = |results: &str, ms| NewRun {
        is_partial: false,
        catalog: "/c.csv".to_owned(),
        results: Some(results.to_owned()),
        command: String::new(),
        at: at(ms),
    };
    let Begin::Begun(first) = one.begin_run(new("/r.csv", 5)).await.unwrap() else { panic!("nobody else is there") };
    let Begin::ResultsInUse(holder) = two.begin_run(new("/r.csv", 6)).await.unwrap() else { panic!("it is in use") };
    assert_eq!((holder.pid, holder.started), (std::process::id(), at(5)));
    assert!(!holder.host.is_empty());
    assert!(matches!(two.begin_run(new("/s.csv", 7)).await.unwrap(), Begin::Begun(_)));
    one.end_run(first.run, Ended::Finished, at(8)).await.unwrap();
    assert!(matches!(two.begin_run(new("/r.csv", 9)).await.unwrap(), Begin::Begun(_)));
}

#[tokio::test]
async fn the_requests_of_all_runs_fall_into_one_window_that_reaches_from_their_answers() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 0).await;
    let first = granted_by(one.slow_claim("a", 0, false).await);
    let second = granted_by(two.slow_claim("b", 6 * SECOND, false).await);
    assert_eq!(waits(two.slow_claim("c", 12 * SECOND, false).await), 50, "both are in flight");
    one.settle(first, Settlement { age: Duration::from_secs(1), ..failed(13 * SECOND) }).await;
    two.settle(second, failed(13 * SECOND)).await;
    // The first counts from 12 s, for 10 s and a quarter of one.
    assert_eq!(waits(two.slow_claim("c", 14 * SECOND, false).await), 8_250);
    assert_eq!(waits(one.slow_claim("c", 22 * SECOND, false).await), 250);
    granted_by(one.slow_claim("c", 22_250, false).await);
}

/// The one that is left asks nothing for a while, in which the other one sends its last rows and ends.
#[tokio::test]
async fn what_a_run_sent_before_it_ended_counts_for_one_that_has_not_asked_since() {
    for has_asked in [false, true] {
        let shared = Shared::new();
        let one = Process::begin(shared.open().await, 0).await;
        let two = Process::begin(shared.open().await, 0).await;
        if has_asked {
            let attempt = granted_by(two.slow_claim("early", 0, false).await);
            two.settle(attempt, failed(SECOND)).await;
        }
        for (id, ms) in [("a", 50 * SECOND), ("b", 56 * SECOND)] {
            let attempt = granted_by(one.slow_claim(id, ms, false).await);
            one.settle(attempt, failed(ms)).await;
        }
        one.ledger.end_run(one.begun.run, Ended::Finished, at(58 * SECOND)).await.unwrap();
        assert_eq!(waits(two.slow_claim("c", 59 * SECOND, false).await), 1_250, "{has_asked}");
        let attempt = granted_by(two.slow_claim("c", 61_250, false).await);
        two.settle(attempt, failed(61_250)).await;
    }
}

#[tokio::test]
async fn the_requests_of_all_runs_are_spaced_evenly() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 0).await;
    granted_by(one.slow_claim("a", 0, false).await);
    assert_eq!(waits(two.slow_claim("b", SECOND, false).await), 4_125);
    assert_eq!(two.claim("a", SECOND).await, Claim::InFlight, "what may not be sent takes no turn");
    granted_by(two.claim_with("b", Some(at(5_125)), 5_125).await);
}

#[tokio::test]
async fn the_next_run_counts_what_an_earlier_one_sent_and_what_died_from_its_own_start() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let first = granted_by(one.slow_claim("a", 0, false).await);
    one.settle(first, failed(SECOND)).await;
    granted_by(one.slow_claim("lost", 6 * SECOND, false).await);
    one.ledger.close().await;
    let two = Process::begin(shared.open().await, 8 * SECOND).await;
    assert_eq!(waits(two.slow_claim("b", 8 * SECOND, false).await), 3_250, "the answered one counts from its answer");
    let second = granted_by(two.slow_claim("b", 11_250, false).await);
    two.settle(second, failed(11_260)).await;
    assert_eq!(waits(two.slow_claim("c", 17 * SECOND, false).await), 1_250, "the lost one from 8 s");
    granted_by(two.slow_claim("c", 18_250, false).await);
}

#[tokio::test]
async fn what_a_clock_that_was_set_back_left_in_the_future_counts_as_just_now() {
    let shared = Shared::new();
    for (id, ms) in [("a", 3_600 * SECOND), ("b", 3_601 * SECOND)] {
        let one = Process::begin(shared.open().await, ms).await;
        let attempt = one.granted(id, ms).await;
        one.settle(attempt, failed(ms + 1)).await;
        one.ledger.close().await;
    }
    let two = Process::begin(shared.open().await, 0).await;
    assert_eq!(waits(two.slow_claim("c", SECOND, false).await), 9_250, "as if they had been made at its beginning");
    granted_by(two.slow_claim("c", 10_250, false).await);
}

/// Each of these runs looks back no further than to what it knows to be over, and all agree on that.
#[tokio::test]
async fn what_is_in_flight_for_long_and_what_is_answered_late_counts_beside_all_that_came_after() {
    for was_believed_dead in [false, true] {
        let shared = Shared::new();
        let one = Process::begin(shared.open().await, 0).await;
        let long = one.granted("long", 0).await;
        if was_believed_dead {
            begun(&one.ledger, "/c.csv", 1).await;
        }
        let mut last = None;
        for (id, ms) in [("a", SECOND), ("b", 20 * SECOND), ("c", 40 * SECOND)] {
            let next = Process::begin(shared.open().await, ms).await;
            let attempt = next.granted(id, ms).await;
            next.settle(attempt, failed(ms)).await;
            last = Some(next);
        }
        let last = last.unwrap();
        if was_believed_dead {
            one.settle(long, failed(60 * SECOND)).await;
        }
        granted_by(last.slow_claim("d", 61 * SECOND, false).await);
        let wait = if was_believed_dead { 9_250 } else { 50 };
        assert_eq!(waits(last.slow_claim("e", 61 * SECOND, false).await), wait);
    }
}

#[tokio::test]
async fn a_pause_of_one_run_is_a_pause_of_all_and_one_probe_ends_it() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 0).await;
    let cause = PauseCause { refusal: Refusal::Unavailable, reason: Reason::Maintenance, refusals: 1 };
    let refused = |ms, refusals, seconds| Settlement {
        pause: begins(PauseCause { refusals, ..cause }, seconds),
        ..settlement(RowState::Pending, Reason::Maintenance, ms)
    };
    let first = one.granted("a", 0).await;
    one.settle(first, refused(SECOND, 1, 5)).await;
    let told = |wait, refusals| {
        Claim::NotYet(NotYet {
            wait: Duration::from_millis(wait),
            pause: Some(PauseCause { refusals, ..cause }),
            share: 1.0,
            promised: None,
        })
    };
    assert_eq!(two.claim("b", 2 * SECOND).await, told(4_000, 1));
    assert_eq!(two.claim("b", 7 * SECOND).await, told(0, 1), "it is to ask as a probe");
    let as_probe = |process: &Process<_>, id: &str, ms| {
        let asking = Asking { is_probe: true, ..asking() };
        ClaimRequest { asking, ..process.request(id, ms) }
    };
    let probe = granted_by(two.ledger.claim(as_probe(&two, "b", 7 * SECOND)).await.unwrap());
    let second = one.ledger.claim(as_probe(&one, "a", 7 * SECOND)).await.unwrap();
    assert_eq!(second, told(1_000, 1), "one probe at a time");
    two.settle(probe, refused(8 * SECOND, 2, 2)).await;
    assert_eq!(one.claim("c", 9 * SECOND).await, told(1_000, 2));
    let probe = granted_by(one.ledger.claim(as_probe(&one, "c", 10 * SECOND)).await.unwrap());
    one.settle(probe, Settlement { pause: PauseChange::End, ..failed(11 * SECOND) }).await;
    two.granted("d", 12 * SECOND).await;
}

/// However near to the ledger another run is, and whatever its clock says.
#[tokio::test]
async fn a_run_that_is_told_to_wait_keeps_its_time_whoever_asks_before_it() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 0).await;
    let promised = |claim| match claim {
        Claim::NotYet(NotYet { promised: Some(promised), .. }) => promised,
        Claim::NotYet(_) | Claim::Granted(_) | Claim::Refused | Claim::InFlight => panic!("{claim:?}"),
    };
    let first = granted_by(one.claim_with("a", None, 0).await);
    one.settle(first, failed(1)).await;
    let first = promised(two.claim_with("b", None, SECOND).await);
    let later = promised(one.claim_with("c", None, 6 * SECOND).await);
    assert!(first.until(later) >= Duration::from_secs(5), "{first:?} {later:?}");
    granted_by(two.claim_with("b", Some(first), 6 * SECOND).await);
}

/// The service allows less than both are told: what one of them finds out is the pace of both, and of the next one.
#[tokio::test]
async fn a_throttle_of_one_run_slows_all_of_them_down_and_clean_windows_bring_the_pace_back() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let two = Process::begin(shared.open().await, 0).await;
    let first = granted_by(one.slow_claim("a", 0, false).await);
    let cause = PauseCause { refusal: Refusal::Throttled, reason: Reason::RateLimited, refusals: 1 };
    let throttled =
        Settlement { pause: begins(cause, 1), ..settlement(RowState::Pending, Reason::RateLimited, SECOND) };
    one.settle(first, throttled).await;
    let three = Process::begin(shared.open().await, 2 * SECOND).await;
    let share = |claim| match claim {
        Claim::NotYet(not_yet) => not_yet.share,
        Claim::Granted(_) | Claim::Refused | Claim::InFlight => panic!("{claim:?}"),
    };
    for (process, ms, expected) in [(&two, 3 * SECOND, 0.9), (&three, 5 * SECOND, 0.9)] {
        let told = share(process.slow_claim("b", ms, false).await);
        assert!((told - expected).abs() < 1e-9, "{told} at {ms} ms");
    }
    let second = granted_by(three.claim_with("b", Some(at(12 * SECOND)), 12 * SECOND).await);
    three.settle(second, failed(12 * SECOND)).await;
    let told = share(one.slow_claim("c", 12_100, false).await);
    assert!((told - 0.91).abs() < 1e-9, "{told} after a clean window");
}

#[tokio::test]
async fn once_a_throttle_is_over_a_run_that_is_alone_is_held_up_by_its_own_gate_only() {
    let shared = Shared::new();
    let one = Process::begin(shared.open().await, 0).await;
    let first = one.granted("a", 0).await;
    let cause = PauseCause { refusal: Refusal::Throttled, reason: Reason::RateLimited, refusals: 1 };
    one.settle(first, Settlement { pause: begins(cause, 5), ..settlement(RowState::Pending, Reason::RateLimited, 1) })
        .await;
    one.ledger.end_run(one.begun.run, Ended::Finished, at(2)).await.unwrap();
    one.ledger.close().await;
    let two = Process::begin(shared.open().await, SECOND).await;
    assert!(waits(two.slow_claim("b", 2 * SECOND, false).await) > 2_000, "the pause is everyone's");
    for (id, ms) in [("b", 30_000), ("c", 30_001), ("d", 30_002), ("e", 30_003)] {
        granted_by(two.slow_claim(id, ms, false).await);
    }
}

#[tokio::test]
async fn a_probe_of_a_run_that_died_or_was_not_sent_makes_way_for_the_next() {
    for dies in [true, false] {
        let shared = Shared::new();
        let one = Process::begin(shared.open().await, 0).await;
        let two = Process::begin(shared.open().await, 0).await;
        let cause = PauseCause { refusal: Refusal::Unavailable, reason: Reason::Maintenance, refusals: 1 };
        let first = one.granted("a", 0).await;
        let pause = begins(cause, 1);
        one.settle(first, Settlement { pause, ..settlement(RowState::Pending, Reason::Maintenance, 1) }).await;
        let asking = Asking { is_probe: true, ..asking() };
        let ask = |process: &Process<_>, id: &str, ms| ClaimRequest { asking, ..process.request(id, ms) };
        let probe = granted_by(one.ledger.claim(ask(&one, "b", 2 * SECOND)).await.unwrap());
        assert_eq!(waits(two.ledger.claim(ask(&two, "c", 2 * SECOND)).await.unwrap()), 1_000);
        if dies {
            one.ledger.close().await;
            two.ledger.recover(two.begun.run, two.begun.seen, at(3 * SECOND)).await.unwrap();
        } else {
            one.ledger.release(probe).await.unwrap();
        }
        granted_by(two.ledger.claim(ask(&two, "c", 4 * SECOND)).await.unwrap());
    }
}
