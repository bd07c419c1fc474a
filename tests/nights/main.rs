//! Whole batches in virtual time: a real catalog file, the real ledger, a scripted service, and the results CSV.
//!
//! Every test lives through a night of a batch in a moment, and asserts on when submissions were made. Each run has a
//! virtual deadline, so that one that hangs is a failed test and not a hanging one.

#![expect(clippy::unwrap_used, reason = "a test helper that fails should end the test")]

mod backoff;
mod crashes;
mod credits;
mod downloads;
mod earlier;
mod followed_crashes;
mod following;
mod health;
mod jobs;
mod music;
mod pace;
mod pauses;
mod properties;
mod reruns;
mod stops;
mod support;
mod together;
mod told;
