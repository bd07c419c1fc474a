//! What a run spends, and where that is told.

use std::fs;

use serde_json::json;

use crate::story::{Batch, Scripted, StandIn, envelope};

#[test]
fn a_run_spends_no_more_than_it_may_and_tells_the_balance() {
    let service = StandIn::quick(&["--credits", "100"]);
    let batch = Batch::tracks(8).to(&service.address);
    let ran = batch.run(&["--max-credits", "5", "--metrics-file", "m.prom", "--json"]).exit(4);
    let ran = ran.says(
        "stopped, one more cover would cost more than --max-credits allows; 5 new covers; 3 of 8 rows have no cover",
    );
    let ran = ran.says("  3 rows pending: budget, lines 7, 8, 9\n");
    let ran = ran.says("  credits  95 left of 100, 5 spent (limit 5)\n").says("next: to go on with what is left");
    assert_eq!(ran.json()["ended"], "budget");
    let expected = json!({"limit": 5.0, "at_start": 100.0, "left": 95.0, "spent": 5.0});
    assert_eq!(ran.json()["credits"], expected);
    let metrics = fs::read_to_string(batch.path("m.prom")).unwrap();
    assert!(metrics.contains("\ncoverbatch_credits 95\n") && metrics.contains("\ncoverbatch_spent_credits 5\n"));
    let summary = batch.run(&["--max-credits", "5", "--json"]).exit(0).json();
    assert_eq!((&summary["credits"]["left"], &summary["credits"]["spent"]), (&json!(92.0), &json!(3.0)));
    assert_eq!(batch.run(&["--json"]).exit(0).json()["credits"], json!(null), "nobody asked");
}

#[test]
fn the_balance_is_read_as_the_account_that_is_paid_with() {
    let service = Scripted::by(envelope(200, "success", &json!(0.5)));
    let batch = Batch::ids(["a"]).to(&service.address());
    batch.run(&["--max-credits", "0.25", "--max-attempts", "1"]).exit(4);
    let first = &service.requests()[0];
    assert_eq!((first.method.as_str(), first.url.path()), ("GET", "/api/v1/generate/credit"));
    assert_eq!(first.headers["authorization"], "Bearer a-key-for-the-tests");
    batch.run(&["--max-credits", "-1"]).exit(2).says("expected a number of credits, such as `50` or `12.5`");
}

#[test]
fn a_balance_that_cannot_be_read_is_what_stopped_the_run() {
    let service = Scripted::always(500, "no");
    let batch = Batch::ids(["a"]).to(&service.address());
    let ran = batch.run(&["--max-credits", "5", "--max-attempts", "1"]).exit(4).results(&["a pending budget"]);
    let ran = ran.says("stopped, the balance cannot be read, without which --max-credits cannot be kept;");
    ran.says("next: nothing is to be corrected, the next run goes on with what is left");
}

#[test]
fn a_key_that_is_refused_when_the_balance_is_read_is_5() {
    let service = Scripted::always(401, "no");
    Batch::ids(["a"]).to(&service.address()).run(&["--max-credits", "5"]).exit(5).says("check the API key");
    assert_eq!(service.requests().len(), 1);
}
