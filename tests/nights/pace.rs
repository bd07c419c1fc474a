//! Never more than N submissions in any window, and not much less than that.

use std::time::Duration;

use coverbatch::domain::{MusicTaskId, RowState};
use coverbatch::ledger::{KnownState, ReadLedger as _};
use tokio::time::{Instant, timeout};

use crate::support::{Fault, Faulty, GRAIN, Night, Reply, gaps, millis, most_in_window, nonzero, numbered, seconds};

const WINDOW: Duration = seconds(10);

#[tokio::test(start_paused = true)]
async fn a_thousand_rows_take_all_of_the_time_that_the_limit_asks_for_and_hardly_more() {
    let night = Night::of(&numbered("song", 1000)).answers(|call| Reply::cover().after(latency(call.number)));
    night.service.limit("20/10s".parse().unwrap());
    let morning = night.run().await;
    assert!(morning.results.is_all("submitted"));
    assert_eq!(morning.sent.len(), 1000, "a 429 makes it more");
    assert!(morning.took >= seconds(500) && morning.took <= seconds(500).div_f64(0.97), "{:?}", morning.took);
    assert_eq!(most_in_window(&morning.sent, WINDOW), 20);
    assert_eq!(morning.gate.most_in_window, 20);
}

/// From 400 to 600 ms, all mixed up.
fn latency(number: usize) -> Duration {
    millis(400 + u64::try_from(number * 7919 % 200).unwrap())
}

/// A request that is answered late may have arrived late.
#[tokio::test(start_paused = true)]
async fn answers_between_a_moment_and_three_seconds_cost_their_spread() {
    let night = Night::of(&numbered("song", 300))
        .answers(|call| Reply::cover().after(millis(50 + u64::try_from(call.number * 7919 % 2950).unwrap())));
    let morning = night.run().await;
    assert!(morning.results.is_all("submitted"));
    assert!(morning.took <= seconds(150).div_f64(0.78), "{:?}", morning.took);
}

