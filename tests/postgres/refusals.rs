//! What cannot be a ledger is refused with a sentence, and what to do about it.

use std::thread::spawn;
use std::time::Duration;

use coverbatch::ledger::{LedgerError, LedgerErrorKind, LedgerPlace, PostgresLedger, ReadLedger as _, copy};
use tokio::join;
use tokio::time::sleep;

use super::rows::{task, works};
use super::server::Server;
use super::story::wait_for;
use super::{API, MAX_OUTAGE};

const ACCOUNT: &str = "main";

async fn open(url: &str) -> Result<PostgresLedger, LedgerError> {
    PostgresLedger::open(url, ACCOUNT, API, MAX_OUTAGE).await
}

/// Twice, since the first attempt must not have made what the second one takes for a ledger.
async fn is_refused(url: &str, kind: LedgerErrorKind, words: &str) {
    for _ in 0..2 {
        let error = open(url).await.unwrap_err();
        assert_eq!((error.kind, error.cause.to_string().as_str()), (kind, words), "{url}");
        assert!(error.kind.hint().is_some(), "{url}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_ledger_is_refused() {
    let server = Server::shared();
    let always = |name: &str, setting: &str| server.database(name, &format!("ALTER DATABASE {name} SET {setting}"));
    let foreign = server.database("foreign_tables", "CREATE SCHEMA coverbatch CREATE TABLE task (id text)");
    let newer =
        server.database("newer", &format!("{}; UPDATE coverbatch.ledger SET version = 2", PostgresLedger::SCHEMA));
    for (url, kind, words) in [
        (foreign, LedgerErrorKind::Foreign, "it is a database of another program"),
        (
            newer,
            LedgerErrorKind::OtherVersion,
            "it was written by another version of coverbatch (schema 2, this one knows 1)",
        ),
        (
            always("standby", "default_transaction_read_only TO on"),
            LedgerErrorKind::ReadOnly,
            "the server takes no writes: it is a standby, or set to read only",
        ),
        (
            always("careless", "synchronous_commit TO off"),
            LedgerErrorKind::NotDurable,
            "the server tells of commits before they are on its disk: synchronous_commit is off",
        ),
        (server.url_of("postgres", "nowhere"), LedgerErrorKind::Unreachable, "database \"nowhere\" does not exist"),
        (
            "postgres://me@%2Fno%2Fsocket/covers".to_owned(),
            LedgerErrorKind::Unreachable,
            "error connecting to server: No such file or directory (os error 2)",
        ),
        (
            "postgres://me@db.example/covers?sslmode=always".to_owned(),
            LedgerErrorKind::BadPlace,
            "sslmode is one of disable, prefer, require, verify-ca and verify-full, not `always`",
        ),
    ] {
        is_refused(&url, kind, words).await;
    }
}

#[tokio::test]
async fn a_run_waits_for_somebody_who_makes_the_tables_by_hand() {
    let server = Server::shared();
    let url = server.database("by_hand", "");
    let slow = PostgresLedger::SCHEMA.replacen("CREATE TABLE", "SELECT pg_sleep(4); CREATE TABLE", 1);
    let by_hand = spawn(move || Server::shared().sql("by_hand", &slow));
    wait_for("the tables are being made", || {
        server.sql(
            "by_hand",
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'by_hand'",
        ) == "1"
    });
    let opened = open(&url).await;
    by_hand.join().unwrap();
    opened.unwrap().close().await;
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_refused() {
    let server = Server::set_up(r#"echo "fsync = off" >>"$folder/data/postgresql.conf""#, &[], 5432);
    let words = "the server tells of commits before they are on its disk: fsync is off";
    is_refused(&server.url(), LedgerErrorKind::NotDurable, words).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_shown_nowhere() {
    let server = Server::shared();
    server.sql("postgres", "CREATE ROLE known LOGIN PASSWORD 'right-one'");
    let url = server.url_of("known:wrong-one", "postgres");
    is_refused(&url, LedgerErrorKind::Login, "password authentication failed for user \"known\"").await;
    let error = open(&url).await.unwrap_err();
    let shown = format!("{error} {error:?} {}", error.cause);
    assert!(!shown.contains("wrong-one"), "{shown}");
    assert_eq!(
        error.to_string(),
        format!("cannot open the ledger `postgres://{}:5432/postgres`", server.folder().display())
    );
}

#[tokio::test]
async fn a_role_without_the_right_to_make_tables_uses_those_that_their_owner_made() {
    let server = Server::shared();
    server.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'p'");
    server.database("guests", "");
    let url = server.url_of("guest:p", "guests");
    is_refused(&url, LedgerErrorKind::NoRights, "permission denied for database guests").await;
    server.sql("guests", PostgresLedger::SCHEMA);
    is_refused(&url, LedgerErrorKind::NoRights, "permission denied for schema coverbatch").await;
    server.sql(
        "guests",
        "GRANT USAGE ON SCHEMA coverbatch TO guest;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA coverbatch TO guest;
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA coverbatch TO guest",
    );
    let ledger = open(&url).await.unwrap();
    works(&ledger).await;
    ledger.close().await;
}

#[tokio::test]
async fn a_schema_that_is_empty_is_filled() {
    let server = Server::shared();
    server.sql("postgres", "CREATE ROLE tenant LOGIN PASSWORD 'p'");
    server.database("tenants", "CREATE SCHEMA coverbatch AUTHORIZATION tenant");
    let ledger = open(&server.url_of("tenant:p", "tenants")).await.unwrap();
    assert!(ledger.is_new());
    works(&ledger).await;
    ledger.close().await;
}

#[tokio::test]
async fn of_many_that_open_an_empty_database_at_once_one_makes_the_ledger() {
    let url = Server::shared().database("crowd", "");
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let url = url.clone();
        crowd.spawn(async move { open(&url).await.unwrap().is_new() });
    }
    assert_eq!(crowd.join_all().await.into_iter().filter(|is_new| *is_new).count(), 1);
}

/// A copy makes tables and account in one transaction: who began beside it would send what is settled in it.
#[tokio::test]
async fn an_account_that_a_copy_is_making_is_waited_for() {
    let server = Server::shared();
    for (name, schema) in [("being_made", ""), ("being_filled", PostgresLedger::SCHEMA)] {
        let (source, target) = (format!("before_{name}"), name);
        let [from, to] = [server.database(&source, ""), server.database(target, schema)];
        let ledger = open(&from).await.unwrap();
        works(&ledger).await;
        ledger.close().await;
        // The last table that is copied is locked until the copy was waited for in vain.
        let mut lock = server.transaction(&source, "LOCK TABLE coverbatch.read_log");
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                       AND relation = 'coverbatch.read_log'::regclass";
        wait_for("the lock", || server.sql(&source, held) == "1");
        let place =
            |url: &str| LedgerPlace::Database { url: url.to_owned(), account: ACCOUNT.to_owned(), is_named: true };
        let (from, copied) = (place(&from), place(&to));
        let copy = tokio::spawn(async move { copy(&from, &copied).await });
        let copying =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{target}' AND query LIKE 'COPY read_log%'");
        while server.sql("postgres", &copying) == "0" {
            sleep(Duration::from_millis(20)).await;
        }
        let error = PostgresLedger::open(&to, ACCOUNT, API, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind, LedgerErrorKind::BeingMade);
        let words = error.cause.to_string();
        assert!(words.starts_with("another process was making the account for 2"), "{words}");
        assert!(error.kind.hint().is_some());
        let ends = async {
            sleep(Duration::from_millis(300)).await;
            drop(lock.stdin.take());
        };
        let (ledger, ()) = join!(open(&to), ends);
        let ledger = ledger.unwrap();
        assert!(!ledger.is_new());
        assert!(ledger.look_up(vec![task("a")]).await.unwrap()[0].is_some());
        assert!(copy.await.unwrap().unwrap());
        lock.wait().unwrap();
    }
}

#[tokio::test]
async fn a_ledger_that_is_not_there_is_not_made_by_who_reads() {
    let server = Server::shared();
    let url = server.database("readers", "");
    assert!(PostgresLedger::open_to_read(&url, None, None).await.unwrap().is_none());
    assert_eq!(server.sql("readers", "SELECT to_regnamespace('coverbatch') IS NULL"), "t");
    open(&url).await.unwrap().close().await;
    assert!(PostgresLedger::open_to_read(&url, Some("other"), None).await.unwrap().is_none());
    let reader = PostgresLedger::open_to_read(&url, None, None).await.unwrap().unwrap();
    assert_eq!(reader.last_end("/c.csv").await.unwrap(), None);
    PostgresLedger::open(&url, "other", API, MAX_OUTAGE).await.unwrap().close().await;
    let error = PostgresLedger::open_to_read(&url, None, None).await.unwrap_err();
    assert_eq!(error.kind, LedgerErrorKind::SeveralAccounts);
    assert_eq!(error.cause.to_string(), "it holds several accounts: main, other");
}

#[tokio::test]
async fn an_account_of_another_api_is_refused() {
    let url = Server::shared().database("apis", "");
    open(&url).await.unwrap().close().await;
    let words = "it belongs to the API at https://api.example, not to https://other.example";
    let other = "https://other.example";
    let error = PostgresLedger::open(&url, ACCOUNT, other, MAX_OUTAGE).await.unwrap_err();
    assert_eq!((error.kind, error.cause.to_string().as_str()), (LedgerErrorKind::OtherApi, words));
    let error = PostgresLedger::open_to_read(&url, Some(ACCOUNT), Some(other)).await.unwrap_err();
    assert_eq!((error.kind, error.cause.to_string().as_str()), (LedgerErrorKind::OtherApi, words));
    assert!(PostgresLedger::open_existing(&url, Some("other"), Some(other), MAX_OUTAGE).await.unwrap().is_none());
    assert!(PostgresLedger::open_existing(&url, Some(ACCOUNT), Some(API), MAX_OUTAGE).await.unwrap().is_some());
}
