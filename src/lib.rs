//! Asks a cover-art API for one cover per music task of a catalog.

pub mod api;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod error;
pub mod gate;
pub mod join;
pub mod ledger;
pub mod policy;
pub mod progress;
pub mod report;
pub mod results;
pub mod runner;
pub mod sandbox;
pub mod secret;
pub mod worklist;
