//! From an accepted cover to its images on disk, at the real binary: processes, sockets, files and a ledger that are
//! real.
//!
//! The stand-in service is a process of its own, or lives in the test where what it has seen matters. Covers take a
//! fraction of a second, and ledgers have learned that before a test begins, so that nobody waits for the first look
//! of a client that knows nothing. The long form of the kills:
//! `COVERBATCH_TEST_KILLS=200 cargo test --test program covers::kill -- --nocapture`.

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
