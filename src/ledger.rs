//! Durable rows: what is known of every music task ever sent for one account.
//!
//! The traits say what may be assumed when each call returns; the promises "nothing lost" and "nothing sent twice"
//! rest on these sentences. A call that fails means that nothing more may be sent.

mod any;
mod contradictions;
mod copy;
mod cover_job;
mod decision;
mod error;
mod fence;
mod history;
mod keys;
mod postgres;
mod record;
mod sqlite;
mod submission;
mod tables;
mod traits;

pub use any::{AnyLedger, LedgerPlace};
pub use copy::{check, copy};
pub use cover_job::{CoverJob, CoverScope, Due, JobKind, JobOutcome, JobStep, Waiter};
pub use decision::{ManualDecision, PastDecision};
pub use error::{LedgerError, LedgerErrorKind};
pub use history::{Contents, PastRun, PollStats, RunResult, Sends};
pub use keys::{AttemptKey, CoverKey, RunId};
pub use postgres::PostgresLedger;
pub use record::{Artwork, KnownState, Record};
pub use sqlite::SqliteLedger;
pub use submission::{Begin, Begun, Claim, ClaimRequest, NewRun, RunHolder, Settled, Settlement, Submission};
pub use traits::{DecideLedger, FollowLedger, Ledger, ReadLedger, SubmitLedger};
