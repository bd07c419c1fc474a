//! The look for rows that other runs over the same catalog leave in doubt when they die.

use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Rules;
use super::queue::Queue;
use super::task::TaskContext;
use crate::ledger::{AttemptKey, Ledger, LedgerError};
use crate::policy::InDoubt;

/// Between two looks while this run has rows of its own.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// When to look, and from where.
#[derive(Debug)]
pub(super) struct Recovery {
    /// The last submission that the rows of this run were chosen with.
    seen: AttemptKey,
    /// When it is to be looked next.
    pub(super) due: Instant,
    /// Whether it was looked since this run had no rows left of its own.
    is_last_done: bool,
}

impl Recovery {
    pub(super) fn new(seen: AttemptKey, now: Instant) -> Self {
        Self { seen, due: now + BETWEEN_LOOKS, is_last_done: false }
    }

    /// Looks, if it is time to: once a minute, so that others learn soon of rows in doubt, and once nothing is left of its own.
    /// Then what is found is sent, unless rows in doubt are left to a person.
    pub(super) async fn look<A, L: Ledger>(
        &mut self,
        context: &TaskContext<A, L>,
        rules: &Rules,
        queue: &mut Queue,
    ) -> Result<(), LedgerError> {
        let now = context.clock.now();
        let is_last = queue.is_over();
        if context.stop.is_requested() || (now < self.due && (!is_last || self.is_last_done)) {
            return Ok(());
        }
        let (left, seen) = context.ledger.recover(rules.run.run, self.seen, context.clock.unix()).await?;
        (self.due, self.is_last_done) = (now + BETWEEN_LOOKS, is_last);
        if is_last && !left.is_empty() && rules.policy.in_doubt == InDoubt::Resend {
            (self.seen, self.is_last_done) = (seen, false);
            queue.add(left, seen, now);
        }
        Ok(())
    }
}
