//! One batch from its catalog file to its results file, put together as the program does it.

use std::error::Error;
use std::iter::from_fn;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coverbatch::catalog::{Catalog, CatalogOptions};
use coverbatch::clock::Clock;
use coverbatch::domain::{Credits, Ended, Rate};
use coverbatch::join::{self, Trust};
use coverbatch::ledger::{Begin, CoverScope, Ledger, NewRun, RunId, SqliteLedger};
use coverbatch::policy::{Budget, GenerationEstimate, InDoubt, MaxFailures, Retry, RowPolicy};
use coverbatch::ratelimit::{Gate, GateView};
use coverbatch::results::{self, Format, Goal, Paths, Tally, View};
use coverbatch::runner::{Failure, Parts, Progress, RunConfig, Runner, Stop, Submissions, SubmitConfig};
use coverbatch::worklist::{Counts, Selection, Worklist};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use super::service::{Call, Reply, Sent, Service};
use super::{Table, seconds};

pub(super) type Broken = Box<dyn Error + Send + Sync>;

/// What a run is set to.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) rate: Rate,
    pub(crate) max_outage: Duration,
    pub(crate) run: RunConfig,
    pub(crate) submit: SubmitConfig,
    pub(crate) retry: Retry,
    pub(crate) delimiter: u8,
    /// Asks the run to end after so long, as a signal would.
    pub(crate) stop: Option<(Duration, Ended)>,
    /// Covers are waited for, each so long.
    pub(crate) wait: Option<Duration>,
    /// Records are read at this pace.
    pub(crate) poll: Rate,
    /// Images are saved.
    pub(crate) downloads: bool,
    /// Music is checked first.
    pub(crate) checks_music: bool,
    /// Only so much is spent.
    pub(crate) max_credits: Option<Credits>,
    /// Virtual time after which a run counts as hanging.
    pub(crate) longest: Duration,
}

/// A batch, its service and its ledger; it may be run again and again.
#[derive(Debug)]
pub(crate) struct Night {
    pub(super) folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) service: Arc<Service>,
    pub(crate) settings: Settings,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Morning {
    pub(crate) ended: Ended,
    pub(crate) counts: Counts,
    pub(crate) results: Table,
    pub(crate) tally: Tally,
    pub(crate) gate: GateView,
    /// The submissions of this run.
    pub(crate) sent: Vec<Sent>,
    /// What it told of itself at last.
    pub(crate) progress: Progress,
    /// What it told before.
    pub(crate) shown: Vec<Progress>,
    /// The failures that it told.
    pub(crate) failures: Vec<Failure>,
    pub(crate) began: Instant,
    /// From the first submission that was possible to the last answer.
    pub(crate) took: Duration,
}

impl Morning {
    /// The ids of the submissions, in order.
    pub(crate) fn sent_ids(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.id.as_str()).collect()
    }

    /// The submissions for one music task.
    pub(crate) fn sent_for(&self, id: &str) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.id == id).collect()
    }
}

pub(crate) fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

impl Settings {
    /// Those of the program, with dice that fall the same way each time.
    fn usual() -> Self {
        let rows = RowPolicy { max_attempts: nonzero(6), in_doubt: InDoubt::Resend };
        let max_failures = MaxFailures::Percent(50);
        Self {
            rate: "20/10s".parse().unwrap(),
            max_outage: seconds(3600),
            run: RunConfig { concurrency: nonzero(32), seed: 7 },
            submit: SubmitConfig { rows, max_failures },
            retry: Retry::Retryable,
            delimiter: b',',
            stop: None,
            wait: None,
            poll: "10/10s".parse().unwrap(),
            downloads: false,
            checks_music: false,
            max_credits: None,
            longest: seconds(4 * 3600),
        }
    }
}

impl Night {
    /// A batch over a catalog with these bytes.
    pub(crate) fn over(bytes: impl AsRef<[u8]>) -> Self {
        let clock = Clock::start();
        let night = Self {
            folder: in_memory(),
            clock,
            ledger: Arc::new(SqliteLedger::in_memory("https://api.example").unwrap()),
            service: Arc::new(Service::new(clock)),
            settings: Settings::usual(),
        };
        night.rewrite(bytes);
        night
    }

    /// A batch over a catalog of these ids.
    pub(crate) fn of(ids: &[impl AsRef<str>]) -> Self {
        Self::over(catalog_of(ids))
    }

