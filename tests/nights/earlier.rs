//! An earlier results CSV as the catalog, without the ledger it came from.

use coverbatch::policy::Retry;

use crate::support::{Call, Morning, Night, Reply, nonzero};

const ROWS: [&str; 6] = ["submitted", "exists", "failed-thrice", "failed-once", "gave-up", "pending"];

fn before(call: Call<'_>) -> Reply {
    match call.id {
        "exists" => Reply::code(400),
        "failed-thrice" | "failed-once" => Reply::code(404),
        "gave-up" => Reply::code(500),
        "pending" => Reply::code(401),
        _ => Reply::cover(),
    }
}

/// The results of a batch that ended in every way, and a new batch over them with an empty ledger.
async fn continued() -> (Morning, Night) {
    let night = Night::of(&["failed-thrice"]).answers(before).with(|with| with.run.concurrency = nonzero(1));
    for _ in 0..2 {
        night.run().await;
    }
    night.now_of(&ROWS);
    // One at a time, so that the row whose answer stops the run is the last: the others have trouble before that.
    let night = night.with(|with| with.submit.rows.max_attempts = nonzero(1));
    let first = night.run().await;
    let results = std::fs::read(night.results_path()).unwrap();
    (first, Night::over(results))
}

#[tokio::test(start_paused = true)]
async fn a_results_csv_continues_where_it_stood() {
    let (first, night) = continued().await;
    let second = night.run().await;
    assert_eq!(second.sent_ids(), ["failed-once", "gave-up", "pending"]);
    for id in ["submitted", "exists", "failed-thrice"] {
        for column in &second.results.header {
            let column = str::from_utf8(column).unwrap();
            assert_eq!(second.results.cell(id, column), first.results.cell(id, column), "{id} {column}");
        }
    }
    assert_eq!(first.results.cell("submitted", "cover_task_id"), "cover-of-submitted");
    assert_eq!(first.results.verdict("failed-thrice"), "failed not_found no");
    for id in ["failed-once", "gave-up", "pending"] {
        assert_eq!(second.results.verdict(id), "submitted accepted no");
        assert_eq!(second.results.cell(id, "cover_attempts"), "2", "{id}");
        let first_sent = first.results.cell(id, "cover_first_sent_at");
        assert_eq!(second.results.cell(id, "cover_first_sent_at"), first_sent, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_columns_of_the_earlier_results_are_replaced_and_not_repeated() {
    let (first, night) = continued().await;
    let second = night.run().await;
    assert_eq!(second.results.header, first.results.header);
    assert_eq!(second.results.column("title"), first.results.column("title"));
}

#[tokio::test(start_paused = true)]
async fn what_failed_for_good_is_sent_on_demand() {
    let (_, night) = continued().await;
    let second = night.with(|with| with.retry = Retry::All).run().await;
    assert_eq!(second.sent_ids(), ["failed-thrice", "failed-once", "gave-up", "pending"]);
    assert_eq!(second.results.cell("failed-thrice", "cover_attempts"), "4");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_remembers_what_it_took_over_when_the_results_are_gone() {
    let (_, night) = continued().await;
    night.run().await;
    night.now_of(&ROWS);
    let third = night.run().await;
    assert!(third.sent.is_empty(), "{:?}", third.sent_ids());
    assert_eq!(third.results.cell("submitted", "cover_task_id"), "cover-of-submitted");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_believed_where_the_results_say_something_else() {
    let night = Night::of(&["a", "b"]);
    night.run().await;
    let stale =
        std::fs::read_to_string(night.results_path()).unwrap().replace("submitted,no,accepted", "pending,yes,outage");
    night.rewrite(stale);
    let morning = night.run().await;
    assert!(morning.sent.is_empty());
    assert!(morning.results.is_all("submitted"));
}
