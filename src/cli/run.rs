//! `coverbatch run`: everything set up, the one loop, and what is told at the end.

mod args;
mod dry;
mod next;
mod service;

use std::error::Error as _;
use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use tokio::time::Instant;
use tracing::warn;

use crate::api::ApiUrl;
use crate::api::http::{HttpApi, HttpConfig};
use crate::api::ping::Ping;
use crate::catalog::Catalog;
use crate::cli::options::bad_rows;
use crate::cli::{complain, logging, print, signals};
use crate::clock::Clock;
use crate::domain::{Ended, Reason};
use crate::error::{Error, Exit};
use crate::files::{check_writable, replace_whole};
use crate::gate::{Gate, GateConfig, Pause, slack};
use crate::ledger::{Ledger as _, RunId, RunLock, SqliteLedger};
use crate::metrics;
use crate::progress::Screen;
use crate::report::{Files, Paused, Summary};
use crate::results::{self, Paths, View};
use crate::runner::{Progress, Runner, Stop};
use crate::sandbox::{Sandbox, Scenario};
use crate::worklist::{Choice, Counts, Worklist};

use dry::DryRun;
use next::next_commands;
use service::Service;

pub(super) use args::RunArgs;

/// A run whose options have been checked.
struct Job<'a> {
    args: &'a RunArgs,
    clock: Clock,
    stop: Stop,
    screen: &'a Screen,
    catalog: Arc<Catalog>,
    ledger_path: PathBuf,
    paths: Paths,
    service: Service,
}

pub(super) async fn run(args: RunArgs, matches: Option<&ArgMatches>, screen: &Screen) -> Result<Exit, Error> {
    logging::begin(args.talk.log_format, args.talk.verbose, args.talk.quiet, screen);
    let monitor = args.monitor()?;
    let started = monitor.as_ref().map(Ping::start);
    let done = checked_run(&args, matches, screen).await;
    if let (Some(monitor), Some(started)) = (monitor, started) {
        // In this order, or the monitor would take the run for one that goes on.
        let _ = started.await;
        let (exit, digest) = match &done {
            Ok(done) => (done.exit, done.digest.clone()),
            Err(error) => (error.exit(), error.report()),
        };
        monitor.end(exit.code(), digest).await;
    }
    done.map(|done| done.exit)
}

/// How a run ended, and what is told of it.
struct Done {
    exit: Exit,
    digest: String,
}

/// Checks everything that can be checked before anything is sent, and then runs.
async fn checked_run(args: &RunArgs, matches: Option<&ArgMatches>, screen: &Screen) -> Result<Done, Error> {
    let (clock, stop) = (Clock::start(), Stop::default());
    signals::watch(&stop)?;
    let service = Service::of(args, matches)?;
    let catalog = args.catalog.open().await?;
    let ledger_path = args.ledger.path(&args.catalog);
    let paths = args.output.paths(&args.catalog, &catalog, &ledger_path)?;
    let job = Job { args, clock, stop, screen, catalog, ledger_path, paths, service };
    if args.talk.dry_run { job.dry_run().await } else { job.run().await }
}

