//! The promises "nothing lost" and "nothing sent twice", held against faults that are real: killed and stopped
//! processes, full disks, signals, rivals and damaged files, all at the real binary.
//!
//! The service is a process of its own or counts what it is asked, so that a second submission of a row cannot hide.
//! The long form of the kills, 200 of them over batches of 2,000 rows:
//! `COVERBATCH_TEST_KILLS=200 cargo test --test crashes kill:: -- --nocapture`.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]
#![expect(clippy::print_stdout, reason = "what could not be tested, and the figures of the kills")]

#[expect(dead_code, unused_imports, reason = "the words are shared with the tests of the binary, which use them all")]
#[path = "../binary/story/mod.rs"]
mod story;

mod copies;
mod counting;
mod damage;
mod deciding;
mod disk;
mod engine;
mod kill;
mod known;
mod names;
mod order;
mod power;
mod readers;
mod rivals;
mod signals;
mod together;
