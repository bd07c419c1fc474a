//! What a run tells of itself while it goes on: numbers, and failures once they are durable.

use std::collections::BTreeMap;

use coverbatch::domain::Reason;
use coverbatch::runner::{Covers, Progress};

use crate::support::{Night, Reply, Seen, seconds};

#[tokio::test(start_paused = true)]
async fn everything_that_happens_is_told_and_counted_once() {
    let night = Night::of(&["well", "rejected", "troubled", "bad", "stuck"]).downloading().with(|with| {
        with.wait = Some(seconds(300));
        with.checks_music = true;
    });
    night.service.shows(|look| match look.id {
        "bad" => Seen::Failed,
        "stuck" => Seen::Running,
        _ => Seen::Done,
    });
    let night = night.answers(|call| match (call.id, call.nth) {
        ("rejected", _) => Reply::code(404),
        ("troubled", 1) => Reply::code(500),
        _ => Reply::cover(),
    });
    let morning = night.run().await;
    let Progress { done, failed, sent, waiting, outcomes, reads, covers, .. } = morning.progress;
    assert_eq!((done, failed, sent, waiting), (5, 1, 6, 0));
    assert!(morning.shown.iter().any(|shown| shown.waiting == 1), "the row in trouble waits");
    let meanings = [(Reason::Accepted, 4), (Reason::NotFound, 1), (Reason::ServerError, 1)];
    assert_eq!(outcomes.counts(), BTreeMap::from(meanings));
    let polls = 3 + night.looks_at("stuck").len() as u64;
    assert_eq!(covers, Covers { accepted: 4, polls, generated: 2, failed: 1, given_up: 1, saved: 4 });
    assert_eq!(reads, polls + 5, "of covers, and of the music before them");
    let told: Vec<_> = morning.failures.iter().map(|failure| (failure.task.as_str(), failure.reason)).collect();
    assert_eq!(told, [("rejected", Reason::NotFound), ("bad", Reason::GenerationFailed)]);
    assert!(morning.progress.last_accepted.is_some());
    assert_eq!(morning.progress.next_poll, None);
}

#[tokio::test(start_paused = true)]
async fn when_the_next_cover_is_polled_is_told_before_it_is() {
    let morning = Night::of(&["a"]).waiting().run().await;
    let told = |shown: &&Progress| shown.covers.polls == 0 && shown.next_poll.is_some();
    let shown = morning.shown.iter().find(told).unwrap();
    let wait = shown.last_accepted.unwrap().until(shown.next_poll.unwrap());
    assert_eq!(wait, seconds(60));
}
