//! Never more than N requests in any window, as the service counts them.
//!
//! The service counts a request when it arrives, which is after it was sent and before it was answered. So a request
//! counts as outstanding from its reservation until its answer, and after that until it has left the window. A new one
//! is reserved while fewer than N count.
//!
//! That this keeps any window: of the requests that arrive within one, take the one that was reserved last. When it was
//! reserved every other one was outstanding or had not left the window, so they were fewer than N. It does not matter
//! how long the disk takes between a reservation and its departure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{Admission, later, slack};
use crate::domain::Rate;

/// Answers that the fastest way to the service and back is estimated from.
const LEARNED_FROM: usize = 100;

/// The fastest of them that tell how far below the fastest one the next may be.
const FASTEST: usize = 5;

/// Requests that count against the limit.
#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// Reserved, and not answered.
    outstanding: usize,
    /// When those that were answered leave the window.
    leave_at: BinaryHeap<Reverse<Instant>>,
    answer_times: AnswerTimes,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, outstanding: 0, leave_at: BinaryHeap::new(), answer_times: AnswerTimes::default() }
    }

    /// Whether another request fits in.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        while self.leave_at.peek().is_some_and(|Reverse(at)| *at <= now) {
            self.leave_at.pop();
        }
        let limit = usize::try_from(self.rate.count.get()).unwrap_or(usize::MAX);
        if self.outstanding + self.leave_at.len() < limit {
            return Admission::Now;
        }
        // An answer changes nothing before that, since its request stays in the window.
        self.leave_at.peek().map_or(Admission::OnChange, |Reverse(at)| Admission::At(*at))
    }

    /// Counts a request that may be made.
    pub(super) const fn reserve(&mut self) {
        self.outstanding += 1;
    }

    /// A request that was reserved was not made.
    pub(super) const fn cancel(&mut self) {
        self.outstanding -= 1;
    }

    /// How long after it was sent at a time a request counts, if it is answered now, or will never be.
    ///
    /// It arrived before the answer left, so it counts at most from `now` on, earlier by the shortest way. That is the sum
    /// of the shortest way of its answer back and the shortest way of a later request there.
    pub(super) fn counts_after(&self, sent: Instant, now: Instant) -> Duration {
        // A quick answer needs no estimate: its request counts for the slack anyway.
        let late = (now - sent).saturating_sub(slack(self.rate));
        if late.is_zero() { late } else { late.saturating_sub(self.answer_times.shortest()) }
    }

    /// A request that was sent at a time is answered, or will never be.
    pub(super) fn answered(&mut self, sent: Instant, now: Instant) {
        self.outstanding -= 1;
        let counts_from = later(sent, self.counts_after(sent, now));
        self.leave_at.push(Reverse(later(counts_from, self.rate.period + slack(self.rate))));
        self.answer_times.add(now - sent);
    }
}

/// How long the last answers took.
#[derive(Debug, Default)]
struct AnswerTimes(VecDeque<Duration>);

impl AnswerTimes {
    fn add(&mut self, took: Duration) {
        self.0.truncate(LEARNED_FROM - 1);
        self.0.push_front(took);
    }

    /// A time that no answer will be faster than, as far as the last ones tell; zero while there are few.
    ///
    /// The fastest of a sample is above the least that is possible, about as far as the next ones are apart. So it is
    /// extrapolated: below the fastest by twice the distance to the fifth.
    fn shortest(&self) -> Duration {
        if self.0.len() < LEARNED_FROM / FASTEST {
            return Duration::ZERO;
        }
        let mut times: Vec<Duration> = self.0.iter().copied().collect();
        let (faster, fifth, _) = times.select_nth_unstable(FASTEST - 1);
        let fastest = faster.iter().min().copied().unwrap_or_default();
        (fastest * 3).saturating_sub(*fifth * 2)
    }
}

/// Requests by the times at which they were made: what proves that the limit was kept.
#[derive(Debug)]
pub(super) struct SendLog {
    period: Duration,
    times: VecDeque<Instant>,
    most: usize,
}

impl SendLog {
    /// An empty log of windows of length `period`.
    pub(super) const fn new(period: Duration) -> Self {
        Self { period, times: VecDeque::new(), most: 0 }
    }

    /// Notes one request at `time`, not before the last one noted.
    pub(super) fn note(&mut self, time: Instant) {
        while self.times.front().is_some_and(|first| *first + self.period <= time) {
            self.times.pop_front();
        }
        self.times.push_back(time);
        self.most = self.most.max(self.times.len());
    }

