//! A run before it begins: everything about it that can be checked, checked.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;

use crate::api::ApiUrl;
use crate::api::download::Downloads;
use crate::catalog::Catalog;
use crate::cli::batch::{BatchArgs, BatchContext};
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
    let options = BatchArgs {
        catalog: &args.catalog,
        output: &args.output,
        ledger: &args.ledger,
        label: &args.label,
        wait: &args.wait,
        request: &args.request,
    };
    let rows = (args.rows.chosen().await?, args.rows.is_partial());
    let batch = options.open((clock, stop), rows, (args.in_doubt()?, args.goal())).await?;
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
