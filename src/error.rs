//! Everything that can end the program, its exit code, and what a person is told of it.

mod exit;
mod kinds;
mod report;

pub use exit::Exit;
pub use kinds::Error;
