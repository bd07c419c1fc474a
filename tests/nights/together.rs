//! Several processes on one ledger, and processes that are killed: together they keep one read pace.

use std::collections::HashMap;
use std::time::Duration;

use coverbatch::domain::Ended;
use coverbatch::policy::InDoubt;
use tokio::time::sleep;

use crate::support::{Fault, Faulty, IMAGE, Morning, Night, Reply, Seen, millis, numbered, seconds};

/// Every image of these music tasks is on disk, byte for byte, and nothing else.
fn assert_in_hand(night: &Night, ids: &[String]) {
    let images = night.images();
    let expected: Vec<String> = ids.iter().flat_map(|id| [1, 2].map(|number| format!("{id}-{number}.png"))).collect();
    assert!(images.keys().eq(expected.iter()), "{:?}", images.keys());
    assert!(images.values().all(|bytes| bytes == IMAGE));
}

/// How often each image was fetched.
fn fetched(night: &Night) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for fetch in night.service.fetches() {
        *times.entry(fetch.id).or_default() += 1;
    }
    times
}

#[tokio::test(start_paused = true)]
async fn a_run_and_an_endless_follower_share_the_pace_and_fetch_each_image_once() {
    let ids = numbered("song", 150);
    let night = Night::of(&ids).downloading();
    night.service.shows(|look| if look.nth == 1 { Seen::Running } else { Seen::Done });
    let (morning, received) = tokio::join!(night.run(), night.receive_for(seconds(1500)));
    assert!(morning.results.is_all("completed"));
    assert_eq!(morning.tally.awaited, 0);
    assert!(night.is_read_in_pace());
    assert_eq!(night.reads().len(), 300);
    assert!(received.polls > 0 && morning.progress.covers.polls > 0);
    assert_eq!((fetched(&night).len(), night.service.fetches().len()), (300, 300));
    assert_in_hand(&night, &ids);
}

#[tokio::test(start_paused = true)]
async fn two_that_wait_for_the_same_covers_both_have_them_in_the_end() {
    let ids = numbered("song", 20);
    let night = Night::of(&ids);
    night.run().await;
    let night = night.waiting();
    night.service.shows(|_| Seen::DoneAfter(seconds(300)));
    let began = night.clock.now();
    let (one, (other, read)) = tokio::join!(night.follow(), async {
        sleep(seconds(40)).await;
        (night.follow().await, night.reads().len())
    });
    assert!(one.results.is_all("completed") && other.results.is_all("completed"));
    assert_eq!((one.tally.awaited, other.tally.awaited), (0, 0));
    assert!(one.took < seconds(400) && other.took < seconds(360), "{:?} {:?}", one.took, other.took);
    let rounds = one.rounds + other.rounds;
    assert!(rounds < 60, "{rounds} rounds: each rests 5 s as soon as it knows of the other");
    assert!(read <= 20 * 12, "{read} reads: of each cover as many as if one had waited for it, or few more");
    let end = began + one.took.min(seconds(40) + other.took);
    let rested = end - *night.reads().last().unwrap();
    assert!(rested < seconds(1), "with nothing left the first of them ended only after {rested:?}");
    assert!(night.is_read_in_pace());
}

