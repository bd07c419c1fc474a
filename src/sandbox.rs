//! A stand-in for the service, for trying a cron line without spending credits and for the tests.
//!
//! Same paths and envelopes as the service; its own sliding-window limit, credits, maintenance and latency. It keeps
//! everything in memory, so a restart forgets its covers, but gives the same ids again. All its success messages carry
//! `(sandbox)`, so that nobody takes its answers for real ones. It knows nothing of the runner and shares no code with
//! it: a mistake in reading an answer must not be mirrored by the one who writes it.
//!
//! A request is judged when it has arrived whole; its answer then takes its time. In this order: a wrong path or method
//! is a real 404, maintenance 455, no key 401 (any key will do), a generate request over the limit 429. The limit is a
//! sliding-window log per key in which only admitted requests count; reads of records have one of their own. What is
//! missing in a body is 422. A cover costs a credit when it is asked for, whether or not it then fails; without one left
//! the answer is 402.
//!
//! The beginning of a music task id spells out how the service behaves for it; `docs/sandbox.md` has the tables, and
//! `behavior` reads them. Requests that are turned away (maintenance, no key, too fast) do not count as one of the
//! first K. Where the answer got lost the cover was made: the next ordinary answer for that id is 400 with its id.

mod behavior;
mod covers;
mod reply;
mod request;
mod scenario;
mod server;
mod service;
#[cfg(test)]
mod tests;
mod webhook;

pub use scenario::{BadScenario, Callbacks, Form, MaintenanceWindow, Scenario, SigningKey, Spread, cover_id_for};
pub use server::Sandbox;
pub use service::Stats;
