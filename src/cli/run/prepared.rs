//! A run before it begins: everything about it that can be checked, checked.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;

use crate::api::ApiUrl;
use crate::api::download::Downloads;
use crate::catalog::Catalog;
use crate::cli::batch::BatchContext;
use crate::cli::guard::Guard;
use crate::cli::next_command::next_commands;
use crate::cli::outcome::{MetricsFile, watch_signals};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::clock::Clock;
use crate::error::Error;
use crate::progress::Screen;
use crate::report::NextCommands;
use crate::runner::Stop;
use crate::worklist::Selection;

use super::args::RunArgs;

/// A run whose options have been checked.
pub(super) struct PreparedRun<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) screen: &'a Screen,
    pub(super) batch: BatchContext,
    pub(super) service: Service,
    pub(super) downloads: Downloads,
}

/// Checks everything that can be checked before anything is sent.
pub(super) async fn prepare<'a>(
    args: &'a RunArgs,
    settings: &Settings,
    screen: &'a Screen,
    guard: &Guard,
    metrics: &MetricsFile,
) -> Result<PreparedRun<'a>, Error> {
    let (clock, stop) = (Clock::start(), Stop::default());
    watch_signals(&stop, metrics)?;
    args.catalog.is_there()?;
    args.check_waits(settings)?;
    args.check_sandbox(settings)?;
    args.check_input()?;
    guard.check()?;
    let service = Service::of(&args.ledger, &args.key, args.callback(settings)?)?;
    let (catalog, paths) =
        (args.catalog.open_for(args.rows.chosen().await?).await?, args.output.paths(&args.catalog, &args.ledger));
    let earlier = args.output.earlier(&args.catalog, &catalog, &paths.results).await?;
    let labels = args.label.find(&catalog)?;
    let names = args.wait.names(&catalog)?;
    let batch = BatchContext {
        clock,
        stop,
        identity: args.catalog.identity(),
        is_partial: args.rows.is_partial(),
        catalog,
        earlier,
        ledger_place: args.catalog.ledger(&args.ledger)?,
        paths,
        images: args.wait.read.download.clone(),
        names,
        warn_below: args.wait.warn_below,
        trust: args.ledger.trust(),
        in_doubt: args.in_doubt()?,
        goal: args.goal(),
        labels,
        max_outage: args.request.max_outage,
    };
    // A service on this machine has its images on this machine.
    let is_local = service.api_url.as_ref().is_none_or(ApiUrl::is_loopback);
    let downloads = args.wait.read.downloads(args.request.timeout, is_local, clock)?;
    Ok(PreparedRun { args, screen, batch, service, downloads })
}

impl PreparedRun<'_> {
    pub(super) fn selection(&self) -> Selection {
        Selection { retry: self.args.rerun.retry(), in_doubt: self.batch.in_doubt, limit: self.args.rows.limit }
    }

    /// Whether somebody watches.
    pub(super) fn is_watched(&self) -> bool {
        stderr().is_terminal() && !self.args.log.quiet
    }

    pub(super) const fn catalog(&self) -> &Arc<Catalog> {
        &self.batch.catalog
    }

    /// The commands to go on with.
    pub(super) fn next(&self) -> NextCommands {
        next_commands::<RunArgs>("run", &self.args.ledger.implied(&self.batch.ledger_place))
    }
}
