//! What to do after a reading call, and when to poll a cover.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use super::backoff::{Jitter, after_trouble};
use super::decide::{Refusal, Scope};
use crate::domain::{Ended, Found, Reading};

/// The usual time of generation before any cover was seen to be finished.
const AT_FIRST: Duration = Duration::from_secs(60);

/// The usual time is that within which so many of a hundred covers are finished: a poll that comes too early is made
/// again, one that comes late makes a person wait.
const FINISHED_PERCENT: usize = 80;

/// Covers that the usual time is learned from.
const LEARNED_FROM: usize = 100;

/// The first poll is never earlier than this, and never later than [`LATEST`] after acceptance.
const EARLIEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(600);

/// Between two polls of a cover: what the service documents.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long covers usually take, learned from the last ones.
#[derive(Debug, Clone, Default)]
pub struct GenerationEstimate(VecDeque<Duration>);

impl GenerationEstimate {
    /// What the last covers, latest first, tell.
    #[must_use]
    pub fn new(latest_first: impl IntoIterator<Item = Duration>) -> Self {
        Self(latest_first.into_iter().take(LEARNED_FROM).collect())
    }

    /// Learns from one more cover.
    pub fn learn(&mut self, took: Duration) {
        self.0.push_front(took);
        self.0.truncate(LEARNED_FROM);
    }

    /// How long after its acceptance a cover is polled first.
    #[must_use]
    pub fn time(&self) -> Duration {
        let mut times: Vec<Duration> = self.0.iter().copied().collect();
        times.sort_unstable();
        let rank = (times.len() * FINISHED_PERCENT).div_ceil(100).saturating_sub(1);
        times.get(rank).map_or(AT_FIRST, |time| (*time).clamp(EARLIEST, LATEST))
    }
}

/// How long a cover is followed.
#[derive(Debug, Clone, Copy)]
pub struct PollPolicy {
    /// How long a run waits for a cover (`--wait-timeout`); `None` if nobody waits and it is followed as long as its
    /// images last.
    pub wait: Option<Duration>,
    /// Calls in trouble, one after the other, before it is given up for this run.
    pub max_attempts: NonZeroU32,
}

impl PollPolicy {
    /// How long until the next poll of a cover that is `age` old and not finished; `None` if the run gives it up.
    ///
    /// One that nobody waits for, and that is late, is polled less and less often: after a tenth of its age.
    #[must_use]
    pub fn until_next_poll(self, age: Duration, waited: Duration) -> Option<Duration> {
        match self.wait {
            Some(longest) => (waited + INTERVAL <= longest).then_some(INTERVAL),
            None => Some(Self::rest(age)),
        }
    }

    /// After how long a cover that was given up is due for whoever follows it next.
    #[must_use]
    pub fn rest(age: Duration) -> Duration {
        INTERVAL.max(age / 10)
    }
}

/// What to do after a reading call that did not find what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollFailure {
    /// Read again later.
    Again(Scope),
    /// This row has been in trouble too often: not in this run.
    GiveUp,
    /// Nothing more is read or sent.
    Stop(Ended),
}

/// What was found, or what to do, when `troubles` calls for this row have gone wrong before, one after the other.
///
/// # Errors
/// [`PollFailure`] if what was asked for was not found.
pub fn found<T>(
    reading: Reading<T>,
    troubles: u32,
    max_attempts: NonZeroU32,
    jitter: Jitter,
) -> Result<T, PollFailure> {
    Err(match reading.found {
        Found::Known(known) => return Ok(known),
        Found::Throttled => PollFailure::Again(Scope::Account(Refusal::Throttled)),
        Found::Unavailable => PollFailure::Again(Scope::Account(Refusal::Unavailable)),
        Found::Unauthorized => PollFailure::Stop(Ended::Unauthorized),
        Found::WrongAddress => PollFailure::Stop(Ended::WrongAddress),
        Found::Troubled => {
            let wait = after_trouble(troubles, max_attempts, jitter, reading.retry_after);
            wait.map_or(PollFailure::GiveUp, |wait| PollFailure::Again(Scope::Row(wait)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Answer, Reason};

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn the_first_poll_comes_after_60_s_and_then_after_what_four_of_five_covers_took() {
        let mut estimate = GenerationEstimate::default();
        assert_eq!(estimate.time(), seconds(60));
        for took in 1..=100 {
            estimate.learn(seconds(took));
        }
        assert_eq!(estimate.time(), seconds(80));
        for _ in 0..100 {
            estimate.learn(seconds(7));
        }
        assert_eq!(estimate.time(), seconds(7));
        assert_eq!(GenerationEstimate::new([seconds(10_000)]).time(), seconds(600));
        assert_eq!(GenerationEstimate::new([Duration::ZERO]).time(), seconds(1));
        assert_eq!(GenerationEstimate::new((1..=1000).map(seconds)).time(), seconds(80));
    }

    #[test]
    fn a_waited_for_cover_is_looked_at_each_30_s_and_given_up_in_time() {
        let policy = PollPolicy { wait: Some(seconds(100)), max_attempts: NonZeroU32::MIN };
        let waits = [0, 30, 70, 71, 1000].map(|waited| policy.until_next_poll(seconds(5000), seconds(waited)));
        assert_eq!(waits, [Some(seconds(30)), Some(seconds(30)), Some(seconds(30)), None, None]);
    }

    #[test]
    fn a_cover_that_nobody_waits_for_is_looked_at_less_and_less_often() {
        let policy = PollPolicy { wait: None, max_attempts: NonZeroU32::MIN };
        let waits = [0, 300, 3000, 86_400].map(|age| policy.until_next_poll(seconds(age), seconds(age)));
        assert_eq!(waits, [30, 30, 300, 8640].map(|wait| Some(seconds(wait))));
    }

    #[test]
    fn a_cover_that_was_given_up_rests_the_longer_the_older_it_is() {
        assert_eq!([0, 300, 86_400].map(|age| PollPolicy::rest(seconds(age)).as_secs()), [30, 30, 8640]);
    }

    #[test]
    fn every_finding_has_its_next_step() {
        let step = |finding, troubles| {
            let reading =
                Reading { found: finding, reason: Reason::ServerError, answer: Answer::default(), retry_after: None };
            found(reading, troubles, NonZeroU32::new(3).unwrap(), Jitter::new(0.0))
        };
        assert_eq!(step(Found::Known(7), 9), Ok(7));
        assert_eq!(step(Found::Throttled, 9), Err(PollFailure::Again(Scope::Account(Refusal::Throttled))));
        assert_eq!(step(Found::Unavailable, 9), Err(PollFailure::Again(Scope::Account(Refusal::Unavailable))));
        assert_eq!(step(Found::Unauthorized, 0), Err(PollFailure::Stop(Ended::Unauthorized)));
        assert_eq!(step(Found::WrongAddress, 0), Err(PollFailure::Stop(Ended::WrongAddress)));
        let troubled = [0, 1, 2].map(|troubles| step(Found::Troubled, troubles));
        let again = |wait| Err(PollFailure::Again(Scope::Row(seconds(wait))));
        assert_eq!(troubled, [again(1), again(2), Err(PollFailure::GiveUp)]);
    }
}
