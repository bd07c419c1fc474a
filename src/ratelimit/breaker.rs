//! Pauses for everyone while the service refuses everyone: a circuit breaker.
//!
//! The words of the field are opposite to those of a gate (a closed circuit lets through, a closed gate does not), so the
//! states here are called what they do. Each refusal of a request that was sent since the last pause begins another, longer
//! one. After a throttle everyone goes on at once; after an outage a single probe goes first, and nobody else until that has
//! been answered.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::shared::PauseCause;
use super::{Admission, Refused, later};
use crate::domain::{Brief, Reason};
use crate::policy::{GATE_BACKOFF, Jitter, Refusal};

/// Whether requests may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    Paused {
        until: Instant,
        refusal: Refusal,
    },
    /// Only the probe is on its way.
    Probing,
}

/// Counts pauses: what was sent before the last one says nothing new when it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(pub(super) u64);

/// What pauses everyone.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    epoch: Epoch,
    /// Refusals since the last answer, each after a pause of its own.
    consecutive_refusals: u32,
    /// The last answer that was no refusal.
    last_answer: Option<Instant>,
    /// Since when the service has served nobody, as far as it was asked.
    outage_since: Option<Instant>,
    /// How long the service may refuse everyone.
    max_outage: Duration,
    pauses: Pauses,
}

impl Breaker {
    pub(super) fn new(max_outage: Duration) -> Self {
        Self {
            state: State::Flowing,
            epoch: Epoch(0),
            consecutive_refusals: 0,
            last_answer: None,
            outage_since: None,
            max_outage,
            pauses: Pauses::default(),
        }
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) const fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// Whether a request may be made.
    pub(super) fn admit(&self, now: Instant) -> Admission {
        let over = self.outage_since.map(|since| later(since, self.max_outage));
        match self.state {
            _ if over.is_some_and(|over| over <= now) => Admission::Never,
            State::Probing => Admission::OnChange,
            State::Paused { until, .. } if until > now => Admission::At(over.map_or(until, |over| over.min(until))),
            State::Paused { .. } | State::Flowing => Admission::Now,
        }
    }

    /// A request is made that [`Self::admit`] allowed; whether it is a probe.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        match self.state {
            State::Paused { refusal: Refusal::Unavailable, .. } => self.state = State::Probing,
            State::Paused { refusal: Refusal::Throttled, .. } => self.resume(now),
            State::Flowing | State::Probing => {}
        }
        self.state == State::Probing
    }

    /// Whether who passes now is the first since a pause began.
    pub(super) const fn is_resuming(&self) -> bool {
        matches!(self.state, State::Paused { .. })
    }

    /// A probe was not sent: the next one may be.
    pub(super) fn cancel_probe(&mut self, now: Instant) {
        self.state = State::Paused { until: now, refusal: Refusal::Unavailable };
    }

    /// The service answered a request of `epoch`.
    pub(super) fn answered(&mut self, epoch: Epoch, is_probe: bool, now: Instant) {
        self.last_answer = Some(now);
        if epoch == self.epoch {
            (self.consecutive_refusals, self.outage_since) = (0, None);
        } else {
            // What was sent before the pause was served: the outage is younger than that, but may be one.
            self.outage_since = self.outage_since.map(|_| now);
        }
        if is_probe {
            self.resume(now);
            info!(paused = %Brief(self.pauses.total(now)), "the service answers again");
        }
    }

    /// The service refused everyone in its answer to a request of `epoch` that was sent at a time; the pause that begins with
    /// that, if one does.
    pub(super) fn refused(
        &mut self,
        epoch: Epoch,
        sent: Instant,
        Refused { refusal, reason, retry_after }: Refused,
        jitter: Jitter,
        now: Instant,
    ) -> Option<(PauseCause, Duration)> {
        if epoch != self.epoch {
            // It may still ask for a longer pause than the one that is on.
            let asked = later(now, retry_after.unwrap_or_default().min(GATE_BACKOFF.cap));
            if let State::Paused { until, refusal } = self.state {
                self.state = State::Paused { until: until.max(asked), refusal };
            }
            return None;
        }
        let nth = NonZeroU32::MIN.saturating_add(self.consecutive_refusals);
        let wait = GATE_BACKOFF.delay(nth, jitter, retry_after);
        self.consecutive_refusals = nth.get();
        // Before this request was sent nobody may have asked for long, which is no outage.
        self.outage_since.get_or_insert(self.last_answer.map_or(sent, |answered| answered.max(sent)));
        self.epoch.0 += 1;
        self.state = State::Paused { until: later(now, wait), refusal };
        self.pauses.begin(reason, now);
        info!(%reason, nth, wait = %Brief(wait), asked = ?retry_after, "no request for a while");
        Some((PauseCause { refusal, reason, refusals: nth.get() }, wait))
    }

    /// Another run of the account was refused: nobody sends anything before `until`.
    pub(super) fn adopt(&mut self, cause: PauseCause, until: Instant, now: Instant) {
        if self.state == State::Flowing {
            self.epoch.0 += 1;
            self.pauses.begin(cause.reason, now);
        }
        self.outage_since.get_or_insert(now);
        self.consecutive_refusals = self.consecutive_refusals.max(cause.refusals);
        self.state = State::Paused { until, refusal: cause.refusal };
    }

    /// Why nothing is sent now, and for how long; no time at all if a probe is on its way.
    pub(super) fn paused_for(&self, now: Instant) -> Option<(Refusal, Duration)> {
        match self.state {
            State::Flowing => None,
            State::Paused { until, refusal } => Some((refusal, until.saturating_duration_since(now))),
            State::Probing => Some((Refusal::Unavailable, Duration::ZERO)),
        }
    }

    fn resume(&mut self, now: Instant) {
        self.state = State::Flowing;
        self.pauses.end(now);
    }
}

