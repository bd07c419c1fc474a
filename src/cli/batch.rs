//! What the commands that work through a catalog have in common: its files, and what is told at the end.

mod told;

use std::panic::resume_unwind;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::warn;

use crate::catalog::{Catalog, Labels, RowNames};
use crate::cli::cover_args::ImageSettings;
use crate::cli::outcome::CommandOutcome;
use crate::clock::{Clock, UnixMillis};
use crate::covers;
use crate::domain::{Ended, Rate, Reason};
use crate::error::{Error, Exit};
use crate::files::is_stdout;
use crate::join::{self, JoinError, Trust};
use crate::ledger::{AnyLedger, FollowLedger as _, LedgerPlace, ReadLedger as _, RunId, RunResult, SubmitLedger as _};
use crate::policy::InDoubt;
use crate::progress::{Rows, Style, Watched};
use crate::ratelimit::{Gate, Pause};
use crate::report::{Files, NextCommands, Paused, Summary, Traffic};
use crate::results::{self, Before, Goal, Paths, ResultsError, Tally, View};
use crate::runner::{Parts, Progress, RunError, Stop};
use crate::worklist::WorklistError;

use told::Told;

/// Runs among which the last one is looked for that told of all rows.
const LOOKED_BACK: u32 = 100;

/// A command over a catalog whose options have been checked.
pub(super) struct BatchContext {
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    /// The name by which the ledger knows the catalog.
    pub(super) identity: String,
    /// Whether some of its rows only are taken up.
    pub(super) is_partial: bool,
    pub(super) catalog: Arc<Catalog>,
    /// The results that are to be replaced, if there are any.
    pub(super) earlier: Option<Arc<Catalog>>,
    pub(super) ledger_place: LedgerPlace,
    pub(super) paths: Paths,
    /// Where images go, if they are saved.
    pub(super) images: Option<PathBuf>,
    /// What their files are called, if not by their ids.
    pub(super) names: Option<RowNames>,
    /// Pixels that the shorter side of an image has to have, if it is to be told of others.
    pub(super) warn_below: Option<u32>,
    pub(super) trust: Trust,
    pub(super) in_doubt: InDoubt,
    pub(super) goal: Goal,
    pub(super) labels: Labels,
    pub(super) max_outage: Duration,
}

/// What a command did, for its summary.
pub(super) struct RunOutcome {
    pub(super) run: RunId,
    pub(super) ended: Ended,
    pub(super) started: UnixMillis,
    pub(super) progress: Progress,
    /// Music tasks that only earlier results knew.
    pub(super) taken_over: u64,
    /// The gate of submissions, if there were any.
    pub(super) submissions: Option<(Rate, Arc<Gate>)>,
    /// The gate of reads, if there were any.
    pub(super) reads: Option<(Rate, Arc<Gate>)>,
    pub(super) next: NextCommands,
}

impl BatchContext {
    /// Gives the ledger what only earlier results tell of, and says so. Returns how many music tasks these are.
    pub(super) async fn take_over(&self, ledger: &AnyLedger) -> Result<u64, Error> {
        let count = self.take_over_into(ledger, Some(ledger)).await?;
        if count > 0 && !self.catalog.is_results() {
            let results = self.paths.results.display();
            warn!(music_tasks = count, %results, "the ledger did not know what earlier results tell of; taken over");
        }
        Ok(count)
    }

    /// The same into another ledger than the one that is there, if one is, without a word.
    pub(super) async fn take_over_into(&self, into: &AnyLedger, known: Option<&AnyLedger>) -> Result<u64, Error> {
        let mut count = 0;
        for results in self.all_earlier() {
            count += join::take_over(results, known, into, self.trust).await.map_err(WorklistError::from)?;
        }
        Ok(count)
    }

    /// Notes what the files of images are called, if not by their ids.
    pub(super) async fn name_files(&self, ledger: &AnyLedger) -> Result<(), Error> {
        let Some(names) = &self.names else { return Ok(()) };
        Ok(covers::name_files(&self.catalog, ledger, names).await.map_err(WorklistError::from)?)
    }

    /// The results of earlier runs, the latest first; the catalog may be one too.
    pub(super) fn all_earlier(&self) -> impl Iterator<Item = &Arc<Catalog>> {
        self.earlier.iter().chain(Some(&self.catalog).filter(|catalog| catalog.is_results()))
    }

