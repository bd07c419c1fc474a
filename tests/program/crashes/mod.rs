//! The promises "nothing lost" and "nothing sent twice", held against faults that are real: killed and stopped
//! processes, full disks, signals, rivals and damaged files, all at the real binary.
//!
//! The service is a process of its own or counts what it is asked, so that a second submission of a row cannot hide.
//! The long form of the kills, 200 of them over batches of 2,000 rows:
//! `COVERBATCH_TEST_KILLS=200 cargo test --test program crashes::kill -- --nocapture`.

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
