//! The ledger that runs share here: a file. The same stories are told of a database in `tests/postgres`.

use super::known::Known;
use crate::story::Batch;

/// With a ledger of its own, empty at first: the one beside the catalog.
pub(crate) fn with_ledger(batch: Batch) -> Batch {
    batch
}

/// With one ledger for both.
pub(crate) fn with_one_ledger(first: Batch, second: Batch) -> (Batch, Batch) {
    let second = second.env("COVERBATCH_LEDGER", first.path("songs.db"));
    (first, second)
}

/// With an account each, at the same place.
pub(crate) fn with_two_accounts(first: Batch, second: Batch) -> (Batch, Batch) {
    let second = second.env("STATE_DIRECTORY", first.folder()).env("COVERBATCH_ACCOUNT", "others");
    (first, second)
}

/// What the ledger of a batch says.
pub(crate) fn known(batch: &Batch) -> Known {
    Known::of(batch)
}
