//! The gate of a run: the state that decides, those who wait for it, and what they get: leave for one request, and the
//! duty to report what came of it. Dropping either leaves the gate in order, so a caller that dies holds up nobody.
//!
//! Callers are served in the order in which they ask, one at a time: governor's own waiting lets every waiter wake for
//! every request, and sleeps past tokio's clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::aimd::RateShare;
use super::breaker::{Breaker, Epoch, Pause};
use super::shared::{Asking, NotYet, PauseChange};
use super::spacing::{Spacing, Turn};
use super::window::{SendLog, Window};
use super::{Admission, Feedback, Refused, later};
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Rate, Reason};
use crate::policy::{Jitter, Refusal};

/// The service has refused everyone for `--max-outage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutageOver;

/// What a gate has seen, for the summary and the progress line.
#[derive(Debug, Clone, Copy)]
pub struct GateView {
    /// The most requests of this run in any window of the rate's period.
    pub most_in_window: usize,
    /// How often it paused everyone.
    pub pauses: u64,
    /// How long, all in all.
    pub paused_for: Duration,
    /// Why nothing is sent now, and for how long; no time at all if a probe is on its way.
    pub paused: Option<(Refusal, Duration)>,
    /// The share of the configured rate that is used.
    pub share: f64,
}

/// What decides whether a request may be made. Its methods get the time; they neither wait nor read a clock.
#[derive(Debug)]
struct State {
    rate: Rate,
    /// From when the times of the share count.
    origin: Instant,
    window: Window,
    spacing: Spacing,
    share: RateShare,
    breaker: Breaker,
    sent: SendLog,
    /// Nobody passes before, for the sake of other runs.
    held_until: Instant,
    /// The times that are kept for this run beside the others, the first of them on top.
    promised: BinaryHeap<Reverse<UnixMillis>>,
}

/// The gate of a run.
#[derive(Debug)]
pub struct Gate {
    clock: Clock,
    rate: Rate,
    /// Held while waiting, so that callers are served in order and only one sleeps.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    changed: Notify,
}

impl Gate {
    /// A gate that pauses nobody; the service may refuse everyone for `max_outage`.
    #[must_use]
    pub fn new(rate: Rate, max_outage: Duration, clock: Clock) -> Arc<Self> {
        let now = clock.now();
        let state = State {
            rate,
            origin: now,
            window: Window::new(rate),
            spacing: Spacing::new(rate, now),
            share: RateShare::new(1.0, Duration::ZERO),
            breaker: Breaker::new(max_outage),
            sent: SendLog::new(rate.period),
            held_until: now,
            promised: BinaryHeap::new(),
        };
        let (turn, state, changed) = (tokio::sync::Mutex::default(), Mutex::new(state), Notify::new());
        Arc::new(Self { clock, rate, turn, state, changed })
    }

    /// Waits until one request may be made. Dropping the future spends nothing.
    ///
    /// # Errors
    /// [`OutageOver`] once the service has refused everyone for the configured time.
    pub async fn reserve(self: &Arc<Self>) -> Result<Reservation, OutageOver> {
        let _turn = self.turn.lock().await;
        loop {
            let changed = self.changed.notified();
            let reserved = self.state().reserve(self.clock.now());
            match reserved {
                Ok(ticket) => return Ok(Reservation(Place { gate: Arc::clone(self), ticket, sent: None })),
                Err(Admission::At(time)) => tokio::select! { () = sleep_until(time) => (), () = changed => () },
                Err(Admission::OnChange) => changed.await,
                Err(Admission::Never) => return Err(OutageOver),
                Err(Admission::Now) => {}
            }
        }
    }

