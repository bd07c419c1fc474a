//! Rows that only an earlier results CSV knew.

use coverbatch::ledger::JobStep;

use super::*;

#[tokio::test]
async fn an_imported_row_does_not_replace_what_the_ledger_knows() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    sent(&ledger, run, "known", 10, RowState::Failed).await;
    let known = one(&ledger, "known").await;
    let earlier = accepted_record("new");
    ledger.import(vec![(task("known"), earlier.clone()), (task("new"), earlier.clone())]).await.unwrap();
    assert_eq!(one(&ledger, "known").await, known);
    assert_eq!(one(&ledger, "new").await, Some(earlier));
    assert_eq!(claim(&ledger, run, "new", 20).await, Claim::Refused);
    assert_eq!(ledger.history(&task("new")).await.unwrap(), []);
    assert_eq!(ledger.history(&task("known")).await.unwrap().len(), 1);
}

/// Nobody polled them before: they were not due, and their callbacks were dropped.
#[tokio::test]
async fn an_imported_cover_is_due_since_its_acceptance() {
    let ledger = fresh().await;
    ledger.import(vec![(task("a"), accepted_record("a"))]).await.unwrap();
    assert_eq!(ledger.next_due(CoverScope::All, at(9)).await.unwrap(), (Some(at(2)), None));
    let job = poll(&ledger, 9).await.unwrap();
    assert_eq!((job.task, job.cover, job.since, job.step), (task("a"), cover_of("a"), at(2), JobStep::Poll));
}

#[tokio::test]
async fn an_imported_cover_that_nobody_can_date_is_due_once_it_is_woken() {
    let ledger = fresh().await;
    let undated = Record { first_sent_at: None, finished_at: None, ..accepted_record("a") };
    ledger.import(vec![(task("a"), undated)]).await.unwrap();
    assert_eq!(ledger.next_due(CoverScope::All, at(9)).await.unwrap(), (None, None));
    ledger.wake(&task("a"), at(10)).await.unwrap();
    assert_eq!(poll(&ledger, 10).await.unwrap().since, at(10));
}

#[tokio::test]
async fn what_is_imported_without_a_cover_to_follow_is_not_due() {
    let ledger = fresh().await;
    let finished = Artwork { images: Some(images(1).images), completed_at: Some(at(3)), ..Artwork::default() };
    let rows = [
        Record { cover: None, ..accepted_record("0") },
        Record { state: RowState::GenerationFailed, ..accepted_record("1") },
        Record { state: RowState::InDoubt, ..accepted_record("2") },
        Record { state: RowState::Completed, artwork: finished.clone(), ..accepted_record("3") },
        Record { artwork: finished, ..accepted_record("4") },
    ];
    let rows = rows.into_iter().enumerate().map(|(nth, row)| (task(&nth.to_string()), row)).collect();
    ledger.import(rows).await.unwrap();
    assert_eq!(ledger.next_due(CoverScope::All, at(9)).await.unwrap(), (None, None));
    for id in ["0", "1", "2", "3", "4"] {
        ledger.wake(&task(id), at(9)).await.unwrap();
    }
    assert_eq!(ledger.next_due(CoverScope::All, at(9)).await.unwrap(), (None, None));
}

#[tokio::test]
async fn what_a_results_file_says_of_images_is_imported_whole() {
    let ledger = fresh().await;
    let earlier = Record {
        state: RowState::Completed,
        reason: Some(Reason::Generated),
        answer: words(),
        route: Route::Jobs,
        credits: Credits::of_thousandths(400),
        artwork: Artwork {
            images: Some(images(2).images),
            completed_at: Some(at(2)),
            files: [Some(file("a-1.png")), None],
            fallback: None,
            is_forgotten: false,
        },
        ..accepted_record("a")
    };
    ledger.import(vec![(task("a"), earlier.clone())]).await.unwrap();
    assert_eq!(one(&ledger, "a").await, Some(earlier));
    let run = run_in(&ledger).await;
    assert_eq!(ledger.watch(waiter(run, true), vec![task("a")], at(9)).await.unwrap(), 1);
    let url = images(2).images.urls()[1].clone();
    let job = claim_job(&ledger, CoverScope::OfRun(run), JobKind::Download, 9).await.unwrap();
    assert_eq!(job.step, JobStep::Download { number: ImageNumber::Two, url });
}
