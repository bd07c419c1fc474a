//! Asks a cover-art API for one cover per music task of a catalog.

pub mod api;
pub mod clock;
pub mod domain;
pub mod gate;
pub mod ledger;
pub mod policy;
pub mod secret;