#[tokio::test(start_paused = true)]
async fn submissions_are_spread_over_the_window_and_not_sent_in_a_burst() {
    let morning = Night::of(&numbered("song", 60)).run().await;
    let gaps = gaps(&morning.sent);
    assert!(gaps.iter().all(|gap| (millis(512)..=millis(513) + GRAIN).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn rows_that_go_wrong_are_sent_again_within_the_same_limit() {
    let night =
        Night::of(&numbered("song", 100)).answers(|call| if call.nth < 4 { Reply::code(500) } else { Reply::cover() });
    night.service.limit("20/10s".parse().unwrap());
    let morning = night.run().await;
    assert!(morning.results.is_all("submitted"));
    assert_eq!(morning.sent.len(), 400, "a 429 makes it more");
    assert_eq!(most_in_window(&morning.sent, WINDOW), 20);
    assert_eq!(morning.gate.most_in_window, 20);
}

#[tokio::test(start_paused = true)]
async fn a_run_one_second_after_another_counts_what_that_has_sent() {
    let night = Night::of(&numbered("first", 30));
    let first = night.run().await;
    tokio::time::sleep(seconds(1)).await;
    night.now_of(&numbered("second", 30));
    let second = night.run().await;
    assert!(second.results.is_all("submitted"));
    assert_eq!(most_in_window(&night.service.sent(), WINDOW), 20);
    assert_eq!(second.gate.most_in_window, 20);
    let pause = second.sent[0].at - first.sent[29].at;
    assert!(pause < seconds(2), "the second run waited for {pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_after_one_that_used_up_its_window_at_once_waits_for_that() {
    let night = Night::of(&numbered("first", 20)).with(|with| with.rate = "20/1s".parse().unwrap());
    let first = night.run().await;
    assert_eq!(most_in_window(&first.sent, millis(1250)), 20);
    let night = night.with(|with| with.rate = "20/10s".parse().unwrap());
    night.now_of(&numbered("second", 30));
    let second = night.run().await;
    assert_eq!(most_in_window(&night.service.sent(), WINDOW), 20);
    assert!(second.sent[0].at - first.sent[0].at >= WINDOW);
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_slows_the_run_down_and_never_crowds_a_window() {
    for slow in [millis(100), millis(700), seconds(3), seconds(25)] {
        let night = Night::of(&numbered("first", 40));
        let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowWrites(slow));
        let first = night.run_on(&ledger).await.unwrap();
        assert!(first.results.is_all("submitted"));
        night.now_of(&numbered("second", 40));
        night.run().await;
        let most = most_in_window(&night.service.sent(), WINDOW);
        assert!(most <= 20, "{most} in a window when a write takes {slow:?}");
    }
}

/// A claim may be a commit older than its request: what a killed run had claimed counts from the start of the next one.
#[tokio::test(start_paused = true)]
async fn killed_on_a_slow_disk_the_next_run_does_not_send_too_early() {
    for killed in (0..18_000).step_by(250) {
        let night = Night::of(&numbered("song", 5)).with(|with| with.rate = "1/8s".parse().unwrap());
        let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowWrites(millis(300)));
        assert!(timeout(millis(killed), night.run_on(&ledger)).await.is_err());
        let morning = night.run().await;
        assert!(
            morning
                .results
                .column("cover_status")
                .iter()
                .all(|status| ["submitted", "exists"].contains(&status.as_str()))
        );
        let most = most_in_window(&night.service.sent(), seconds(8));
        assert_eq!(most, 1, "killed after {killed} ms");
    }
}

/// The spacing is that of the reservations: a commit delays its own request and no other.
#[tokio::test(start_paused = true)]
async fn commits_slower_than_the_slack_cost_their_time_once() {
    for slow in [millis(100), millis(150), millis(600)] {
        let night = Night::of(&numbered("song", 24));
        let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowWrites(slow));
        let took = night.run_on(&ledger).await.unwrap().took;
        assert!(took <= seconds(12) + 3 * slow + millis(400), "{took:?} with commits of {slow:?}");
    }
}

/// A row costs the time of one commit and not of two, since its claim shares one with the answer before it.
#[tokio::test(start_paused = true)]
async fn the_next_row_is_claimed_along_with_the_answer_before_it() {
    let night = Night::of(&numbered("song", 10))
        .answers(|_| Reply::cover().after(millis(1)))
        .with(|with| (with.rate, with.run.concurrency) = ("1000/1s".parse().unwrap(), nonzero(1)));
    let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowWrites(millis(100)));
    let took = night.run_on(&ledger).await.unwrap().took;
    assert!((millis(1_100)..millis(1_200)).contains(&took), "{took:?}");
}

/// What a kill leaves in doubt is what has a slot, whatever else could be sent.
#[tokio::test(start_paused = true)]
async fn a_kill_leaves_as_many_rows_in_doubt_as_there_are_slots() {
    let night = Night::of(&numbered("song", 100))
        .answers(|call| Reply::cover().after(if call.number < 50 { millis(1) } else { seconds(30) }))
        .with(|with| (with.rate, with.run.concurrency) = ("1000/1s".parse().unwrap(), nonzero(4)));
    night.killed_after(seconds(10)).await;
    assert_eq!(night.service.sent().len(), 53, "49 that were answered, and as many as there are slots");
    let states = night.ledger.states(numbered("song", 100).iter().map(|id| MusicTaskId::new(id).unwrap()).collect());
    let in_flight = |known: &Option<KnownState>| known.is_some_and(|known| known.state == RowState::InFlight);
    assert_eq!(states.await.unwrap().iter().filter(|known| in_flight(known)).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn there_are_never_more_requests_than_slots() {
    let night = Night::of(&numbered("song", 400))
        .answers(|call| Reply::cover().after(latency(call.number) / 20))
        .with(|with| (with.rate, with.run.concurrency) = ("1000/1s".parse().unwrap(), nonzero(4)));
    let morning = night.run().await;
    assert!(morning.results.is_all("submitted"));
    let together = |at: Instant| morning.sent.iter().filter(|sent| sent.at <= at && at < sent.answered()).count();
    assert_eq!(morning.sent.iter().map(|sent| together(sent.at)).max(), Some(4));
}
