//! What no answer tells alone: outages without a word, services that are none, answers that belong to other rows.

use std::collections::HashSet;

use coverbatch::domain::Ended;
use coverbatch::policy::{InDoubt, OUTAGE_ROWS, UNREADABLE_ANSWERS};

use crate::support::{Night, Reply, numbered, seconds};

#[tokio::test(start_paused = true)]
async fn ten_rows_in_trouble_one_after_another_pause_everyone_and_cost_no_further_attempts() {
    for trouble in [Reply::code(500), Reply::page(500), Reply::lost()] {
        let night = Night::of(&numbered("song", 60))
            .answers(move |call| if (5..300).contains(&call.at.as_secs()) { trouble } else { Reply::cover() });
        let morning = night.run().await;
        assert_eq!(morning.ended, Ended::Finished);
        assert_eq!(morning.results.count("submitted") + morning.results.count("exists"), 60);
        let during = |from, until| {
            let at = |number| morning.began + seconds(number);
            morning.sent.iter().filter(|sent| sent.at >= at(from) && sent.at < at(until)).count()
        };
        // Rows in trouble are sent again before others are.
        assert!((OUTAGE_ROWS..30).contains(&during(5, 20)), "{} before it is known", during(5, 20));
        assert!((4..12).contains(&during(20, 300)), "{} probes", during(20, 300));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_shows_by_silence_leaves_few_rows_to_a_person_who_holds_them() {
    let night = Night::of(&numbered("song", 200)).answers(|_| Reply::lost()).with(|with| {
        with.submit.rows.in_doubt = InDoubt::Hold;
        with.max_outage = seconds(600);
    });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Outage);
    let held = morning.results.count("in_doubt");
    assert!((OUTAGE_ROWS..30).contains(&held), "{held}");
    assert_eq!(held + morning.results.count("pending"), 200);
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_always_in_trouble_end_a_night_without_an_outage() {
    let ids: Vec<String> =
        (0..60).map(|number| format!("{}-{number}", if number % 3 == 0 { "broken" } else { "song" })).collect();
    let night =
        Night::of(&ids).answers(|call| if call.id.starts_with("broken") { Reply::code(500) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    assert_eq!((morning.results.count("submitted"), morning.results.count("gave_up")), (40, 20));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_understood_from_the_start_is_left_with_its_rows_in_doubt() {
    for (count, in_doubt) in [(60, InDoubt::Resend), (60, InDoubt::Hold), (3, InDoubt::Resend)] {
        let night = Night::of(&numbered("song", count))
            .answers(|_| Reply::page(200))
            .with(|with| with.submit.rows.in_doubt = in_doubt);
        let morning = night.run().await;
        assert_eq!(morning.ended, Ended::NotUnderstood);
        assert_eq!(morning.sent.len(), usize::try_from(UNREADABLE_ANSWERS).unwrap());
        // Some were sent again meanwhile.
        let doubt = morning.sent_ids().into_iter().collect::<HashSet<_>>().len();
        assert_eq!(morning.results.count("in_doubt"), doubt);
        assert_eq!(morning.results.cell("song-0001", "cover_message"), "not JSON: sorry");
        assert_eq!(morning.results.count("pending"), count - doubt);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_understood_once_is_asked_again() {
    let night = Night::of(&numbered("song", 20))
        .answers(|call| if (2..14).contains(&call.number) { Reply::page(200) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    assert!(morning.results.is_all("submitted"));
}

#[tokio::test(start_paused = true)]
async fn the_cover_of_another_row_is_no_acceptance() {
    let night = Night::of(&numbered("song", 5))
        .answers(|call| if call.id == "song-0003" && call.nth == 1 { Reply::foreign() } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(night.service.dropped(), 1);
    assert_eq!(morning.sent_for("song-0003").len(), 2);
    assert_eq!(morning.results.verdict("song-0003"), "exists already_exists no");
    assert_eq!(morning.results.cell("song-0003", "cover_task_id"), "", "the cover of `song-0001` is not its own");
    let held = Night::of(&numbered("song", 5))
        .answers(|call| if call.id == "song-0003" { Reply::foreign() } else { Reply::cover() })
        .with(|with| with.submit.rows.in_doubt = InDoubt::Hold);
    let morning = held.run().await;
    assert_eq!(morning.results.cell("song-0003", "cover_status"), "in_doubt");
    let message = morning.results.cell("song-0003", "cover_message");
    assert_eq!(message, "the cover is that of another music task: ok");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_address_stops_the_run_with_its_first_answer_and_judges_no_row() {
    for wrong in [Reply::page(404), Reply::page(410), Reply::page(308), Reply::code(505)] {
        let night =
            Night::of(&numbered("song", 20)).answers(move |call| if call.number == 3 { wrong } else { Reply::cover() });
        let morning = night.run().await;
        assert_eq!((morning.ended, morning.sent.len()), (Ended::WrongAddress, 3));
        assert_eq!((morning.results.count("submitted"), morning.results.count("pending")), (2, 18));
        assert_eq!(morning.results.cell("song-0003", "cover_retryable"), "yes");
    }
}

/// Rows that were not tried yet probe before those in trouble, or ten broken rows together would end the night.
#[tokio::test(start_paused = true)]
async fn ten_broken_rows_together_do_not_keep_the_others_from_being_sent() {
    let ids: Vec<String> = (0..40)
        .map(|number| format!("{}-{number}", if (10..22).contains(&number) { "broken" } else { "song" }))
        .collect();
    let night =
        Night::of(&ids).answers(|call| if call.id.starts_with("broken") { Reply::code(500) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    assert_eq!((morning.results.count("submitted"), morning.results.count("gave_up")), (28, 12));
    assert!(morning.took < seconds(900), "{:?}", morning.took);
}

/// A row that failed before is as it was, too.
#[tokio::test(start_paused = true)]
async fn a_wrong_address_leaves_a_row_that_failed_before_as_it_was() {
    let night = Night::of(&["a"]).answers(|_| Reply::code(422));
    night.run().await;
    night.service.follow(|_| Reply::page(404));
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::WrongAddress);
    assert_eq!(morning.results.verdict("a"), "failed invalid_request yes");
    assert_eq!(morning.results.cell("a", "cover_attempts"), "1");
}
