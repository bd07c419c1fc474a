//! How a command over a catalog ends: default covers, the results, what the ledger remembers of it, and what a person is told,
//! which depends on what was told before.

use std::panic::resume_unwind;
use std::path::{self, Path};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::warn;

use super::BatchContext;
use crate::catalog::Catalog;
use crate::cli::cover_args::ImageSettings;
use crate::cli::outcome::CommandOutcome;
use crate::clock::UnixMillis;
use crate::covers;
use crate::domain::{Ended, Rate, Reason};
use crate::error::{Error, Exit};
use crate::files::is_stdout;
use crate::join::JoinError;
use crate::ledger::{AnyLedger, PastRun, ReadLedger as _, RunId, RunResult, SubmitLedger as _};
use crate::ratelimit::{Gate, Pause};
use crate::report::{Files, NextCommands, Paused, Summary, Traffic};
use crate::results::{self, Before, Goal, ResultsError, Tally, View};
use crate::runner::{Progress, RunError};

/// Runs among which the last one is looked for that told of all rows.
const LOOKED_BACK: u32 = 100;

/// What a command did, for its summary.
pub(in crate::cli) struct RunOutcome {
    pub(in crate::cli) run: RunId,
    pub(in crate::cli) ended: Ended,
    pub(in crate::cli) started: UnixMillis,
    pub(in crate::cli) progress: Progress,
    /// Music tasks that only earlier results knew.
    pub(in crate::cli) taken_over: u64,
    /// The gate of submissions, if there were any.
    pub(in crate::cli) submissions: Option<(Rate, Arc<Gate>)>,
    /// The gate of reads, if there were any.
    pub(in crate::cli) reads: Option<(Rate, Arc<Gate>)>,
    pub(in crate::cli) next: NextCommands,
}

impl BatchContext {
    /// Ends a command that has done what it can, or could not go on.
    pub(in crate::cli) async fn conclude(
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

/// What has been told of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Told {
    /// All that they say.
    Everything,
    /// What had become of the rows by then.
    Until(UnixMillis),
    /// Nothing.
    Nothing,
}

impl Told {
    /// What these runs over a catalog have told, the latest first. One that took up some rows only, such as a trial with
    /// `--limit`, told of these, and whoever started it: the mail of the night is to tell of them all the same.
    pub(in crate::cli) fn by<'a>(runs: impl Iterator<Item = &'a PastRun>) -> Self {
        let mut told = Self::Everything;
        for run in runs {
            told = match (run.ended, run.is_partial, told) {
                (Some(ended), false, _) => return Self::Until(ended),
                (Some(_), true, _) | (None, _, Self::Nothing) => Self::Nothing,
                // One that was killed told nothing of what it did. What is older may be results of a ledger that is lost.
                (None, _, Self::Everything | Self::Until(_)) => Self::Until(run.started),
            };
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(is_partial: bool, ended: Option<i64>) -> PastRun {
        let ended = ended.map(UnixMillis);
        let (submits, started, cut_short, result) = (true, UnixMillis(0), None, None);
        PastRun { submits, is_partial, started, ended, cut_short, result, command: String::new() }
    }

    #[test]
    fn the_last_whole_run_that_ended_has_told_of_all_rows() {
        let told = |runs: &[PastRun]| Told::by(runs.iter());
        let (whole, partial) = (|ended| run(false, Some(ended)), |ended| run(true, Some(ended)));
        let killed = || run(false, None);
        assert_eq!(told(&[partial(9), killed(), partial(7), whole(5), whole(3)]), Told::Until(UnixMillis(5)));
        assert_eq!(told(&[whole(5), partial(3)]), Told::Until(UnixMillis(5)));
        assert_eq!(told(&[killed(), partial(3)]), Told::Nothing);
        // The results are those of another ledger, which is lost.
        assert_eq!(told(&[]), Told::Everything);
        assert_eq!(told(&[killed(), run(true, None)]), Told::Until(UnixMillis(0)));
    }
}
