//! Asks a cover-art API for one cover per music task of a catalog: unattended, without paying twice or losing a row.
//!
//! A module names only modules that stand before it here (a test holds this), and each outside crate has one home.
//!
//! | module | what it is for | only home of |
//! |---|---|---|
//! | [`clock`] | the one source of "now" | |
//! | [`files`] | files that are replaced as a whole or not at all | `rustix` (with `ledger`) |
//! | [`domain`] | the words of the problem: ids, outcomes, states, reasons | |
//! | [`policy`] | what to do next, as arithmetic | `backoff` |
//! | [`secret`] | keys that cannot be printed, and what they prove | `secrecy`, `hmac` (with `sandbox`) |
//! | [`ratelimit`] | the one place where a request waits: the rate limit and pauses | `governor` |
//! | [`api`] | the service in our words, its bytes, and HTTP | `reqwest`, `rustls`, `flate2` |
//! | [`images`] | the bytes of images, judged, named and put into files | `unicode_normalization` |
//! | [`ledger`] | durable rows | `rusqlite`, `tokio_postgres`, `tokio_postgres_rustls`, `rustls_native_certs`, `rustls` |
//! | [`catalog`] | the input CSV, checked whole before anything is sent | `encoding_rs` |
//! | [`join`] | catalog and ledger together, and what earlier results tell beside them | |
//! | [`covers`] | which covers are waited for, and what stands in for missing ones | |
//! | [`worklist`] | which rows a run sends, in which order | |
//! | [`results`] | the results and failures CSVs | `csv` |
//! | [`runner`] | the one loop | |
//! | [`error`] | everything that can end the program, and its exit code | |
//! | [`report`] | the digest, the JSON summary, and the metrics of a run | |
//! | [`page`] | the report page: one HTML file, pictures included | `askama`, `image` (with `sandbox`) |
//! | [`progress`] | the progress line, and failures as they happen | `indicatif`, `console` |
//! | [`sandbox`] | the stand-in service | `axum`, `image`, `flate2` |
//! | [`callback`] | where the service calls when a cover is done | `hyper` |
//! | [`cli`] | flags, variables and the configuration file, turned into what the program needs | `clap`, `toml` |
//!
//! One row goes this way: a line of the catalog names a music task; the ledger says whether it is still to be sent; the
//! gate lets it pass; the intent of its submission is made durable, it is made once, read into an outcome, decided upon, and
//! written down. At the end catalog and ledger are joined once more and become the results.

pub mod api;
pub mod callback;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod covers;
pub mod domain;
pub mod error;
pub mod files;
pub mod images;
pub mod join;
pub mod ledger;
pub mod page;
pub mod policy;
pub mod progress;
pub mod ratelimit;
pub mod report;
pub mod results;
pub mod runner;
pub mod sandbox;
pub mod secret;
pub mod worklist;
