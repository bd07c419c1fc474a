//! What ends a run early: nothing new is sent, what is in flight is written down, and every row says why.

use std::time::Duration;

use coverbatch::domain::{Ended, Signal};
use coverbatch::policy::MaxFailures;

use crate::support::{Fault, Faulty, GRAIN, Morning, Night, Reply, millis, nonzero, numbered, seconds};

/// All submissions have an answer, and the ones that were never made are `pending` for this reason.
fn assert_rest_is_pending(night: &Night, morning: &Morning, reason: &str) {
    assert!(morning.sent.iter().all(|sent| sent.answered_at.is_some()), "an answer was dropped");
    assert_eq!(night.service.sent().len(), morning.sent.len());
    let rows = morning.results.column("cover_status");
    assert_eq!(rows.len(), usize::try_from(morning.tally.rows).unwrap());
    for (row, status) in rows.iter().enumerate().filter(|(_, status)| *status == "pending") {
        assert_eq!(morning.results.column("cover_reason")[row], reason, "row {row} is {status}");
        assert_eq!(morning.results.column("cover_retryable")[row], "yes");
    }
}

/// When the last submission was made, since the run began.
fn last_sent(morning: &Morning) -> Duration {
    morning.sent.last().unwrap().at - morning.began
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_the_run_once_nobody_was_served_for_so_long() {
    for refusal in [Reply::code(455), Reply::code(429), Reply::page(502), Reply::unreachable()] {
        let night = Night::of(&numbered("song", 50))
            .answers(move |call| if call.at < seconds(10) { Reply::cover() } else { refusal })
            .with(|with| with.max_outage = seconds(1800));
        let morning = night.run().await;
        assert_eq!(morning.ended, Ended::Outage);
        assert_eq!((morning.results.count("submitted"), morning.results.count("pending")), (20, 30));
        assert_rest_is_pending(&night, &morning, "outage");
        // The first request of which nobody was served any more.
        let end = morning.sent[20].at - morning.began + seconds(1800);
        assert!((end..=end + GRAIN).contains(&morning.took), "{:?} instead of {end:?}", morning.took);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_from_the_start_is_counted_from_the_first_submission() {
    let night = Night::of(&["a", "b"]).answers(|_| Reply::code(455)).with(|with| with.max_outage = seconds(60));
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Outage);
    assert!(morning.took >= seconds(60) && morning.took < seconds(61), "{:?}", morning.took);
    assert!(morning.results.is_all("pending"));
}

#[tokio::test(start_paused = true)]
async fn short_outages_that_are_long_together_do_not_end_the_run() {
    let night = Night::of(&numbered("song", 60))
        .answers(|call| if call.number % 3 == 0 { Reply::code(455).retry_after(50) } else { Reply::cover() })
        .with(|with| with.max_outage = seconds(60));
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    assert!(morning.results.is_all("submitted") && morning.took > seconds(1000));
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_nothing_is_begun_and_what_is_in_flight_finishes() {
    let night = Night::of(&numbered("song", 100))
        .answers(|_| Reply::cover().after(seconds(5)))
        .with(|with| with.stop = Some((seconds(20), Ended::Deadline)));
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Deadline);
    assert!(last_sent(&morning) < seconds(20) && last_sent(&morning) > seconds(19));
    assert_eq!(morning.took, morning.sent.last().unwrap().answered() - morning.began);
    assert_eq!(morning.results.count("submitted"), morning.sent.len());
    assert_rest_is_pending(&night, &morning, "deadline");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_done_before_its_deadline_does_not_wait_for_it() {
    let morning = Night::of(&["a"]).with(|with| with.stop = Some((seconds(3600), Ended::Deadline))).run().await;
    assert_eq!((morning.ended, morning.took), (Ended::Finished, millis(130)));
}

#[tokio::test(start_paused = true)]
async fn so_many_failed_rows_end_the_run() {
    let night = Night::of(&numbered("song", 50))
        .answers(|call| Reply::code(if call.number % 2 == 0 { 404 } else { 422 }))
        .with(|with| with.submit.max_failures = MaxFailures::Rows(nonzero(10)));
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::TooManyFailures);
    assert_eq!((morning.sent.len(), morning.results.count("failed")), (10, 10));
    assert_rest_is_pending(&night, &morning, "too_many_failures");
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_slot_a_failed_one_had_is_not_sent_before_that_is_counted() {
    let night = Night::of(&numbered("song", 50)).answers(|_| Reply::code(404)).with(|with| {
        with.rate = "1000/1s".parse().unwrap();
        (with.run.concurrency, with.submit.max_failures) = (nonzero(1), MaxFailures::Rows(nonzero(10)));
    });
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.sent.len()), (Ended::TooManyFailures, 10));
}

#[tokio::test(start_paused = true)]
async fn so_many_failed_rows_of_a_hundred_end_the_run_once_a_hundred_are_done() {
    let night = Night::of(&numbered("song", 300))
        .answers(|call| if call.number <= 50 { Reply::code(404) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.sent.len()), (Ended::TooManyFailures, 100));
    assert_rest_is_pending(&night, &morning, "too_many_failures");

    let night = Night::of(&numbered("song", 300))
        .answers(|call| if call.number <= 49 { Reply::code(404) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!((morning.ended, morning.results.count("submitted")), (Ended::Finished, 251));
}

#[tokio::test(start_paused = true)]
async fn a_refused_account_ends_the_run_with_what_was_in_flight() {
    let credits = |code| (Reply::code(code), Ended::NoCredits, "no_credits");
    let key = (Reply::code(401), Ended::Unauthorized, "unauthorized");
    let cdn = (Reply::page(403), Ended::Unauthorized, "unauthorized");
    for (refusal, ended, reason) in [key, cdn, credits(402), credits(433)] {
        let night = Night::of(&numbered("song", 200))
            .answers(move |call| if call.number > 10 { refusal.after(seconds(9)) } else { Reply::cover() })
            .with(|with| with.run.concurrency = nonzero(8));
        let morning = night.run().await;
        assert_eq!(morning.ended, ended);
        assert_eq!(morning.results.count("submitted"), 10);
        assert_eq!(morning.sent.len(), 10 + 8, "at most as many as fly at once");
        assert!(morning.sent.iter().all(|sent| sent.at < morning.sent[10].answered()), "sent after the refusal");
        assert_rest_is_pending(&night, &morning, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_records_what_is_in_flight_and_sends_nothing_new() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let ended = Ended::Interrupted(signal);
        let night = Night::of(&numbered("song", 100))
            .answers(|_| Reply::cover().after(seconds(7)))
            .with(|with| with.stop = Some((seconds(30), ended)));
        let morning = night.run().await;
        assert_eq!(morning.ended, ended);
        assert!(last_sent(&morning) < seconds(30));
        let in_flight = morning.sent.iter().filter(|sent| sent.answered() > morning.began + seconds(30)).count();
        assert!(in_flight >= 13, "{in_flight} in flight");
        assert_eq!(morning.results.count("submitted"), morning.sent.len());
        assert_rest_is_pending(&night, &morning, "interrupted");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_does_not_wait_for_a_pause_or_a_backoff() {
    for reply in [Reply::code(455).retry_after(500), Reply::code(500).retry_after(500)] {
        let night = Night::of(&["a"])
            .answers(move |_| reply)
            .with(|with| with.stop = Some((seconds(100), Ended::Interrupted(Signal::Terminate))));
        let morning = night.run().await;
        assert_eq!(morning.sent.len(), 1);
        assert!(morning.took < seconds(100) + millis(100), "{:?}", morning.took);
        assert_eq!(morning.results.verdict("a"), "pending interrupted yes");
    }
}

/// A run that follows covers asks the ledger each second, for half of the time here: it hears of its end whenever that comes.
#[tokio::test(start_paused = true)]
async fn an_end_that_is_asked_for_while_the_ledger_is_asked_is_heard_although_everyone_is_paused() {
    for ended in [Ended::Interrupted(Signal::Terminate), Ended::Deadline] {
        for end in (0..1500).step_by(150).map(|moment| seconds(100) + millis(moment)) {
            let night = Night::of(&["a"])
                .waiting()
                .answers(|_| Reply::code(455).retry_after(500))
                .with(|with| with.stop = Some((end, ended)));
            let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowQuestions(millis(500)));
            let morning = night.run_on(&ledger).await.unwrap();
            assert_eq!(morning.ended, ended);
            assert!(morning.took < end + millis(600), "asked for after {end:?}, over after {:?}", morning.took);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_submits_nothing_any_more_hears_of_the_end_of_everything_at_once() {
    for end in (0..1000).step_by(200).map(|moment| seconds(40) + millis(moment)) {
        let ended = Ended::Interrupted(Signal::Terminate);
        let night = Night::of(&["a", "b"])
            .waiting()
            .answers(|call| if call.number == 1 { Reply::cover() } else { Reply::code(402) })
            .with(|with| with.stop = Some((end, ended)));
        let morning = night.run().await;
        // What refused the account is told, as it is what a person has to see to.
        assert_eq!((morning.ended, morning.tally.awaited), (Ended::NoCredits, 1));
        assert!((end..=end + GRAIN).contains(&morning.took), "asked for after {end:?}, over after {:?}", morning.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_being_claimed_when_the_end_was_asked_for_is_not_begun() {
    for moment in (0..3000).step_by(100).map(millis) {
        let ended = Ended::Interrupted(Signal::Terminate);
        let cover = Night::of(&["a"]).waiting().with(|with| with.stop = Some((seconds(60) + moment, ended)));
        let music = Night::of(&["a"]).with(|with| (with.checks_music, with.stop) = (true, Some((moment, ended))));
        let balance = Night::of(&["a"])
            .with(|with| (with.max_credits, with.stop) = (Some("5".parse().unwrap()), Some((moment, ended))));
        for night in [cover, music, balance] {
            night.service.charges(100.0, 1.0);
            let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowQuestions(millis(500)));
            let morning = night.run_on(&ledger).await.unwrap();
            let end = morning.began + night.settings.stop.unwrap().0;
            let balances = night.service.balances().into_iter().map(|(at, _)| at);
            assert!(night.reads().into_iter().chain(balances).all(|at| at <= end), "asked for after {moment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_after_an_interrupted_one_sends_the_rest_and_only_that() {
    let night = Night::of(&numbered("song", 60))
        .answers(|_| Reply::cover().after(seconds(7)))
        .with(|with| with.stop = Some((seconds(15), Ended::Interrupted(Signal::Interrupt))));
    let first = night.run().await;
    let night = night.with(|with| with.stop = None);
    let second = night.run().await;
    assert_eq!(second.ended, Ended::Finished);
    assert!(second.results.is_all("submitted"));
    assert_eq!([first.sent_ids(), second.sent_ids()].concat(), numbered("song", 60));
}
