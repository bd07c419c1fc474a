//! Parses, runs, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    coverbatch::cli::main()
}