impl Job<'_> {
    fn choice(&self) -> Choice {
        let rerun = &self.args.rerun;
        Choice { retry: rerun.retry(), in_doubt: rerun.in_doubt(), trust: self.args.ledger.trust() }
    }

    /// Tells what a run would do.
    async fn dry_run(self) -> Result<Done, Error> {
        let ledger = SqliteLedger::open_to_read(&self.ledger_path, Some(self.service.identity()))?;
        let (mut worklist, counts) = Worklist::plan(&self.catalog, ledger.as_ref(), self.choice()).await?;
        let plan = DryRun {
            counts,
            rate: self.args.pace.rate,
            clock: self.clock,
            ledger: (&self.ledger_path, ledger.is_some()),
            paths: &self.paths,
            address: self.service.address(),
            callback: &self.service.callback,
            first: worklist.next(true).await?,
        };
        // Closed, so that it leaves no log of its own beside the ledger.
        if let Some(ledger) = ledger {
            ledger.close().await;
        }
        print(&if self.args.talk.json { plan.json() } else { plan.text() })?;
        complain(&bad_rows(&self.catalog));
        Ok(Done { exit: Exit::Success, digest: String::new() })
    }

    /// Sends what is to be sent, and writes down what came of it.
    async fn run(self) -> Result<Done, Error> {
        check_writable(&self.paths.results)?;
        self.paths.failures.as_deref().map_or(Ok(()), check_writable)?;
        let started = self.clock.unix();
        let _lock = RunLock::take(&self.ledger_path, started)?;
        let ledger = Arc::new(SqliteLedger::open(&self.ledger_path, self.service.identity())?);
        let bad = bad_rows(&self.catalog);
        complain(&bad);
        let run = ledger.begin_run(&self.args.catalog.identity(), started).await?;
        let (worklist, counts) = Worklist::plan_and_adopt(&self.catalog, &*ledger, self.choice()).await?;
        let gate = self.gate(&ledger).await?;
        let sent = self.send(&ledger, &gate, (run, worklist), counts).await;
        if sent.is_err() {
            self.salvage().await;
        }
        let (ended, progress) = sent?;
        ledger.end_run(run, ended, self.clock.unix()).await?;
        let tally = results::write(&self.catalog, Some(&*ledger), self.view(ended.reason()), &self.paths).await?;
        if let Some(ledger) = Arc::into_inner(ledger) {
            ledger.close().await;
        }
        // A signal that came while the results were being written still decides the exit code.
        let ended = self.stop.requested().unwrap_or(ended);
        let summary = Summary {
            ended,
            exit: Exit::of_run(ended, &tally),
            tally,
            sent: progress.sent,
            rate: self.args.pace.rate,
            gate: gate.view(),
            pauses: self.pauses(&gate),
            outcomes: progress.outcomes.counts(),
            started,
            took: self.clock.elapsed(),
            files: self.files(),
            next: next_commands(),
        };
        self.tell(&summary, bad.lines().count())
    }

    /// How the rows look at the end of this run.
    fn view(&self, unreached: Option<Reason>) -> View {
        View { unreached, in_doubt: self.args.rerun.in_doubt(), trust: self.args.ledger.trust() }
    }

    /// Writes the results of a run that could not go on, as far as its ledger can be read and they can be written.
    async fn salvage(&self) {
        if let Ok(Some(ledger)) = SqliteLedger::open_to_read(&self.ledger_path, None) {
            // The run has failed already, and says so; that this fails too changes nothing.
            let _ =
                results::write(&self.catalog, Some(&ledger), self.view(Some(Reason::Interrupted)), &self.paths).await;
            ledger.close().await;
        }
    }

    /// A gate that counts what earlier runs sent within one window.
    async fn gate(&self, ledger: &SqliteLedger) -> Result<Arc<Gate>, Error> {
        let rate = self.args.pace.rate;
        let config = GateConfig { rate, max_outage: self.args.pace.max_outage };
        let (now, here) = (self.clock.unix(), self.clock.now());
        let window = rate.period + slack(rate);
        let since = now.before(window);
        let sends = ledger.sends_since(since).await?;
        // A send from the future, by a clock that was set back since, counts as one from now.
        let earlier: Vec<Instant> =
            sends.into_iter().map(|at| here.checked_sub(at.until(now)).unwrap_or(here)).collect();
        Ok(Gate::new(config, self.clock, &earlier))
    }

    /// Runs the one loop, with the stand-in service beside it if that is asked for.
    async fn send(
        &self,
        ledger: &Arc<SqliteLedger>,
        gate: &Arc<Gate>,
        (run, worklist): (RunId, Worklist),
        counts: Counts,
    ) -> Result<(Ended, Progress), Error> {
        let sandbox = match self.service.api_url {
            Some(_) => None,
            None => Some(self.start_sandbox().await?),
        };
        let api = Arc::new(self.api(sandbox.as_ref())?);
        let config = self.args.config();
        let parts = ((api, Arc::clone(ledger)), (Arc::clone(gate), self.clock), (run, worklist));
        let runner = Runner::new(parts.0, parts.1, parts.2, config, self.stop.clone());
        let progress = runner.progress();
        let shown = (stderr().is_terminal() && !self.args.talk.quiet).then(|| {
            let rate = self.args.pace.rate;
            self.screen.follow(counts.to_send, rate, Arc::clone(gate), self.clock, progress.clone())
        });
        let ended = runner.run().await;
        drop(shown);
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        let progress = *progress.borrow();
        Ok((ended?, progress))
    }

    async fn start_sandbox(&self) -> Result<Sandbox, Error> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Sandbox::start(anywhere, Scenario::default(), self.clock).await.map_err(Error::Sandbox)
    }

    fn api(&self, sandbox: Option<&Sandbox>) -> Result<HttpApi, Error> {
        let api_url = match (&self.service.api_url, sandbox) {
            (Some(api_url), _) => api_url.clone(),
            (None, sandbox) => ApiUrl::new(&sandbox.map(Sandbox::base_url).unwrap_or_default())
                .map_err(|bad| Error::usage(bad.to_string(), ""))?,
        };
        let Service { key, callback, .. } = &self.service;
        let config = HttpConfig {
            api_url,
            key: key.clone(),
            provider: self.args.service.provider.provider(),
            callback: callback.clone(),
            timeout: self.args.pace.timeout,
            clock: self.clock,
        };
        Ok(HttpApi::new(config)?)
    }

    /// When nothing was sent, by the time of day.
    fn pauses(&self, gate: &Gate) -> Vec<Paused> {
        let (here, now) = (self.clock.now(), self.clock.unix());
        let time = |at: Instant| now.before(here - at);
        let told = |pause: Pause| Paused { reason: pause.reason, from: time(pause.from), until: time(pause.until) };
        gate.pauses().into_iter().map(told).collect()
    }

    fn files(&self) -> Files {
        // Whoever reads of them in a mail is in another folder.
        let absolute = |path: &Path| path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Files {
            results: absolute(&self.paths.results),
            failures: self.paths.failures.as_deref().map(absolute),
            ledger: absolute(&self.ledger_path),
        }
    }

    /// The summary, to whoever wants it: nobody after a clean run that nobody watches.
    fn tell(&self, summary: &Summary, lines_used: usize) -> Result<Done, Error> {
        let watched = stderr().is_terminal() && !self.args.talk.quiet;
        let digest = summary.digest(lines_used);
        if watched || summary.exit != Exit::Success {
            complain(&digest);
        }
        if let Some(path) = &self.args.talk.metrics_file {
            write_metrics(path, summary);
        }
        if self.args.talk.json {
            print(&(summary.json() + "\n"))?;
        }
        Ok(Done { exit: summary.exit, digest })
    }
}

/// Writes the metrics anew. They are a service to others: that they cannot be written is no reason to fail.
fn write_metrics(path: &Path, summary: &Summary) {
    let before = fs::read_to_string(path).unwrap_or_default();
    if let Err(error) = replace_whole(path, metrics::text(summary, &before).as_bytes()) {
        warn!(file = %path.display(), cause = error.source().map(ToString::to_string), "the metrics could not be written");
    }
}
