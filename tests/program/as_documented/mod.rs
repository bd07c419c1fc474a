//! README.md, CONTRIBUTING.md and `docs/` are true: their commands are run, what they print is printed, and what they name
//! is there.
//!
//! They wait for the pace of a real account, so their name is one that lets them begin among the first.
//!
//! `UPDATE_DOCS=1 cargo test --test program as_documented::` writes what the program prints into the pages.

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
