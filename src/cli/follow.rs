//! `coverbatch follow`: accepted covers to their images; submits nothing, also while a run is going on.

use std::sync::Arc;

use clap::Args;

use crate::api::http::HttpApi;
use crate::cli::account::{LedgerArgs, open_existing};
use crate::cli::batch::{BatchArgs, BatchContext, RunOutcome};
use crate::cli::cover_args::{ImageSettings, RequestArgs, WaitArgs};
use crate::cli::guard::Guard;
use crate::cli::next_command::next_commands;
use crate::cli::options::{CatalogArgs, LabelArgs, OutputArgs};
use crate::cli::outcome::{CommandOutcome, MetricsFile, TellArgs, watch_signals};
use crate::cli::output::LogArgs;
use crate::cli::service::KeyArgs;
use crate::clock::{Clock, UnixMillis};
use crate::domain::Ended;
use crate::error::{Error, Exit};
use crate::files::check_writable;
use crate::ledger::{AnyLedger, CoverScope, FollowLedger as _, RunId};
use crate::policy::InDoubt;
use crate::progress::{Screen, Watched};
use crate::ratelimit::Gate;
use crate::runner::{CoverTracking, Parts, Progress, Rounds, Runner, Stop};

/// Follow accepted covers until they are finished; submits nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    before_help = "Example: coverbatch follow catalog.csv --download covers/ --api-key-file /etc/coverbatch/key"
)]
pub(super) struct FollowArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    label: LabelArgs,
    #[command(flatten)]
    tell: TellArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl FollowArgs {
    /// The paths of this command.
    fn guard(&self) -> Guard {
        let guard = self.output.guarded(self.catalog.guard(&self.ledger), &self.catalog, &self.ledger);
        self.wait.guarded(self.tell.guarded(self.key.guarded(guard)))
    }
}

pub(super) async fn run(args: FollowArgs, screen: &Screen) -> Result<Exit, Error> {
    args.log.begin(screen);
    let guard = args.guard();
    let metrics = args.tell.metrics(&guard);
    args.tell.conclude(&metrics, args.log.quiet, Box::pin(follow(&args, screen, &guard, &metrics))).await
}

async fn follow(
    args: &FollowArgs,
    screen: &Screen,
    guard: &Guard,
    metrics: &MetricsFile,
) -> Result<CommandOutcome, Error> {
    let (clock, stop) = (Clock::start(), Stop::default());
    watch_signals(&stop, metrics)?;
    if args.ledger.sandbox {
        let hint = "follow within one run: `coverbatch run CATALOG --wait --sandbox`; or start `coverbatch sandbox` and \
                    name it with --api-url";
        return Err(Error::usage(
            "the stand-in of --sandbox ends with its run, so its covers cannot be followed",
            hint,
        ));
    }
    args.catalog.is_there()?;
    guard.check()?;
    let (api_url, route, key) = (args.ledger.account.url()?, args.ledger.account.route()?, args.key.key()?);
    let options = BatchArgs {
        catalog: &args.catalog,
        output: &args.output,
        ledger: &args.ledger,
        label: &args.label,
        wait: &args.wait,
        request: &args.request,
    };
    let batch = options.open((clock, stop), (None, false), (InDoubt::usual(route), args.wait.goal())).await?;
    check_writable(&batch.paths.results)?;
    batch.paths.failures.as_deref().map_or(Ok(()), check_writable)?;
    let image_settings = args.wait.image_settings()?;
    let ledger = Arc::new(open_existing(&batch.ledger_place, Some(&api_url), batch.max_outage).await?);
    let api = Arc::new(args.wait.read.api(&args.ledger.account, key, args.request.timeout, clock)?);
    Following { args, screen, batch, image_settings, ledger, api }.go().await
}

/// A command whose options have been checked.
struct Following<'a> {
    args: &'a FollowArgs,
    screen: &'a Screen,
    batch: BatchContext,
    image_settings: ImageSettings,
    ledger: Arc<AnyLedger>,
    api: Arc<HttpApi>,
}

impl Following<'_> {
    async fn go(self) -> Result<CommandOutcome, Error> {
        let followed = self.follow().await;
        self.batch.conclude(self.ledger, &self.image_settings, followed).await
    }

    async fn follow(&self) -> Result<RunOutcome, Error> {
        let (clock, args) = (self.batch.clock, self.args);
        let started = clock.unix();
        let taken_over = self.batch.take_over(&self.ledger).await?;
        self.batch.name_files(&self.ledger).await?;
        let next = next_commands::<FollowArgs>("follow", &args.ledger.implied(&self.batch.ledger_place));
        let run = self.ledger.begin_follow(&self.batch.identity, &next.rerun, started).await?;
        let gate = args.wait.read.gate(args.request.max_outage, clock);
        let rounds = CoverRounds {
            batch: &self.batch,
            wait: &args.wait,
            request: &args.request,
            log: &args.log,
            screen: self.screen,
            image_settings: &self.image_settings,
            gate: &gate,
        };
        let parts = self.batch.parts(&self.api, &self.ledger);
        let followed = rounds.follow(parts, run, started, started).await;
        let (ended, progress) = self.batch.released(&self.ledger, run, followed).await?;
        Ok(RunOutcome {
            run,
            ended,
            started,
            progress,
            taken_over,
            submissions: None,
            reads: Some((args.wait.read.poll_rate, gate)),
            next,
        })
    }
}

/// Covers of a catalog followed to their ends, as `run` does it too: what the command was told, and what it has at hand.
pub(super) struct CoverRounds<'a> {
    pub(super) batch: &'a BatchContext,
    pub(super) wait: &'a WaitArgs,
    pub(super) request: &'a RequestArgs,
    pub(super) log: &'a LogArgs,
    pub(super) screen: &'a Screen,
    pub(super) image_settings: &'a ImageSettings,
    /// Where reads wait.
    pub(super) gate: &'a Arc<Gate>,
}

impl CoverRounds<'_> {
    /// How a run that `began` then follows its covers.
    pub(super) fn tracking(&self, run: RunId, began: UnixMillis) -> CoverTracking {
        let policy = (self.wait.poll_policy(self.request.max_attempts), self.request.timeout);
        let folder = self.image_settings.folder.as_ref();
        self.wait.read.tracking(CoverScope::OfRun(run), began, self.gate, folder, policy)
    }

    /// Follows from `at` on what a run that `began` before that still waits for.
    pub(super) async fn follow(
        &self,
        parts: Parts<HttpApi, AnyLedger>,
        run: RunId,
        began: UnixMillis,
        at: UnixMillis,
    ) -> Result<(Ended, Progress), Error> {
        let rounds = Rounds {
            parts,
            catalog: Arc::clone(&self.batch.catalog),
            trust: self.batch.trust,
            waiter: self.wait.waiter(run, began),
            tracking: self.tracking(run, began),
            config: self.request.run_config(),
        };
        let round = async |runner: Runner<HttpApi, AnyLedger>, covers| {
            let watched = self.log.style().map(|style| self.batch.watched(style, 0, covers, self.gate));
            let watched = watched.map(|watched| Watched { wait: Some(self.wait.longest()), ..watched });
            let shown = watched.map(|watched| self.screen.follow(watched, runner.progress(), runner.failures()));
            let ended = runner.run().await;
            if let Some(shown) = shown {
                shown.end().await;
            }
            ended
        };
        Ok(rounds.follow(at, round).await?)
    }
}
