//! Each module by its public items: real files, real sockets and real SQLite, in this process.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod callback;
mod catalog;
mod http;
mod images;
mod layers;
mod ledger;
mod mutations;
mod pace;
mod wire;
