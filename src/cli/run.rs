//! `coverbatch run`: everything set up, the one loop, and what is told at the end.

mod args;
mod check;
mod deadline;
mod dry;
mod findings;
mod rows;

use std::io::{IsTerminal as _, stderr};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::api::ApiUrl;
use crate::api::download::Downloads;
use crate::api::http::{HttpApi, HttpConfig};
use crate::catalog::Catalog;
use crate::cli::batch::{BatchContext, RunOutcome, next_commands};
use crate::cli::cover_args::ImageSettings;
use crate::cli::guard::Guard;
use crate::cli::options::{bad_rows, odd_ids};
use crate::cli::outcome::{CommandOutcome, MetricsFile, watch_signals};
use crate::cli::output::{eprint, print};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::clock::{Clock, UnixMillis};
use crate::covers;
use crate::domain::Ended;
use crate::error::{Error, Exit};
use crate::files::{check_writable, folder_of, is_stdout};
use crate::ledger::{
    AnyLedger, Begin, Begun, CoverScope, FollowLedger as _, NewRun, ReadLedger as _, RunId, SqliteLedger,
    SubmitLedger as _,
};
use crate::policy::GenerationEstimate;
use crate::progress::Screen;
use crate::ratelimit::Gate;
use crate::report::NextCommands;
use crate::runner::{Progress, Runner, Stop};
use crate::sandbox::{Sandbox, Scenario};
use crate::worklist::{Counts, Selection, Worklist, WorklistError};

use dry::DryRun;

pub(super) use args::RunArgs;
pub(super) use check::check;

/// A run whose options have been checked.
struct Run<'a> {
    args: &'a RunArgs,
    screen: &'a Screen,
    batch: BatchContext,
    service: Service,
    downloads: Downloads,
}

/// The gates that requests pass: those of submissions, and those of reads if there are any.
struct Gates {
    submissions: Arc<Gate>,
    reads: Option<Arc<Gate>>,
}

pub(super) async fn run(mut args: RunArgs, settings: &Settings, screen: &Screen) -> Result<Exit, Error> {
    args.log.begin(screen);
    if args.rows.is_confined() {
        args.tell.leave_monitors_alone();
    }
    let guard = args.guard();
    let metrics = args.tell.metrics(&guard);
    let checked = Box::pin(checked(&args, settings, screen, &guard, &metrics));
    if args.dry.dry_run {
        return checked.await?.dry_run().await;
    }
    args.tell.conclude(&metrics, args.log.quiet, Box::pin(async { checked.await?.run().await })).await
}

/// Checks everything that can be checked before anything is sent.
async fn checked<'a>(
    args: &'a RunArgs,
    settings: &Settings,
    screen: &'a Screen,
    guard: &Guard,
    metrics: &MetricsFile,
) -> Result<Run<'a>, Error> {
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
    Ok(Run { args, screen, batch, service, downloads })
}

