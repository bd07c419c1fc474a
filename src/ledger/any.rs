//! The ledger of an account, whichever engine keeps it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{Answer, Ended, ManualKind, MusicTaskId, Rate, Reason, RowState};
use crate::images::NameWords;
use crate::ledger::cover_job::{CoverKey, CoverScope, Due, JobKind, JobOutcome, PollStats, Waiter};
use crate::ledger::error::LedgerError;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::record::{KnownState, ManualDecision, PastDecision, Record};
use crate::ledger::run::{AttemptKey, Begin, NewRun, PastRun, RunId, RunResult};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::submission::{Claim, ClaimRequest, Sends, Settled, Settlement, Submission};
use crate::ledger::traits::{DecideLedger, FollowLedger, ReadLedger, SubmitLedger};
use crate::policy::Judgement;

/// Where the ledger of an account is, or is to be.
#[derive(Clone, PartialEq, Eq)]
pub enum LedgerPlace {
    /// A file.
    File(PathBuf),
    /// A database that accounts share.
    Database {
        /// Its URL, which may hold a password.
        url: String,
        /// The name of the account.
        account: String,
        /// Whether somebody has said which account it is.
        is_named: bool,
    },
}

impl LedgerPlace {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Database { .. } => None,
        }
    }

    /// The account in a database, if somebody has said which.
    pub(super) fn named_account(&self) -> Option<&str> {
        self.account_of(None)
    }

    /// The same, or that of the API at `api_url`, if one is given.
    fn account_of(&self, api_url: Option<&str>) -> Option<&str> {
        match self {
            Self::Database { account, is_named, .. } => (*is_named || api_url.is_some()).then_some(account),
            Self::File(_) => None,
        }
    }
}

/// For people: without user and password.
impl fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database { url, .. } => PostgresLedger::location(url).fmt(f),
        }
    }
}

impl fmt::Debug for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The ledger of an account.
#[derive(Debug)]
pub enum AnyLedger {
    /// In a file.
    Sqlite(SqliteLedger),
    /// In a database.
    Postgres(PostgresLedger),
}

impl AnyLedger {
    /// The ledger there for the API at `api_url`, made if it is not there. Calls wait for a server that is out of reach, or
    /// for another program that keeps the file locked, for `max_outage` at most.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be opened or made, or is not one of that API.
    pub async fn open(place: &LedgerPlace, api_url: &str, max_outage: Duration) -> Result<Self, LedgerError> {
        match place {
            LedgerPlace::File(path) => {
                Ok(Self::Sqlite(SqliteLedger::open(path, api_url)?.waiting_for_others(max_outage)))
            }
            LedgerPlace::Database { url, account, .. } => {
                PostgresLedger::open(url, account, api_url, max_outage).await.map(Self::Postgres)
            }
        }
    }

    /// The same, if it is there; `api_url` is compared if it is given.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`AnyLedger::open`].
    pub async fn open_existing(
        place: &LedgerPlace,
        api_url: Option<&str>,
        max_outage: Duration,
    ) -> Result<Option<Self>, LedgerError> {
        Ok(match place {
            LedgerPlace::File(path) => SqliteLedger::open_existing(path, api_url)?
                .map(|ledger| Self::Sqlite(ledger.waiting_for_others(max_outage))),
            LedgerPlace::Database { url, .. } => {
                let name = place.account_of(api_url);
                PostgresLedger::open_existing(url, name, api_url, max_outage).await?.map(Self::Postgres)
            }
        })
    }

    /// The ledger there for reading beside a run, if there is one; `api_url` is compared if it is given.
    ///
    /// # Errors
    /// [`LedgerError`] as for [`AnyLedger::open`].
    pub async fn open_to_read(place: &LedgerPlace, api_url: Option<&str>) -> Result<Option<Self>, LedgerError> {
        Ok(match place {
            LedgerPlace::File(path) => SqliteLedger::open_to_read(path, api_url)?.map(Self::Sqlite),
            LedgerPlace::Database { url, .. } => {
                let name = place.account_of(api_url);
                PostgresLedger::open_to_read(url, name, api_url).await?.map(Self::Postgres)
            }
        })
    }

    /// Whether it was made when it was opened.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        match self {
            Self::Sqlite(ledger) => ledger.is_new(),
            Self::Postgres(ledger) => ledger.is_new(),
        }
    }

    /// What a ledger that has failed still holds, to be read, as far as that is at hand.
    #[must_use]
    pub fn left_to_read(&self) -> Option<Self> {
        match self {
            Self::Sqlite(ledger) => ledger.left_to_read().map(Self::Sqlite),
            // Its server is gone, or what it holds is not to be trusted.
            Self::Postgres(_) => None,
        }
    }
}

/// Methods that the engine does.
macro_rules! done_by_the_engine {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(async fn $name(&self, $($argument: $type),*) -> Result<$result, LedgerError> {
            match self {
                Self::Sqlite(ledger) => ledger.$name($($argument),*).await,
                Self::Postgres(ledger) => ledger.$name($($argument),*).await,
            }
        })*
    };
}

