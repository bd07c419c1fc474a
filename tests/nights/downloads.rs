//! Images from the moment they are known to their files.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::{IMAGE, Night, Reply, Seen, is_jittered, millis, numbered, seconds};

fn fetches_of(night: &Night, id: &str) -> Vec<Instant> {
    let is_its = |url: &str| url.ends_with(&format!("/{id}-1.png"));
    night.service.fetches().iter().filter(|fetch| is_its(&fetch.id)).map(|fetch| fetch.at).collect()
}

#[tokio::test(start_paused = true)]
async fn images_are_fetched_as_soon_as_they_are_known() {
    let night = Night::of(&["a"]).downloading();
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("a"), "completed generated no");
    assert_eq!(morning.results.cell("a", "cover_file_1"), "a-1.png");
    assert_eq!(morning.results.cell("a", "cover_file_2"), "a-2.png");
    assert!(night.images().values().all(|bytes| bytes == IMAGE));
    let looked = night.looks_at("a")[0];
    assert!(fetches_of(&night, "a")[0] - looked < seconds(1));
    assert!(morning.took < seconds(62));
}

#[tokio::test(start_paused = true)]
async fn half_a_file_is_fetched_again_after_longer_and_longer_waits() {
    let night = Night::of(&["a", "b"]).downloading();
    night.service.breaks_images("a", 4);
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    let fetches = fetches_of(&night, "a");
    let waits: Vec<Duration> = fetches.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 4);
    for (wait, whole) in waits.iter().zip([1, 2, 4, 8].map(seconds)) {
        assert!(is_jittered(wait.saturating_sub(millis(130)), whole), "{waits:?}");
    }
    assert_eq!(night.images().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_stays_broken_is_given_up_with_a_message_and_the_next_night_goes_on() {
    let night = Night::of(&["a", "b"]).downloading();
    night.service.breaks_images("a", 6);
    let morning = night.run().await;
    assert_eq!(fetches_of(&night, "a").len(), 6);
    assert_eq!((morning.tally.awaited, morning.progress.covers.given_up), (1, 1));
    assert_eq!(morning.results.cell("a", "cover_status"), "submitted");
    let message = morning.results.cell("a", "cover_message");
    assert!(message.contains("image 1") && message.contains("cut off"), "{message}");
    assert_eq!(night.images().keys().collect::<Vec<_>>(), ["b-1.png", "b-2.png"]);
    let next = night.run().await;
    assert!(next.results.is_all("completed"));
    assert_eq!((next.sent.len(), next.progress.covers.polls, next.tally.awaited), (0, 0, 0));
    assert_eq!(night.images().len(), 4);
    assert_eq!(fetches_of(&night, "b").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn images_that_are_gone_from_their_host_are_fetched_in_one_run_and_then_never_again() {
    let night = Night::of(&["a", "b"]).waiting();
    night.run().await;
    sleep(seconds(2 * 86_400)).await;
    night.service.has_images("a", false);
    let night = night.downloading();
    let morning = night.run().await;
    assert_eq!((morning.tally.forgotten, morning.tally.awaited), (1, 0));
    assert_eq!(morning.results.verdict("a"), "submitted not_found no");
    assert_eq!(morning.results.verdict("b"), "completed generated no");
    assert_eq!(fetches_of(&night, "a").len(), 6);
    let again = night.run().await;
    night.receive_for(seconds(3600)).await;
    assert_eq!((again.tally.forgotten, again.tally.awaited, fetches_of(&night, "a").len()), (1, 0, 6));
}

#[tokio::test(start_paused = true)]
async fn images_that_are_not_there_yet_are_not_forgotten() {
    let night = Night::of(&["a"]).downloading();
    night.service.has_images("a", false);
    for _ in 0..3 {
        let morning = night.run().await;
        assert_eq!((morning.tally.forgotten, morning.tally.awaited), (0, 1));
        assert_eq!(morning.results.verdict("a"), "submitted not_found no");
    }
    night.service.has_images("a", true);
    assert!(night.run().await.results.is_all("completed"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_in_trouble_forgets_nothing_however_long_it_is() {
    let night = Night::of(&["a"]).downloading();
    night.service.breaks_images("a", usize::MAX);
    for _ in 0..2 {
        let morning = night.run().await;
        assert_eq!((morning.tally.forgotten, morning.tally.awaited), (0, 1));
        sleep(seconds(15 * 86_400)).await;
        night.receive_for(seconds(120)).await;
    }
    night.service.breaks_images("a", 0);
    sleep(seconds(15 * 86_400)).await;
    night.receive_for(seconds(10)).await;
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    assert_eq!((night.images().len(), morning.progress.covers.saved), (2, 0), "whoever follows all has fetched them");
}

#[tokio::test(start_paused = true)]
async fn images_that_were_known_before_they_were_wanted_are_fetched_while_their_host_has_them() {
    let night = Night::of(&["a"]).waiting();
    night.run().await;
    sleep(seconds(20 * 86_400)).await;
    let night = night.downloading();
    let morning = night.run().await;
    assert_eq!((night.service.fetches().len(), morning.progress.covers.polls), (2, 0));
    assert_eq!(morning.results.cell("a", "cover_file_2"), "a-2.png");
    night.run().await;
    assert_eq!(night.service.fetches().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cover_that_failed_three_times_is_not_fetched_and_others_are() {
    let night = Night::of(&["a", "b"]).downloading();
    night.service.shows(|look| if look.id == "a" { Seen::Failed } else { Seen::Done });
    for _ in 0..4 {
        night.run().await;
    }
    assert_eq!(night.images().keys().collect::<Vec<_>>(), ["b-1.png", "b-2.png"]);
    assert_eq!(night.service.fetches().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn downloads_wait_for_no_pace_and_no_more_than_four_are_under_way() {
    let ids = numbered("song", 40);
    let night = Night::of(&ids).downloading().answers(|_| Reply::existing()).with(|with| {
        with.poll = "1000/1s".parse().unwrap();
        with.rate = "1000/1s".parse().unwrap();
    });
    night.service.shows(|_| Seen::Done);
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    let times: Vec<Instant> = night.service.fetches().iter().map(|fetch| fetch.at).collect();
    assert_eq!(times.len(), 80);
    let under_way = |at: Instant| times.iter().filter(|from| **from <= at && at - **from < millis(130)).count();
    assert_eq!(times.iter().map(|at| under_way(*at)).max(), Some(4));
    assert!(morning.took < seconds(5), "{:?}", morning.took);
}

#[tokio::test(start_paused = true)]
async fn a_disk_full_of_images_loses_no_answer_that_is_on_its_way() {
    let ids = ["slow1", "slow2", "slow3", "there", "never"];
    let night = Night::of(&ids)
        .downloading()
        .answers(|call| if call.id == "there" { Reply::existing() } else { Reply::cover().after(seconds(20)) });
    night.service.shows(|_| Seen::Done);
    night.service.disk_is_full(true);
    let error = night.run_on(&night.ledger).await.unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    assert!(night.service.sent().iter().all(|sent| sent.answered_at.is_some()), "answers were not awaited");
    assert_eq!(night.service.sent().len(), 4, "nothing new is sent");
    night.service.disk_is_full(false);
    let next = night.run().await;
    assert!(next.results.is_all("completed"));
    assert_eq!(night.service.sent().len(), ids.len(), "nothing was in doubt");
    assert_eq!(night.images().len(), 2 * ids.len());
}
