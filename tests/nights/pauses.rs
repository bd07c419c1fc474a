//! A service that refuses everyone makes everyone wait, and uses up nobody's attempts.

use std::time::Duration;

use coverbatch::domain::Ended;

use crate::support::{
    Call, Fault, Faulty, GRAIN, Morning, Night, Reply, Sent, gaps, is_jittered, millis, nonzero, numbered, seconds,
};

/// One submission each half second and a little, as at full pace.
const FULL_PACE: Duration = Duration::from_micros(512_500);

/// Answers after `latency`, with `refusal` between two moments of the night.
fn refusing(refusal: Reply, latency: Duration, from: u64, until: u64) -> impl FnMut(Call<'_>) -> Reply {
    move |call| {
        let refuses = call.at >= seconds(from) && call.at < seconds(until);
        if refuses { refusal.after(latency) } else { Reply::cover().after(latency) }
    }
}

/// What was sent after the first refusal had come back.
fn after_first_refusal(morning: &Morning, from: u64) -> &[Sent] {
    let first = morning.sent.iter().find(|sent| sent.at >= morning.began + seconds(from)).unwrap();
    let at = morning.sent.partition_point(|sent| sent.at <= first.answered());
    &morning.sent[at..]
}

/// Whether the waits from each answer to the next submission are jittered wholes that double from 1 s.
fn assert_doubling(waits: &[Duration]) {
    for (wait, nth) in waits.iter().zip(0_u32..) {
        let whole = seconds(1_u64 << nth.min(20)).min(seconds(600));
        assert!(is_jittered(*wait, whole), "pause {nth} took {wait:?} of {whole:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn maintenance_pauses_everyone_at_once_and_is_probed_by_one_row_at_a_time() {
    for refusal in [Reply::code(455), Reply::page(503), Reply::unreachable()] {
        let night = Night::of(&numbered("song", 60)).answers(refusing(refusal, seconds(2), 5, 300));
        let night = night.with(|with| with.submit.rows.max_attempts = nonzero(1));
        let morning = night.run().await;
        assert!(morning.results.is_all("submitted"));
        let first = morning.sent.iter().find(|sent| sent.at >= morning.began + seconds(5)).unwrap();
        let later = after_first_refusal(&morning, 5);
        let probes = later.iter().take_while(|sent| sent.at < morning.began + seconds(300)).count() + 1;
        assert!(probes >= 8, "{probes} probes in five minutes");
        let mut waits = vec![later[0].at - first.answered()];
        waits.extend(later[..probes].windows(2).map(|pair| pair[1].at.saturating_duration_since(pair[0].answered())));
        assert_doubling(&waits);
        assert_goes_on_at_normal_pace(&later[probes - 1..]);
    }
}

/// The first of these is the probe that was answered.
fn assert_goes_on_at_normal_pace(sent: &[Sent]) {
    assert!(sent.len() > 20);
    assert!(sent[1].at >= sent[0].answered() && sent[1].at <= sent[0].answered() + GRAIN);
    let gaps = gaps(&sent[1..]);
    assert!(gaps.iter().all(|gap| (FULL_PACE..=FULL_PACE + GRAIN).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_what_was_in_flight_together_count_as_one() {
    let night = Night::of(&numbered("song", 60)).answers(refusing(Reply::code(455), seconds(8), 0, 8));
    let morning = night.run().await;
    let refused = morning.sent.iter().filter(|sent| sent.at < morning.began + seconds(8)).count();
    assert!(refused > 10, "{refused} were in flight together");
    let wait = morning.sent[refused].at - morning.sent[0].answered();
    assert!(is_jittered(wait, seconds(1)), "{wait:?}");
    assert!(morning.results.is_all("submitted"));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_meets_twenty_refusals_is_submitted_at_the_end_although_it_has_one_attempt() {
    for refusal in [Reply::code(455), Reply::code(429), Reply::code(430), Reply::code(405)] {
        let night = Night::of(&["patient"])
            .answers(move |call| if call.nth <= 20 { refusal } else { Reply::cover() })
            .with(|with| {
                with.submit.rows.max_attempts = nonzero(1);
                with.max_outage = seconds(86_400);
            });
        let morning = night.run().await;
        assert_eq!(morning.results.verdict("patient"), "submitted accepted no");
        assert_eq!(morning.results.cell("patient", "cover_attempts"), "21");
        let waits: Vec<_> = morning.sent.windows(2).map(|pair| pair[1].at - pair[0].answered()).collect();
        assert_eq!(waits.len(), 20);
        assert_doubling(&waits);
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_may_ask_for_a_longer_pause_up_to_ten_minutes() {
    for (asked, pause) in [(0, None), (90, Some(90)), (600, Some(600)), (7200, Some(600))] {
        for code in [455, 429] {
            let refusal = Reply::code(code).retry_after(asked);
            let night = Night::of(&numbered("song", 10))
                .answers(move |call| if call.number == 3 { refusal } else { Reply::cover() });
            let morning = night.run().await;
            let wait = morning.sent[3].at - morning.sent[2].answered();
            match pause {
                Some(pause) => assert!((seconds(pause)..=seconds(pause) + GRAIN).contains(&wait), "{wait:?}"),
                None => assert!(is_jittered(wait, seconds(1)), "{wait:?}"),
            }
            assert!(morning.results.is_all("submitted"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn haste_pauses_the_whole_run_and_leaves_it_slower() {
    let night = Night::of(&numbered("song", 60)).answers(|call| {
        if call.number == 10 { Reply::code(429).after(millis(700)) } else { Reply::cover().after(seconds(1)) }
    });
    let morning = night.run().await;
    assert!(morning.results.is_all("submitted"));
    let refused_at = morning.sent[9].answered();
    let after = morning.sent.partition_point(|sent| sent.at <= refused_at);
    assert_eq!(after, 11, "one more was on its way");
    let wait = morning.sent[after].at - refused_at;
    assert!(is_jittered(wait, seconds(1)), "{wait:?}");
    let next = [&morning.sent[after].id, &morning.sent[after + 1].id];
    assert_eq!(next, ["song-0012", "song-0010"], "one row stood at the gate, and then the refused one is due");
    assert_pace_recovers(&gaps(&morning.sent[after..]));
}

/// Nine tenths of the full pace, and a hundredth more after each clean window.
fn assert_pace_recovers(gaps: &[Duration]) {
    let slow = FULL_PACE.div_f64(0.9);
    assert!(gaps[..15].iter().all(|gap| (slow..=slow + GRAIN).contains(gap)), "{gaps:?}");
    let faster = FULL_PACE.div_f64(0.91);
    assert!(gaps[18..30].iter().all(|gap| (faster..=faster + GRAIN).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_allows_half_as_much_is_found_out_with_few_wasted_requests() {
    let night = Night::of(&numbered("song", 600));
    night.service.limit("10/10s".parse().unwrap());
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    assert!(morning.results.is_all("submitted"));
    let wasted = morning.sent.len() - 600;
    assert!((1..=30).contains(&wasted), "{wasted} refusals");
    assert!(morning.took < seconds(600).mul_f64(1.25), "{:?}", morning.took);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_is_a_refusal_and_does_not_block_the_gate() {
    let night = Night::of(&numbered("song", 10)).answers(|call| match call.number {
        1 => Reply::code(455),
        2 | 3 => Reply::lost().after(seconds(30)),
        _ => Reply::cover(),
    });
    let morning = night.run().await;
    assert_eq!(morning.results.count("submitted") + morning.results.count("exists"), 10);
    let waits: Vec<_> = morning.sent[..4].windows(2).map(|pair| pair[1].at - pair[0].answered()).collect();
    assert_doubling(&waits);
}

#[tokio::test(start_paused = true)]
async fn refusals_between_troubles_do_not_bring_giving_up_nearer() {
    for refusal in [Reply::code(455), Reply::code(429), Reply::unreachable()] {
        let night = Night::of(&["patient"]).answers(move |call| match call.nth {
            11.. => Reply::cover(),
            nth if nth % 2 == 0 => Reply::code(500),
            _ => refusal,
        });
        let morning = night.run().await;
        assert_eq!(morning.results.verdict("patient"), "submitted accepted no");
        assert_eq!(morning.results.cell("patient", "cover_attempts"), "11");
    }
}

/// A pause meets rows that are being claimed; whoever probes needs a slot that those do not hold.
#[tokio::test(start_paused = true)]
async fn a_pause_that_meets_claims_on_their_way_ends_with_a_probe() {
    for places in [1, 2] {
        for rate in ["100/1s", "400/1s"] {
            for (latency, slow) in [(2, 3), (6, 10), (13, 3)] {
                for period in [2, 3] {
                    let reply = move |call: Call<'_>| {
                        let reply = if call.number.is_multiple_of(period) { Reply::page(503) } else { Reply::cover() };
                        reply.after(millis(latency))
                    };
                    let night = Night::of(&numbered("song", 40)).answers(reply).with(|with| {
                        (with.rate, with.run.concurrency) = (rate.parse().unwrap(), nonzero(places));
                        with.longest = seconds(3600);
                    });
                    let ledger = Faulty::new(&night.ledger, night.clock, Fault::SlowWrites(millis(slow)));
                    let morning = night.run_on(&ledger).await.unwrap();
                    assert!(morning.results.is_all("submitted"));
                }
            }
        }
    }
}
