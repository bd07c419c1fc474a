//! Which rows a rerun sends: every status, still in the catalog or not, once or twice, under every choice.

use coverbatch::domain::{Ended, Signal};
use coverbatch::policy::{InDoubt, Retry};

use crate::support::{Call, Morning, Night, Reply, millis, nonzero, seconds};

/// Every way for a row to have been left by earlier runs.
const LEFT: [&str; 10] =
    ["submitted", "exists", "failed1", "failed2", "failed3", "gave-up", "held", "pending", "killed", "never"];

/// Those of them that a rerun sends at its end, because their answer was lost.
const IN_DOUBT: [&str; 2] = ["held", "killed"];

/// The ids of a row that is listed once, listed twice, and not listed any more.
fn ids(left: &str) -> [String; 3] {
    ["once", "twice", "gone"].map(|how| format!("{left}-{how}"))
}

fn ids_of<'a>(left: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    left.into_iter().flat_map(ids).collect()
}

/// What the service says in the nights before.
fn before(call: Call<'_>) -> Reply {
    match call.id.split('-').next().unwrap_or_default() {
        "exists" => Reply::code(409),
        "failed1" | "failed2" | "failed3" => Reply::code(404),
        "gave" => Reply::code(500),
        "held" => Reply::lost(),
        "pending" => Reply::code(402),
        "killed" => Reply::cover().after(seconds(9999)),
        _ => Reply::cover(),
    }
}

/// A batch of which each row has been left in its way, by real runs.
async fn left_by_earlier_runs() -> Night {
    let night = Night::of(&ids_of(["killed"])).answers(before).with(|with| {
        with.rate = "1000/1s".parse().unwrap();
        with.submit.rows.in_doubt = InDoubt::Hold;
        with.submit.rows.max_attempts = nonzero(1);
        with.run.concurrency = nonzero(3);
    });
    night.killed_after(seconds(60)).await;
    for listed in [&["failed3"][..], &["failed3", "failed2"]] {
        night.now_of(&ids_of(listed.iter().copied()));
        night.run().await;
    }
    night.now_of(&ids_of(LEFT.into_iter().filter(|left| !["killed", "never"].contains(left))));
    let last = night.run().await;
    assert_eq!(last.ended, Ended::NoCredits);
    night.now_of(&listed_now());
    night.answers(|_| Reply::cover())
}

/// The catalog of the rerun: without the rows that are gone, and with some twice.
fn listed_now() -> Vec<String> {
    let [once, twice] = [0, 1].map(|how| LEFT.map(|left| ids(left)[how].clone()).to_vec());
    [once, twice.clone(), twice].concat()
}

/// What a rerun is to send, in its order.
fn expected(sent: &[&str]) -> Vec<String> {
    let all: Vec<String> = [0, 1].iter().flat_map(|how| sent.iter().map(|left| ids(left)[*how].clone())).collect();
    let doubtful = |id: &&String| IN_DOUBT.iter().any(|left| id.starts_with(left));
    let (last, first): (Vec<_>, Vec<_>) = all.iter().partition(doubtful);
    [first, last].concat().into_iter().cloned().collect()
}

async fn assert_rerun_sends(retry: Retry, in_doubt: InDoubt, sent: &[&str]) {
    let night = left_by_earlier_runs().await.with(|with| {
        with.retry = retry;
        with.submit.rows.in_doubt = in_doubt;
    });
    let rerun = night.run().await;
    assert_eq!(rerun.sent_ids(), expected(sent), "{retry:?} {in_doubt:?}");
    assert_eq!(rerun.counts.to_send, u64::try_from(rerun.sent.len()).unwrap());
    assert_left_alone(&rerun, sent);
    let next = night.with(|with| (with.retry, with.submit.rows.in_doubt) = (Retry::All, InDoubt::Resend)).run().await;
    assert!(next.sent.iter().all(|late| !rerun.sent_ids().contains(&late.id.as_str())), "settled and sent again");
}