    /// How the rows look now.
    fn view(&self, unreached: Option<Reason>) -> View {
        let (trust, goal, now, warn_below) = (self.trust, self.goal, self.clock.unix(), self.warn_below);
        View { unreached, in_doubt: self.in_doubt, trust, goal, now, warn_below }
    }

    /// Writes the results of a command that could not go on, as far as its ledger can be read and they can be written.
    ///
    /// The command has failed already, and says so; that this fails too changes nothing.
    async fn write_partial_results(&self, ledger: &AnyLedger) {
        // Not by its name, where another may be by now.
        if let Some(ledger) = ledger.left_to_read() {
            let view = self.view(Some(Reason::Interrupted));
            let _ = results::write(&self.catalog, Some(&ledger), view, (&self.paths, Tally::default())).await;
            ledger.close().await;
        }
    }

    /// Leaves what a command that failed had followed to others, who take it up at once. It has failed already, and says so.
    pub(super) async fn released<T>(&self, ledger: &AnyLedger, run: RunId, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_err() {
            let _ = ledger.release_jobs(run, self.clock.unix()).await;
        }
        done
    }

    /// Ends a command that has done what it can, or could not go on.
    pub(super) async fn conclude(
        &self,
        ledger: Arc<AnyLedger>,
        image_settings: &ImageSettings,
        done: Result<RunOutcome, Error>,
    ) -> Result<CommandOutcome, Error> {
        match done {
            Ok(outcome) => self.finish(ledger, image_settings, outcome).await,
            Err(error) => {
                self.write_partial_results(&ledger).await;
                Err(error)
            }
        }
    }

    /// An empty count of the rows, which will tell what has changed since a person was told of all of them.
    async fn tally(&self, view: View, told: Told) -> Tally {
        let labels = self.labels.clone();
        let (earlier, told_until) = match told {
            Told::Everything => (self.all_earlier().next(), None),
            Told::Until(time) => (self.all_earlier().next(), Some(time)),
            Told::Nothing => (None, None),
        };
        let Some(earlier) = earlier.map(Arc::clone) else { return Tally::new(labels, None) };
        let catalog = Arc::clone(&self.catalog);
        let read = spawn_blocking(move || (Before::read(&catalog, &earlier, &labels, (view, told_until)), labels));
        let (before, labels) = read.await.unwrap_or_else(|defect| resume_unwind(defect.into_panic()));
        // The results are worth more than what is told of them.
        let untold = |error| warn!(%error, "the earlier results cannot be read any more; what has changed is not told");
        Tally::new(labels, before.map_err(untold).ok())
    }

    /// What has been told of the results that are to be replaced, by runs that began before `started`. Whoever asks for some
    /// rows has the results themselves before them.
    async fn told(&self, ledger: &AnyLedger, started: UnixMillis) -> Told {
        if self.is_partial {
            return Told::Everything;
        }
        // The results are worth more than what is told of them.
        let runs = ledger.past_runs(&self.identity, LOOKED_BACK).await.unwrap_or_default();
        Told::by(runs.iter().filter(|run| run.started < started))
    }

    /// Puts default covers where covers are missing, writes the results, and says what came of it all. The results are
    /// written whatever else fails.
    async fn finish(
        &self,
        ledger: Arc<AnyLedger>,
        image_settings: &ImageSettings,
        outcome: RunOutcome,
    ) -> Result<CommandOutcome, Error> {
        let is_new = ledger.is_new();
        let noted = ledger.end_run(outcome.run, outcome.ended, self.clock.unix()).await;
        let defaults = match (&image_settings.folder, &image_settings.default_cover) {
            (Some(folder), Some(cover)) => {
                let catalog = (&self.catalog, self.names.as_ref());
                covers::write_default_covers(catalog, &*ledger, self.trust, (folder, cover)).await.map(drop)
            }
            (_, _) => Ok(()),
        };
        let view = self.view(outcome.ended.reason());
        let tally = self.tally(view, self.told(&ledger, outcome.started).await).await;
        let written = results::write(&self.catalog, Some(&*ledger), view, (&self.paths, tally)).await;
        if matches!(written, Err(ResultsError::Join(JoinError::Ledger(_)))) {
            self.write_partial_results(&ledger).await;
        }
        let noted = match &written {
            Ok(tally) if noted.is_ok() => ledger.note_result(outcome.run, self.result(&outcome, tally)).await,
            Ok(_) | Err(_) => noted,
        };
        if let Some(ledger) = Arc::into_inner(ledger) {
            ledger.close().await;
        }
        let tally = written?;
        // By now everything is sent.
        noted.map_err(RunError::Ledger)?;
        defaults?;
        let summary = self.summary(outcome, tally, is_new);
        let digest = summary.digest();
        Ok(CommandOutcome { summary, digest })
    }

