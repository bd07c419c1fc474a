//! `coverbatch run`: everything set up, the one loop, and what is told at the end.

mod api;
mod args;
mod check;
mod deadline;
mod dry_run;
mod findings;
mod prepared;
mod rows;
mod send;
mod submit;

use crate::cli::settings::Settings;
use crate::error::{Error, Exit};
use crate::progress::Screen;

pub(super) use args::RunArgs;
pub(super) use check::check;

use prepared::prepare;

pub(super) async fn run(mut args: RunArgs, settings: &Settings, screen: &Screen) -> Result<Exit, Error> {
    args.log.begin(screen);
    if args.rows.is_confined() {
        args.tell.leave_monitors_alone();
    }
    let guard = args.guard();
    let metrics = args.tell.metrics(&guard);
    let prepared = Box::pin(prepare(&args, settings, screen, &guard, &metrics));
    if args.dry.dry_run {
        return prepared.await?.dry_run().await;
    }
    args.tell.conclude(&metrics, args.log.quiet, Box::pin(async { prepared.await?.run().await })).await
}
