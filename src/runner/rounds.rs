//! Covers of a catalog followed round after round, also beside others who follow the same ones.
//!
//! A cover is polled by one process at a time: the last that took it up. Whoever has nothing left to poll looks for what
//! others took from it, and goes on with that, so that each has in hand in the end what it waits for, also if the other dies.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::progress::{Covers, Progress};
use super::tracking::CoverTracking;
use super::{Parts, RunConfig, RunError, Runner};
use crate::api::CoverApi;
use crate::catalog::Catalog;
use crate::clock::UnixMillis;
use crate::covers;
use crate::domain::Ended;
use crate::join::Trust;
use crate::ledger::{Ledger, Waiter};
use crate::worklist::WorklistError;

/// How long others are left alone with the covers that they took, once it is known that they do: whoever took each cover back
/// at once would have it taken again at once.
const REST: Duration = Duration::from_secs(5);

/// What is followed, and how.
pub struct Rounds<A, L> {
    /// What each round works with.
    pub parts: Parts<A, L>,
    /// Whose covers.
    pub catalog: Arc<Catalog>,
    /// What is believed of earlier results.
    pub trust: Trust,
    /// Who waits for them.
    pub waiter: Waiter,
    /// How they are followed.
    pub tracking: CoverTracking,
    /// What a round is set to.
    pub config: RunConfig,
}

impl<A: CoverApi, L: Ledger> Rounds<A, L> {
    /// Takes up from `at` on what is left to follow, and again until there is nothing more. `round` runs each round, which
    /// follows so many covers, and may show how far it has come.
    ///
    /// # Errors
    /// [`RunError`]
    pub async fn follow(
        &self,
        mut at: UnixMillis,
        round: impl AsyncFn(Runner<A, L>, u64) -> Result<Ended, RunError>,
    ) -> Result<(Ended, Progress), RunError> {
        let Parts { clock, stop, .. } = &self.parts;
        let (mut ended, mut total, mut has_others) = (Ended::Finished, Progress::default(), false);
        while !stop.is_requested() {
            let taken = covers::take_up(&self.catalog, &*self.parts.ledger, self.trust, self.waiter, at).await;
            let taken = taken.map_err(WorklistError::from)?;
            if taken == 0 {
                break;
            }
            let runner = Runner::new(self.parts.clone(), self.config).tracking(self.tracking.clone());
            let progress = runner.progress();
            ended = round(runner, taken).await?;
            let done = *progress.borrow();
            total = total.and(done);
            if (has_others || done.covers == Covers::default()) && self.is_any_left().await? {
                tokio::select! { () = sleep(REST) => {}, () = stop.wait() => {} }
            }
            // What is taken up after a round was taken by others in it.
            (has_others, at) = (true, clock.unix());
        }
        Ok((stop.requested().unwrap_or(ended), total))
    }

    /// Whether there is a next round to rest before.
    async fn is_any_left(&self) -> Result<bool, RunError> {
        Ok(covers::is_any_left(&self.catalog, &*self.parts.ledger, self.trust, self.waiter)
            .await
            .map_err(WorklistError::from)?)
    }
}
