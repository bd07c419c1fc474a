//! The results and failures CSVs: the catalog again, with a verdict on every row.
//!
//! A view of catalog and ledger, made anew each time. A file is written beside its place, synchronised, and renamed into
//! it, so that a half-written one never replaces a whole one; and only if it holds as many rows as the catalog.

mod changes;
mod format;
mod line;
mod named;
mod standing;
mod tally;
mod write;

pub use changes::{Before, Changes};
pub use line::{Cover, Goal, ResultLine, View};
pub use named::{NamedRows, RowName};
pub use standing::{Remedy, Standing};
pub use tally::{Cause, Tally};
pub use write::{Format, Paths, ResultsError, count, write};
