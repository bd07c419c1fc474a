//! Asks a cover-art API for one cover per music task of a catalog.

pub mod clock;
pub mod domain;
pub mod sandbox;
