//! A row that has trouble waits alone, for longer each time, and is given up in the end.

use std::time::Duration;

use coverbatch::domain::Ended;

use crate::support::{GRAIN, Morning, Night, Reply, gaps, is_jittered, millis, numbered, seconds};

/// The waits between an answer and the next submission of one row.
fn waits(morning: &Morning, id: &str) -> Vec<Duration> {
    morning.sent_for(id).windows(2).map(|pair| pair[1].at - pair[0].answered()).collect()
}

/// One row of which everything is answered with 500, at a pace that does not count.
async fn one_bad_row(seed: u64, reply: Reply) -> Morning {
    let night = Night::of(&["bad"]).answers(move |_| reply).with(|with| {
        with.rate = "1000/1s".parse().unwrap();
        with.run.seed = seed;
    });
    night.run().await
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_always_troubled_is_sent_six_times_after_jittered_doubling_waits_and_given_up() {
    let mut seen = Vec::new();
    for seed in 0..20 {
        let morning = one_bad_row(seed, Reply::code(500)).await;
        assert_eq!(morning.ended, Ended::Finished);
        assert_eq!(morning.results.verdict("bad"), "gave_up server_error yes");
        assert_eq!(morning.results.cell("bad", "cover_attempts"), "6");
        let waits = waits(&morning, "bad");
        assert_eq!(waits.len(), 5);
        for (wait, whole) in waits.iter().zip([1, 2, 4, 8, 16]) {
            assert!(is_jittered(*wait, seconds(whole)), "{wait:?} instead of about {whole} s");
        }
        seen.push(waits[4]);
    }
    let (shortest, longest) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    assert!(*longest > *shortest + seconds(2), "the dice hardly matter: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_others_go_on_at_full_pace_meanwhile() {
    let ids = [vec!["bad".to_owned()], numbered("good", 120)].concat();
    let night = Night::of(&ids).answers(|call| if call.id == "bad" { Reply::code(500) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!((morning.results.count("submitted"), morning.results.count("gave_up")), (120, 1));
    assert_eq!(morning.sent_for("bad").len(), 6);
    assert!(morning.sent.last().unwrap().id.starts_with("good"), "the bad row was to be done first");
    let gaps = gaps(&morning.sent);
    assert!(gaps.iter().all(|gap| (millis(512)..=millis(513) + GRAIN).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_due_goes_before_rows_that_were_never_sent() {
    let ids = [vec!["bad".to_owned()], numbered("good", 40)].concat();
    let night = Night::of(&ids).answers(|call| match call {
        call if call.id == "bad" && call.nth < 3 => Reply::code(500),
        _ => Reply::cover(),
    });
    let morning = night.run().await;
    for (wait, whole) in waits(&morning, "bad").iter().zip([1, 2]) {
        let turn = millis(513) + GRAIN;
        assert!((seconds(whole) / 2..=seconds(whole) + turn).contains(wait), "{wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_troubled_row_waits_as_long_as_it_is_asked_to_and_never_over_ten_minutes() {
    for (asked, waited) in [(30, 30), (600, 600), (601, 600), (86_400, 600)] {
        let morning = one_bad_row(1, Reply::code(500).retry_after(asked)).await;
        for wait in waits(&morning, "bad") {
            assert!((seconds(waited)..=seconds(waited) + GRAIN).contains(&wait), "{wait:?} of {asked} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_recovers_has_its_cover_and_its_count() {
    let night = Night::of(&["a", "b"]).answers(|call| match (call.id, call.nth) {
        ("a", 1) => Reply::code(500),
        ("a", 2) => Reply::page(520),
        ("a", 3) => Reply::code(418),
        _ => Reply::cover(),
    });
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("a"), "submitted accepted no");
    assert_eq!(morning.results.cell("a", "cover_attempts"), "4");
    assert_eq!(morning.results.cell("a", "cover_task_id"), "cover-of-a");
    assert_eq!(morning.results.cell("b", "cover_attempts"), "1");
}
