//! From an accepted cover to its images on disk, at the real binary: processes, sockets, files and a ledger that are
//! real.
//!
//! The stand-in service is a process of its own, or lives in the test where what it has seen matters. Covers take a
//! fraction of a second, and ledgers have learned that before a test begins, so that nobody waits for the first look
//! of a client that knows nothing. The long form of the kills:
//! `COVERBATCH_TEST_KILLS=200 cargo test --test covers kill:: -- --nocapture`.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]
#![expect(clippy::print_stdout, reason = "what could not be tested, and figures")]

#[expect(dead_code, unused_imports, reason = "the words are shared with the tests of the binary, which use them all")]
#[path = "../binary/story/mod.rs"]
mod story;

mod stage;

mod fallback;
mod faults;
mod hung;
mod kill;
mod names;
mod receiving;
mod routes;
mod rows;
mod space;
mod waiting;