    /// The rate that it keeps.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether everyone is paused, or waits for a probe.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state().breaker.paused_for(self.clock.now()).is_some()
    }

    /// What the gate has seen so far.
    #[must_use]
    pub fn view(&self) -> GateView {
        let (state, now) = (self.state(), self.clock.now());
        GateView {
            most_in_window: state.sent.most(),
            pauses: state.breaker.epoch().0,
            paused_for: state.breaker.pauses().total(now),
            paused: state.breaker.paused_for(now),
            share: state.share_at(now),
        }
    }

    /// When nothing was sent because of the service, and why, as far as the first of these times go.
    #[must_use]
    pub fn pauses(&self) -> Vec<Pause> {
        self.state().breaker.pauses().all(self.clock.now())
    }

    /// When a request that was reserved in `epoch` is sent: now, unless a pause has begun since.
    fn depart(&self, epoch: Epoch) -> Option<Instant> {
        let mut state = self.state();
        let now = (state.breaker.epoch() == epoch).then(|| self.clock.now())?;
        state.sent.note(now);
        Some(now)
    }

    /// What came of a request that was sent at a time.
    fn report(&self, ticket: Ticket, sent: Option<Instant>, feedback: Feedback, jitter: Jitter) -> Reported {
        let (mut state, now) = (self.state(), self.clock.now());
        let sent = sent.unwrap_or(now);
        let pause = state.report(ticket, sent, feedback, jitter, now);
        let age = (now - sent).saturating_sub(state.window.counts_after(sent, now));
        drop(state);
        self.changed.notify_waiters();
        Reported { age, pause }
    }

    /// A request is over, or was not made; a probe of which nothing was heard makes way for the next.
    fn free(&self, ticket: Ticket, sent: Option<Instant>) {
        let (mut state, now) = (self.state(), self.clock.now());
        if let Some(sent) = sent {
            state.window.answered(sent, now);
        } else {
            state.window.cancel();
            state.spacing.give_back(ticket.turn);
            if let Some(promised) = ticket.promised {
                state.promised.push(Reverse(promised));
            }
        }
        if ticket.is_probe {
            state.breaker.cancel_probe(now);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reserves a request, or says what to wait for. Nothing is spent unless all agree.
    fn reserve(&mut self, now: Instant) -> Result<Ticket, Admission> {
        if self.held_until > now {
            return Err(Admission::At(self.held_until));
        }
        for admission in [self.breaker.admit(now), self.window.admit(now)] {
            match admission {
                Admission::Now => {}
                Admission::At(_) | Admission::OnChange | Admission::Never => return Err(admission),
            }
        }
        let turn = self.spacing.pass(now).map_err(Admission::At)?;
        if self.breaker.is_resuming() {
            self.share.since = now - self.origin;
        }
        // Right after a request, where a new limiter, which lets nobody pass at once, costs nothing.
        self.spacing.set_share(self.share_at(now), now);
        self.window.reserve();
        let promised = self.promised.pop().map(|Reverse(promised)| promised);
        Ok(Ticket { epoch: self.breaker.epoch(), is_probe: self.breaker.pass(now), turn, promised })
    }

    fn report(
        &mut self,
        ticket: Ticket,
        sent: Instant,
        feedback: Feedback,
        jitter: Jitter,
        now: Instant,
    ) -> PauseChange {
        match feedback {
            Feedback::Lost => PauseChange::Keep,
            Feedback::Answered => {
                self.breaker.answered(ticket.epoch, ticket.is_probe, now);
                if !ticket.is_probe {
                    return PauseChange::Keep;
                }
                self.share.since = now - self.origin;
                PauseChange::End
            }
            Feedback::Refused(refused) => {
                let begun = self.breaker.refused(ticket.epoch, sent, refused, jitter, now);
                let Some((cause, wait)) = begun else { return PauseChange::Keep };
                self.promised.clear();
                let (age, window) = (now - self.origin, self.rate.period);
                self.share = self.share.paused(refused.refusal, (age, age + wait), window);
                self.spacing.set_share(self.share_at(now), now);
                PauseChange::Begin { cause, wait, window }
            }
        }
    }

    /// Other runs of the account leave no room yet, as was said to who asked at a time: it took a while until that was known.
    fn hold(&mut self, NotYet { wait, pause, share, .. }: NotYet, asked: Instant, now: Instant) {
        let until = later(asked, wait);
        if let Some(cause) = pause {
            // Those times are over when it ends, for all runs at once.
            self.promised.clear();
            self.held_until = until;
            self.breaker.adopt(cause, until, now);
        } else {
            // Of several that were asked for together, the first one is due first.
            self.held_until = if self.held_until > now { self.held_until.min(until) } else { until };
        }
        self.share = RateShare::new(share, now - self.origin);
        self.spacing.set_share(self.share_at(now), now);
    }

    fn share_at(&self, now: Instant) -> f64 {
        self.share.at(now - self.origin, self.rate.period)
    }
}

/// What a request was let through with.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    epoch: Epoch,
    is_probe: bool,
    turn: Turn,
    /// The time that other runs leave to it.
    promised: Option<UnixMillis>,
}

/// What the gate says of a request whose answer it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// How long before its answer it began to count.
    pub age: Duration,
    /// What the answer does to the pause of all runs.
    pub pause: PauseChange,
}

/// What a request counts as until it is over.
#[derive(Debug)]
struct Place {
    gate: Arc<Gate>,
    ticket: Ticket,
    /// When it was sent, once it was.
    sent: Option<Instant>,
}

/// Leave for one request. It counts against the limit until it is dropped, or answered.
#[derive(Debug)]
pub struct Reservation(Place);

