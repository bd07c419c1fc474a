//! `coverbatch run --dry-run`: what a run would find and send, without a trace.

use tempfile::TempDir;

use crate::cli::options::{bad_rows, odd_ids};
use crate::cli::output::{eprint, print};
use crate::error::{Error, Exit};
use crate::ledger::{AnyLedger, ReadLedger as _, SqliteLedger};
use crate::worklist::{Worklist, WorklistError};

use super::plan::Plan;
use super::prepared::PreparedRun;

impl PreparedRun<'_> {
    /// Tells what a run would do.
    pub(super) async fn dry_run(self) -> Result<Exit, Error> {
        self.args.wait.check()?;
        let ledger_place = &self.batch.ledger_place;
        let ledger = AnyLedger::open_to_read(ledger_place, Some(self.service.identity())).await?;
        let taken_over = self.taken_over(ledger.as_ref()).await?;
        let ledgers = ledger.iter().chain(taken_over.as_ref().map(|(ledger, _)| ledger)).collect();
        let (mut worklist, counts) = Worklist::plan(self.catalog(), ledgers, self.selection()).await?;
        let plan = Plan {
            counts,
            rate: self.args.pace.rate,
            clock: self.batch.clock,
            ledger: (ledger_place, ledger.is_some()),
            paths: &self.batch.paths,
            address: self.service.address(),
            route: self.service.route,
            callback: &self.service.callback,
            first: worklist.next(true).await?,
        };
        // Closed, so that it leaves no log of its own beside the ledger.
        if let Some(ledger) = ledger {
            ledger.close().await;
        }
        print(&if self.args.tell.json { plan.json() } else { plan.text() })?;
        if !self.catalog().is_confined() {
            eprint(&(bad_rows(self.catalog()) + &odd_ids(self.catalog())));
        }
        Ok(Exit::Success)
    }

    /// What a run would take over from earlier results, in a ledger that is gone with its folder.
    async fn taken_over(&self, ledger: Option<&AnyLedger>) -> Result<Option<(AnyLedger, TempDir)>, Error> {
        if self.batch.all_earlier().next().is_none() {
            return Ok(None);
        }
        let folder = TempDir::new().map_err(WorklistError::Spool)?;
        let path = folder.path().join("taken-over.db");
        let taken_over = AnyLedger::Sqlite(SqliteLedger::open(&path, self.service.identity())?);
        self.batch.take_over_into(&taken_over, ledger).await?;
        Ok(Some((taken_over, folder)))
    }
}
