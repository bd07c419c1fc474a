//! A store that fails at any call while covers are followed, and scripts at random: everything is brought in once.

use std::collections::HashMap;

use coverbatch::domain::Verdict;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::support::{Fault, Faulty, Followed, IMAGE, Morning, Night, Reply, Seen, millis, nonzero, seconds};

const ROWS: [&str; 6] = ["plain", "troubled", "there", "broken", "bad", "slow"];

/// A night in which every kind of thing happens between acceptance and the image in hand.
fn eventful(concurrency: u32) -> Night {
    let night = Night::of(&ROWS).downloading().with(|with| {
        with.run.concurrency = nonzero(concurrency);
        with.checks_music = true;
    });
    night.service.breaks_images("broken", 2);
    night.service.shows(|look| match (look.id, look.nth) {
        ("troubled", 1) => Seen::Code(500),
        ("troubled", 2) => Seen::Foreign,
        ("bad", 1) => Seen::Failed,
        ("slow", 1) => Seen::Running,
        ("plain", 1) => Seen::Code(455),
        _ => Seen::Done,
    });
    night.answers(|call| if call.id == "there" { Reply::existing() } else { Reply::cover() })
}

/// Runs until nothing changes any more, and checks that every image is there once, byte for byte.
async fn ends_well(night: &Night, context: &str) {
    let mut last = night.run().await;
    for _ in 0..3 {
        if last.tally.to_send == 0 && last.tally.awaited == 0 {
            break;
        }
        last = night.run().await;
    }
    assert_eq!((last.tally.to_send, last.tally.awaited), (0, 0), "{context}");
    // An answer that was lost with its process leaves a cover whose id nobody knows.
    let known: Vec<&str> = ROWS.into_iter().filter(|id| !last.results.cell(id, "cover_task_id").is_empty()).collect();
    assert!(known.len() + usize::try_from(last.tally.unknown).unwrap() == ROWS.len(), "{context}");
    for id in &known {
        assert_eq!(last.results.verdict(id), "completed generated no", "{context}: {id}");
    }
    let images = night.images();
    let mut expected: Vec<String> = known.iter().flat_map(|id| [1, 2].map(|n| format!("{id}-{n}.png"))).collect();
    expected.sort();
    assert!(images.keys().eq(expected.iter()), "{context}: {:?}", images.keys());
    assert!(images.values().all(|bytes| bytes == IMAGE), "{context}");
    assert!(night.is_read_in_pace(), "{context}");
}

/// Lets the store fail, runs again with a healthy one, and checks the end; whether the store failed at all.
async fn survives(fault: Fault, concurrency: u32) -> bool {
    let night = eventful(concurrency);
    let broken = Faulty::new(&night.ledger, night.clock, fault);
    let died = night.run_on(&broken).await.is_err();
    let (sent, reads, fetches) = counts(&night);
    tokio::time::sleep(seconds(3600)).await;
    assert_eq!(counts(&night), (sent, reads, fetches), "{fault:?}: something went on after the end");
    if let (Some(failed_at), Some(last)) = (broken.failed_at(), night.reads().last()) {
        assert!(*last <= failed_at, "{fault:?}: read {:?} after the failure", *last - failed_at);
    }
    ends_well(&night, &format!("{fault:?} with {concurrency}")).await;
    died
}

fn counts(night: &Night) -> (usize, usize, usize) {
    (night.service.sent().len(), night.reads().len(), night.service.fetches().len())
}

async fn survives_every_call(fault: fn(usize) -> Fault, concurrency: u32) {
    let mut call = 1;
    while survives(fault(call), concurrency).await {
        call += 1;
    }
    assert!(call > 10 * ROWS.len(), "only {call} calls");
}

#[tokio::test(start_paused = true)]
async fn whichever_ledger_call_fails_every_image_comes_in() {
    survives_every_call(Fault::Before, 32).await;
}

