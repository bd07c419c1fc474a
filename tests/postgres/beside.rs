//! What is written for an account beside others, and what waits for them.

use std::io::Write as _;
use std::process::Child;
use std::time::Duration;

use coverbatch::ledger::{Claim, LedgerError, PostgresLedger, Settled, SubmitLedger as _};
use tokio::join;
use tokio::time::{sleep, timeout};

use super::rows::{begin, claim, rejection, request};
use super::server::Server;
use super::story::wait_for;
use super::{API, MAX_OUTAGE};

const DATABASE: &str = "beside";

/// Whoever answers or claims beside others shares a lock of the server. Answers to what is in flight come in between nothing
/// there; one that comes late may meet a claim of the same row.
#[tokio::test]
async fn a_late_answer_waits_for_whoever_answers_or_claims_and_another_one_for_whoever_excludes_it() {
    let server = Server::shared();
    let url = server.database(DATABASE, "");
    let open = || PostgresLedger::open(&url, "main", API, MAX_OUTAGE);
    let (ledger, other) = (open().await.unwrap(), open().await.unwrap());
    let late = claim(&ledger, begin(&ledger).await, "late").await.unwrap();
    begin(&other).await;
    let begun = begin(&ledger).await;
    let in_flight = claim(&ledger, begun, "in-flight").await.unwrap();
    let next = claim(&ledger, begun, "next").await.unwrap();

    let shared = server.transaction(DATABASE, "SELECT pg_advisory_xact_lock_shared(1131831924, 1)");
    wait_for("lock of another one", || locks(server, true) == "1");
    let answered = timeout(Duration::from_secs(15), ledger.settle(in_flight, rejection())).await;
    assert_eq!(answered.unwrap().unwrap(), Settled::Recorded);
    waits_for(server, shared, ledger.settle(late, rejection())).await;

    let exclusive = server.transaction(DATABASE, "SELECT pg_advisory_xact_lock(1131831924, 1)");
    wait_for("lock of one that excludes all others", || locks(server, true) == "1");
    waits_for(server, exclusive, ledger.settle(next, rejection())).await;
}

/// Holds that an answer is recorded only once another session has ended.
async fn waits_for(server: &Server, mut other: Child, answer: impl Future<Output = Result<Settled, LedgerError>>) {
    let ends = async {
        while locks(server, false) != "1" {
            sleep(Duration::from_millis(20)).await;
        }
        drop(other.stdin.take());
    };
    let (answered, ()) = timeout(Duration::from_secs(60), async { join!(answer, ends) }).await.unwrap();
    assert_eq!(answered.unwrap(), Settled::Recorded);
    other.wait().unwrap();
}

/// How many hold a lock of this database, or wait for it.
fn locks(server: &Server, is_granted: bool) -> String {
    let sql = format!(
        "SELECT count(*) FROM pg_locks
         WHERE classid = 1131831924 AND granted = {is_granted}
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    server.sql(DATABASE, &sql)
}

/// Where a transaction sees what was there when it began, a claim that waited for the account would be decided by that.
#[tokio::test]
async fn a_claim_that_has_waited_sees_what_was_done_meanwhile_whatever_isolation_is_usual_there() {
    let (server, database) = (Server::shared(), "isolated");
    let url = server.database(
        database,
        &format!("ALTER DATABASE {database} SET default_transaction_isolation TO 'repeatable read'"),
    );
    let ledger = PostgresLedger::open(&url, "main", API, MAX_OUTAGE).await.unwrap();
    let begun = begin(&ledger).await;
    let sql = "SELECT FROM coverbatch.account FOR UPDATE;
               INSERT INTO coverbatch.task (account, id, state, submissions) VALUES (1, 'a', 'submitted', 1)";
    let mut other = server.transaction(database, sql);
    let count = |is: &str| {
        server.sql(database, &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {is}"))
    };
    wait_for("row of another one", || count("state = 'idle in transaction'") == "1");
    let ends = async {
        while count("wait_event_type = 'Lock'") != "1" {
            sleep(Duration::from_millis(20)).await;
        }
        writeln!(other.stdin.take().unwrap(), "COMMIT;").unwrap();
    };
    let (claimed, ()) =
        timeout(Duration::from_secs(60), async { join!(ledger.claim(request(begun, "a")), ends) }).await.unwrap();
    assert_eq!(claimed.unwrap(), Claim::Refused);
    other.wait().unwrap();
}
