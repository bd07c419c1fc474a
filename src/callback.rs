//! Where the service calls when a cover is done: an address that anyone may reach and nobody can misuse.
//!
//! A callback is only a hint that a record is worth reading now. What it says is not believed, so the worst that a
//! stolen address can do is one read too many. Everything that is not a callback gets one and the same answer, and
//! whoever makes us wait gives way to whoever does not.

mod handler;
mod limiter;
mod receiver;
mod request;

pub use handler::{HANDLED_WITHIN, HintFailed, Hints};
pub use receiver::{MAX_CONNECTIONS, Receiver, ReceiverConfig, ReceiverStats};
pub use request::{MAX_BODY_BYTES, Rejection};
