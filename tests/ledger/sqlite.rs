//! Ledgers in SQLite.

#[path = "conformance/mod.rs"]
mod conformance;

use std::path::PathBuf;

use coverbatch::ledger::{LedgerPlace, SqliteLedger};
use tempfile::TempDir;

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
