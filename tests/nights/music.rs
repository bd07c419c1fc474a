//! Music that is checked before its cover is asked for.

use coverbatch::domain::Ended;
use tokio::time::sleep;

use crate::support::{Night, Reply, Seen, Sent, millis, nonzero, numbered, seconds};

fn checking(ids: &[String]) -> Night {
    Night::of(ids).with(|with| with.checks_music = true)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn only_finished_music_gets_a_cover() {
    let night = checking(&ids(&["done", "still", "sour"]));
    night.service.still_plays("still", None);
    let morning = night.run().await;
    assert_eq!(morning.sent_ids(), ["done"]);
    assert_eq!(morning.results.verdict("done"), "submitted accepted no");
    assert_eq!(morning.results.verdict("still"), "pending music_not_ready yes");
    assert_eq!(morning.results.verdict("sour"), "failed music_failed yes");
    assert_eq!(morning.results.cell("still", "cover_attempts"), "0");
}

#[tokio::test(start_paused = true)]
async fn each_music_is_checked_once_per_run_and_again_by_the_next() {
    let night = checking(&ids(&["done", "still", "sour"]));
    let later = night.clock.now() + seconds(3600);
    night.service.still_plays("still", Some(later));
    night.run().await;
    assert_eq!(night.service.listens().len(), 3);
    sleep(seconds(3600)).await;
    let morning = night.run().await;
    assert_eq!(morning.sent_ids(), ["still"]);
    assert_eq!(night.service.listens().len(), 5);
    let last = night.run().await;
    assert_eq!(last.results.verdict("sour"), "failed music_failed no");
    night.run().await;
    assert_eq!(night.service.listens().len(), 6, "the music that failed in three runs is left alone");
}

#[tokio::test(start_paused = true)]
async fn music_that_the_service_does_not_know_has_failed_and_is_looked_for_in_three_runs() {
    let night = checking(&ids(&["unknown"]));
    for retryable in ["yes", "yes", "no"] {
        let morning = night.run().await;
        assert_eq!(morning.sent_ids(), [""; 0]);
        assert_eq!(morning.results.verdict("unknown"), format!("failed not_found {retryable}"));
        assert_eq!(morning.results.cell("unknown", "cover_message"), "the service knows no such music task");
    }
    night.run().await;
    assert_eq!(night.service.listens().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_row_in_trouble_does_not_have_its_music_checked_again() {
    let night = checking(&ids(&["a"]));
    let night = night.answers(|call| if call.nth <= 3 { Reply::code(500) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!((morning.sent.len(), night.service.listens().len()), (4, 1));
    assert_eq!(morning.results.verdict("a"), "submitted accepted no");
}

#[tokio::test(start_paused = true)]
async fn a_check_in_trouble_is_made_again_after_longer_and_longer_waits_and_costs_the_row_no_attempt() {
    let night = checking(&ids(&["shaky"])).with(|with| with.submit.rows.max_attempts = nonzero(5));
    let night = night.answers(|call| if call.nth <= 4 { Reply::code(500) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("shaky"), "submitted accepted no");
    let waits: Vec<_> = night.service.listens().windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert_eq!((waits.len(), morning.progress.reads), (4, 5));
    // Longer than the pace of reads asks for.
    assert!(waits[2] >= seconds(2) && waits[3] >= seconds(4), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn checks_and_looks_together_keep_the_read_pace() {
    let night = checking(&numbered("song", 120)).waiting();
    night.service.shows(|look| if look.nth <= 2 { Seen::Running } else { Seen::Done });
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    assert_eq!(night.reads().len(), 120 * 4);
    assert!(night.is_read_in_pace());
    let first = morning.sent[0].at;
    assert!(morning.sent.iter().all(|sent| sent.at - first < seconds(150)), "covers may wait, music may not");
}

#[tokio::test(start_paused = true)]
async fn checks_keep_the_read_pace_across_a_kill() {
    for moment in [150, 5_030, 9_870].map(millis) {
        let night = checking(&numbered("song", 60));
        night.killed_after(moment).await;
        let morning = night.run().await;
        assert_eq!(morning.tally.to_send, 0);
        assert!(night.is_read_in_pace(), "killed after {moment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn checks_and_another_process_that_looks_share_the_read_pace() {
    let night = Night::of(&numbered("old", 100));
    night.run().await;
    night.service.shows(|look| if look.nth <= 2 { Seen::Running } else { Seen::Done });
    night.now_of(&numbered("new", 100));
    let night = night.with(|with| with.checks_music = true);
    sleep(seconds(40)).await;
    let (morning, _) = tokio::join!(night.run(), night.receive_for(seconds(1200)));
    assert!(morning.results.is_all("submitted"));
    assert!(night.is_read_in_pace());
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_checks_too() {
    let why = Ended::Interrupted(coverbatch::domain::Signal::Interrupt);
    let night = checking(&numbered("song", 60)).with(|with| with.stop = Some((seconds(20), why)));
    let morning = night.run().await;
    assert_eq!(morning.ended, why);
    assert!(night.service.listens().len() <= 21 && morning.took < seconds(21));
    let night = night.with(|with| with.stop = None);
    assert!(night.run().await.results.is_all("submitted"));
}

#[tokio::test(start_paused = true)]
async fn checks_and_submissions_together_keep_to_the_requests_in_flight() {
    let night = checking(&numbered("song", 20)).with(|with| with.run.concurrency = nonzero(1));
    let night = night.answers(|_| Reply::cover().after(seconds(5)));
    let morning = night.run().await;
    assert!(morning.results.is_all("submitted"));
    for listen in night.service.listens() {
        let is_beside = |sent: &&Sent| (sent.at..sent.answered()).contains(&listen.at);
        assert_eq!(morning.sent.iter().find(is_beside).map(|sent| &sent.id), None, "beside {}", listen.id);
    }
}
