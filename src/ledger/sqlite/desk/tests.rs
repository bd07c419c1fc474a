use super::super::SqliteLedger;
use super::super::tests::{API, granted, one, run_in, settle, settlement, task};
use super::*;
use crate::clock::UnixMillis;
use crate::domain::{Reason, RowState};
use crate::ledger::{Ledger as _, RowKey};

#[tokio::test]
async fn once_a_write_has_failed_nothing_is_written_any_more() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let run = run_in(&ledger).await;
    granted(&ledger, run, "a", 1).await;
    ledger
        .call(|connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        })
        .await
        .unwrap();
    let mut failure = None;
    for n in 0..10_000 {
        let long = format!("{n:0>120}");
        if let Err(error) = ledger.write(run, Vec::new(), vec![task(&long)], UnixMillis(2)).await {
            failure = Some(error.to_string());
            break;
        }
    }
    assert_eq!(failure.unwrap(), "cannot write to the ledger `:memory:`");
    assert!(ledger.look_up(vec![task("a")]).await.is_err());
}

#[tokio::test]
async fn many_callers_share_few_commits_and_each_finds_its_own_row() {
    let ledger = Arc::new(SqliteLedger::in_memory(API).unwrap());
    let run = run_in(&ledger).await;
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..500 {
        let ledger = Arc::clone(&ledger);
        callers.spawn(async move {
            let row = granted(&ledger, run, &format!("t{n}"), n).await;
            settle(&ledger, row, settlement(RowState::Submitted, Reason::Accepted, n)).await.unwrap();
            assert_eq!(one(&ledger, &format!("t{n}")).await.unwrap().first_sent_at, Some(UnixMillis(n)));
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
}

#[tokio::test]
async fn what_is_written_together_happens_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path, API).unwrap();
    let run = run_in(&ledger).await;
    let unclaimed = vec![(RowKey(7), settlement(RowState::Submitted, Reason::Accepted, 1))];
    assert!(ledger.write(run, unclaimed, vec![task("a")], UnixMillis(2)).await.is_err());
    ledger.close().await;
    assert_eq!(one(&SqliteLedger::open(&path, API).unwrap(), "a").await, None);
}

#[tokio::test]
async fn a_defect_in_a_transaction_ends_the_ledger_and_keeps_nobody_waiting() {
    let ledger = SqliteLedger::in_memory(API).unwrap();
    let broken = ledger.call::<()>(|_| panic!("on purpose")).await.unwrap_err();
    assert_eq!(broken.cause.to_string(), "a defect of this program ended the transaction");
    assert!(ledger.begin_run("/c.csv", UnixMillis(1)).await.is_err());
    assert!(!ledger.is_well());
}
