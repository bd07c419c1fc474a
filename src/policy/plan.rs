//! What to do with a row before a run.

use crate::domain::RowState;

/// In how many runs a row may be rejected before a plain rerun leaves it alone.
pub const REJECTED_RUNS: u32 = 3;

/// Which earlier failures a run sends again (`--retry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Those that gave up, and those rejected in fewer than [`REJECTED_RUNS`] runs.
    Retryable,
    /// All of them.
    All,
    /// None of them.
    Nothing,
}

/// What a run does with rows whose answer was lost (`--in-doubt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// Sends them again, after all others: the service's one-cover-per-task rule answers 400 or 409.
    Resend,
    /// Leaves them to a person.
    Hold,
}

/// What a run intends with a row before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Send it.
    Send,
    /// Send it once all others are done.
    SendLast,
    /// Leave it as it is.
    Leave,
}

/// What a run does with a row that the ledger holds in `state`, rejected in `failed_runs` runs so far.
#[must_use]
pub fn plan(state: RowState, failed_runs: u32, retry: Retry, in_doubt: InDoubt) -> Plan {
    match (state, retry) {
        (RowState::Submitted | RowState::Exists | RowState::Completed, _) => Plan::Leave,
        (RowState::Pending, _) => Plan::Send,
        (RowState::InFlight | RowState::InDoubt, _) => match in_doubt {
            InDoubt::Resend => Plan::SendLast,
            InDoubt::Hold => Plan::Leave,
        },
        (RowState::Failed | RowState::GenerationFailed, Retry::Retryable) if failed_runs >= REJECTED_RUNS => {
            Plan::Leave
        }
        (RowState::Failed | RowState::GenerationFailed | RowState::GaveUp, Retry::Retryable | Retry::All) => Plan::Send,
        (RowState::Failed | RowState::GenerationFailed | RowState::GaveUp, Retry::Nothing) => Plan::Leave,
    }
}

/// Whether the next plain rerun, one without `--retry`, sends the row (`cover_retryable`).
#[must_use]
pub fn is_retryable(state: RowState, failed_runs: u32, in_doubt: InDoubt) -> bool {
    plan(state, failed_runs, Retry::Retryable, in_doubt) != Plan::Leave
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_rerun_rules_over_their_whole_domain() {
        let mut table = String::new();
        for state in RowState::ALL {
            for failed_runs in [0, 2, 3] {
                let cells: Vec<_> = [Retry::Retryable, Retry::All, Retry::Nothing]
                    .iter()
                    .flat_map(|retry| [InDoubt::Resend, InDoubt::Hold].map(|in_doubt| (*retry, in_doubt)))
                    .map(|(retry, in_doubt)| format!("{:?}", plan(*state, failed_runs, retry, in_doubt)))
                    .collect();
                writeln!(table, "{state:<9} {failed_runs} | {}", cells.join(" ")).unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }
}