impl Run<'_> {
    fn selection(&self) -> Selection {
        Selection { retry: self.args.rerun.retry(), in_doubt: self.batch.in_doubt, limit: self.args.rows.limit }
    }

    /// Whether somebody watches.
    fn is_watched(&self) -> bool {
        stderr().is_terminal() && !self.args.log.quiet
    }

    const fn catalog(&self) -> &Arc<Catalog> {
        &self.batch.catalog
    }

    /// Tells what a run would do.
    async fn dry_run(self) -> Result<Exit, Error> {
        self.args.wait.check()?;
        let ledger_place = &self.batch.ledger_place;
        let ledger = AnyLedger::open_to_read(ledger_place, Some(self.service.identity())).await?;
        let taken_over = self.taken_over(ledger.as_ref()).await?;
        let ledgers = ledger.iter().chain(taken_over.as_ref().map(|(ledger, _)| ledger)).collect();
        let (mut worklist, counts) = Worklist::plan(self.catalog(), ledgers, self.selection()).await?;
        let plan = DryRun {
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

    /// Sends what is to be sent, and writes down what came of it.
    async fn run(self) -> Result<CommandOutcome, Error> {
        check_writable(&self.batch.paths.results)?;
        self.batch.paths.failures.as_deref().map_or(Ok(()), check_writable)?;
        let image_settings = self.args.wait.image_settings()?;
        let started = self.batch.clock.unix();
        let place = &self.batch.ledger_place;
        self.args.ledger.make_folder(place)?;
        let max_outage = self.args.request.max_outage;
        let ledger = Arc::new(AnyLedger::open(place, self.service.identity(), max_outage).await?);
        // Nothing is sent meanwhile, and answers are kept: as in any outage.
        let results = &self.batch.paths.results;
        let new = NewRun {
            catalog: self.args.catalog.identity(),
            results: full_name(results),
            command: self.next().rerun,
            at: started,
        };
        let submitted = match ledger.begin_run(new).await {
            Ok(Begin::Begun(begun)) => self.submit(&ledger, &image_settings, (begun, started)).await,
            // The results are not ours to write.
            Ok(Begin::ResultsInUse(holder)) => return Err(Error::ResultsInUse { results: results.clone(), holder }),
            Err(error) => Err(error.into()),
        };
        match submitted {
            Ok(outcome) => self.batch.finish(ledger, &image_settings, outcome).await,
            Err(error) => {
                self.batch.write_partial_results(&ledger).await;
                Err(error)
            }
        }
    }

    async fn submit(
        &self,
        ledger: &Arc<AnyLedger>,
        image_settings: &ImageSettings,
        (begun, started): (Begun, UnixMillis),
    ) -> Result<RunOutcome, Error> {
        if self.is_watched() && !self.catalog().is_confined() {
            // In a mail, the digest tells of them.
            eprint(&bad_rows(self.catalog()));
        }
        let run = begun.run;
        let taken_over = self.batch.take_over(ledger).await?;
        self.batch.name_files(ledger).await?;
        let (worklist, counts) = Worklist::plan(self.catalog(), vec![&**ledger], self.selection()).await?;
        if self.args.waits() {
            let mark = self.args.wait.mark(run);
            covers::take_up(self.catalog(), &**ledger, self.batch.trust, mark, started)
                .await
                .map_err(worklist_error)?;
        }
        let gates = self.gates();
        let sent = self.send(ledger, &gates, image_settings, (begun, worklist), counts).await;
        if sent.is_err() {
            // What it followed is taken up by others at once. The run has failed already, and says so.
            let _ = ledger.release_jobs(run, self.batch.clock.unix()).await;
        }
        let (ended, progress) = sent?;
        let ended = if ended == Ended::Finished && counts.over_limit > 0 { Ended::Limit } else { ended };
        Ok(RunOutcome {
            run,
            ended,
            started,
            progress,
            taken_over,
            submissions: Some((self.args.pace.rate, gates.submissions)),
            reads: gates.reads.map(|gate| (self.args.wait.read.poll_rate, gate)),
            next: self.next(),
        })
    }

    fn next(&self) -> NextCommands {
        next_commands::<RunArgs>("run", &self.args.ledger.implied(&self.batch.ledger_place))
    }

    fn gates(&self) -> Gates {
        let (rate, max_outage, clock) = (self.args.pace.rate, self.args.request.max_outage, self.batch.clock);
        let has_reads = self.args.waits() || self.args.checks_music() || self.args.budget().is_some();
        Gates {
            submissions: Gate::new(rate, max_outage, clock),
            reads: has_reads.then(|| self.args.wait.read.gate(max_outage, clock)),
        }
    }

    /// Runs the one loop, with the stand-in service beside it if that is asked for.
    async fn send(
        &self,
        ledger: &Arc<AnyLedger>,
        gates: &Gates,
        image_settings: &ImageSettings,
        (run, worklist): (Begun, Worklist),
        counts: Counts,
    ) -> Result<(Ended, Progress), Error> {
        let sandbox = match self.service.api_url {
            Some(_) => None,
            None => Some(start_sandbox(self.batch.clock).await?),
        };
        let api = Arc::new(self.api(sandbox.as_ref())?);
        let parts = ((api, Arc::clone(ledger)), (Arc::clone(&gates.submissions), self.batch.clock), (run, worklist));
        let config = self.args.config(self.batch.in_doubt, self.batch.clock.unix());
        let runner = Runner::new(parts.0, parts.1, parts.2, config, self.batch.stop.clone());
        let is_partial = self.catalog().is_confined() || self.args.rows.limit.is_some();
        let runner = if is_partial { runner.confined() } else { runner };
        let runner = self.with_reads(runner, gates, image_settings, run.run).knowing(self.usual(ledger).await?);
        let progress = runner.progress();
        let shown = self.is_watched().then(|| {
            let (rate, gate) = (self.args.pace.rate, Arc::clone(&gates.submissions));
            self.screen.follow(counts.to_send, rate, gate, progress.clone())
        });
        let ended = runner.run().await;
        drop(shown);
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        let progress = *progress.borrow();
        Ok((ended?, progress))
    }

    /// The runner, with music checked first and covers followed as far as that is asked for.
    fn with_reads(
        &self,
        mut runner: Runner<HttpApi, AnyLedger>,
        gates: &Gates,
        image_settings: &ImageSettings,
        run: RunId,
    ) -> Runner<HttpApi, AnyLedger> {
        let Some(gate) = &gates.reads else { return runner };
        let (wait, request) = (&self.args.wait, &self.args.request);
        if self.args.checks_music() {
            runner = runner.checking_music(Arc::clone(gate));
        }
        if let Some(budget) = self.args.budget() {
            runner = runner.spending(budget, Arc::clone(gate));
        }
        if self.args.waits() {
            let policy = (wait.patience(request.max_attempts), request.timeout);
            runner = runner.tracking(wait.read.tracking(
                CoverScope::OfRun(run),
                gate,
                image_settings.folder.as_ref(),
                policy,
            ));
        }
        runner
    }

    /// How long covers usually take; of the stand-in that is known.
    async fn usual(&self, ledger: &AnyLedger) -> Result<GenerationEstimate, Error> {
        Ok(match self.service.api_url {
            Some(_) => GenerationEstimate::new(ledger.generation_times().await?),
            None => GenerationEstimate::new([*Scenario::default().generation.end()]),
        })
    }

    fn api(&self, sandbox: Option<&Sandbox>) -> Result<HttpApi, Error> {
        let api_url = address(self.service.api_url.as_ref(), sandbox)?;
        http_api(self.args, &self.service, (api_url, self.downloads.clone()), self.batch.clock)
    }
}

/// The stand-in service, on a free port of this machine.
async fn start_sandbox(clock: Clock) -> Result<Sandbox, Error> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Sandbox::start(anywhere, Scenario::default(), clock).await.map_err(Error::Sandbox)
}

