//! The receiver of callbacks, attacked over real sockets.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod floods;
mod forged;
mod protocol;
mod stage;
