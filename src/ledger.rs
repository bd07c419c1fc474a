//! Durable rows: what is known of every music task ever sent for one account.
//!
//! The traits say what may be assumed when each call returns; the promises "nothing lost" and "nothing sent twice"
//! rest on these sentences. A call that fails means that nothing more may be sent.

mod any;
mod contradictions;
mod copy;
mod cover_job;
mod error;
mod postgres;
mod record;
mod run;
mod sqlite;
mod submission;
mod tables;
mod traits;

pub use any::{AnyLedger, LedgerPlace};
pub use contradictions::Contents;
pub use copy::{check, copy};
pub use cover_job::{CoverJob, CoverKey, CoverScope, Due, JobKind, JobOutcome, JobStep, PollStats, Waiter};
pub use error::{LedgerError, LedgerErrorKind};
pub use postgres::PostgresLedger;
pub use record::{Artwork, KnownState, ManualDecision, PastDecision, Record};
pub use run::{AttemptKey, Begin, Begun, NewRun, PastRun, RunHolder, RunId, RunResult};
pub use sqlite::SqliteLedger;
pub use submission::{Claim, ClaimRequest, Sends, Settled, Settlement, Submission};
pub use traits::{DecideLedger, FollowLedger, Ledger, ReadLedger, SubmitLedger};