/// The address of the API, or of the stand-in in its place.
fn address(api_url: Option<&ApiUrl>, sandbox: Option<&Sandbox>) -> Result<ApiUrl, Error> {
    match api_url {
        Some(api_url) => Ok(api_url.clone()),
        None => ApiUrl::new(&sandbox.map(Sandbox::base_url).unwrap_or_default())
            .map_err(|bad| Error::usage(bad.to_string(), "")),
    }
}

/// Who asks the service at `api_url`.
fn http_api(
    args: &RunArgs,
    service: &Service,
    (api_url, downloads): (ApiUrl, Downloads),
    clock: Clock,
) -> Result<HttpApi, Error> {
    let Service { route, key, callback, .. } = service;
    let config = HttpConfig {
        api_url,
        key: key.clone(),
        provider: args.ledger.account.provider(),
        route: *route,
        callback: callback.clone(),
        timeout: args.request.timeout,
        clock,
        downloads,
    };
    Ok(HttpApi::new(config)?)
}

/// Rows that cannot be read before anything was sent.
fn worklist_error(error: crate::join::JoinError) -> Error {
    Error::Worklist(error.into())
}

/// The full name of a file that is written, whichever links lead to it; `None` for standard output.
fn full_name(path: &Path) -> Option<String> {
    let folder = folder_of(path).canonicalize().ok().filter(|_| !is_stdout(path));
    let full = path.canonicalize().ok().filter(|_| !is_stdout(path)).or_else(|| Some(folder?.join(path.file_name()?)));
    full.map(|full| full.to_string_lossy().into_owned())
}
