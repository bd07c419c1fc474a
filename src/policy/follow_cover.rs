//! What becomes of a cover that is followed and not in hand: when it is polled again, and when nobody follows it any more.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::domain::{IMAGES_APPEAR, IMAGES_LAST, Reason};

/// Between two polls of a cover: what the service documents.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long a cover is followed.
#[derive(Debug, Clone, Copy)]
pub struct PollPolicy {
    /// How long a run waits for a cover (`--wait-timeout`); `None` if nobody waits and it is followed as long as its
    /// images last.
    pub wait: Option<Duration>,
    /// Calls in trouble, one after the other, before it is given up for this run.
    pub max_attempts: NonZeroU32,
}

/// What becomes of a cover that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// It is due after so long, for whoever follows it then.
    Rests(Duration),
    /// Nobody follows it any more.
    Forgotten,
}

impl PollPolicy {
    /// How long until the next poll of a cover that was accepted at a time and is not finished; `None` if it is given up by
    /// who has followed it since `began`.
    ///
    /// One that nobody waits for, and that is late, is polled less and less often: after a tenth of its age.
    #[must_use]
    pub fn until_next_poll(self, accepted: UnixMillis, began: UnixMillis, now: UnixMillis) -> Option<Duration> {
        let age = accepted.until(now);
        match self.wait {
            Some(longest) => (waited(accepted, began, now) + INTERVAL <= longest).then_some(INTERVAL),
            None => (age < IMAGES_LAST).then(|| rest(age)),
        }
    }

    /// What becomes of a cover of that age whose record is given up: nobody follows it any more once that is as old as images
    /// last and still says nothing. A run that waits for it leaves that to others.
    #[must_use]
    pub fn give_up_record(self, age: Duration) -> GivenUp {
        if self.wait.is_none() && age >= IMAGES_LAST { GivenUp::Forgotten } else { GivenUp::Rests(rest(age)) }
    }

    /// What becomes of a cover of that age one of whose images is given up for a reason. Whether images are gone is for their
    /// host to say, and a host that has not got them yet may say the same.
    #[must_use]
    pub fn give_up_image(age: Duration, reason: Option<Reason>) -> GivenUp {
        if reason == Some(Reason::NotFound) && age >= IMAGES_APPEAR {
            GivenUp::Forgotten
        } else {
            GivenUp::Rests(rest(age))
        }
    }
}

/// How long who began at a time has waited for a cover that was accepted at another. One from the future, by a clock that was
/// set back since, would be waited for until then.
fn waited(accepted: UnixMillis, began: UnixMillis, now: UnixMillis) -> Duration {
    let since = if accepted > now { began } else { accepted.max(began) };
    since.until(now)
}

/// After how long a cover that was given up is due for whoever follows it next.
fn rest(age: Duration) -> Duration {
    INTERVAL.max(age / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const START: UnixMillis = UnixMillis(1_700_000_000_000);

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn policy(wait: Option<u64>) -> PollPolicy {
        PollPolicy { wait: wait.map(seconds), max_attempts: NonZeroU32::MIN }
    }

    /// Seconds until the next poll of a cover that was accepted `accepted` seconds after the run began.
    fn next(wait: Option<u64>, accepted: u64, now: u64) -> Option<u64> {
        let [accepted, now] = [accepted, now].map(|at| START.after(seconds(at)));
        policy(wait).until_next_poll(accepted, START, now).map(|next| next.as_secs())
    }

    #[test]
    fn a_cover_that_is_waited_for_is_polled_each_30_s_and_given_up_in_time() {
        for (now, expected) in [(0, Some(30)), (30, Some(30)), (70, Some(30)), (71, None), (1000, None)] {
            assert_eq!(next(Some(100), 0, now), expected, "{now}");
        }
        let old = START.before(seconds(5000));
        let waited = |now| policy(Some(100)).until_next_poll(old, START, START.after(seconds(now)));
        assert_eq!((waited(70), waited(71)), (Some(seconds(30)), None), "an old one is waited for since the run began");
        assert_eq!(
            (next(Some(100), 50, 120), next(Some(100), 50, 121)),
            (Some(30), None),
            "a new one since it was accepted"
        );
    }

    #[test]
    fn a_cover_from_the_future_is_waited_for_since_the_run_began() {
        assert_eq!((next(Some(100), 3600, 70), next(Some(100), 3600, 71)), (Some(30), None));
        assert_eq!(
            (next(Some(10), 70, 70), next(Some(30), 70, 70)),
            (None, Some(30)),
            "one of this moment is of no other"
        );
    }

    #[test]
    fn a_cover_that_nobody_waits_for_is_polled_less_and_less_often_as_long_as_images_last() {
        for (age, expected) in [(0, Some(30)), (300, Some(30)), (3000, Some(300)), (DAY, Some(8640))] {
            assert_eq!(next(None, 0, age), expected, "{age}");
        }
        assert_eq!((next(None, 0, 14 * DAY - 1), next(None, 0, 14 * DAY)), (Some(120_959), None));
    }

    #[test]
    fn a_record_that_says_nothing_rests_the_longer_the_older_it_is_and_is_forgotten_by_who_waits_for_nothing() {
        for wait in [None, Some(100)] {
            for (age, rest) in [(0, 30), (300, 30), (DAY, 8640), (14 * DAY - 1, 120_959)] {
                assert_eq!(policy(wait).give_up_record(seconds(age)).whole_seconds(), Some(rest), "{wait:?} {age}");
            }
        }
        assert_eq!(policy(None).give_up_record(seconds(14 * DAY)), GivenUp::Forgotten);
        assert_eq!(policy(Some(100)).give_up_record(seconds(14 * DAY)), GivenUp::Rests(seconds(120_960)));
    }

    #[test]
    fn an_image_is_forgotten_once_its_host_has_had_a_day_and_says_that_it_is_not_there() {
        let (gone, other) = (Some(Reason::NotFound), Some(Reason::Timeout));
        for (age, reason, rest) in [
            (0, gone, Some(30)),
            (DAY - 1, gone, Some(8639)),
            (DAY, gone, None),
            (DAY, other, Some(8640)),
            (DAY, None, Some(8640)),
        ] {
            let given_up = PollPolicy::give_up_image(seconds(age), reason);
            assert_eq!(given_up.whole_seconds(), rest, "{age} {reason:?}");
        }
    }

    impl GivenUp {
        fn whole_seconds(self) -> Option<u64> {
            match self {
                Self::Rests(rest) => Some(rest.as_secs()),
                Self::Forgotten => None,
            }
        }
    }
}
