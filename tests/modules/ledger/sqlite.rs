//! Ledgers in SQLite.

#[path = "conformance/mod.rs"]
mod conformance;

use std::path::PathBuf;
use std::time::Duration;

use coverbatch::clock::UnixMillis;
use coverbatch::ledger::{AnyLedger, FollowLedger as _, LedgerPlace, SqliteLedger};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::sleep;

const API: &str = "https://api.example";

/// A ledger of its own, empty at first, that nobody else opens.
async fn fresh() -> SqliteLedger {
    SqliteLedger::in_memory(API).unwrap()
}

/// Where several processes have one ledger, empty at first.
struct Shared {
    folder: TempDir,
}

impl Shared {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// As one more process opens it.
    #[expect(clippy::unused_async, reason = "other engines wait for theirs")]
    async fn open(&self) -> SqliteLedger {
        SqliteLedger::open(&self.path(), API).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("x.db")
    }
}

/// From where to where a ledger can be copied.
struct Ways {
    folder: TempDir,
}

impl Ways {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn all(&self) -> [(LedgerPlace, LedgerPlace); 1] {
        let [from, to] = ["from.db", "to.db"].map(|name| LedgerPlace::File(self.folder.path().join(name)));
        [(from, to)]
    }
}

#[tokio::test]
async fn who_finds_the_file_locked_waits_as_long_as_an_outage_may_last() {
    let shared = Shared::new();
    let place = LedgerPlace::File(shared.path());
    drop(shared.open().await);
    let other = Connection::open(shared.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let longest = Duration::from_secs(60);
    let write = |ledger: AnyLedger| async move { ledger.begin_follow("/c.csv", "", UnixMillis(0)).await };
    let run = async { write(AnyLedger::open(&place, API, longest).await?).await };
    let command = async { write(AnyLedger::open_existing(&place, None, longest).await?.unwrap()).await };
    // Longer than is waited unless somebody says so.
    let unlocked = async {
        sleep(Duration::from_millis(5_500)).await;
        other.execute_batch("ROLLBACK").unwrap();
    };
    let (run, command, ()) = tokio::join!(run, command, unlocked);
    assert!(run.is_ok() && command.is_ok(), "{run:?} {command:?}");
}
