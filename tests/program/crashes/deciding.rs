//! `kill -9` of a person's decision about many music tasks: it is carried out for all of them, or for none.

use std::thread::sleep;
use std::time::Duration;

use super::counting::Counting;
use crate::story::Batch;

const ROWS: usize = 300;

const KILLS: usize = 12;

/// How many rows are ignored by what the ledger says, which is in order.
fn ignored(batch: &Batch) -> usize {
    batch.start_words(&["ledger", "check"]).finish().exit(0);
    let status = batch.call("status", &["--json"]).json();
    status["rows"]["ignored"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn a_decision_that_is_killed_is_carried_out_for_all_or_for_none() {
    let service = Counting::answering_within(0..=0);
    let ids: Vec<String> = (1..=ROWS).map(|number| format!("track{number}\n")).collect();
    let batch = Batch::tracks(ROWS).to(&service.address()).input(ids.concat());
    batch.run(&["--rate", "5000/1s"]).exit(0);
    for _ in 0..KILLS {
        let deciding = batch.start_words(&["ignore", "-", "--reason", "withdrawn"]);
        sleep(Duration::from_micros(fastrand::u64(0..60_000)));
        drop(deciding);
        if ignored(&batch) == 0 {
            batch.start_words(&["ignore", "-"]).finish().exit(0);
        }
        assert_eq!(ignored(&batch), ROWS);
        let undoing = batch.start_words(&["ignore", "-", "--undo"]);
        sleep(Duration::from_micros(fastrand::u64(0..60_000)));
        drop(undoing);
        if ignored(&batch) == ROWS {
            batch.start_words(&["ignore", "-", "--undo"]).finish().exit(0);
        }
        assert_eq!(ignored(&batch), 0);
    }
    assert_eq!(service.total(), ROWS, "nothing is sent by any of it");
}
