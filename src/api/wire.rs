//! The service's bytes read into an [`Outcome`](crate::domain::Outcome) or a [`Reading`](crate::domain::Reading): pure,
//! total, and the only place that knows its codes.
//!
//! The service answers nearly everything with HTTP 200 and puts the result into the body's `code`; gateways and CDNs
//! before it answer with real HTTP errors and pages. So an answer is read in this order: HTTP status, JSON, `code`,
//! its words, `data`. Nothing in it is trusted: every field may be missing or of another type.

mod envelope;
mod job;
mod raw;
mod record;
mod submission;

pub use job::{read_job_record, read_job_submission};
pub(in crate::api) use raw::read_date;
pub use raw::{Fault, MAX_BODY_BYTES, RawAnswer, Wait, read_wait, unpacked};
pub use record::{read_balance, read_cover_record, read_music_record, read_no_answer};
pub use submission::{
    Provider, is_known_code, is_unclear, read_fault, read_submission, resolved, with_successor, without_echo,
};
