//! The ledger that runs share here: a database. The same stories are told of a file in `tests/program/crashes`.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::known::Known;
use crate::server::Server;
use crate::story::Batch;

const LEDGER: &str = "COVERBATCH_LEDGER";

/// A database of its own, empty at first.
fn database() -> String {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    Server::shared().database(&format!("story_{}", DATABASES.fetch_add(1, Ordering::Relaxed)), "")
}

/// With a ledger of its own, empty at first.
pub(crate) fn with_ledger(batch: Batch) -> Batch {
    batch.env(LEDGER, database())
}

/// With one ledger for both.
pub(crate) fn with_one_ledger(first: Batch, second: Batch) -> (Batch, Batch) {
    let url = database();
    (first.env(LEDGER, &url), second.env(LEDGER, &url))
}

/// With an account each, in one database.
pub(crate) fn with_two_accounts(first: Batch, second: Batch) -> (Batch, Batch) {
    let (first, second) = with_one_ledger(first, second);
    (first, second.env("COVERBATCH_ACCOUNT", "others"))
}

/// What the ledger of a batch says.
pub(crate) fn known(batch: &Batch) -> Known {
    Known::told(batch, &[])
}