    /// Another catalog, under the same name.
    pub(crate) fn rewrite(&self, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.catalog_path(), bytes).unwrap();
    }

    /// Another catalog of these ids, under the same name.
    pub(crate) fn now_of(&self, ids: &[impl AsRef<str>]) {
        self.rewrite(catalog_of(ids));
    }

    /// What the service does from now on.
    pub(crate) fn answers(self, script: impl FnMut(Call<'_>) -> Reply + Send + 'static) -> Self {
        self.service.follow(script);
        self
    }

    /// Other settings than the usual.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn catalog_path(&self) -> PathBuf {
        self.folder.path().join("songs.csv")
    }

    pub(crate) fn results_path(&self) -> PathBuf {
        self.folder.path().join("songs.results.csv")
    }

    /// Runs the batch on its ledger.
    pub(crate) async fn run(&self) -> Morning {
        self.run_on(&self.ledger).await.unwrap()
    }

    /// Runs the batch on this ledger.
    pub(crate) async fn run_on<L: Ledger>(&self, ledger: &Arc<L>) -> Result<Morning, Broken> {
        timeout(self.settings.longest, self.live_through(ledger)).await.expect("the run hangs")
    }

    /// Runs the batch and kills it after some time.
    pub(crate) async fn killed_after(&self, time: Duration) {
        assert!(self.is_killed_after(time).await, "the run was over before");
    }

    /// The same, if the run takes that long.
    pub(crate) async fn is_killed_after(&self, time: Duration) -> bool {
        timeout(time, self.live_through(&self.ledger)).await.is_err()
    }

    pub(super) fn catalog(&self) -> Result<Arc<Catalog>, Broken> {
        Ok(Arc::new(Catalog::open(&self.catalog_path().into(), &CatalogOptions::default())?))
    }

    async fn live_through<L: Ledger>(&self, ledger: &Arc<L>) -> Result<Morning, Broken> {
        let catalog = self.catalog()?;
        let started = self.clock.unix();
        let (name, command) = ("songs".to_owned(), "again".to_owned());
        let new = NewRun { catalog: name, is_partial: false, results: None, command, at: started };
        let Begin::Begun(opened) = ledger.begin_run(new).await? else { panic!("no results file is in use") };
        let run = opened.run;
        let in_doubt = self.settings.submit.rows.in_doubt;
        let selection = Selection { retry: self.settings.retry, in_doubt, limit: None };
        if catalog.is_results() {
            join::take_over(&catalog, Some(&**ledger), &**ledger, Trust::All).await?;
        }
        let (worklist, counts) = Worklist::plan(&catalog, vec![&**ledger], selection).await?;
        if self.settings.wait.is_some() {
            self.take_up(&catalog, &**ledger, run, started).await?;
        }
        let gate = self.gate();
        let (began, before) = (self.clock.now(), self.service.sent().len());
        let submissions = Submissions::new(opened, worklist, Arc::clone(&gate), self.settings.submit, self.clock);
        let runner = Runner::new(self.parts(ledger), self.settings.run);
        let runner = self.with_reads(runner, submissions, &**ledger, run).await?;
        let (progress, mut told) = (runner.progress(), runner.failures());
        let mut watched = runner.progress();
        let shown = tokio::spawn(async move {
            let mut shown = Vec::new();
            while watched.changed().await.is_ok() {
                shown.push(*watched.borrow_and_update());
            }
            shown
        });
        let ended = runner.run().await?;
        let took = self.clock.now() - began;
        ledger.end_run(run, ended, self.clock.unix()).await?;
        let (results, tally) = self.write_results(&catalog, &**ledger, ended).await?;
        let (sent, progress, gate) = (self.service.sent().split_off(before), *progress.borrow(), gate.view());
        let (shown, failures) = (shown.await?, from_fn(|| told.try_recv().ok()).collect());
        Ok(Morning { ended, counts, results, tally, gate, sent, progress, shown, failures, began, took })
    }

    /// The runner, with music checked first, covers waited for and money counted as far as that is asked for.
    async fn with_reads<L: Ledger>(
        &self,
        runner: Runner<Service, L>,
        mut submissions: Submissions,
        ledger: &L,
        run: RunId,
    ) -> Result<Runner<Service, L>, Broken> {
        if self.settings.wait.is_none() && !self.settings.checks_music && self.settings.max_credits.is_none() {
            return Ok(runner.submitting(submissions));
        }
        let gate = self.gate_of_reads();
        if self.settings.checks_music {
            submissions = submissions.checking_music(Arc::clone(&gate));
        }
        if let Some(most) = self.settings.max_credits {
            submissions = submissions.spending(Budget::new(most), Arc::clone(&gate));
        }
        let mut runner = runner.submitting(submissions);
        if self.settings.wait.is_some() {
            runner = runner.tracking(self.tracking(CoverScope::OfRun(run), gate));
        }
        Ok(runner.knowing(GenerationEstimate::new(ledger.generation_times().await?)))
    }

    /// Writes the results, and reads them back.
    pub(super) async fn write_results(
        &self,
        catalog: &Arc<Catalog>,
        ledger: &impl Ledger,
        ended: Ended,
    ) -> Result<(Table, Tally), Broken> {
        let goal = match (self.settings.wait, self.settings.downloads) {
            (None, _) => Goal::Accepted,
            (Some(_), false) => Goal::Images,
            (Some(_), true) => Goal::Files,
        };
        let in_doubt = self.settings.submit.rows.in_doubt;
        let (trust, now) = (Trust::All, self.clock.unix());
        let view = View { unreached: ended.reason(), in_doubt, trust, goal, now, warn_below: None };
        let paths = Paths { results: self.results_path(), failures: None, format: Format::Csv };
        let tally = results::write(catalog, Some(ledger), view, (&paths, Tally::default())).await?;
        Ok((Table::read(&paths.results, self.settings.delimiter), tally))
    }

    fn gate(&self) -> Arc<Gate> {
        let Settings { rate, max_outage, .. } = self.settings;
        Gate::new(rate, max_outage, self.clock)
    }

    /// What a run of this night works with.
    pub(super) fn parts<L>(&self, ledger: &Arc<L>) -> Parts<Service, L> {
        Parts { api: Arc::clone(&self.service), ledger: Arc::clone(ledger), clock: self.clock, stop: self.stop() }
    }

    fn stop(&self) -> Stop {
        let stop = Stop::default();
        if let Some((time, why)) = self.settings.stop {
            drop(stop.after(time, why).detach());
        }
        stop
    }
}

/// A folder that no disk is waited for, where the system has one: what a night proves is decided, not kept.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn catalog_of(ids: &[impl AsRef<str>]) -> String {
    ids.iter().fold("task_id,title\n".to_owned(), |lines, id| lines + id.as_ref() + ",a title\n")
}
