//! Covers of a catalog followed to their ends, as `run` and `follow` do it.

use std::sync::Arc;

use crate::api::http::HttpApi;
use crate::cli::batch::BatchContext;
use crate::cli::cover_args::{ImageSettings, RequestArgs, WaitArgs};
use crate::cli::output::LogArgs;
use crate::clock::UnixMillis;
use crate::domain::Ended;
use crate::error::Error;
use crate::ledger::{AnyLedger, CoverScope, RunId};
use crate::progress::{Screen, Watched};
use crate::ratelimit::Gate;
use crate::runner::{CoverTracking, FollowConfig, Parts, Progress, Rounds, Runner};

/// What the command was told, and what it has at hand.
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
    /// How a run follows its covers.
    pub(super) fn tracking(&self, run: RunId) -> CoverTracking {
        let policy = (self.wait.poll_policy(self.request.max_attempts), self.request.timeout);
        self.wait.read.tracking(CoverScope::OfRun(run), self.gate, self.image_settings.folder.as_ref(), policy)
    }

    /// Follows from `at` on what a run that `began` before that still waits for.
    pub(super) async fn follow(
        &self,
        parts: Parts<HttpApi, AnyLedger>,
        run: RunId,
        began: UnixMillis,
        at: UnixMillis,
    ) -> Result<(Ended, Progress), Error> {
        let RequestArgs { concurrency, max_attempts, .. } = *self.request;
        let rounds = Rounds {
            parts,
            catalog: Arc::clone(&self.batch.catalog),
            trust: self.batch.trust,
            waiter: self.wait.waiter(run, began),
            tracking: self.tracking(run),
            config: FollowConfig { concurrency, max_attempts, began, seed: fastrand::u64(..) },
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