/// Pauses told apart; more than these are only counted and added up.
const MOST_PAUSES: usize = 100;

/// A time in which nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// What the service said first.
    pub reason: Reason,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub until: Instant,
}

/// All pauses so far.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    ended: Vec<Pause>,
    total: Duration,
    now: Option<(Reason, Instant)>,
}

impl Pauses {
    /// A pause begins, unless there is one.
    pub(super) fn begin(&mut self, reason: Reason, at: Instant) {
        self.now.get_or_insert((reason, at));
    }

    /// The pause ends, if there is one.
    pub(super) fn end(&mut self, until: Instant) {
        let Some((reason, from)) = self.now.take() else { return };
        self.total += until - from;
        if self.ended.len() < MOST_PAUSES {
            self.ended.push(Pause { reason, from, until });
        }
    }

    /// How long nothing was sent, until `now`.
    pub(super) fn total(&self, now: Instant) -> Duration {
        self.total + self.now.map_or(Duration::ZERO, |(_, from)| now - from)
    }

    /// Every pause, the one that lasts included.
    pub(super) fn all(&self, now: Instant) -> Vec<Pause> {
        let lasting = self.now.map(|(reason, from)| Pause { reason, from, until: now });
        self.ended.iter().copied().chain(lasting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether a pause begins.
    fn unavailable(breaker: &mut Breaker, retry_after: Option<Duration>, now: Instant) -> bool {
        let refused = Refused { refusal: Refusal::Unavailable, reason: Reason::Maintenance, retry_after };
        breaker.refused(breaker.epoch(), now, refused, Jitter::new(0.0), now).is_some()
    }

    #[test]
    fn after_an_outage_one_probe_goes_first_and_its_answer_lets_everyone_go_on() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(3600 * SECOND);
        assert!(!breaker.pass(start));
        assert!(unavailable(&mut breaker, None, start));
        assert_eq!(breaker.admit(start), Admission::At(start + SECOND));
        assert_eq!(breaker.admit(start + SECOND), Admission::Now);
        assert!(breaker.pass(start + SECOND));
        assert_eq!(breaker.admit(start + 5 * SECOND), Admission::OnChange);
        breaker.answered(breaker.epoch(), true, start + 5 * SECOND);
        assert_eq!(breaker.admit(start + 5 * SECOND), Admission::Now);
        assert!(!breaker.pass(start + 5 * SECOND));
        let pauses = breaker.pauses().all(start + 9 * SECOND);
        assert_eq!(pauses.iter().map(|pause| pause.until - pause.from).collect::<Vec<_>>(), [5 * SECOND]);
    }

    #[test]
    fn beyond_the_first_hundred_pauses_are_only_added_up() {
        let start = Clock::start().now();
        let mut pauses = Pauses::default();
        for n in 0..150 {
            pauses.begin(Reason::Maintenance, start + 2 * n * SECOND);
            pauses.end(start + (2 * n + 1) * SECOND);
        }
        assert_eq!((pauses.all(start).len(), pauses.total(start)), (MOST_PAUSES, 150 * SECOND));
    }

    #[test]
    fn after_a_throttle_everyone_goes_on() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(3600 * SECOND);
        breaker.pass(start);
        let refused = Refused { refusal: Refusal::Throttled, reason: Reason::RateLimited, retry_after: None };
        assert!(breaker.refused(breaker.epoch(), start, refused, Jitter::new(0.0), start).is_some());
        assert!(!breaker.pass(start + SECOND));
        assert_eq!(breaker.admit(start + SECOND), Admission::Now);
    }

