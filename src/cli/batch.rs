//! What the commands that work through a catalog have in common: its files, and what is told at the end.

use std::error::Error as _;
use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::catalog::Catalog;
use crate::cli::cover_args::ImageSettings;
use crate::cli::outcome::{CommandOutcome, TellArgs};
use crate::cli::output::{eprint, print};
use crate::clock::{Clock, UnixMillis};
use crate::default_covers;
use crate::domain::{Ended, Rate, Reason};
use crate::error::{Error, Exit};
use crate::files::replace_whole;
use crate::join::Trust;
use crate::ledger::{FollowLedger as _, ReadLedger as _, RunId, SqliteLedger, SubmitLedger as _};
use crate::metrics;
use crate::policy::InDoubt;
use crate::ratelimit::{Gate, Pause};
use crate::report::{Files, NextCommands, Paused, Summary, Traffic};
use crate::results::{self, Goal, Paths, View};
use crate::runner::{Progress, Stop};

/// A command over a catalog whose options have been checked.
pub(super) struct BatchContext<'a> {
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) catalog: Arc<Catalog>,
    pub(super) ledger_path: PathBuf,
    pub(super) paths: Paths,
    /// Where images go, if they are saved.
    pub(super) images: Option<PathBuf>,
    pub(super) trust: Trust,
    pub(super) in_doubt: InDoubt,
    pub(super) goal: Goal,
    pub(super) max_outage: Duration,
    pub(super) tell: &'a TellArgs,
    pub(super) is_quiet: bool,
}

/// What a command did, for its summary.
pub(super) struct RunOutcome {
    pub(super) run: RunId,
    pub(super) ended: Ended,
    pub(super) started: UnixMillis,
    pub(super) progress: Progress,
    /// The gate of submissions, if there were any.
    pub(super) submissions: Option<(Rate, Arc<Gate>)>,
    /// The gate of reads, if there were any.
    pub(super) reads: Option<(Rate, Arc<Gate>)>,
    /// Lines told before.
    pub(super) lines_used: usize,
    pub(super) next: NextCommands,
}

impl BatchContext<'_> {
    /// How the rows look now.
    fn view(&self, unreached: Option<Reason>) -> View {
        View { unreached, in_doubt: self.in_doubt, trust: self.trust, goal: self.goal, now: self.clock.unix() }
    }

    /// Writes the results of a command that could not go on, as far as its ledger can be read and they can be written.
    pub(super) async fn write_partial_results(&self, ledger: &SqliteLedger, run: RunId) {
        // The command has failed already, and says so; that this fails too changes nothing.
        let _ = ledger.release_jobs(run, self.clock.unix()).await;
        // Not by its name, where another may be by now.
        if let Some(ledger) = ledger.left_to_read() {
            let _ =
                results::write(&self.catalog, Some(&ledger), self.view(Some(Reason::Interrupted)), &self.paths).await;
            ledger.close().await;
        }
    }

    /// Puts default covers where covers are missing, writes the results, and tells what came of it all.
    pub(super) async fn finish(
        &self,
        ledger: Arc<SqliteLedger>,
        image_settings: &ImageSettings,
        outcome: RunOutcome,
    ) -> Result<CommandOutcome, Error> {
        if let Err(failed) = ledger.end_run(outcome.run, outcome.ended, self.clock.unix()).await {
            self.write_partial_results(&ledger, outcome.run).await;
            return Err(failed.into());
        }
        let stood_in = match (&image_settings.folder, &image_settings.default_cover) {
            (Some(folder), Some(cover)) => {
                default_covers::stand_in(&self.catalog, &*ledger, self.trust, (folder, cover)).await.map(drop)
            }
            (_, _) => Ok(()),
        };
        let view = self.view(outcome.ended.reason());
        let tally = results::write(&self.catalog, Some(&*ledger), view, &self.paths).await?;
        if let Some(ledger) = Arc::into_inner(ledger) {
            ledger.close().await;
        }
        // Told only now: the results are written whatever else fails.
        stood_in?;
        // A signal that came while the results were being written still decides the exit code.
        let ended = self.stop.requested().unwrap_or(outcome.ended);
        let follows = self.goal != Goal::Accepted;
        let summary = Summary {
            ended,
            exit: Exit::of_run(ended, &tally),
            tally,
            submissions: outcome.submissions.map(|traffic| self.traffic(outcome.progress.sent, traffic)),
            reads: outcome.reads.map(|traffic| self.traffic(outcome.progress.reads, traffic)),
            covers: follows.then_some(outcome.progress.covers),
            max_outage: self.max_outage,
            outcomes: outcome.progress.outcomes.counts(),
            started: outcome.started,
            took: self.clock.elapsed(),
            files: self.files(),
            next: outcome.next,
        };
        self.tell(&summary, outcome.lines_used)
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

    fn files(&self) -> Files {
        // Whoever reads of them in a mail is in another folder.
        let absolute = |path: &Path| path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Files {
            results: absolute(&self.paths.results),
            failures: self.paths.failures.as_deref().map(absolute),
            ledger: absolute(&self.ledger_path),
            images: self.images.as_deref().map(absolute),
        }
    }

    /// The summary, to whoever wants it: nobody after a clean run that nobody watches.
    fn tell(&self, summary: &Summary, lines_used: usize) -> Result<CommandOutcome, Error> {
        let watched = stderr().is_terminal() && !self.is_quiet;
        let digest = summary.digest(lines_used);
        if watched || summary.exit != Exit::Success {
            eprint(&digest);
        }
        if let Some(path) = &self.tell.metrics_file {
            write_metrics(path, summary);
        }
        if self.tell.json {
            print(&(summary.json() + "\n"))?;
        }
        Ok(CommandOutcome { exit: summary.exit, digest })
    }
}

/// Writes the metrics anew. They are a service to others: that they cannot be written is no reason to fail.
fn write_metrics(path: &Path, summary: &Summary) {
    let before = fs::read_to_string(path).unwrap_or_default();
    if let Err(error) = replace_whole(path, metrics::text(summary, &before).as_bytes()) {
        warn!(file = %path.display(), cause = error.source().map(ToString::to_string), "the metrics could not be written");
    }
}
