//! README.md, CONTRIBUTING.md and `docs/` are true: their commands are run, what they print is printed, and what they name
//! is there.
//!
//! `UPDATE_DOCS=1 cargo test --test program docs::` writes what the program prints into the pages.

mod commands;
mod mask;
mod names;
mod options;
mod pages;
mod session;

/// Whether pages are to be written and not compared.
fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}
