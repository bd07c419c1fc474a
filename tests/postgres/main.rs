//! What the traits of the ledger promise, held against a `PostgreSQL` server: all ledgers in one schema, each an account of
//! its own. Needs Debian's packages `postgresql` and `pgbouncer`, so `cargo test` runs it only if it is asked for by name.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

#[path = "../ledger/conformance/mod.rs"]
mod conformance;
#[expect(dead_code, reason = "the service is shared with the tests of crashes, which ask it more")]
#[path = "../crashes/counting.rs"]
mod counting;
mod cut;
mod engine;
#[expect(dead_code, reason = "what is known is shared with the tests of crashes, which ask more")]
#[path = "../crashes/known.rs"]
mod known;
mod outages;
mod pooler;
mod processes;
mod proxy;
mod refusals;
mod rows;
mod server;
#[expect(dead_code, unused_imports, reason = "the words are shared with the tests of the binary, which use them all")]
#[path = "../binary/story/mod.rs"]
mod story;
#[path = "../crashes/together.rs"]
mod together;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use coverbatch::ledger::PostgresLedger;
use server::Server;

const API: &str = "https://api.example";

/// How long a server may be out of reach.
const MAX_OUTAGE: Duration = Duration::from_secs(60);

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
        static ACCOUNTS: AtomicU32 = AtomicU32::new(0);
        Self { account: format!("account-{}", ACCOUNTS.fetch_add(1, Ordering::Relaxed)) }
    }

    /// As one more process opens it.
    async fn open(&self) -> PostgresLedger {
        PostgresLedger::open(&Server::shared().url(), &self.account, API, MAX_OUTAGE).await.unwrap()
    }
}
