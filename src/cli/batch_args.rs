//! The options that say which batch a command is about, and what they come to.

use std::collections::BTreeSet;

use crate::cli::account::LedgerArgs;
use crate::cli::batch::BatchContext;
use crate::cli::cover_args::{RequestArgs, WaitArgs};
use crate::cli::options::{CatalogArgs, LabelArgs, OutputArgs};
use crate::clock::Clock;
use crate::domain::MusicTaskId;
use crate::error::Error;
use crate::policy::InDoubt;
use crate::results::Goal;
use crate::runner::Stop;

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
