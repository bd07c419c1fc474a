//! Parses, runs, exits.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// What one thread makes another often lets go: each row's work for the thread that writes the ledger.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    coverbatch::cli::main()
}
