//! What happens to a night whose server is restarted, killed or cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coverbatch::domain::{ManualKind, Reason, RowState};
use coverbatch::ledger::{
    Begin, Begun, DecideLedger as _, LedgerErrorKind, ManualDecision, NewRun, PostgresLedger, ReadLedger as _, Settled,
    SubmitLedger as _,
};
use coverbatch::policy::Judgement;
use tokio::task::JoinSet;

use super::API;
use super::proxy::{Cut, Proxy};
use super::rows::{begin, claim, rejection, request, task};
use super::server::{Server, url};

const ACCOUNT: &str = "main";

/// Longer than any trouble here, also on a busy machine: a ledger that gives up ends its run.
const MAX_OUTAGE: Duration = Duration::from_secs(3_600);

/// How long a night may take to go on, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

async fn open(url: &str) -> PostgresLedger {
    PostgresLedger::open(url, ACCOUNT, API, MAX_OUTAGE).await.unwrap()
}

/// How often each music task was sent.
type Sent = Arc<Mutex<HashMap<String, u32>>>;

/// Sends music tasks until it is told to stop; at most so many are under way at a time.
async fn send_until(ledger: Arc<PostgresLedger>, begun: Begun, sent: Sent, is_over: Arc<AtomicBool>) {
    let mut under_way = JoinSet::new();
    for worker in 0..8 {
        let (ledger, sent, is_over) = (Arc::clone(&ledger), Arc::clone(&sent), Arc::clone(&is_over));
        under_way.spawn(async move {
            let mut nth = 0;
            while !is_over.load(Ordering::SeqCst) {
                // Both runs go through the same rows, from two sides.
                let id = format!("{worker}-{nth}");
                nth += 1;
                let Some(attempt) = claim(&ledger, begun, &id).await else { continue };
                *sent.lock().unwrap().entry(id).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                ledger.settle(attempt, rejection()).await.unwrap();
            }
        });
    }
    under_way.join_all().await;
}