    /// How a command ended. A signal that came while the results were being written still decides the exit code.
    fn ended(&self, outcome: &RunOutcome) -> Ended {
        self.stop.requested().unwrap_or(outcome.ended)
    }

    /// What the ledger remembers of it.
    fn result(&self, outcome: &RunOutcome, tally: &Tally) -> RunResult {
        RunResult {
            sent: outcome.progress.sent,
            new_covers: tally.changes.new_covers.rows + tally.changes.mended.rows,
            failed: tally.failed(),
            exit_code: Exit::of_run(self.ended(outcome), tally).code(),
        }
    }

    /// What the runs of this command work with.
    pub(super) fn parts<A, L>(&self, api: &Arc<A>, ledger: &Arc<L>) -> Parts<A, L> {
        Parts { api: Arc::clone(api), ledger: Arc::clone(ledger), clock: self.clock, stop: self.stop.clone() }
    }

    /// What is shown of this command: so many rows to send and covers to follow, and `gate`, where all of it waits.
    pub(super) fn watched(&self, style: Style, rows: u64, covers: u64, gate: &Arc<Gate>) -> Watched {
        let failing = Rows { catalog: Arc::clone(&self.catalog), labels: self.labels.clone() };
        Watched {
            style,
            clock: self.clock,
            rows,
            covers,
            rate: None,
            gate: Arc::clone(gate),
            reads: None,
            wait: None,
            failing,
        }
    }

    fn summary(&self, outcome: RunOutcome, tally: Tally, ledger_is_new: bool) -> Summary {
        let ended = self.ended(&outcome);
        let follows = self.goal != Goal::Accepted;
        let is_refused = |earlier: &Arc<Catalog>| self.catalog.has_not_shrunk(Some(earlier)).is_err();
        let has_shrunk = tally.changes.vanished_rows.rows > 0 && self.earlier.as_ref().is_some_and(is_refused);
        Summary {
            ended,
            exit: Exit::of_run(ended, &tally),
            tally,
            submissions: outcome.submissions.map(|traffic| self.traffic(outcome.progress.sent, traffic)),
            reads: outcome.reads.map(|traffic| self.traffic(outcome.progress.reads, traffic)),
            spending: outcome.progress.spending,
            covers: follows.then_some(outcome.progress.covers),
            max_outage: self.max_outage,
            outcomes: outcome.progress.outcomes.counts(),
            started: outcome.started,
            took: self.clock.elapsed(),
            has_shrunk,
            files: self.files(ledger_is_new, outcome.taken_over),
            next: outcome.next,
        }
    }

    fn traffic(&self, requests: u64, (rate, gate): (Rate, Arc<Gate>)) -> Traffic {
        Traffic { requests, rate, gate: gate.view(), pauses: self.pauses(&gate) }
    }

    /// When nothing was sent, by the time of day.
    fn pauses(&self, gate: &Gate) -> Vec<Paused> {
        let (here, now) = (self.clock.now(), self.clock.unix());
        let time = |at: Instant| now.before(here - at);
        let told = |pause: Pause| Paused { reason: pause.reason, from: time(pause.from), until: time(pause.until) };
        gate.pauses().into_iter().map(told).collect()
    }

    fn files(&self, ledger_is_new: bool, taken_over: u64) -> Files {
        // Whoever reads of them in a mail is in another folder.
        let absolute = |path: &Path| match path::absolute(path) {
            Ok(whole) if !is_stdout(path) => whole,
            Ok(_) | Err(_) => path.to_owned(),
        };
        Files {
            results: absolute(&self.paths.results),
            failures: self.paths.failures.as_deref().map(absolute),
            ledger: self.ledger_place.file().map_or_else(|| self.ledger_place.to_string().into(), absolute),
            ledger_is_new,
            taken_over,
            images: self.images.as_deref().map(absolute),
        }
    }
}
