//! What a person does after a run: the command that goes on, and what to think of before.

use serde::Serialize;

use crate::domain::{Ended, Reason, Status};
use crate::error::Exit;
use crate::results::{Remedy, Tally};

/// Commands to go on with, ready for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCommands {
    /// The same command again.
    pub rerun: String,
    /// A run that sends what is left; the same, if the command is one that sends.
    pub send: String,
}

/// What a person does after a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// What to think of first.
    pub advice: &'static str,
    /// The exact command, ready for a shell.
    pub command: String,
}

impl NextCommands {
    /// What to do after a run that ended like this and left the rows so; nothing after a clean one.
    #[must_use]
    pub fn step(&self, exit: Exit, ended: Ended, tally: &Tally) -> Option<NextStep> {
        let (advice, command) = match (exit, ended) {
            (Exit::Usage, Ended::WrongAddress) => ("check --api-url and the network between, then", self.rerun()),
            (Exit::Left, Ended::NotUnderstood) => {
                ("see above what answers in the place of the service, then", self.rerun())
            }
            (Exit::Account, Ended::Unauthorized) => ("check the API key, then", self.rerun()),
            (Exit::Account, _) => ("top up the account, then", self.rerun()),
            (Exit::Left | Exit::Signal(_), Ended::TooManyFailures) => {
                ("look at the causes above before you go on with", self.send())
            }
            (Exit::Left, Ended::Budget) => ("to go on with what is left, for as much again", self.rerun()),
            (Exit::Left, Ended::Limit) => {
                ("look at these covers; then this sends the next rows, and without --limit all of them", self.rerun())
            }
            (Exit::Left | Exit::Signal(_), _) if tally.retryable == 0 && tally.awaited > 0 => {
                ("to go on waiting for these covers", self.rerun())
            }
            (Exit::Left, _) if tally.retryable == 0 => {
                ("these rows may have been paid for; to send them again", self.resend())
            }
            (Exit::Signal(_), _) if tally.is_all_settled() => return None,
            (Exit::Left | Exit::Signal(_), _) => {
                match (tally.left_to(Remedy::Person), tally.left_to(Remedy::NextRun)) {
                    (0, _) => (
                        "nothing is to be corrected, the next run goes on with what is left; to go on now",
                        self.send(),
                    ),
                    (_, 0) => ("correct these rows in the catalog, then", self.send()),
                    (_, _) => ("correct the rows that need a person; what else is left goes on with", self.send()),
                }
            }
            (Exit::Failed, _) if tally.with(Status::GenerationFailed) > 0 => {
                ("the service could not make these covers in 3 runs; to ask once more", self.retry_all())
            }
            // Nothing in the catalog is wrong, and nothing brings the images back.
            (Exit::Failed, _) if tally.forgotten == tally.left() => return None,
            (Exit::Failed, _) if tally.with(Status::Failed) > 0 => {
                ("correct these rows in the catalog; to send all failed rows once more", self.retry_all())
            }
            (Exit::Failed, _) => ("correct these rows in the catalog, then", self.send()),
            (Exit::Success | Exit::Defect | Exit::Usage | Exit::Held | Exit::Catalog | Exit::Unwritten, _) => {
                return None;
            }
        };
        Some(NextStep { advice, command })
    }

    /// The same for whoever looks at the rows later, and knows only the reason why the last run did not reach all.
    #[must_use]
    pub fn step_later(&self, cut_short: Option<Reason>, tally: &Tally) -> Option<NextStep> {
        let early = [
            Ended::Deadline,
            Ended::Outage,
            Ended::TooManyFailures,
            Ended::Unauthorized,
            Ended::NoCredits,
            Ended::Limit,
            Ended::Budget,
            Ended::WrongAddress,
        ];
        let ended = early.into_iter().find(|ended| ended.reason() == cut_short).unwrap_or(Ended::Finished);
        let exit = if tally.is_all_settled() { Exit::Success } else { Exit::of_run(ended, tally) };
        self.step(exit, ended, tally)
    }

    fn rerun(&self) -> String {
        self.rerun.clone()
    }

    fn send(&self) -> String {
        self.send.clone()
    }

    /// A run that also sends everything that failed for good.
    fn retry_all(&self) -> String {
        format!("{} --retry all", self.send)
    }

    /// A run that also sends rows that are held back.
    fn resend(&self) -> String {
        format!("{} --in-doubt resend", self.send)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_later_is_told_the_same_as_after_the_run() {
        let commands = NextCommands { rerun: "follow".to_owned(), send: "run".to_owned() };
        let (settled, mut left) = (Tally::default(), Tally::default());
        left.awaited = 1;
        for ended in [Ended::Finished, Ended::Deadline, Ended::TooManyFailures, Ended::Unauthorized, Ended::NoCredits] {
            let told = commands.step(Exit::of_run(ended, &left), ended, &left);
            assert!(told.is_some());
            assert_eq!(commands.step_later(ended.reason(), &left), told, "{ended:?}");
            assert_eq!(commands.step_later(ended.reason(), &settled), None, "nothing is left");
        }
        let told = commands.step_later(Some(Reason::Interrupted), &left).unwrap();
        assert_eq!((told.advice, told.command.as_str()), ("to go on waiting for these covers", "follow"));
    }
}
