//! The receiver of callbacks, attacked over real sockets.

mod floods;
mod forged;
mod protocol;
mod stage;
