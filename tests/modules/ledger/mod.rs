//! What the traits of the ledger promise, held against every engine.
//!
//! An engine has a file here, which says how its ledgers are made and includes the same tests as the others.

mod sqlite;