impl Reservation {
    /// What the run asks the others with.
    #[must_use]
    pub fn asking(&self) -> Asking {
        let Self(place) = self;
        Asking { rate: place.gate.rate, is_probe: place.ticket.is_probe, promised: place.ticket.promised }
    }

    /// Other runs of the account, which were asked at a time, leave no room yet: the request is not made, and none of this run
    /// before there is.
    pub fn hold(self, not_yet: NotYet, asked: Instant) {
        let Self(mut place) = self;
        let gate = Arc::clone(&place.gate);
        // Dropping the place puts this time among those that are kept for the run; a pause forgets them right after.
        place.ticket.promised = not_yet.promised;
        drop(place);
        let now = gate.clock.now();
        gate.state().hold(not_yet, asked, now);
    }

    /// Notes that the request is being made now; `None` if a pause began since it was reserved, which it would break.
    #[must_use]
    pub fn depart(self) -> Option<InFlight> {
        let Self(mut place) = self;
        place.sent = Some(place.gate.depart(place.ticket.epoch)?);
        Some(InFlight(place))
    }
}

/// A request on its way; what came of it has to be reported.
#[derive(Debug)]
pub struct InFlight(Place);

impl InFlight {
    /// Tells the gate what came of it, at once: it may have to pause everyone.
    #[expect(clippy::must_use_candidate, reason = "reads are of one process, which tells nobody of their pace")]
    pub fn report(self, feedback: Feedback, jitter: Jitter) -> Reported {
        let Self(mut place) = self;
        let ticket = place.ticket;
        // It has reported: what follows is over for it.
        place.ticket.is_probe = false;
        let feedback = match feedback {
            // Everyone waits for the answer of a probe: no answer is one too.
            Feedback::Lost if ticket.is_probe => {
                let (refusal, reason) = (Refusal::Unavailable, Reason::Connection);
                Feedback::Refused(Refused { refusal, reason, retry_after: None })
            }
            Feedback::Lost | Feedback::Answered | Feedback::Refused(_) => feedback,
        };
        place.gate.report(ticket, place.sent, feedback, jitter)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.free(self.ticket, self.sent);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::ratelimit::PauseCause;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate() -> (Clock, Arc<Gate>) {
        let clock = Clock::start();
        (clock, Gate::new("20/10s".parse().unwrap(), Duration::from_secs(3600), clock))
    }

    fn refused(refusal: Refusal, retry_after: Option<Duration>) -> Feedback {
        let reason = match refusal {
            Refusal::Throttled => Reason::RateLimited,
            Refusal::Unavailable => Reason::Maintenance,
        };
        Feedback::Refused(Refused { refusal, reason, retry_after })
    }

    /// A request that is sent as soon as it may be.
    async fn sent(gate: &Arc<Gate>) -> InFlight {
        gate.reserve().await.unwrap().depart().unwrap()
    }

    async fn request(gate: &Arc<Gate>, feedback: Feedback) {
        sent(gate).await.report(feedback, Jitter::new(0.0));
    }

    async fn answered(gate: &Arc<Gate>) {
        request(gate, Feedback::Answered).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_rows_take_at_most_three_percent_longer_than_the_limit_demands() {
        let (clock, gate) = gate();
        for _ in 0..1_000 {
            answered(&gate).await;
        }
        assert_eq!(gate.view().most_in_window, 20);
        assert!(clock.elapsed() < Duration::from_secs(500).mul_f64(1.0 / 0.97), "{:?}", clock.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_slower_than_the_spacing_costs_its_delay_once_a_window_and_no_more() {
        let (clock, gate) = gate();
        let mut claims = tokio::task::JoinSet::new();
        for _ in 0..1_000 {
            let reservation = gate.reserve().await.unwrap();
            claims.spawn(async move {
                sleep(Duration::from_millis(700)).await;
                reservation.depart().unwrap().report(Feedback::Answered, Jitter::new(0.0));
            });
        }
        claims.join_all().await;
        assert_eq!(gate.view().most_in_window, 20);
        let window = Duration::from_secs(11);
        assert!(clock.elapsed() < window * 50, "{:?}", clock.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_other_runs_leave_no_room_for_is_held_back_and_costs_no_turn() {
        let (clock, gate) = gate();
        let start = clock.now();
        for wait in [0, 300, 0] {
            gate.reserve().await.unwrap().hold(
                NotYet { wait: Duration::from_millis(wait), pause: None, share: 1.0, promised: None },
                clock.now(),
            );
        }
        answered(&gate).await;
        assert_eq!((clock.now() - start).as_millis(), 300);
        answered(&gate).await;
        assert!((clock.now() - start).as_millis() >= 300 + 512);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_for_a_run_is_asked_for_in_its_order_until_it_is_used_or_everyone_pauses() {
        let (clock, gate) = gate();
        let asked = clock.now();
        let first = gate.reserve().await.unwrap();
        let second = gate.reserve().await.unwrap();
        for (reservation, seconds) in [(first, 2), (second, 3)] {
            let promised = Some(UnixMillis(seconds * 1_000));
            let wait = Duration::from_secs(seconds.unsigned_abs());
            reservation.hold(NotYet { wait, pause: None, share: 1.0, promised }, asked);
        }
        let first = gate.reserve().await.unwrap();
        assert_eq!((clock.now() - asked).as_millis(), 2_000, "the first of them");
        assert_eq!(first.asking().promised, Some(UnixMillis(2_000)));
        first.depart().unwrap().report(Feedback::Answered, Jitter::new(0.0));
        // Its row could not be sent: the next one has it.
        assert_eq!(gate.reserve().await.unwrap().asking().promised, Some(UnixMillis(3_000)));
        let second = gate.reserve().await.unwrap();
        assert_eq!(second.asking().promised, Some(UnixMillis(3_000)));
        drop(second);
        request(&gate, refused(Refusal::Throttled, None)).await;
        assert_eq!(gate.reserve().await.unwrap().asking().promised, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_for_a_row_that_cannot_be_sent_is_the_first_again() {
        let (clock, gate) = gate();
        let asked = clock.now();
        let reserved = [gate.reserve().await.unwrap(), gate.reserve().await.unwrap()];
        for (reservation, seconds) in reserved.into_iter().zip([2, 3]) {
            let (promised, wait) = (Some(UnixMillis(seconds * 1_000)), Duration::from_secs(seconds.unsigned_abs()));
            reservation.hold(NotYet { wait, pause: None, share: 1.0, promised }, asked);
        }
        for _ in 0..2 {
            assert_eq!(gate.reserve().await.unwrap().asking().promised, Some(UnixMillis(2_000)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_the_others_took_to_answer_is_no_time_to_wait_for() {
        let (clock, gate) = gate();
        let asked = clock.now();
        let reservation = gate.reserve().await.unwrap();
        sleep(Duration::from_millis(200)).await;
        reservation.hold(NotYet { wait: Duration::from_millis(300), pause: None, share: 1.0, promised: None }, asked);
        answered(&gate).await;
        assert_eq!((clock.now() - asked).as_millis(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_another_run_is_a_pause_of_this_one_until_its_own_probe_is_answered() {
        let (clock, gate) = gate();
        let cause = PauseCause { refusal: Refusal::Unavailable, reason: Reason::Maintenance, refusals: 3 };
        let start = clock.now();
        gate.reserve()
            .await
            .unwrap()
            .hold(NotYet { wait: 5 * SECOND, pause: Some(cause), share: 1.0, promised: None }, start);
        let probe = gate.reserve().await.unwrap();
        assert_eq!(clock.now() - start, 5 * SECOND);
        assert!(probe.asking().is_probe);
        let refused = probe.depart().unwrap().report(refused(Refusal::Unavailable, None), Jitter::new(0.0));
        assert_eq!(
            refused.pause,
            PauseChange::Begin { cause: PauseCause { refusals: 4, ..cause }, wait: 8 * SECOND, window: 10 * SECOND }
        );
        let reported = sent(&gate).await.report(Feedback::Answered, Jitter::new(0.0));
        assert_eq!(reported.pause, PauseChange::End);
        assert_eq!(gate.view().pauses, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_that_all_runs_use_is_the_one_of_this_run() {
        let (clock, gate) = gate();
        let told = |share| NotYet { wait: Duration::ZERO, pause: None, share, promised: None };
        for share in [0.5, 0.7] {
            gate.reserve().await.unwrap().hold(told(share), clock.now());
            assert!((gate.view().share - share).abs() < 1e-9);
            let before = clock.now();
            answered(&gate).await;
            let late = (clock.now() - before).saturating_sub(Duration::from_micros(512_500).div_f64(share));
            assert!(late < Duration::from_millis(1) && clock.now() - before > Duration::from_millis(700), "{late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_lets_single_probes_through_at_growing_distances_and_then_everyone_at_the_normal_pace() {
        let (clock, gate) = gate();
        assert!(!gate.is_paused());
        request(&gate, refused(Refusal::Unavailable, None)).await;
        assert!(gate.is_paused());
        assert_eq!(gate.view().paused, Some((Refusal::Unavailable, SECOND)));
        let mut probes = Vec::new();
        let start = clock.now();
        for _ in 0..4 {
            let probe = sent(&gate).await;
            probes.push((clock.now() - start).as_millis());
            let other = timeout(Duration::from_secs(3), gate.reserve()).await;
            assert!(other.is_err(), "nobody else passes while a probe is out");
            assert_eq!(gate.view().paused, Some((Refusal::Unavailable, Duration::ZERO)));
            probe.report(refused(Refusal::Unavailable, None), Jitter::new(0.0));
        }
        assert_eq!(probes, [1_000, 6_000, 13_000, 24_000]);
        answered(&gate).await;
        let resumed = clock.now();
        let pauses: Vec<_> = gate.pauses().iter().map(|pause| (pause.reason, pause.from, pause.until)).collect();
        assert_eq!(pauses, [(Reason::Maintenance, start, resumed)]);
        assert_eq!(gate.view().paused_for, resumed - start);
        assert!(!gate.is_paused());
        for _ in 0..4 {
            answered(&gate).await;
        }
        assert!(clock.now() - resumed >= Duration::from_millis(4 * 512));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_not_used_or_not_answered_makes_way_for_the_next() {
        let (_, gate) = gate();
        request(&gate, refused(Refusal::Unavailable, None)).await;
        drop(gate.reserve().await.unwrap());
        drop(timeout(SECOND, sent(&gate)).await.unwrap());
        request(&gate, Feedback::Lost).await;
        assert_eq!(gate.view().pauses, 2, "no answer to a probe is a refusal");
        answered(&gate).await;
        assert_eq!(gate.view().paused, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_slows_the_pace_and_clean_windows_bring_it_back() {
        let (clock, gate) = gate();
        request(&gate, refused(Refusal::Throttled, None)).await;
        assert!((gate.view().share - 0.9).abs() < 1e-9);
        let before = clock.now();
        answered(&gate).await;
        assert!(clock.now() - before >= SECOND);
        while gate.view().share < 1.0 {
            answered(&gate).await;
        }
        let windows = (clock.now() - before).as_secs() / 10;
        assert!((10..=11).contains(&windows), "{windows}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_no_clean_window() {
        let (_, gate) = gate();
        request(&gate, refused(Refusal::Throttled, Some(60 * SECOND))).await;
        answered(&gate).await;
        assert!((gate.view().share - 0.9).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_of_the_rate_grows_by_what_is_sent_and_not_by_waiting() {
        let (_, gate) = gate();
        request(&gate, refused(Refusal::Throttled, Some(60 * SECOND))).await;
        sleep(600 * SECOND).await;
        answered(&gate).await;
        assert!((gate.view().share - 0.9).abs() < 1e-9, "{}", gate.view().share);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_longest_outage_nobody_passes() {
        let (clock, gate) = gate();
        answered(&gate).await;
        let mut first_refused = None;
        let ended = loop {
            match gate.reserve().await {
                Ok(reservation) => {
                    first_refused.get_or_insert(clock.now());
                    let refused = refused(Refusal::Unavailable, None);
                    reservation.depart().unwrap().report(refused, Jitter::new(0.0));
                }
                Err(over) => break over,
            }
        };
        assert_eq!(ended, OutageOver);
        assert_eq!(first_refused.map(|sent| clock.now() - sent), Some(Duration::from_secs(3600)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_does_not_outlive_a_pause_and_leaves_its_place_to_another() {
        let (_, gate) = gate();
        let first = sent(&gate).await;
        let mut kept = Vec::new();
        for _ in 0..19 {
            kept.push(gate.reserve().await.unwrap());
        }
        first.report(refused(Refusal::Throttled, None), Jitter::new(0.0));
        assert!(kept.pop().unwrap().depart().is_none());
        let next = timeout(Duration::from_secs(60), gate.reserve()).await.expect("it has left its place");
        assert!(next.unwrap().depart().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_window_opens_when_a_reservation_is_given_up() {
        let (clock, gate) = gate();
        let mut reservations = Vec::new();
        for _ in 0..20 {
            reservations.push(gate.reserve().await.unwrap());
        }
        sleep(60 * SECOND).await;
        let next = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.reserve().await }
        });
        sleep(SECOND).await;
        assert!(!next.is_finished(), "twenty are outstanding, however long ago");
        let before = clock.now();
        reservations.pop();
        next.await.unwrap().unwrap();
        assert_eq!(clock.now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_while_waiting_spends_nothing() {
        let (clock, gate) = gate();
        answered(&gate).await;
        let start = clock.now();
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(100), gate.reserve()).await.is_err());
        }
        answered(&gate).await;
        assert!(clock.now() - start < Duration::from_millis(514));
    }
}
