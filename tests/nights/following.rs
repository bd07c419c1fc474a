//! When covers are looked at, and what is believed.

use std::collections::HashSet;
use std::time::Duration;

use coverbatch::domain::ResultColumn;
use coverbatch::domain::{Ended, Signal};
use coverbatch::policy::MaxFailures;
use coverbatch::ratelimit::expected_time;
use tokio::time::{Instant, sleep};

use crate::support::{GRAIN, Morning, Night, Reply, Seen, gaps, is_jittered, millis, nonzero, numbered, seconds};

/// What a look takes.
const LOOK: Duration = millis(130);

/// Since the answer to the only submission of a music task.
fn since_acceptance(night: &Night, id: &str) -> Vec<Duration> {
    let sent = night.service.sent();
    let answered = sent.iter().find(|sent| sent.id == id).unwrap().answered();
    night.looks_at(id).into_iter().map(|at| at - answered).collect()
}

fn assert_times(times: &[Duration], expected: &[Duration]) {
    let near = |(time, due): (&Duration, &Duration)| (*due..=*due + GRAIN).contains(time);
    assert!(times.len() == expected.len() && times.iter().zip(expected).all(near), "{times:?}, not {expected:?}");
}

fn steps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cover_is_looked_at_after_60_s_and_then_every_30_s_until_it_is_finished() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|_| Seen::DoneAfter(seconds(130)));
    let morning = night.run().await;
    let looks = [0, 1, 2, 3].map(|nth| seconds(60) + (seconds(30) + LOOK) * nth);
    assert_times(&since_acceptance(&night, "a"), &looks);
    assert_eq!(morning.results.verdict("a"), "completed generated no");
    assert_eq!(morning.results.cell("a", "cover_image_2"), "https://images.example/a-2.png");
    assert_eq!(morning.tally.awaited, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_look_comes_when_four_of_five_covers_of_earlier_nights_were_finished() {
    let night = Night::of(&numbered("old", 10)).waiting();
    night.service.shows(|look| Seen::DoneAfter(seconds(10 * look.id[6..].parse::<u64>().unwrap())));
    night.run().await;
    night.now_of(&["new-0008"]);
    let morning = night.run().await;
    assert_times(&since_acceptance(&night, "new-0008"), &[seconds(80)]);
    assert_eq!(morning.progress.covers.polls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_learns_the_usual_time_from_its_own_covers() {
    let night = Night::of(&["first", "second"]).waiting().with(|with| with.rate = "1/100s".parse().unwrap());
    night.service.shows(|_| Seen::DoneAfter(seconds(20)));
    night.run().await;
    assert_times(&since_acceptance(&night, "first"), &[seconds(60)]);
    assert_times(&since_acceptance(&night, "second"), &[seconds(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_cover_that_was_there_before_is_looked_at_at_once() {
    let night = Night::of(&["a"]).waiting().answers(|_| Reply::existing());
    night.service.made_before("a", night.clock.now());
    night.service.shows(|_| Seen::Done);
    let morning = night.run().await;
    assert_times(&since_acceptance(&night, "a"), &[Duration::ZERO]);
    assert_eq!(morning.results.verdict("a"), "completed generated no");
}

#[tokio::test(start_paused = true)]
async fn submissions_keep_their_own_pace_while_covers_are_followed() {
    let ids = numbered("song", 300);
    let offsets = async |night: Night| {
        let morning = night.run().await;
        let began = morning.began;
        morning.sent.iter().map(|sent| sent.at - began).collect::<Vec<_>>()
    };
    let alone = offsets(Night::of(&ids)).await;
    let followed = Night::of(&ids).waiting();
    followed.service.shows(|look| if look.nth == 1 { Seen::Running } else { Seen::Done });
    assert_eq!(offsets(followed).await, alone);
}

#[tokio::test(start_paused = true)]
async fn of_3_000_covers_each_is_looked_at_before_any_is_looked_at_again() {
    let ids = (0..3_000).map(|number| format!("song-{number:04}"));
    let rows = ids.fold(String::new(), |rows, id| rows + &id + ",submitted,,,,,,cover-of-" + &id + "\n");
    let night = Night::over(format!("task_id,{}\n{rows}", ResultColumn::WORDS.join(","))).with(|with| {
        with.wait = Some(seconds(24 * 3600));
        with.longest = seconds(24 * 3600);
    });
    night.service.shows(|look| if look.nth == 1 && look.id.ends_with('7') { Seen::Running } else { Seen::Done });
    let followed = night.follow().await;
    assert_eq!(followed.ended, Ended::Finished);
    assert!(followed.results.is_all("completed"));
    let looks = night.service.looks();
    let (first, second) = looks.split_at(3_000);
    for (round, covers) in [(first, 3_000), (second, 300)] {
        assert_eq!(round.len(), covers);
        assert_eq!(round.iter().map(|look| &look.id).collect::<HashSet<_>>().len(), covers);
    }
    assert!(night.is_read_in_pace());
    let fastest = expected_time(night.settings.poll, 3_300);
    assert!((fastest..fastest + seconds(15)).contains(&followed.took), "{:?}, not {fastest:?}", followed.took);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_cover_is_given_up_in_time_and_followed_on_by_the_next_night() {
    let night = Night::of(&["stuck", "well"]).with(|with| with.wait = Some(seconds(300)));
    night.service.shows(|look| if look.id == "well" { Seen::Done } else { Seen::Running });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    assert_eq!((morning.tally.awaited, morning.progress.covers.given_up), (1, 1));
    assert!(morning.results.verdict("stuck").starts_with("submitted accepted no"));
    let looks = since_acceptance(&night, "stuck");
    let last = *looks.last().unwrap();
    assert!(last <= seconds(300) && last > seconds(269), "{last:?}");
    assert!(looks.len() == 8 && morning.took < seconds(305), "{looks:?}");
    night.service.shows(|_| Seen::Done);
    let next = night.run().await;
    assert_eq!((next.sent.len(), next.progress.covers.polls, next.tally.awaited), (0, 1, 0));
    assert!(next.results.is_all("completed"));
}

#[tokio::test(start_paused = true)]
async fn a_cover_accepted_in_the_future_is_waited_for_no_longer_than_others() {
    let night = Night::of(&["stuck"]);
    let morning = night.run().await;
    let results = std::fs::read_to_string(night.results_path()).unwrap();
    let finished = morning.results.cell("stuck", "cover_finished_at");
    let night = Night::over(results.replace(&finished, "2099-01-01T00:00:00.000Z")).waiting();
    night.service.shows(|_| Seen::Running);
    let followed = night.follow().await;
    assert_eq!((followed.tally.awaited, followed.covers.given_up), (1, 1));
    assert!(followed.took < seconds(1802), "{:?}", followed.took);
}

#[tokio::test(start_paused = true)]
async fn each_cover_is_looked_at_once_even_if_that_takes_longer_than_the_timeout() {
    let ids = numbered("song", 30);
    let night = Night::of(&ids).with(|with| {
        with.wait = Some(seconds(300));
        with.poll = "1/60s".parse().unwrap();
    });
    night.service.shows(|_| Seen::Running);
    let morning = night.run().await;
    assert!(ids.iter().all(|id| !night.looks_at(id).is_empty()));
    assert_eq!((morning.tally.awaited, morning.progress.covers.given_up), (30, 30));
    assert!(night.is_read_in_pace() && morning.took > seconds(29 * 60));
}

#[tokio::test(start_paused = true)]
async fn the_record_of_another_music_task_is_never_believed() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|_| Seen::Foreign);
    let morning = night.run().await;
    assert_eq!(morning.progress.covers.polls, 6);
    assert_eq!((morning.progress.covers.generated, morning.progress.covers.given_up, morning.tally.awaited), (0, 1, 1));
    assert_eq!(morning.results.cell("a", "cover_status"), "submitted");
    assert_eq!(morning.results.cell("a", "cover_image_1"), "");
    assert!(morning.results.cell("a", "cover_message").contains("another music task"));
    night.service.shows(|_| Seen::Done);
    assert_eq!(night.run().await.results.verdict("a"), "completed generated no");
}

#[tokio::test(start_paused = true)]
async fn a_record_in_trouble_is_read_again_after_longer_and_longer_waits() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|look| if look.nth <= 4 { Seen::Code(500) } else { Seen::Done });
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("a"), "completed generated no");
    let waits: Vec<Duration> = steps(&night.looks_at("a")).into_iter().map(|step| step.saturating_sub(LOOK)).collect();
    assert_eq!(waits.len(), 4);
    for (wait, whole) in waits.iter().zip([1, 2, 4, 8].map(seconds)) {
        assert!(is_jittered(*wait, whole), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_record_holds_up_nobody_else() {
    let night = Night::of(&["lost", "well"]).waiting();
    night.service.shows(|look| if look.id == "lost" && look.nth <= 2 { Seen::Lost } else { Seen::Done });
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    assert_eq!((night.looks_at("lost").len(), night.looks_at("well").len()), (3, 1));
    assert!(since_acceptance(&night, "well")[0] < seconds(62));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_ends_reading_and_submitting() {
    let night = Night::of(&numbered("song", 400)).waiting();
    night.service.shows(|_| Seen::Code(401));
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Unauthorized);
    let first = night.reads()[0];
    let late = night.service.sent().iter().filter(|sent| sent.at > first + LOOK).count();
    assert_eq!((night.reads().len(), late), (1, 0));
    assert_eq!(morning.tally.awaited, morning.sent.len() as u64);
}

/// Runs 200 rows, whose reads are refused with a code for 60 s from the first; how submissions and reads went.
async fn refused_with(code: u16) -> (Night, Vec<Duration>) {
    let night = Night::of(&numbered("song", 200)).waiting();
    let clock = night.clock;
    let mut first: Option<Instant> = None;
    night.service.shows(move |_| {
        let now = clock.now();
        if now - *first.get_or_insert(now) < seconds(60) { Seen::Code(code) } else { Seen::Done }
    });
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"), "{code}");
    assert!(night.is_read_in_pace());
    assert!(gaps(&morning.sent).iter().all(|gap| *gap < seconds(2)), "{code}: submissions waited");
    let reads = night.reads();
    let refused = reads.iter().filter(|at| **at - reads[0] < seconds(60)).copied().collect::<Vec<_>>();
    (night, steps(&refused))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_reads_gets_one_probe_at_a_time_and_submissions_go_on() {
    for code in [455, 402] {
        let (_, waits) = refused_with(code).await;
        assert!((4..=12).contains(&waits.len()), "{code}: {waits:?}");
        assert!(waits.iter().all(|wait| *wait > LOOK), "{code}: {waits:?}");
        assert!(*waits.last().unwrap() >= seconds(5), "{code}: {waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_slows_reads_down_and_not_submissions() {
    let (night, waits) = refused_with(429).await;
    assert!((2..=25).contains(&waits.len()), "{waits:?}");
    assert!(night.looks_at("song-0001").len() > 1);
}

/// Reads are refused for longer than an outage may last, in a run that submits so many rows.
async fn reads_refused_for_too_long(rows: usize) -> Morning {
    let night = Night::of(&numbered("song", rows)).waiting().with(|with| with.max_outage = seconds(120));
    night.service.shows(|_| Seen::Code(455));
    night.run().await
}

#[tokio::test(start_paused = true)]
async fn reads_refused_for_too_long_end_a_run_that_has_nothing_else_to_do_and_no_other() {
    let idle = reads_refused_for_too_long(20).await;
    assert_eq!((idle.ended, idle.tally.awaited), (Ended::Outage, 20));
    let busy = reads_refused_for_too_long(600).await;
    assert_eq!((busy.ended, busy.sent.len(), busy.tally.awaited), (Ended::Finished, 600, 600));
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_ends_submissions_and_the_accepted_are_followed_to_the_end() {
    let night = Night::of(&numbered("song", 30)).waiting();
    let night = night.answers(|call| if call.number > 20 { Reply::code(402) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::NoCredits);
    assert_eq!((morning.results.count("completed"), morning.results.count("pending")), (20, 10));
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_end_submissions_and_the_accepted_are_followed_to_the_end() {
    let night = Night::of(&numbered("song", 40)).waiting().with(|with| {
        with.submit.max_failures = MaxFailures::Rows(nonzero(5));
        with.run.concurrency = nonzero(1);
    });
    let night = night.answers(|call| if call.number > 10 { Reply::code(404) } else { Reply::cover() });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::TooManyFailures);
    assert_eq!(morning.results.count("completed"), 10);
    assert_eq!((morning.results.count("failed"), morning.results.count("pending")), (5, 25));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_or_a_signal_ends_looks_too_and_the_next_night_goes_on() {
    for ended in [Ended::Deadline, Ended::Interrupted(Signal::Interrupt)] {
        let night = Night::of(&numbered("song", 40)).waiting().with(|with| {
            with.stop = Some((seconds(75), ended));
        });
        let morning = night.run().await;
        assert_eq!(morning.ended, ended);
        let looked = night.reads().len();
        assert!((5..20).contains(&looked), "{looked}");
        assert!(morning.took <= seconds(75) + LOOK + GRAIN, "{:?}", morning.took);
        assert_eq!(morning.tally.awaited, 40 - morning.results.count("completed") as u64);
        let night = night.with(|with| with.stop = None);
        let next = night.run().await;
        assert!(next.results.is_all("completed") && next.sent.is_empty());
        assert_eq!(night.reads().len(), 40);
        assert!(night.is_read_in_pace());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cover_that_cannot_be_made_is_asked_for_again_by_later_runs_until_three_have_failed() {
    let night = Night::of(&["bad", "well"]).waiting();
    night.service.shows(|look| if look.id == "bad" { Seen::Failed } else { Seen::Done });
    for (sent, verdict) in [
        (vec!["bad", "well"], "generation_failed generation_failed yes"),
        (vec!["bad"], "generation_failed generation_failed yes"),
        (vec!["bad"], "generation_failed generation_failed no"),
        (vec![], "generation_failed generation_failed no"),
    ] {
        let morning = night.run().await;
        assert_eq!((morning.sent_ids(), morning.results.verdict("bad").as_str()), (sent, verdict));
    }
    assert_eq!((night.looks_at("bad").len(), night.looks_at("well").len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hint_makes_a_cover_due_now() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|_| Seen::DoneAfter(seconds(20)));
    let hint = async {
        sleep(seconds(25)).await;
        night.hint("a").await;
    };
    tokio::join!(night.run(), hint);
    let looks = since_acceptance(&night, "a");
    assert!(looks.len() == 1 && looks[0] >= seconds(24) && looks[0] <= seconds(26), "{looks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_hints_makes_no_more_than_a_look_each_10_s() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|_| Seen::DoneAfter(seconds(100)));
    let flood = async {
        for _ in 0..1000 {
            night.hint("a").await;
            sleep(millis(97)).await;
        }
    };
    tokio::join!(night.run(), flood);
    let looks = night.looks_at("a");
    assert!(steps(&looks).iter().all(|step| *step >= seconds(10)), "{looks:?}");
    assert!((10..=11).contains(&looks.len()), "{}", looks.len());
}

#[tokio::test(start_paused = true)]
async fn a_hint_during_a_look_is_not_lost() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|_| Seen::DoneAfter(seconds(61)));
    let hint = async {
        while night.service.looks().is_empty() {
            sleep(millis(10)).await;
        }
        sleep(millis(50)).await;
        night.hint("a").await;
    };
    tokio::join!(night.run(), hint);
    let steps = steps(&night.looks_at("a"));
    assert!(steps.len() == 1 && steps[0] >= seconds(10) && steps[0] <= seconds(11) + GRAIN, "{steps:?}");
}

/// Reads of 500 covers that take from 20 to 90 s, submitted at a rate.
async fn reads_at(rate: &str) -> usize {
    let night = Night::of(&numbered("song", 500)).waiting().with(|with| with.rate = rate.parse().unwrap());
    night.service.shows(|look| {
        let number: u64 = look.id[5..].parse().unwrap();
        Seen::DoneAfter(seconds(20 + number * 37 % 71))
    });
    let morning = night.run().await;
    assert!(morning.results.is_all("completed") && night.is_read_in_pace());
    night.reads().len()
}

#[tokio::test(start_paused = true)]
async fn covers_that_take_20_to_90_s_are_read_little_more_than_once_each() {
    let reads = [reads_at("20/10s").await, reads_at("5/10s").await];
    assert!(reads.iter().all(|reads| (500..650).contains(reads)), "{reads:?}");
}

#[tokio::test(start_paused = true)]
async fn trouble_with_a_record_is_told_until_that_can_be_read_again() {
    for (bad, told) in [(1, "accepted"), (usize::MAX, "server_error")] {
        let night = Night::of(&["a"]).waiting().with(|with| with.wait = Some(seconds(70)));
        night.service.shows(move |look| if look.nth <= bad { Seen::Code(500) } else { Seen::Running });
        let morning = night.run().await;
        assert_eq!(morning.results.cell("a", "cover_reason"), told, "{bad}");
        assert!(night.looks_at("a").len() > 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cover_that_was_there_before_and_is_not_finished_is_still_told_as_that() {
    let night = Night::of(&["a"]).waiting().with(|with| with.wait = Some(seconds(100)));
    let night = night.answers(|_| Reply::existing());
    night.service.shows(|_| Seen::Running);
    let morning = night.run().await;
    let looked = night.looks_at("a").len();
    assert!(looked > 1, "{looked}");
    let said = (morning.results.cell("a", "cover_reason"), morning.results.cell("a", "cover_message"));
    assert_eq!(said, ("conflict".to_owned(), "there is one".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn no_more_covers_are_polled_at_a_time_than_requests_may_be_under_way() {
    let night = Night::of(&numbered("song", 8)).waiting().with(|with| with.run.concurrency = nonzero(2));
    night.service.shows(|look| if look.nth == 1 { Seen::Lost } else { Seen::Done });
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    // The first read of each has no answer for 30 s.
    let mut first: Vec<_> = (1..=8).map(|song| night.looks_at(&format!("song-{song:04}"))[0]).collect();
    first.sort_unstable();
    assert!(first.windows(3).all(|three| three[2] - three[0] >= seconds(30)), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_row_waits_while_a_cover_is_polled_if_only_one_request_may_be_under_way() {
    let night = Night::of(&["a", "b"]).waiting();
    let night = night.with(|with| (with.rate, with.run.concurrency) = ("1/70s".parse().unwrap(), nonzero(1)));
    night.service.shows(|look| if look.nth == 1 { Seen::Lost } else { Seen::Done });
    let morning = night.run().await;
    assert!(morning.results.is_all("completed"));
    // The pace lets the second row go in the middle of the 30 s that the first read has no answer.
    let (read, sent) = (night.looks_at("a")[0], morning.sent_for("b")[0].at);
    assert!((seconds(30)..seconds(40)).contains(&(sent - read)), "{:?}", sent - read);
}
