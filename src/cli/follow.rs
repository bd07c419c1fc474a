//! `coverbatch follow`: accepted covers to their images; submits nothing, also while a run is going on.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;

use clap::Args;

use crate::api::CallbackUrl;
use crate::api::http::{HttpApi, HttpConfig};
use crate::cli::cover_args::{RequestArgs, Stock, WaitArgs};
use crate::cli::job::{Deeds, Done, Job, monitored};
use crate::cli::next::next_commands;
use crate::cli::options::{CatalogArgs, LedgerArgs, OutputArgs};
use crate::cli::signals;
use crate::cli::talk::{LogArgs, ServiceArgs, TellArgs};
use crate::clock::{Clock, UnixMillis};
use crate::covers;
use crate::domain::Ended;
use crate::error::{Error, Exit};
use crate::files::check_writable;
use crate::gate::Gate;
use crate::ledger::{Follower, Ledger as _, RunId, SqliteLedger};
use crate::policy::InDoubt;
use crate::progress::Screen;
use crate::runner::{FollowConfig, Progress, Runner, Stop};

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
    service: ServiceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    tell: TellArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) async fn run(args: FollowArgs, screen: &Screen) -> Result<Exit, Error> {
    args.log.begin(screen);
    monitored(args.tell.monitor()?, follow(&args, screen)).await
}

async fn follow(args: &FollowArgs, screen: &Screen) -> Result<Done, Error> {
    let (clock, stop) = (Clock::start(), Stop::default());
    signals::watch(&stop)?;
    if args.ledger.sandbox {
        let hint = "follow within one run: `coverbatch run CATALOG --wait --sandbox`; or start `coverbatch sandbox` and \
                    name it with --api-url";
        return Err(Error::usage(
            "the stand-in of --sandbox ends with its run, so its covers cannot be followed",
            hint,
        ));
    }
    let (api_url, key) = (args.service.url()?, args.service.key()?);
    let catalog = args.catalog.open().await?;
    let ledger_path = args.ledger.path(&args.catalog);
    let paths = args.output.paths(&args.catalog, &catalog, &ledger_path).await?;
    check_writable(&paths.results)?;
    paths.failures.as_deref().map_or(Ok(()), check_writable)?;
    let stock = args.wait.stock()?;
    let job = Job {
        clock,
        stop,
        catalog,
        ledger_path,
        paths,
        images: args.wait.read.download.clone(),
        trust: args.ledger.trust(),
        in_doubt: InDoubt::Resend,
        goal: args.wait.goal(),
        tell: &args.tell,
        is_quiet: args.log.quiet,
    };
    let ledger = Arc::new(SqliteLedger::open(&job.ledger_path, api_url.as_str())?);
    let timeout = args.request.timeout;
    let downloads = args.wait.read.downloads(timeout, api_url.is_loopback(), clock)?;
    let (provider, callback) = (args.service.provider.provider(), CallbackUrl::inert());
    let api = Arc::new(HttpApi::new(HttpConfig { api_url, key, provider, callback, timeout, clock, downloads })?);
    Following { args, screen, job, stock, ledger, api }.go().await
}

/// A command whose options have been checked.
struct Following<'a> {
    args: &'a FollowArgs,
    screen: &'a Screen,
    job: Job<'a>,
    stock: Stock,
    ledger: Arc<SqliteLedger>,
    api: Arc<HttpApi>,
}

impl Following<'_> {
    async fn go(self) -> Result<Done, Error> {
        let (clock, args) = (self.job.clock, self.args);
        let started = clock.unix();
        let run = self.ledger.begin_follow(&args.catalog.identity(), started).await?;
        let gate = args.wait.read.gate(&self.ledger, args.request.max_outage, clock).await?;
        let followed = self.rounds(run, started, &gate).await;
        if followed.is_err() {
            self.job.salvage(&self.ledger, run).await;
        }
        let (ended, progress) = followed?;
        let deeds = Deeds {
            run,
            ended,
            started,
            progress,
            submissions: None,
            reads: Some((args.wait.read.poll_rate, gate)),
            lines_used: 0,
            next: next_commands::<FollowArgs>("follow"),
        };
        self.job.finish(self.ledger, &self.stock, deeds).await
    }

    /// Takes up what a run beside this command had accepted meanwhile, until there is nothing more.
    async fn rounds(&self, run: RunId, started: UnixMillis, gate: &Arc<Gate>) -> Result<(Ended, Progress), Error> {
        let (job, wait) = (&self.job, &self.args.wait);
        let (mut ended, mut progress) = (Ended::Finished, Progress::default());
        while job.stop.requested().is_none() {
            let taken = covers::take_up(&job.catalog, &*self.ledger, job.trust, wait.mark(run), started).await;
            let taken = taken.map_err(|error| Error::Worklist(error.into()))?;
            if taken == 0 {
                break;
            }
            let patience = (wait.patience(self.args.request.max_attempts), self.args.request.timeout);
            let following = wait.read.following(Follower::Run(run), gate, self.stock.store.as_ref(), patience);
            let config = FollowConfig {
                concurrency: self.args.request.concurrency,
                max_attempts: self.args.request.max_attempts,
                seed: fastrand::u64(..),
            };
            let parts = (Arc::clone(&self.api), Arc::clone(&self.ledger));
            let runner = Runner::follower(parts, (following, job.clock), config, job.stop.clone());
            let seen = runner.progress();
            let shown = (stderr().is_terminal() && !job.is_quiet)
                .then(|| self.screen.follow_covers(taken, Arc::clone(gate), job.clock, seen.clone()));
            ended = runner.run().await?;
            drop(shown);
            progress.reads += seen.borrow().reads;
            progress.covers += seen.borrow().covers;
        }
        Ok((job.stop.requested().unwrap_or(ended), progress))
    }
}
