//! `coverbatch run`: everything set up, the one loop, and what is told at the end.

mod args;
mod dry;

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use tokio::time::Instant;

use crate::api::http::{HttpApi, HttpConfig};
use crate::api::{ApiUrl, CallbackUrl, GENERATE_PATH};
use crate::catalog::Catalog;
use crate::cli::options::bad_rows;
use crate::cli::{complain, key, logging, print, signals};
use crate::clock::{Clock, UnixMillis};
use crate::domain::Ended;
use crate::error::{Error, Exit};
use crate::gate::{Gate, GateConfig, slack};
use crate::ledger::{Ledger as _, RunId, RunLock, SqliteLedger};
use crate::progress::Screen;
use crate::report::{Files, NextCommands, Summary};
use crate::results::{self, Paths, View, check_writable};
use crate::runner::{Runner, Stop};
use crate::sandbox::{Sandbox, Scenario};
use crate::secret::ApiKey;
use crate::worklist::{Choice, Counts, Worklist};

use dry::DryRun;

pub(super) use args::RunArgs;

/// What the ledger of the stand-in service belongs to; its address is another one each time.
const SANDBOX: &str = "sandbox";

/// The key for the stand-in service, which takes any.
const SANDBOX_KEY: &str = "stand-in-needs-no-key";

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

/// Where to send, and as whom.
struct Service {
    /// The address of the API; `None` in the sandbox, which has none before it is started.
    api_url: Option<ApiUrl>,
    key: ApiKey,
    callback: CallbackUrl,
}

impl Service {
    /// What the ledger belongs to.
    fn identity(&self) -> &str {
        self.api_url.as_ref().map_or(SANDBOX, ApiUrl::as_str)
    }
}

pub(super) async fn run(args: RunArgs, matches: Option<&ArgMatches>, screen: &Screen) -> Result<Exit, Error> {
    logging::begin(args.talk.log_format, args.talk.verbose, args.talk.quiet, screen);
    let (clock, stop) = (Clock::start(), Stop::default());
    signals::watch(&stop)?;
    let service = service(&args, matches)?;
    let catalog = args.catalog.open().await?;
    let ledger_path = args.ledger.path(&args.catalog);
    let paths = args.output.paths(&args.catalog, &catalog, &ledger_path)?;
    let job = Job { args: &args, clock, stop, screen, catalog, ledger_path, paths, service };
    if args.talk.dry_run { job.dry_run().await } else { job.run().await }
}

/// Where to send: found out, and refused if it is not safe, before anything else.
fn service(args: &RunArgs, matches: Option<&ArgMatches>) -> Result<Service, Error> {
    let callback = args.callback(matches)?;
    if args.ledger.sandbox {
        let key = ApiKey::new(SANDBOX_KEY).map_err(|bad| Error::usage(bad.to_string(), ""))?;
        return Ok(Service { api_url: None, key, callback });
    }
    let text = args.service.api_url.as_deref().unwrap_or(args.service.provider.provider().base_url());
    let api_url = ApiUrl::new(text).map_err(|bad| {
        Error::usage(format!("--api-url `{text}` cannot be used: {bad}"), "such as https://api.kie.ai")
    })?;
    let key = key::find(args.service.api_key_file.as_deref())?;
    Ok(Service { api_url: Some(api_url), key, callback })
}

impl Job<'_> {
    fn choice(&self) -> Choice {
        let rerun = &self.args.rerun;
        Choice { retry: rerun.retry(), in_doubt: rerun.in_doubt(), trust: self.args.ledger.trust() }
    }

    /// Tells what a run would do.
    async fn dry_run(self) -> Result<Exit, Error> {
        let ledger = SqliteLedger::open_to_read(&self.ledger_path, Some(self.service.identity()))?;
        let (mut worklist, counts) = Worklist::plan(&self.catalog, ledger.as_ref(), self.choice()).await?;
        let plan = DryRun {
            counts,
            rate: self.args.pace.rate,
            clock: self.clock,
            ledger: (&self.ledger_path, ledger.is_some()),
            paths: &self.paths,
            address: self.service.api_url.as_ref().map_or_else(sandbox_address, ApiUrl::generate),
            callback: &self.service.callback,
            first: worklist.next(true).await?,
        };
        // Closed, so that it leaves no log of its own beside the ledger.
        if let Some(ledger) = ledger {
            ledger.close().await;
        }
        print(&if self.args.talk.json { plan.json() } else { plan.text() })?;
        complain(&bad_rows(&self.catalog));
        Ok(Exit::Success)
    }

    /// Sends what is to be sent, and writes down what came of it.
    async fn run(self) -> Result<Exit, Error> {
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
        let (ended, sent) = self.send(&ledger, &gate, (run, worklist), counts).await?;
        ledger.end_run(run, ended, self.clock.unix()).await?;
        let view =
            View { unreached: ended.reason(), in_doubt: self.args.rerun.in_doubt(), trust: self.args.ledger.trust() };
        let tally = results::write(&self.catalog, Some(&*ledger), view, &self.paths).await?;
        if let Some(ledger) = Arc::into_inner(ledger) {
            ledger.close().await;
        }
        let summary = Summary {
            ended,
            exit: Exit::of_run(ended, &tally),
            tally,
            sent,
            rate: self.args.pace.rate,
            gate: gate.view(),
            started,
            took: self.clock.elapsed(),
            files: self.files(),
            next: next_commands(),
        };
        self.tell(&summary, bad.lines().count())
    }

    /// A gate that counts what earlier runs sent within one window.
    async fn gate(&self, ledger: &SqliteLedger) -> Result<Arc<Gate>, Error> {
        let rate = self.args.pace.rate;
        let config = GateConfig { rate, max_outage: self.args.pace.max_outage };
        let (now, here) = (self.clock.unix(), self.clock.now());
        let window = rate.period + slack(rate);
        let since = UnixMillis(now.0.saturating_sub(UnixMillis(0).after(window).0));
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
    ) -> Result<(Ended, u64), Error> {
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
        let sent = progress.borrow().sent;
        Ok((ended?, sent))
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
    fn tell(&self, summary: &Summary, lines_used: usize) -> Result<Exit, Error> {
        let watched = stderr().is_terminal() && !self.args.talk.quiet;
        if watched || summary.exit != Exit::Success {
            complain(&summary.digest(lines_used));
        }
        if self.args.talk.json {
            print(&(summary.json() + "\n"))?;
        }
        Ok(summary.exit)
    }
}

/// Where a dry run would send: the stand-in listens on whichever port is free.
fn sandbox_address() -> String {
    format!("http://127.0.0.1:<any free port>{GENERATE_PATH}")
}

/// This command line again, ready for a shell.
fn next_commands() -> NextCommands {
    let words: Vec<OsString> = env::args_os().collect();
    let with = |more: &[&str]| {
        let words = words.iter().map(|word| word.as_bytes()).chain(more.iter().map(|word| word.as_bytes()));
        let joined = shlex::bytes::try_join(words).unwrap_or_else(|_| b"coverbatch run".to_vec());
        String::from_utf8_lossy(&joined).into_owned()
    };
    NextCommands { rerun: with(&[]), retry_all: with(&["--retry", "all"]), resend: with(&["--in-doubt", "resend"]) }
}
