//! What a run tells: the closing digest for a person, the same as one JSON document for a machine, and metrics.
//!
//! A mail at 6 in the morning is read on a phone: at most [`DIGEST_LINES`] lines, what is left and why first, and the
//! exact next command last.

mod digest;
mod headline;
pub mod metrics;
mod next;
mod status;
mod summary;

pub use digest::DIGEST_LINES;
pub use next::{NextCommands, NextStep};
pub use status::{CatalogStatus, SHOWN_RUNS};
pub use summary::{Files, Paused, RowCounts, Summary, Traffic};
