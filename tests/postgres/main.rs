//! What the traits of the ledger promise, held against a `PostgreSQL` server: all ledgers in one schema, each an account of
//! its own. Needs Debian's packages `postgresql` and `pgbouncer`, so `cargo test` runs it only if it is asked for by name.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]
#![expect(clippy::print_stdout, reason = "what could not be tested")]

mod beside;
mod clocks;
#[path = "../modules/ledger/conformance/mod.rs"]
mod conformance;
mod copies;
#[path = "../program/crashes/counting.rs"]
mod counting;
mod cut;
mod disk;
mod engine;
#[expect(dead_code, reason = "what is known is shared with the tests of crashes, which ask more")]
#[path = "../program/crashes/known.rs"]
mod known;
mod outages;
mod pooler;
mod processes;
mod proxy;
mod refusals;
mod rows;
mod server;
#[expect(dead_code, unused_imports, reason = "the words are shared with the tests of the binary, which use them all")]
#[path = "../program/story/mod.rs"]
mod story;
mod tls;
#[path = "../program/crashes/together.rs"]
mod together;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use coverbatch::ledger::{LedgerPlace, PostgresLedger};
use server::Server;
use tempfile::TempDir;

const API: &str = "https://api.example";

/// How long a server may be out of reach.
const MAX_OUTAGE: Duration = Duration::from_secs(60);

/// A number that no other test has.
fn number() -> u32 {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// A ledger of its own, empty at first, that nobody else opens.
async fn fresh() -> PostgresLedger {
    Shared::new().open().await
}

/// What several processes share, empty at first.
struct Shared {
    account: String,
}

impl Shared {
    fn new() -> Self {
        Self { account: format!("account-{}", number()) }
    }

    /// As one more process opens it.
    async fn open(&self) -> PostgresLedger {
        PostgresLedger::open(&Server::shared().url(), &self.account, API, MAX_OUTAGE).await.unwrap()
    }
}

/// From where to where a ledger can be copied: between a file and a database, to another account and to another database.
struct Ways {
    folder: TempDir,
    url: String,
    other_url: String,
}

impl Ways {
    fn new() -> Self {
        let server = Server::shared();
        let [url, other_url] = ["a", "b"].map(|name| server.database(&format!("ways_{}_{name}", number()), ""));
        Self { folder: tempfile::tempdir().unwrap(), url, other_url }
    }

    fn all(&self) -> [(LedgerPlace, LedgerPlace); 4] {
        let file = |name| LedgerPlace::File(self.folder.path().join(name));
        let account = |url: &String, name: &str| LedgerPlace::Database {
            url: url.clone(),
            account: name.to_owned(),
            is_named: true,
        };
        [
            (file("from.db"), account(&self.url, "of-a-file")),
            (account(&self.url, "to-a-file"), file("to.db")),
            (account(&self.url, "one"), account(&self.url, "other")),
            (account(&self.url, "moving"), account(&self.other_url, "moved")),
        ]
    }
}