    /// The most requests noted in any window.
    pub(super) const fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn window(rate: &str) -> (Window, Instant) {
        (Window::new(rate.parse().unwrap()), Clock::start().now())
    }

    #[test]
    fn a_request_counts_from_its_reservation_until_it_has_left_the_window() {
        let (mut window, start) = window("2/10s");
        window.reserve();
        window.reserve();
        assert_eq!(window.admit(start), Admission::OnChange);
        assert_eq!(window.admit(start + ms(60_000)), Admission::OnChange, "however long it takes");
        window.cancel();
        assert_eq!(window.admit(start), Admission::Now);
        window.answered(start, start + ms(3_000));
        window.reserve();
        assert_eq!(window.admit(start + ms(3_000)), Admission::At(start + ms(13_000)), "it may have arrived so late");
        assert_eq!(window.admit(start + ms(13_000)), Admission::Now);
    }

    #[test]
    fn a_quick_answer_counts_from_its_request_and_the_slack() {
        let (mut window, start) = window("1/10s");
        window.reserve();
        window.answered(start, start + ms(5));
        assert_eq!(window.admit(start + ms(5)), Admission::At(start + ms(10_250)));
    }

    #[test]
    fn the_shortest_way_is_extrapolated_from_the_fastest_answers() {
        let mut times = AnswerTimes::default();
        for _ in 0..19 {
            times.add(ms(500));
        }
        assert_eq!(times.shortest(), Duration::ZERO, "few answers tell nothing");
        times.add(ms(500));
        assert_eq!(times.shortest(), ms(500));
        for took in [400, 410, 420, 430] {
            times.add(ms(took));
        }
        assert_eq!(times.shortest(), ms(200));
        times.add(ms(440));
        assert_eq!(times.shortest(), ms(320), "the fifth fastest");
        times.add(ms(10));
        assert_eq!(times.shortest(), Duration::ZERO);
        for _ in 0..100 {
            times.add(ms(3_000));
        }
        assert_eq!(times.shortest(), ms(3_000), "answers of long ago are forgotten");
    }

    proptest! {
        /// Requests that each take a time on the way to the disk, to the service, and back; too few to estimate anything.
        #[test]
        fn no_window_holds_more_than_n_arrivals(
            count in 1_usize..8,
            ways in prop::collection::vec((0_u64..3_000, 0_u64..2_000, 0_u64..2_000), 1..20),
        ) {
            let rate: Rate = format!("{count}/1s").parse().unwrap();
            let start = Clock::start().now();
            let (mut window, mut now, mut arrivals) = (Window::new(rate), start, Vec::new());
            // Sorted by when they are answered: sent, answered.
            let mut outstanding: Vec<(Instant, Instant)> = Vec::new();
            for (disk, there, back) in ways {
                loop {
                    outstanding.sort_by_key(|(_, answered)| Reverse(*answered));
                    match (window.admit(now), outstanding.last().copied()) {
                        (Admission::Now, _) => break,
                        (Admission::At(at), next) if next.is_none_or(|(_, answered)| at <= answered) => now = at,
                        (_, Some((sent, answered))) => {
                            outstanding.pop();
                            now = now.max(answered);
                            window.answered(sent, now);
                        }
                        (admission, None) => panic!("nothing is outstanding: {admission:?}"),
                    }
                }
                window.reserve();
                let sent = now + ms(disk);
                arrivals.push(sent + ms(there));
                outstanding.push((sent, sent + ms(there) + ms(back)));
            }
            for first in &arrivals {
                let within = arrivals.iter().filter(|at| *at >= first && **at < *first + rate.period).count();
                prop_assert!(within <= count, "{within} arrivals in a window of {rate}");
            }
        }

        #[test]
        fn the_log_finds_the_fullest_window(waits in prop::collection::vec(0_u64..200, 1..300)) {
            let mut log = SendLog::new(ms(500));
            let mut now = Clock::start().now();
            let mut sent: Vec<Instant> = Vec::new();
            for wait in waits {
                now += ms(wait);
                log.note(now);
                sent.push(now);
            }
            let in_window = |start: Instant| sent.iter().filter(|t| **t >= start && **t < start + ms(500)).count();
            prop_assert_eq!(log.most(), sent.iter().map(|start| in_window(*start)).max().unwrap());
        }
    }
}