impl ReadLedger for AnyLedger {
    done_by_the_engine! {
        look_up(tasks: Vec<MusicTaskId>) -> Vec<Option<Record>>;
        states(tasks: Vec<MusicTaskId>) -> Vec<Option<KnownState>>;
        beginning_with(start: &MusicTaskId, most: u32) -> Vec<MusicTaskId>;
        history(task: &MusicTaskId) -> Vec<Submission>;
        poll_stats(task: &MusicTaskId) -> Option<PollStats>;
        last_end(catalog: &str) -> Option<Reason>;
        past_runs(catalog: &str, most: u32) -> Vec<PastRun>;
        sends_between(between: (UnixMillis, UnixMillis), stretch: Duration) -> Vec<Sends>;
        generation_times() -> Vec<Duration>;
    }

    fn is_healthy(&self) -> bool {
        match self {
            Self::Sqlite(ledger) => ledger.is_healthy(),
            Self::Postgres(ledger) => ledger.is_healthy(),
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(ledger) => ledger.close().await,
            Self::Postgres(ledger) => ledger.close().await,
        }
    }
}

impl SubmitLedger for AnyLedger {
    done_by_the_engine! {
        import(rows: Vec<(MusicTaskId, Record)>) -> ();
        begin_run(run: NewRun) -> Begin;
        recover(run: RunId, seen: AttemptKey, at: UnixMillis) -> (Vec<MusicTaskId>, AttemptKey);
        claim(request: ClaimRequest) -> Claim;
        settle(attempt: AttemptKey, settlement: Settlement) -> Settled;
        release(attempt: AttemptKey) -> ();
        end_run(run: RunId, ended: Ended, at: UnixMillis) -> ();
        note_result(run: RunId, result: RunResult) -> ();
        note_music(task: &MusicTaskId, state: RowState, said: (Reason, Answer), at: UnixMillis) -> ();
        note_default_covers(rows: Vec<(MusicTaskId, String)>) -> ();
    }
}

impl DecideLedger for AnyLedger {
    done_by_the_engine! {
        decide(decision: ManualDecision, tasks: Vec<MusicTaskId>) -> Vec<Judgement>;
        undo(kind: ManualKind, tasks: Vec<MusicTaskId>, at: UnixMillis) -> Vec<Judgement>;
        decisions(task: &MusicTaskId) -> Vec<PastDecision>;
    }
}

impl FollowLedger for AnyLedger {
    done_by_the_engine! {
        begin_follow(catalog: &str, command: &str, at: UnixMillis) -> RunId;
        name_files(rows: Vec<(MusicTaskId, NameWords)>) -> Vec<Option<NameWords>>;
        watch(waiter: Waiter, tasks: Vec<MusicTaskId>, at: UnixMillis) -> u64;
        next_due(scope: CoverScope, at: UnixMillis) -> (Option<UnixMillis>, Option<UnixMillis>);
        claim_job(scope: CoverScope, kind: JobKind, at: UnixMillis, lease: Duration, pace: Rate) -> Due;
        claim_read(at: UnixMillis, pace: Rate) -> Option<UnixMillis>;
        settle_job(key: CoverKey, outcome: JobOutcome, at: UnixMillis) -> ();
        wake(task: &MusicTaskId, at: UnixMillis) -> ();
        release_jobs(run: RunId, at: UnixMillis) -> ();
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    const API: &str = "https://api.example";

    fn task(nth: u32) -> MusicTaskId {
        MusicTaskId::new(nth.to_string()).unwrap()
    }

    #[tokio::test]
    async fn a_ledger_that_has_failed_is_not_healthy_and_what_it_holds_can_be_read() {
        let ledger = AnyLedger::Sqlite(SqliteLedger::in_memory(API).unwrap());
        ledger.note_default_covers(vec![(task(1), "1.jpg".to_owned())]).await.unwrap();
        assert!(ledger.is_healthy());
        ledger.release(AttemptKey(1)).await.unwrap_err();
        assert!(!ledger.is_healthy());
        let left = ledger.left_to_read().unwrap();
        assert!(left.look_up(vec![task(1)]).await.unwrap()[0].is_some());
    }

    #[tokio::test]
    async fn whoever_closes_a_ledger_waits_for_what_is_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let place = LedgerPlace::File(folder.path().join("x.db"));
        let ledger = AnyLedger::open(&place, API, Duration::ZERO).await.unwrap();
        let rows = (0..20_000).map(|nth| (task(nth), String::new())).collect();
        tokio::select! {
            biased;
            _ = ledger.note_default_covers(rows) => panic!("that cannot be done yet"),
            () = ready(()) => {}
        }
        ledger.close().await;
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "its log is gone");
        let ledger = AnyLedger::open_to_read(&place, None).await.unwrap().unwrap();
        assert!(ledger.look_up(vec![task(19_999)]).await.unwrap()[0].is_some());
    }
}