#[tokio::test(start_paused = true)]
async fn two_that_wait_in_vain_give_up_each_in_its_time() {
    let night = Night::of(&["stuck", "other"]);
    night.run().await;
    let night = night.with(|with| with.wait = Some(seconds(200)));
    night.service.shows(|_| Seen::Running);
    let (one, other) = tokio::join!(night.follow(), async {
        sleep(seconds(50)).await;
        night.follow().await
    });
    for followed in [one, other] {
        assert_eq!(followed.tally.awaited, 2);
        // Up to an interval of polls before, since one more would come too late.
        assert!((seconds(170)..seconds(260)).contains(&followed.took), "{:?}", followed.took);
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_wait_for_a_record_in_trouble_give_it_up_after_their_attempts_and_not_after_their_time() {
    let night = Night::of(&["bad"]);
    night.run().await;
    let night = night.waiting();
    night.service.shows(|_| Seen::Foreign);
    let (one, other) = tokio::join!(night.follow(), night.follow());
    let (looks, took) = (night.looks_at("bad").len(), one.took.max(other.took));
    assert_eq!((one.tally.awaited, other.tally.awaited), (1, 1));
    assert!(looks <= 12 && took < seconds(300), "{looks} reads in {took:?}: 6 are the attempts of one");
}

#[tokio::test(start_paused = true)]
async fn two_endless_followers_and_one_that_ends_share_the_pace() {
    let ids = numbered("song", 100);
    let night = Night::of(&ids);
    night.run().await;
    let night = night.downloading();
    night.service.shows(|look| if look.nth == 1 { Seen::Running } else { Seen::Done });
    let others = (night.receive_for(seconds(600)), night.receive_for(seconds(700)));
    let (followed, ..) = tokio::join!(night.follow(), others.0, others.1);
    assert!(followed.results.is_all("completed"));
    assert!(night.is_read_in_pace());
    assert_eq!(night.service.fetches().len(), 200);
    assert_in_hand(&night, &ids);
}

#[tokio::test(start_paused = true)]
async fn an_endless_follower_alone_brings_everything_in_and_the_next_night_knows() {
    let ids = numbered("song", 30);
    let night = Night::of(&ids);
    night.run().await;
    let night = night.downloading();
    let received = night.receive_for(seconds(300)).await;
    assert_eq!((received.generated, received.saved), (30, 60));
    let followed = night.follow().await;
    assert_eq!((followed.covers.polls, followed.tally.awaited), (0, 0));
    assert!(followed.results.is_all("completed"));
    assert_in_hand(&night, &ids);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_the_reads_of_the_next_run_keep_the_pace_and_everything_comes_in() {
    let ids = numbered("song", 25);
    let mut dice = fastrand::Rng::with_seed(23);
    for _ in 0..25 {
        let night = Night::of(&ids).downloading();
        night.service.shows(|look| if look.nth == 1 { Seen::Running } else { Seen::Done });
        let moment = millis(dice.u64(1..150_000));
        let was_killed = night.is_killed_after(moment).await;
        let killed_at = night.clock.now();
        let morning = night.run().await;
        assert!(
            morning.results.column("cover_status").iter().all(|status| status == "completed" || status == "exists")
        );
        assert!(night.is_read_in_pace(), "killed after {moment:?}");
        assert!(!was_killed || night.clock.now() - killed_at < seconds(200), "killed after {moment:?}");
        let twice = fetched(&night).values().filter(|times| **times > 1).count();
        assert!(twice <= 4, "killed after {moment:?}: {twice} images were fetched again");
        let known: Vec<String> =
            ids.iter().filter(|id| morning.results.cell(id, "cover_status") == "completed").cloned().collect();
        assert_in_hand(&night, &known);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_over_at_once_what_a_killed_run_had_claimed() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|look| if look.nth == 1 { Seen::Lost } else { Seen::Done });
    night.killed_after(seconds(70)).await;
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    let looks = night.looks_at("a");
    let wait = looks[1] - looks[0];
    assert!(looks.len() == 2 && wait < seconds(12), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_of_a_killed_follower_blocks_its_cover_no_longer_than_its_lease() {
    let night = Night::of(&["a"]);
    night.service.shows(|look| if look.nth == 1 { Seen::Lost } else { Seen::Done });
    night.run().await;
    assert!(tokio::time::timeout(seconds(70), night.receive_for(seconds(900))).await.is_err());
    let night = night.waiting();
    let followed = night.follow().await;
    assert!(followed.results.is_all("completed"));
    let looks = night.looks_at("a");
    let wait = looks[1] - looks[0];
    assert!(looks.len() == 2 && wait >= seconds(35) && wait < seconds(37), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_all_covers_reads_a_bad_record_less_and_less_often() {
    let night = Night::of(&["a"]);
    night.service.shows(|_| Seen::Foreign);
    night.run().await;
    night.receive_for(seconds(12 * 3600)).await;
    let looks = night.looks_at("a");
    let last_hour = looks.iter().filter(|look| **look > looks[looks.len() - 1] - seconds(3600)).count();
    assert!(looks.len() < 500 && last_hour <= 12, "{} looks, {last_hour} in the last hour", looks.len());
    // It is not forgotten: once the record is good, after a tenth of its age, its images are known.
    night.service.shows(|_| Seen::Done);
    assert_eq!(night.receive_for(seconds(2 * 3600)).await.generated, 1);
}

/// Between two reads of the run, the follower learns where the last images are, and does not have them yet.
#[tokio::test(start_paused = true)]
async fn a_run_does_not_end_while_another_process_fetches_its_last_images() {
    for offset in (0..1500).step_by(100) {
        let night = Night::of(&["a", "b"]).downloading();
        night.service.breaks_images("b", 2);
        night.service.shows(|look| if look.id == "a" { Seen::Failed } else { Seen::Done });
        let received = async {
            sleep(seconds(59) + millis(offset)).await;
            night.receive_for(seconds(60)).await
        };
        let (morning, _) = tokio::join!(night.run(), received);
        assert_eq!(morning.tally.awaited, 0, "the follower begins {offset} ms later");
        assert!(night.images().contains_key("b-2.png"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_follower_leaves_its_covers_to_the_other() {
    let ids = numbered("song", 20);
    let night = Night::of(&ids).downloading();
    let killed = async {
        sleep(seconds(2)).await;
        let _ = tokio::time::timeout(seconds(61), night.receive_for(seconds(900))).await;
    };
    let (morning, ()) = tokio::join!(night.run(), killed);
    assert!(morning.results.is_all("completed"));
    assert!(night.is_read_in_pace());
    assert_in_hand(&night, &ids);
    assert!(morning.took < seconds(200), "{:?}", morning.took);
}

/// Runs two rows that another run has on its way for so long.
async fn beside_a_run_that_takes(time: Duration) -> Morning {
    let night = Night::of(&["a", "b"]);
    let ledger = Faulty::new(&night.ledger, night.clock, Fault::Elsewhere(time));
    night.run_on(&ledger).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn rows_that_another_run_sends_are_asked_for_each_second_and_not_for_ever() {
    let soon = beside_a_run_that_takes(seconds(90)).await;
    assert_eq!((soon.sent.len(), soon.tally.to_send), (2, 0));
    assert!((seconds(90)..seconds(92)).contains(&soon.took), "{:?}", soon.took);
    let never = beside_a_run_that_takes(Duration::MAX).await;
    assert_eq!((never.ended, never.sent.len(), never.tally.to_send), (Ended::Finished, 0, 2));
    assert!((seconds(120)..seconds(121)).contains(&never.took), "{:?}", never.took);
}

/// Runs these rows beside a run that dies after so long and leaves the row `left`; when dead runs were looked for.
async fn beside_a_run_that_dies(night: &Night, after: Duration) -> (Morning, Vec<u64>) {
    let ledger = Faulty::new(&night.ledger, night.clock, Fault::Left(after, "left"));
    let morning = night.run_on(&ledger).await.unwrap();
    (morning, ledger.looks().iter().map(Duration::as_secs).collect())
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_dead_run_leaves_is_sent_once_nothing_else_is_left() {
    let night = Night::of(&numbered("song", 20)).with(|with| with.rate = "1/10s".parse().unwrap());
    let (morning, looks) = beside_a_run_that_dies(&night, seconds(30)).await;
    let last = morning.sent.last().unwrap();
    assert_eq!((morning.sent.len(), last.id.as_str()), (21, "left"));
    // Each minute, so that others learn of it; then at the end, and once more after what was found there.
    let (each_minute, end) = looks.split_at(3);
    assert_eq!(each_minute, [60, 120, 180]);
    let sent = |number: usize| (morning.sent[number].answered() - morning.began).as_secs();
    assert_eq!(end, [sent(19), sent(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_dead_run_leaves_is_left_to_a_person_if_rows_in_doubt_are() {
    let night = Night::of(&numbered("song", 3)).with(|with| with.submit.rows.in_doubt = InDoubt::Hold);
    let (morning, looks) = beside_a_run_that_dies(&night, Duration::ZERO).await;
    assert_eq!((morning.sent.len(), looks.len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_to_end_looks_for_no_rows_of_others() {
    let night = Night::of(&numbered("song", 30)).with(|with| with.stop = Some((seconds(5), Ended::Deadline)));
    let night = night.answers(|_| Reply::cover().after(seconds(70)));
    let (morning, looks) = beside_a_run_that_dies(&night, Duration::ZERO).await;
    assert_eq!((morning.ended, looks), (Ended::Deadline, vec![]));
}
