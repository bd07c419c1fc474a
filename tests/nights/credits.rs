//! Runs that may spend only so much.

use coverbatch::domain::{Ended, Signal};
use tokio::time::{Instant, sleep};

use crate::support::{Night, Reply, Seen, millis, nonzero, numbered, seconds};

/// A batch of so many rows that may spend this.
fn of(rows: usize, most: &str) -> Night {
    Night::of(&numbered("song", rows)).with(|with| with.max_credits = Some(most.parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_before_it_spends_more_than_it_may() {
    for (most, price, sent, spent) in
        [("10", 1.0, 10, "10"), ("11", 4.0, 2, "8"), ("2.5", 0.4, 6, "2.4"), ("300", 2.0, 150, "300")]
    {
        let night = of(200, most);
        night.service.charges(5_000.0, price);
        let morning = night.run().await;
        assert_eq!((morning.ended, morning.sent.len()), (Ended::Budget, sent), "{most}");
        assert_eq!(morning.results.count("submitted"), sent);
        assert_eq!(morning.results.verdict("song-0200"), "pending budget yes");
        let spending = morning.progress.spending.unwrap();
        assert_eq!(spending.spent.to_string(), spent);
        assert_eq!((spending.at_start.to_string(), spending.limit.to_string()), ("5000".to_owned(), most.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_balance_is_read_before_anything_is_sent_and_whenever_no_answer_is_awaited() {
    let night = of(120, "60").answers(|call| Reply::cover().after(millis(50 + 700 * (call.number as u64 % 7))));
    night.service.charges(100.0, 1.0);
    let morning = night.run().await;
    assert_eq!(morning.sent.len(), 60);
    let balances = night.service.balances();
    assert!(balances[0].0 + millis(130) <= morning.sent[0].at);
    assert!(balances.iter().all(|(_, open)| *open == 0), "{balances:?}");
}

#[tokio::test(start_paused = true)]
async fn rows_in_trouble_cost_nothing_and_are_sent_again_within_the_budget() {
    let night = of(30, "10").answers(|call| if call.nth == 1 { Reply::code(500) } else { Reply::cover() });
    night.service.charges(100.0, 1.0);
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.results.count("submitted")), (Ended::Budget, 10));
    assert_eq!(morning.results.count("gave_up"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_not_reached_changes_nothing_but_moments() {
    let night = of(300, "10000");
    night.service.charges(50_000.0, 1.0);
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.results.count("submitted")), (Ended::Finished, 300));
    let spending = morning.progress.spending.unwrap();
    assert_eq!((spending.left.to_string(), spending.spent.to_string()), ("49700".to_owned(), "300".to_owned()));
    assert_eq!(morning.progress.reads, night.service.balances().len() as u64);
    let plain = Night::of(&numbered("song", 300)).run().await;
    assert!(morning.took < plain.took + seconds(5), "{:?} and {:?}", morning.took, plain.took);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_as_long_as_the_balance_is_not_known() {
    let night = of(5, "10");
    night.service.banks(|nth, made| match nth {
        1..=3 => r#"{"code":455,"msg":"maintenance"}"#.to_owned(),
        4 => r#"{"code":500}"#.to_owned(),
        _ => format!(r#"{{"code":200,"data":{}}}"#, 100 - made),
    });
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.results.count("submitted")), (Ended::Finished, 5));
    assert!(night.service.balances()[4].0 + millis(130) <= morning.sent[0].at);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_read_the_balance_sends_nothing_and_stops() {
    let night = of(5, "10");
    night.service.banks(|_, _| r#"{"code":200,"data":"much"}"#.to_owned());
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.sent.len(), morning.progress.spending), (Ended::BalanceUnknown, 0, None));
    assert_eq!(night.service.balances().len(), 6, "--max-attempts");
    let night = of(5, "10");
    night.service.banks(|_, _| r#"{"code":401}"#.to_owned());
    assert_eq!(night.run().await.ended, Ended::Unauthorized);
}

#[tokio::test(start_paused = true)]
async fn the_balance_in_the_end_is_worth_one_look_and_no_wait() {
    let night = of(3, "100");
    night.service.banks(|nth, made| match (nth, made) {
        (_, 0..=2) => format!(r#"{{"code":200,"data":{}}}"#, 50 - made),
        _ => r#"{"code":500}"#.to_owned(),
    });
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.results.count("submitted")), (Ended::Finished, 3));
    assert!(morning.took < seconds(10), "{:?}", morning.took);
    assert_eq!(morning.progress.spending.unwrap().left.to_string(), "49");
    let nothing = of(0, "100");
    nothing.service.charges(7.0, 1.0);
    let morning = nothing.run().await;
    assert_eq!((morning.ended, morning.progress.spending.unwrap().left.to_string()), (Ended::Finished, "7".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_balance_that_cannot_be_read_in_the_end_stops_nothing() {
    for attempts in [1, 6] {
        let night = of(3, "100").waiting().with(|with| with.submit.rows.max_attempts = nonzero(attempts));
        night.service.banks(|_, made| match made {
            0..=2 => format!(r#"{{"code":200,"data":{}}}"#, 50 - made),
            _ => r#"{"code":500}"#.to_owned(),
        });
        let morning = night.run().await;
        assert_eq!((morning.ended, morning.results.count("completed")), (Ended::Finished, 3), "{attempts}");
        let in_the_end = night.service.balances().into_iter().filter(|(at, _)| *at > morning.sent[2].answered());
        assert_eq!(in_the_end.count(), 1, "{attempts}: worth one look");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_a_run_that_waits_for_the_balance() {
    let end = Ended::Interrupted(Signal::Terminate);
    let night = of(5, "10").with(|with| with.stop = Some((seconds(30), end)));
    night.service.banks(|_, _| r#"{"code":455,"msg":"maintenance"}"#.to_owned());
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.sent.len()), (end, 0));
    assert!(morning.took < seconds(31), "{:?}", morning.took);
}

#[tokio::test(start_paused = true)]
async fn covers_are_followed_and_music_is_checked_within_a_budget() {
    let night = of(30, "10").waiting().with(|with| with.checks_music = true);
    night.service.charges(100.0, 1.0);
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.results.count("completed")), (Ended::Budget, 10));
    assert_eq!(night.service.sent().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn reads_of_the_balance_and_another_process_that_polls_share_the_pace() {
    let night = Night::of(&numbered("old", 200));
    night.run().await;
    night.service.shows(|look| if look.nth <= 2 { Seen::Running } else { Seen::Done });
    night.service.charges(5_000.0, 1.0);
    night.now_of(&numbered("new", 200));
    let night = night.with(|with| with.max_credits = Some("1000".parse().unwrap()));
    sleep(seconds(40)).await;
    let (morning, _) = tokio::join!(night.run(), night.receive_for(seconds(1200)));
    assert!(morning.results.is_all("submitted"));
    let balances: Vec<_> = night.service.balances().iter().map(|(at, _)| *at).collect();
    let mut reads: Vec<_> = night.reads().into_iter().chain(balances.iter().copied()).collect();
    reads.sort_unstable();
    let beside =
        |balance: &Instant| reads.iter().filter(|at| **at > *balance - seconds(10) && **at <= *balance).count();
    let busiest = balances.iter().map(beside).max();
    assert!(busiest.is_some_and(|reads| (2..=10).contains(&reads)), "{busiest:?}");
    assert!(reads.windows(11).all(|eleven| eleven[10] - eleven[0] >= seconds(10)));
}
