//! The one loop of a run, with all that stands beside it: gates, the stand-in, reads of records, the progress line.

use std::sync::Arc;
use std::time::Duration;

use crate::api::http::HttpApi;
use crate::cli::cover_args::ImageSettings;
use crate::cli::follow::CoverRounds;
use crate::clock::UnixMillis;
use crate::domain::Ended;
use crate::error::Error;
use crate::ledger::{AnyLedger, Begun, ReadLedger as _};
use crate::policy::GenerationEstimate;
use crate::progress::Watched;
use crate::ratelimit::Gate;
use crate::runner::{Parts, Progress, Runner, Submissions};
use crate::sandbox::{Sandbox, Scenario};
use crate::worklist::Worklist;

use super::api::{address, http_api, start_sandbox};
use super::args::RunArgs;
use super::prepared::PreparedRun;

/// What a run has to do, since it began.
#[derive(Clone, Copy)]
pub(super) struct ToDo {
    pub(super) began: UnixMillis,
    /// Rows to send.
    pub(super) rows: u64,
    /// Covers to follow that were accepted before.
    pub(super) covers: u64,
}

/// The gates that requests pass: those of submissions, and those of reads if there are any.
pub(super) struct Gates {
    pub(super) submissions: Arc<Gate>,
    pub(super) reads: Option<Arc<Gate>>,
}

impl PreparedRun<'_> {
    /// Gates that have let nothing pass yet.
    pub(super) fn gates(&self) -> Gates {
        let (rate, max_outage, clock) = (self.args.pace.rate, self.args.request.max_outage, self.batch.clock);
        let has_reads = self.args.waits() || self.args.checks_music() || self.args.budget().is_some();
        Gates {
            submissions: Gate::new(rate, max_outage, clock),
            reads: has_reads.then(|| self.args.wait.read.gate(max_outage, clock)),
        }
    }

    /// Runs the one loop, with the stand-in service beside it if that is asked for, and follows then what others have taken.
    pub(super) async fn send(
        &self,
        ledger: &Arc<AnyLedger>,
        gates: &Gates,
        image_settings: &ImageSettings,
        run: Begun,
        worklist: Worklist,
        to_do: ToDo,
    ) -> Result<(Ended, Progress), Error> {
        let sandbox = match self.service.api_url {
            Some(_) => None,
            None => Some(start_sandbox(self.batch.clock).await?),
        };
        let parts = self.batch.parts(&Arc::new(self.api(sandbox.as_ref())?), ledger);
        let _timer = self.until_deadline().map(|left| self.batch.stop.after(left, Ended::Deadline));
        let rounds = gates.reads.as_ref().map(|gate| self.rounds(gate, image_settings));
        let sent = self.loop_once(parts.clone(), gates, rounds.as_ref(), run, worklist, to_do).await;
        let sent = match (sent, rounds) {
            (Ok((Ended::Finished, sent)), Some(rounds)) if self.args.waits() && !sent.has_given_up_covers => {
                let followed = rounds.follow(parts, run.run, to_do.began, self.batch.clock.unix()).await;
                followed.map(|(ended, followed)| (ended, sent.and(followed)))
            }
            (sent, _) => sent,
        };
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        sent
    }

    /// How long something may be sent yet. The deadline is that of the command: whatever kept it waiting before, such as a
    /// ledger out of reach, moves it neither by as much nor to the next day.
    fn until_deadline(&self) -> Option<Duration> {
        let clock = self.batch.clock;
        self.args.deadline(clock.started_at()).map(|deadline| deadline.saturating_sub(clock.elapsed()))
    }

    async fn loop_once(
        &self,
        parts: Parts<HttpApi, AnyLedger>,
        gates: &Gates,
        rounds: Option<&CoverRounds<'_>>,
        run: Begun,
        worklist: Worklist,
        to_do: ToDo,
    ) -> Result<(Ended, Progress), Error> {
        let usual = self.usual(&parts.ledger).await?;
        let submissions = self.submissions(gates, run, worklist);
        let runner = Runner::new(parts, self.args.request.run_config()).submitting(submissions).knowing(usual);
        let runner = match rounds.filter(|_| self.args.waits()) {
            Some(rounds) => runner.tracking(rounds.tracking(run.run, to_do.began)),
            None => runner,
        };
        let progress = runner.progress();
        let watched = self.args.log.style().map(|style| {
            let wait = self.args.waits().then(|| self.args.wait.longest());
            let watched = self.batch.watched(style, to_do.rows, to_do.covers, &gates.submissions);
            Watched { rate: Some(self.args.pace.rate), reads: gates.reads.clone(), wait, ..watched }
        });
        let shown = watched.map(|watched| self.screen.follow(watched, progress.clone(), runner.failures()));
        let ended = runner.run().await;
        if let Some(shown) = shown {
            shown.end().await;
        }
        let progress = *progress.borrow();
        Ok((ended?, progress))
    }

    /// How covers are followed by this run.
    fn rounds<'a>(&'a self, gate: &'a Arc<Gate>, image_settings: &'a ImageSettings) -> CoverRounds<'a> {
        let RunArgs { wait, request, log, .. } = self.args;
        CoverRounds { batch: &self.batch, wait, request, log, screen: self.screen, image_settings, gate }
    }

    /// What is submitted, with music checked first and money counted as far as that is asked for.
    fn submissions(&self, gates: &Gates, run: Begun, worklist: Worklist) -> Submissions {
        let config = self.args.config(self.batch.in_doubt);
        let mut submissions = Submissions::new(run, worklist, Arc::clone(&gates.submissions), config, self.batch.clock);
        if self.batch.is_partial {
            submissions = submissions.confined();
        }
        let Some(reads) = &gates.reads else { return submissions };
        if self.args.checks_music() {
            submissions = submissions.checking_music(Arc::clone(reads));
        }
        match self.args.budget() {
            Some(budget) => submissions.spending(budget, Arc::clone(reads)),
            None => submissions,
        }
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