/// Two runs over the same rows, while `trouble` happens to their server.
async fn night(server: &Server, trouble: impl Fn(&Server) + Send + 'static) {
    let (sent, is_over) = (Sent::default(), Arc::new(AtomicBool::new(false)));
    let (mut begun, mut runs) = (Vec::new(), JoinSet::new());
    for _ in 0..2 {
        let ledger = Arc::new(open(&server.url()).await);
        begun.push((begin(&ledger).await, ledger));
    }
    // Only now: what had failed before it began, a run may send again.
    for (begun, ledger) in begun {
        runs.spawn(send_until(ledger, begun, Arc::clone(&sent), Arc::clone(&is_over)));
    }
    let have_sent = async |rows| {
        while sent.lock().unwrap().len() < rows {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    have_sent(11).await;
    let before = sent.lock().unwrap().len();
    tokio::task::block_in_place(|| trouble(server));
    let goes_on = async {
        tokio::select! {
            () = have_sent(before + 100) => {}
            ended = runs.join_next() => panic!("a run does not go on: {ended:?}"),
        }
    };
    tokio::time::timeout(PATIENCE, goes_on).await.expect("it goes on");
    is_over.store(true, Ordering::SeqCst);
    runs.join_all().await;
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    let repeated: Vec<_> = sent.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    let ledger = open(&server.url()).await;
    for id in sent.keys() {
        let known = ledger.look_up(vec![task(id)]).await.unwrap().remove(0).unwrap();
        assert_eq!((known.state, known.submissions), (RowState::Failed, 1), "{id}");
    }
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM coverbatch.attempt WHERE reason IS NULL"), "0");
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM coverbatch.task"), sent.len().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_or_killed_loses_nothing_and_the_night_goes_on() {
    for how in ["fast", "immediate", "kill"] {
        let server = Server::start();
        night(&server, move |server| {
            server.end(how);
            std::thread::sleep(Duration::from_secs(1));
            server.start_again();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_is_made_again() {
    let server = Server::start();
    night(&server, |server| {
        for _ in 0..5 {
            let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                          WHERE application_name = 'coverbatch' AND random() < 0.5";
            server.sql("postgres", others);
            std::thread::sleep(Duration::from_millis(200));
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stays_away_ends_the_ledger() {
    let server = Server::start();
    let ledger = PostgresLedger::open(&server.url(), ACCOUNT, API, Duration::from_secs(1)).await.unwrap();
    let begun = begin(&ledger).await;
    server.end("fast");
    let error = ledger.claim(request(begun, "a")).await.unwrap_err();
    assert_eq!(error.kind, LedgerErrorKind::Unreachable);
    let words = error.cause.to_string();
    assert!(words.starts_with("the server was out of reach for ") && words.contains("connect"), "{words}");
    assert!(!ledger.is_healthy());
}

#[tokio::test]
async fn what_was_committed_before_the_connection_broke_is_not_done_twice() {
    let server = Server::shared();
    for (cut, database) in [(Cut::Before, "cut_before"), (Cut::After, "cut_after")] {
        let direct = open(&server.database(database, "")).await;
        let proxy = Proxy::before(server.folder(), cut);
        let ledger = open(&url("postgres", proxy.folder(), database)).await;
        let begun = begin(&ledger).await;
        proxy.arm();
        let attempt = claim(&ledger, begun, "a").await.expect("it is granted once more");
        assert!(proxy.has_cut());
        assert_eq!(direct.history(&task("a")).await.unwrap().len(), 1);

        proxy.arm();
        assert_eq!(ledger.settle(attempt, rejection()).await.unwrap(), Settled::Recorded);
        let record = direct.look_up(vec![task("a")]).await.unwrap().remove(0).unwrap();
        assert_eq!((record.state, record.submissions, record.failed_runs), (RowState::Failed, 1, 1));

        proxy.arm();
        let attempt = claim(&ledger, begin(&ledger).await, "b").await.unwrap();
        proxy.arm();
        ledger.release(attempt).await.unwrap();
        assert_eq!(direct.states(vec![task("b")]).await.unwrap(), [None]);

        proxy.arm();
        let said = (Reason::NotFound, coverbatch::domain::Answer::default());
        ledger.note_music(&task("c"), RowState::Failed, said, super::rows::now()).await.unwrap();
        assert_eq!(direct.states(vec![task("c")]).await.unwrap()[0].unwrap().failed_runs, 1);

        proxy.arm();
        let decision =
            ManualDecision { kind: ManualKind::Retry, is_sure: false, reason: String::new(), at: super::rows::now() };
        let judgements = ledger.decide(decision, vec![task("c"), task("a")]).await.unwrap();
        assert_eq!(judgements, [Judgement::Moved(RowState::Pending); 2]);
        assert_eq!(direct.decisions(&task("c")).await.unwrap().len(), 1);
        proxy.arm();
        let judgements = ledger.undo(ManualKind::Retry, vec![task("c")], super::rows::now()).await.unwrap();
        assert_eq!(judgements, [Judgement::Moved(RowState::Failed)]);
        assert!(proxy.has_cut() && ledger.is_healthy());
    }
}

#[tokio::test]
async fn a_run_whose_lock_is_lost_takes_another_and_is_not_believed_dead() {
    let server = Server::start();
    let (one, two) = (open(&server.url()).await, open(&server.url()).await);
    let (run, other) = (begin(&one).await, begin(&two).await);
    claim(&one, run, "a").await.unwrap();
    end_lock(&server, run).await;
    claim(&one, run, "b").await.unwrap();
    assert_eq!(two.recover(other.run, other.seen, super::rows::now()).await.unwrap().0, []);
    assert_eq!(two.states(vec![task("a")]).await.unwrap()[0].unwrap().state, RowState::InFlight);
    drop(one);
    // Its sessions end a moment later.
    for _ in 0..50 {
        two.recover(other.run, other.seen, super::rows::now()).await.unwrap();
        if two.states(vec![task("a")]).await.unwrap()[0].unwrap().state == RowState::InDoubt {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody has found out that it is dead");
}

/// Ends the session that holds the lock of a run, and waits until its process knows.
async fn end_lock(server: &Server, run: Begun) {
    let sql = format!("SELECT count(pg_terminate_backend(pg_locks.pid)) FROM {}", lock_of(run));
    assert_eq!(server.sql("postgres", &sql), "1");
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if server.sql("postgres", &format!("SELECT count(*) FROM {}", lock_of(run))) == "0" {
            // What the server has said on its way out arrives at once.
            return tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    panic!("the session does not end");
}

/// The lock of a run, as long as it is held.
fn lock_of(run: Begun) -> String {
    format!(
        "pg_locks JOIN coverbatch.run ON ((classid::bigint << 32) | objid::bigint) = run.lock
         WHERE locktype = 'advisory' AND granted AND run = {}",
        run.run
    )
}

/// It waits for a maintenance, say: after the time in which the others may come back, they would believe it dead.
#[tokio::test]
async fn a_run_that_writes_nothing_after_a_restart_takes_its_lock_again_and_stays_the_only_writer_of_its_results() {
    let server = Server::start();
    let (one, two) = (open(&server.url()).await, open(&server.url()).await);
    let begin = async |ledger: &PostgresLedger| {
        let (catalog, results) = ("/c.csv".to_owned(), Some("/r.csv".to_owned()));
        let command = "again".to_owned();
        ledger.begin_run(NewRun { catalog, is_partial: false, results, command, at: super::rows::now() }).await.unwrap()
    };
    let Begin::Begun(run) = begin(&one).await else { panic!("nobody else is there") };
    server.end("fast");
    server.start_again();
    let is_held = || server.sql("postgres", &format!("SELECT count(*) FROM {}", lock_of(run))) == "1";
    let held = async {
        while !is_held() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(25), held).await.expect("its lock is held again");
    assert!(matches!(begin(&two).await, Begin::ResultsInUse(_)));
}

/// It waits until the dead can be told, and the others go on meanwhile.
#[tokio::test]
async fn a_run_that_waits_to_begin_moves_nothing_that_was_sent_meanwhile_out_of_the_window() {
    let server = Server::start();
    let (one, two) = (open(&server.url()).await, open(&server.url()).await);
    let run = begin(&one).await;
    let dead = open(&server.url()).await;
    begin(&dead).await;
    server.end("fast");
    drop(dead);
    server.start_again();
    let goes_on = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let attempt = claim(&one, run, "a").await.unwrap();
        one.settle(attempt, rejection()).await.unwrap();
    };
    tokio::join!(begin(&two), goes_on);
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM coverbatch.run WHERE ended = 'interrupted'"), "1");
    let moved = server.sql("postgres", "SELECT answered_at - paced_at FROM coverbatch.attempt");
    assert!(moved.parse::<i64>().unwrap().abs() < 1_000, "{moved} ms");
}

/// What told others of the new lock is undone, and has to be told once more.
#[tokio::test]
async fn a_lock_that_was_renewed_in_a_transaction_that_broke_off_is_told_again() {
    let server = Server::start();
    let two = open(&server.url()).await;
    let other = begin(&two).await;
    let proxy = Proxy::before(server.folder(), Cut::Before);
    let one = open(&url("postgres", proxy.folder(), "postgres")).await;
    let run = begin(&one).await;
    claim(&one, run, "a").await.unwrap();
    end_lock(&server, run).await;
    proxy.arm();
    claim(&one, run, "b").await.unwrap();
    assert!(proxy.has_cut());
    assert_eq!(server.sql("postgres", &format!("SELECT count(*) FROM {}", lock_of(run))), "1");
    two.recover(other.run, other.seen, super::rows::now()).await.unwrap();
    assert_eq!(two.states(vec![task("a")]).await.unwrap()[0].unwrap().state, RowState::InFlight);
}