#[tokio::test(start_paused = true)]
async fn whichever_ledger_call_is_done_and_not_confirmed_every_image_comes_in() {
    survives_every_call(Fault::After, 1).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_every_image_comes_in() {
    let mut moment = millis(50);
    loop {
        let night = eventful(32);
        if !night.is_killed_after(moment).await {
            break;
        }
        ends_well(&night, &format!("killed after {moment:?}")).await;
        moment += millis(1_370);
    }
    assert!(moment > seconds(60), "the run took {moment:?}");
}

/// What a record may say.
fn seen() -> impl Strategy<Value = Seen> {
    let code = prop::sample::select(vec![402, 404, 429, 430, 455, 500, 501]).prop_map(Seen::Code);
    prop_oneof![
        4 => Just(Seen::Running),
        5 => Just(Seen::Done),
        2 => (1_u64..400_000).prop_map(|time| Seen::DoneAfter(millis(time))),
        1 => Just(Seen::Failed),
        2 => Just(Seen::Foreign),
        2 => code,
        1 => Just(Seen::Lost),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let deed = prop_oneof![
        8 => Just(Reply::cover()),
        2 => Just(Reply::existing()),
        1 => Just(Reply::lost()),
        2 => prop::sample::select(vec![404, 429, 455, 500]).prop_map(Reply::code),
    ];
    (deed, 0_u64..20_000).prop_map(|(deed, late)| deed.after(millis(late)))
}

/// Every accepted cover is brought in, failed, or still waited for, and was submitted once for each time it failed.
fn assert_followed(night: &Night, morning: &Morning) -> Result<(), TestCaseError> {
    prop_assert!(night.is_read_in_pace());
    let mut accepted: HashMap<String, usize> = HashMap::new();
    for sent in night.service.sent() {
        if matches!(sent.verdict, Some(Verdict::Accepted(_) | Verdict::Covered(Some(_)))) {
            *accepted.entry(sent.id).or_default() += 1;
        }
    }
    let mut awaited = 0;
    for (id, times) in accepted {
        let status = morning.results.cell(&id, "cover_status");
        let failed = usize::from(status == "generation_failed");
        prop_assert!(times <= night.service.failures_of(&id) + 1 - failed, "{id}: {status} after {times}");
        match status.as_str() {
            "completed" => {
                let images = night.images();
                for number in [1, 2] {
                    let image = images.get(&format!("{id}-{number}.png"));
                    prop_assert_eq!(image.map(Vec::as_slice), Some(IMAGE), "image {} of {}", number, &id);
                }
            }
            "submitted" | "exists" => awaited += 1,
            "generation_failed" | "failed" | "gave_up" | "in_doubt" | "pending" => {
                prop_assert!(night.service.failures_of(&id) > 0, "{id}: {status}");
            }
            other => prop_assert!(false, "{id}: {other}"),
        }
    }
    prop_assert_eq!(morning.tally.awaited, awaited);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_service_does_every_accepted_cover_has_its_end(
        records in vec(seen(), 1..24), replies in vec(reply(), 1..12), rows in 1_usize..12, seed in any::<u64>(),
        moment in 1_u64..400_000, polls in 1_u32..12,
    ) {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            let ids: Vec<String> = (0..rows).map(|row| format!("song-{row}")).collect();
            let night = Night::of(&ids).downloading().with(|with| {
                with.poll = format!("{polls}/10s").parse().unwrap();
                with.wait = Some(seconds(600));
                with.longest = seconds(30 * 86_400);
                with.run.concurrency = nonzero(u32::try_from(seed % 9 + 1).unwrap());
                with.run.seed = seed;
                with.checks_music = seed % 2 == 0;
            });
            night.service.breaks_images("song-0", usize::try_from(seed % 4).unwrap());
            night.service.shows(move |look| records[(look.nth * 5 + usize::from(*look.id.as_bytes().last().unwrap())) % records.len()]);
            let night = night.answers(move |call| replies[(call.number - 1) % replies.len()]);
            night.is_killed_after(millis(moment)).await;
            for _ in 0..2 {
                let morning = night.run().await;
                assert_followed(&night, &morning)?;
            }
            let followed: Followed = night.follow().await;
            prop_assert!(night.is_read_in_pace());
            prop_assert!(followed.results.rows.len() == rows);
            Ok::<(), TestCaseError>(())
        })?;
    }
}
