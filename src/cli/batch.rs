//! What the commands that work through a catalog have in common: their files, and what they do with them beside their own
//! work.

mod end;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::catalog::{Catalog, Labels, RowNames};
use crate::cli::account::LedgerArgs;
use crate::cli::cover_args::{RequestArgs, WaitArgs};
use crate::cli::options::{CatalogArgs, LabelArgs, OutputArgs};
use crate::clock::Clock;
use crate::covers;
use crate::domain::MusicTaskId;
use crate::error::Error;
use crate::join::{self, Trust};
use crate::ledger::{AnyLedger, FollowLedger as _, LedgerPlace, RunId};
use crate::policy::InDoubt;
use crate::progress::{Rows, Style, Watched};
use crate::ratelimit::Gate;
use crate::results::{Goal, Paths};
use crate::runner::{Parts, Stop};
use crate::worklist::WorklistError;

pub(super) use end::RunOutcome;

/// A command over a catalog whose options have been checked.
pub(super) struct BatchContext {
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    /// The name by which the ledger knows the catalog.
    pub(super) identity: String,
    /// Whether some of its rows only are taken up.
    pub(super) is_partial: bool,
    pub(super) catalog: Arc<Catalog>,
    /// The results that are to be replaced, if there are any.
    pub(super) earlier: Option<Arc<Catalog>>,
    pub(super) ledger_place: LedgerPlace,
    pub(super) paths: Paths,
    /// Where images go, if they are saved.
    pub(super) images: Option<PathBuf>,
    /// What their files are called, if not by their ids.
    pub(super) names: Option<RowNames>,
    /// Pixels that the shorter side of an image has to have, if it is to be told of others.
    pub(super) warn_below: Option<u32>,
    pub(super) trust: Trust,
    pub(super) in_doubt: InDoubt,
    pub(super) goal: Goal,
    pub(super) labels: Labels,
    pub(super) max_outage: Duration,
}

/// The options of a command that works through a catalog.
pub(super) struct BatchArgs<'a> {
    pub(super) catalog: &'a CatalogArgs,
    pub(super) output: &'a OutputArgs,
    pub(super) ledger: &'a LedgerArgs,
    pub(super) label: &'a LabelArgs,
    pub(super) wait: &'a WaitArgs,
    pub(super) request: &'a RequestArgs,
}

impl BatchArgs<'_> {
    /// Reads the catalog and the results that are there, and checks all that they hold; those rows only that are `chosen`, if
    /// some are. `is_partial` tells whether the command takes up some rows only, for that or another reason.
    pub(super) async fn open(
        &self,
        (clock, stop): (Clock, Stop),
        (chosen, is_partial): (Option<BTreeSet<MusicTaskId>>, bool),
        (in_doubt, goal): (InDoubt, Goal),
    ) -> Result<BatchContext, Error> {
        let (catalog, paths) = (self.catalog.open_for(chosen).await?, self.output.paths(self.catalog, self.ledger));
        let earlier = self.output.earlier(self.catalog, &catalog, &paths.results).await?;
        let (labels, names) = (self.label.find(&catalog)?, self.wait.names(&catalog)?);
        Ok(BatchContext {
            clock,
            stop,
            identity: self.catalog.identity(),
            is_partial,
            catalog,
            earlier,
            ledger_place: self.catalog.ledger(self.ledger)?,
            paths,
            images: self.wait.read.download.clone(),
            names,
            warn_below: self.wait.warn_below,
            trust: self.ledger.trust(),
            in_doubt,
            goal,
            labels,
            max_outage: self.request.max_outage,
        })
    }
}

impl BatchContext {
    /// Gives the ledger what only earlier results tell of, and says so. Returns how many music tasks these are.
    pub(super) async fn take_over(&self, ledger: &AnyLedger) -> Result<u64, Error> {
        let count = self.take_over_into(ledger, Some(ledger)).await?;
        if count > 0 && !self.catalog.is_results() {
            let results = self.paths.results.display();
            warn!(music_tasks = count, %results, "the ledger did not know what earlier results tell of; taken over");
        }
        Ok(count)
    }

    /// The same into another ledger than the one that is there, if one is, without a word.
    pub(super) async fn take_over_into(&self, into: &AnyLedger, known: Option<&AnyLedger>) -> Result<u64, Error> {
        let mut count = 0;
        for results in self.all_earlier() {
            count += join::take_over(results, known, into, self.trust).await.map_err(WorklistError::from)?;
        }
        Ok(count)
    }

    /// Notes what the files of images are called, if not by their ids.
    pub(super) async fn name_files(&self, ledger: &AnyLedger) -> Result<(), Error> {
        let Some(names) = &self.names else { return Ok(()) };
        Ok(covers::name_files(&self.catalog, ledger, names).await.map_err(WorklistError::from)?)
    }

    /// The results of earlier runs, the latest first; the catalog may be one too.
    pub(super) fn all_earlier(&self) -> impl Iterator<Item = &Arc<Catalog>> {
        self.earlier.iter().chain(Some(&self.catalog).filter(|catalog| catalog.is_results()))
    }

    /// Leaves what a command that failed had followed to others, who take it up at once. It has failed already, and says so.
    pub(super) async fn released<T>(&self, ledger: &AnyLedger, run: RunId, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_err() {
            let _ = ledger.release_jobs(run, self.clock.unix()).await;
        }
        done
    }

    /// What the runs of this command work with.
    pub(super) fn parts<A, L>(&self, api: &Arc<A>, ledger: &Arc<L>) -> Parts<A, L> {
        Parts { api: Arc::clone(api), ledger: Arc::clone(ledger), clock: self.clock, stop: self.stop.clone() }
    }

    /// What is shown of this command: so many rows to send and covers to follow, and `gate`, where all of it waits.
    pub(super) fn watched(&self, style: Style, rows: u64, covers: u64, gate: &Arc<Gate>) -> Watched {
        let failing = Rows { catalog: Arc::clone(&self.catalog), labels: self.labels.clone() };
        Watched {
            style,
            clock: self.clock,
            rows,
            covers,
            rate: None,
            gate: Arc::clone(gate),
            reads: None,
            wait: None,
            failing,
        }
    }
}