    #[test]
    fn refusals_of_what_was_sent_before_a_pause_count_once_but_may_prolong_it() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(3600 * SECOND);
        breaker.pass(start);
        let sent_before = breaker.epoch();
        assert!(unavailable(&mut breaker, None, start));
        for (asked, until) in [(None, 1), (Some(30 * SECOND), 30), (Some(7 * SECOND), 30), (Some(86_400 * SECOND), 600)]
        {
            let refused = Refused { refusal: Refusal::Unavailable, reason: Reason::Maintenance, retry_after: asked };
            assert_eq!(breaker.refused(sent_before, start, refused, Jitter::new(0.0), start), None);
            assert_eq!(breaker.admit(start), Admission::At(start + until * SECOND));
        }
        assert_eq!(breaker.epoch(), Epoch(1));
    }

    #[test]
    fn an_old_answer_shows_that_the_service_is_there_but_ends_no_pause() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(10 * SECOND);
        breaker.pass(start);
        let sent_before = breaker.epoch();
        unavailable(&mut breaker, Some(300 * SECOND), start + SECOND);
        assert_eq!(breaker.admit(start + SECOND), Admission::At(start + 11 * SECOND), "the outage is over before");
        breaker.answered(sent_before, false, start + 5 * SECOND);
        assert_eq!(breaker.admit(start + 5 * SECOND), Admission::At(start + 15 * SECOND));
        assert_eq!(breaker.admit(start + 15 * SECOND), Admission::Never);
    }

    #[test]
    fn a_long_time_without_a_request_is_no_outage() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(10 * SECOND);
        breaker.pass(start);
        breaker.answered(breaker.epoch(), false, start);
        assert_eq!(breaker.admit(start + 60 * SECOND), Admission::Now);
        assert!(!breaker.pass(start + 60 * SECOND));
        assert!(unavailable(&mut breaker, Some(30 * SECOND), start + 60 * SECOND));
        assert_eq!(breaker.admit(start + 61 * SECOND), Admission::At(start + 70 * SECOND));
        assert_eq!(breaker.admit(start + 70 * SECOND), Admission::Never);
    }

    #[test]
    fn an_outage_begins_with_the_last_answer_or_the_first_request_that_was_refused() {
        let start = Clock::start().now();
        // When the last answer came, and when what is refused at 40 s was sent; when the outage is over.
        for (answered, sent, over) in [(None, 30, 90), (Some(20), 30, 90), (Some(35), 30, 95)] {
            let mut breaker = Breaker::new(60 * SECOND);
            if let Some(answered) = answered {
                breaker.answered(breaker.epoch(), false, start + answered * SECOND);
            }
            let sent = start + sent * SECOND;
            let retry_after = Some(600 * SECOND);
            let refused = Refused { refusal: Refusal::Unavailable, reason: Reason::Maintenance, retry_after };
            let pause = breaker.refused(breaker.epoch(), sent, refused, Jitter::new(0.0), start + 40 * SECOND);
            assert!(pause.is_some());
            assert_eq!(
                breaker.admit(start + 40 * SECOND),
                Admission::At(start + over * SECOND),
                "{answered:?} {sent:?}"
            );
        }
    }

    #[test]
    fn the_pause_of_another_run_after_a_quiet_time_is_no_outage_yet() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(60 * SECOND);
        breaker.answered(breaker.epoch(), false, start);
        let cause = PauseCause { refusal: Refusal::Unavailable, reason: Reason::Maintenance, refusals: 1 };
        let (heard, until) = (start + 300 * SECOND, start + 310 * SECOND);
        breaker.adopt(cause, until, heard);
        assert_eq!(breaker.admit(heard), Admission::At(until));
        assert_eq!(breaker.admit(heard + 60 * SECOND), Admission::Never);
    }

    #[test]
    fn the_longest_outage_may_be_longer_than_any_time() {
        let start = Clock::start().now();
        let mut breaker = Breaker::new(Duration::MAX);
        breaker.pass(start);
        unavailable(&mut breaker, None, start);
        assert_eq!(breaker.admit(start + SECOND), Admission::Now);
    }
}