/// Rows that are not sent show what they showed before; the others have their cover.
fn assert_left_alone(rerun: &Morning, sent: &[&str]) {
    for left in LEFT {
        let status = match left {
            "submitted" => "submitted",
            "exists" => "exists",
            "held" | "killed" if sent.contains(&left) => "exists",
            _ if sent.contains(&left) => "submitted",
            "failed1" | "failed2" | "failed3" => "failed",
            "gave-up" => "gave_up",
            _ => "in_doubt",
        };
        for id in &ids(left)[..2] {
            assert_eq!(rerun.results.cell(id, "cover_status"), status, "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_rerun_sends_what_may_still_succeed() {
    let both = ["failed1", "failed2", "gave-up", "held", "pending", "killed", "never"];
    assert_rerun_sends(Retry::Retryable, InDoubt::Resend, &both).await;
    let sure = ["failed1", "failed2", "gave-up", "pending", "never"];
    assert_rerun_sends(Retry::Retryable, InDoubt::Hold, &sure).await;
}

#[tokio::test(start_paused = true)]
async fn retry_all_also_sends_what_was_rejected_in_three_runs() {
    let both = ["failed1", "failed2", "failed3", "gave-up", "held", "pending", "killed", "never"];
    assert_rerun_sends(Retry::All, InDoubt::Resend, &both).await;
    let sure = ["failed1", "failed2", "failed3", "gave-up", "pending", "never"];
    assert_rerun_sends(Retry::All, InDoubt::Hold, &sure).await;
}

#[tokio::test(start_paused = true)]
async fn retry_none_sends_only_what_was_never_decided() {
    assert_rerun_sends(Retry::Nothing, InDoubt::Resend, &["held", "pending", "killed", "never"]).await;
    assert_rerun_sends(Retry::Nothing, InDoubt::Hold, &["pending", "never"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_row_is_sent_in_three_runs_and_then_only_on_demand() {
    let night =
        Night::of(&["bad", "good"]).answers(|call| if call.id == "bad" { Reply::code(422) } else { Reply::cover() });
    for (run, retryable) in [(1, "yes"), (2, "yes"), (3, "no"), (4, "no")] {
        let morning = night.run().await;
        assert_eq!(morning.sent_for("bad").len(), usize::from(run < 4), "run {run}");
        assert_eq!(morning.sent_for("good").len(), usize::from(run == 1), "run {run}");
        assert_eq!(morning.results.verdict("bad"), format!("failed invalid_request {retryable}"), "run {run}");
    }
    let night = night.with(|with| with.retry = Retry::All).answers(|_| Reply::cover());
    let morning = night.run().await;
    assert_eq!(morning.sent_ids(), ["bad"]);
    assert_eq!(morning.results.verdict("bad"), "submitted accepted no");
    assert_eq!(morning.results.cell("bad", "cover_attempts"), "4");
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_sent_once_and_says_which_row_it_repeats() {
    let morning = Night::of(&["a", "b", " a ", "b", "a"]).run().await;
    assert_eq!(morning.sent_ids(), ["a", "b"]);
    assert!(morning.results.is_all("submitted"));
    assert_eq!(morning.results.column("cover_duplicate_of_row"), ["", "", "1", "2", "1"]);
}

#[tokio::test(start_paused = true)]
async fn an_unusable_row_is_checked_again_each_time_and_stops_nobody() {
    let night = Night::over("task_id,title\na,one\n,two\nb c,three\nd,four,five\ne,six\n");
    for sent in [&["a", "e"][..], &[]] {
        let morning = night.run().await;
        assert_eq!(morning.sent_ids(), sent);
        let statuses = morning.results.column("cover_status");
        assert_eq!(statuses, ["submitted", "invalid", "invalid", "invalid", "submitted"]);
    }
    night.now_of(&["a", "bc", "e"]);
    assert_eq!(night.run().await.sent_ids(), ["bc"]);
}

#[tokio::test(start_paused = true)]
async fn rows_in_doubt_are_sent_when_all_others_are_done_however_long_that_takes() {
    let night = Night::of(&["doubt-1", "doubt-2"]).answers(|_| Reply::cover().after(seconds(500)));
    night.killed_after(seconds(5)).await;
    night.now_of(&["doubt-1", "slow", "doubt-2", "bad"]);
    let night = night.answers(|call| match (call.id, call.nth) {
        ("bad", 1..=5) => Reply::code(500),
        ("slow", _) => Reply::cover().after(seconds(29)),
        _ => Reply::cover(),
    });
    let morning = night.run().await;
    assert_eq!(morning.counts.to_send_in_doubt, 2);
    let others = [morning.sent_for("slow"), morning.sent_for("bad")].concat();
    assert_eq!(others.len(), 7);
    let done = others.iter().map(|sent| sent.answered()).max().unwrap();
    for id in ["doubt-1", "doubt-2"] {
        assert!(morning.sent_for(id)[0].at >= done, "{id} was sent before the others were done");
        assert_eq!(morning.results.verdict(id), "exists already_exists no");
        assert_eq!(morning.results.cell(id, "cover_attempts"), "2");
    }
}

#[tokio::test(start_paused = true)]
async fn held_rows_wait_for_a_person() {
    let night = Night::of(&["a", "lost", "b"])
        .answers(
            |call| if call.id == "lost" && call.nth == 1 { Reply::lost().after(seconds(30)) } else { Reply::cover() },
        )
        .with(|with| with.submit.rows.in_doubt = InDoubt::Hold);
    for sent in [&["a", "lost", "b"][..], &[]] {
        let morning = night.run().await;
        assert_eq!(morning.sent_ids(), sent);
        assert_eq!(morning.results.verdict("lost"), "in_doubt held no");
        assert_eq!(morning.results.cell("lost", "cover_attempts"), "1");
    }
    let morning = night.with(|with| with.submit.rows.in_doubt = InDoubt::Resend).run().await;
    assert_eq!(morning.sent_ids(), ["lost"]);
    assert_eq!(morning.results.verdict("lost"), "exists already_exists no");
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_in_a_run_that_is_interrupted_leaves_the_row_in_doubt() {
    let stop = Ended::Interrupted(Signal::Terminate);
    let night = Night::of(&["lost", "b"])
        .answers(|call| if call.id == "lost" && call.nth == 1 { Reply::lost() } else { Reply::cover() })
        .with(|with| with.stop = Some((millis(400), stop)));
    let morning = night.run().await;
    assert_eq!(morning.results.verdict("lost"), "in_doubt timeout yes");
    let night = night.with(|with| (with.stop, with.submit.rows.in_doubt) = (None, InDoubt::Hold));
    let held = night.run().await;
    assert_eq!(held.sent_ids(), ["b"]);
    assert_eq!(held.results.verdict("lost"), "in_doubt held no");
    night.now_of(&["lost", "c"]);
    let resent = night.with(|with| with.submit.rows.in_doubt = InDoubt::Resend).run().await;
    assert_eq!(resent.sent_ids(), ["c", "lost"]);
    assert_eq!(resent.results.verdict("lost"), "exists already_exists no");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_row_in_doubt_leaves_it_in_doubt() {
    for refusal in [Reply::code(455), Reply::code(429), Reply::code(500), Reply::code(402)] {
        let night = Night::of(&["lost"]).answers(|_| Reply::cover().after(seconds(500)));
        night.killed_after(seconds(5)).await;
        let stop = Ended::Interrupted(Signal::Terminate);
        let night = night.answers(move |_| refusal).with(|with| with.stop = Some((millis(400), stop)));
        let refused = night.run().await;
        assert_eq!(refused.sent_ids(), ["lost"]);
        assert_eq!(refused.results.cell("lost", "cover_status"), "in_doubt");
        let held = night.with(|with| with.submit.rows.in_doubt = InDoubt::Hold).run().await;
        assert!(held.sent.is_empty());
        assert_eq!(held.results.verdict("lost"), "in_doubt held no");
    }
}
