//! Which requests are turned away before anyone looks at what they ask for. Pure; the time comes in.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::domain::Rate;

use super::request::{ApiKeyId, ApiRequest};
use super::scenario::{MaintenanceWindow, Scenario};

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// The service is under maintenance.
    Maintenance,
    /// There is no key.
    NoKey,
    /// A generate request over the limit.
    FastSubmission,
    /// A read of a record over the limit.
    FastRead,
}

impl Denial {
    /// The code of the answer.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Maintenance => 455,
            Self::NoKey => 401,
            Self::FastSubmission | Self::FastRead => 429,
        }
    }
}

/// Admits requests: maintenance, key, limits.
#[derive(Debug)]
pub(super) struct Admission {
    maintenance: Vec<MaintenanceWindow>,
    submissions: Limits,
    reads: Limits,
}

impl Admission {
    /// Nothing was admitted yet.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let maintenance = scenario.maintenance.clone();
        Self { maintenance, submissions: Limits::new(scenario.limit), reads: Limits::new(scenario.read_limit) }
    }

    /// Why this request, which arrives `now`, is turned away, if it is.
    pub(super) fn denies(&mut self, now: Duration, key: Option<ApiKeyId>, request: &ApiRequest) -> Option<Denial> {
        if self.maintenance.iter().any(|window| window.contains(now)) {
            return Some(Denial::Maintenance);
        }
        let Some(key) = key else { return Some(Denial::NoKey) };
        match request {
            ApiRequest::Generate(_) => (!self.submissions.admit(key, now)).then_some(Denial::FastSubmission),
            ApiRequest::CoverRecord(_) | ApiRequest::MusicRecord(_) => {
                (!self.reads.admit(key, now)).then_some(Denial::FastRead)
            }
            // "May be called often", by its documentation.
            ApiRequest::Credit => None,
        }
    }
}

/// One limit, kept for each key apart: a sliding-window log in which only admitted requests count.
#[derive(Debug)]
struct Limits {
    rate: Rate,
    admitted: HashMap<ApiKeyId, SlidingWindow>,
}

impl Limits {
    fn new(rate: Rate) -> Self {
        Self { rate, admitted: HashMap::new() }
    }

    fn admit(&mut self, key: ApiKeyId, now: Duration) -> bool {
        let admitted = self.admitted.entry(key).or_insert_with(|| SlidingWindow::new(self.rate.period));
        let most = usize::try_from(self.rate.count.get()).unwrap_or(usize::MAX);
        let has_room = admitted.count(now) < most;
        if has_room {
            admitted.note(now);
        }
        has_room
    }
}

/// The moments of the last period, oldest first; one that is exactly a period old is gone.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    period: Duration,
    moments: VecDeque<Duration>,
}

impl SlidingWindow {
    /// No moments yet.
    pub(super) const fn new(period: Duration) -> Self {
        Self { period, moments: VecDeque::new() }
    }

    /// How many moments lie in the period that ends `now`; `now` must not go backwards.
    pub(super) fn count(&mut self, now: Duration) -> usize {
        while self.moments.front().is_some_and(|moment| now.saturating_sub(*moment) >= self.period) {
            self.moments.pop_front();
        }
        self.moments.len()
    }

    /// Remembers `now`.
    pub(super) fn note(&mut self, now: Duration) {
        self.moments.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    /// Whether a request that arrives then is admitted, of one key.
    fn limiter(count: u32) -> impl FnMut(Duration) -> bool {
        let mut limits = Limits::new(Rate { count: count.try_into().unwrap(), period: PERIOD });
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer key".parse().unwrap())]);
        let key = ApiKeyId::of(&headers).unwrap();
        move |now| limits.admit(key, now)
    }

    proptest! {
        #[test]
        fn a_request_is_admitted_exactly_if_the_window_before_it_has_room(
            count in 1_u32..6,
            gaps in prop::collection::vec(0_u64..600, 0..200),
        ) {
            let (mut admit, mut now) = (limiter(count), Duration::ZERO);
            let mut admitted: Vec<Duration> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let before = admitted.iter().filter(|moment| **moment + PERIOD > now).count();
                let is_admitted = admit(now);
                prop_assert_eq!(is_admitted, before < count as usize);
                if is_admitted {
                    admitted.push(now);
                }
            }
            for apart in admitted.windows(count as usize + 1) {
                prop_assert!(apart[count as usize] >= apart[0] + PERIOD);
            }
        }
    }

    #[test]
    fn after_an_idle_period_the_whole_limit_is_free_again() {
        let mut admit = limiter(20);
        for start in [Duration::ZERO, PERIOD, PERIOD * 5] {
            assert_eq!((0..25).filter(|_| admit(start)).count(), 20, "{start:?}");
        }
    }

    #[test]
    fn refused_requests_do_not_prolong_the_wait() {
        let mut admit = limiter(1);
        assert!(admit(Duration::ZERO));
        assert!((1..1000).all(|ms| !admit(Duration::from_millis(ms))));
        assert!(admit(PERIOD));
    }
}
