//! Nights on the route of jobs, and nights after a change of the route.

use coverbatch::domain::{Ended, Route};
use coverbatch::policy::InDoubt;

use crate::support::{Call, Night, Reply, Seen, numbered};

/// A night that asks for jobs, with what is usual there.
fn jobs(ids: &[String]) -> Night {
    let night = Night::of(ids).waiting().with(|with| with.submit.rows.in_doubt = InDoubt::usual(Route::Jobs));
    night.service.goes_by(Route::Jobs);
    night
}

/// What a bad night brings: every tenth answer of each kind.
fn mixed(call: Call<'_>) -> Reply {
    match (call.number % 10, call.nth) {
        (1, 1) => Reply::lost(),
        (3, 1) => Reply::code(429),
        (5, 1) => Reply::code(500),
        (7, 1) => Reply::page(504),
        (_, _) => Reply::cover(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_of_jobs_ends_with_images_and_holds_what_may_have_been_made() {
    let ids = numbered("song", 200);
    let night = jobs(&ids).answers(mixed);
    night.service.shows(|look| if look.nth == 1 { Seen::Running } else { Seen::Done });
    let morning = night.run().await;
    assert_eq!(morning.ended, Ended::Finished);
    let held = morning.results.count("in_doubt");
    assert!((20..60).contains(&held), "{held}");
    assert_eq!(morning.results.count("completed") + held, ids.len());
    for sent in &morning.sent {
        let is_held = morning.results.verdict(&sent.id) == "in_doubt held no";
        let row = morning.sent_for(&sent.id);
        let (route, credits) = if is_held { ("", "") } else { ("jobs", "0.4") };
        assert_eq!(morning.results.cell(&sent.id, "cover_route"), route, "{}", sent.id);
        assert_eq!(morning.results.cell(&sent.id, "cover_credits"), credits, "{}", sent.id);
        assert!(!is_held || !row[row.len() - 1].is_repeat, "{} was sent after its answer was lost", sent.id);
        assert!(night.service.covers_of(&sent.id) <= 1, "{}", sent.id);
    }
    assert!(night.is_read_in_pace());

    // Nothing of it is sent again by itself; asked to, the service says that they have their covers, or makes them.
    let before = night.service.sent().len();
    assert_eq!(night.run().await.results.count("in_doubt"), held);
    assert_eq!(night.service.sent().len(), before);
    let night = night.answers(|_| Reply::cover()).with(|with| with.submit.rows.in_doubt = InDoubt::Resend);
    let morning = night.run().await;
    assert_eq!(morning.results.count("in_doubt"), 0);
    assert_eq!(morning.sent.len(), held);
    assert!(ids.iter().all(|id| night.service.covers_of(id) == 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_change_of_the_route_every_record_is_read_where_it_is() {
    for (first, second) in [(Route::Legacy, Route::Jobs), (Route::Jobs, Route::Legacy)] {
        let (old, new) = (numbered("old", 20), numbered("new", 20));
        let night = Night::of(&old);
        night.service.goes_by(first);
        night.service.shows(|_| Seen::Done);
        night.run().await;
        night.now_of(&[old.clone(), new.clone()].concat());
        night.service.goes_by(second);
        let night = night.waiting();
        let morning = night.run().await;
        assert!(morning.results.is_all("completed"), "{first} then {second}: {:?}", morning.results);
        for (ids, route) in [(&old, first), (&new, second)] {
            assert!(ids.iter().all(|id| morning.results.cell(id, "cover_route") == route.word()));
        }
        assert_eq!(morning.progress.covers.polls, 40, "no look was in vain");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cover_that_failed_by_one_route_is_asked_for_anew_by_the_other() {
    let night = Night::of(&["a"]).waiting();
    night.service.shows(|look| if look.nth == 1 { Seen::Failed } else { Seen::Done });
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("a"), "generation_failed generation_failed yes");
    night.service.goes_by(Route::Jobs);
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("a"), "completed generated no");
    assert_eq!(morning.results.cell("a", "cover_route"), "jobs");
}
