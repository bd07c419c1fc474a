//! The only place that makes a submission wait: pace and pauses, shared by the whole run.
//!
//! A caller asks for a [`Permit`], departs with it at the moment it sends, and reports what came of it. While the
//! service refuses everyone the gate is closed, for exponentially growing pauses; after an outage it lets one probe
//! through and nobody else until that has come back. Callers are served in the order in which they asked, one at a
//! time: governor's own waiting lets every waiter wake for every slot, and sleeps past tokio's clock.

mod pace;
mod pauses;
mod permit;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use crate::clock::Clock;
use crate::domain::{Brief, Rate, Reason};
use crate::policy::{GATE_BACKOFF, Jitter, Refusal};

use pace::{Pace, SendLog};
use pauses::Pauses;

pub use pace::{expected_time, slack};
pub use pauses::Pause;
pub use permit::{Departure, Permit};

/// What is left of the pace after a throttle. Found, with [`SPEEDUP`], by the simulation in `tests/pace.rs`: a larger
/// step down wastes throughput, a larger step up wastes requests.
const SLOWDOWN: f64 = 0.9;

/// What a window without a throttle adds to the pace, as a share of the configured rate.
const SPEEDUP: f64 = 0.01;

/// What the service said when it refused everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Whether it is there.
    pub refusal: Refusal,
    /// Why.
    pub reason: Reason,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// The service has refused everyone for `--max-outage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutageOver;

/// What a gate is set to.
#[derive(Debug, Clone, Copy)]
pub struct GateConfig {
    /// The most submissions in any window.
    pub rate: Rate,
    /// How long the service may refuse everyone.
    pub max_outage: Duration,
}

/// What a gate has seen, for the summary and the progress line.
#[derive(Debug, Clone, Copy)]
pub struct GateView {
    /// The most submissions in any window of the rate's period, by this run.
    pub most_in_window: usize,
    /// How often it was closed.
    pub closings: u64,
    /// How long it was closed, all in all.
    pub closed_for: Duration,
    /// Why it is closed now, and until when; past if a probe is on its way.
    pub closed: Option<(Refusal, Instant)>,
    /// The pace, as a share of the configured rate.
    pub share: f64,
}

/// The gate of a run.
#[derive(Debug)]
pub struct Gate {
    clock: Clock,
    config: GateConfig,
    /// Held while waiting, so that callers are served in order and only one sleeps.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    changed: Notify,
}

/// Whether submissions may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed { until: Instant, refusal: Refusal },
    Probing,
}

#[derive(Debug)]
struct State {
    door: Door,
    pace: Pace,
    /// Permits given, over a window that is longer than the configured one by the slack.
    given: SendLog,
    /// Submissions made by this run, over the configured window: the proof.
    made: SendLog,
    /// Counts closings: an answer to something sent before the last one says nothing new.
    closings: u64,
    /// Refusals since the last answer, each after a pause of its own.
    refusals: u32,
    /// The last answer that was no refusal, or the first permit if there was none.
    last_answer: Option<Instant>,
    /// When the pace was last changed or left alone for a window.
    paced_since: Instant,
    pauses: Pauses,
}

/// What to do with a caller.
enum Pass {
    Now { probe: bool },
    At(Instant),
    OnNews,
    Never,
}

impl Gate {
    /// An open gate that knows the submissions of earlier runs, oldest first.
    #[must_use]
    pub fn new(config: GateConfig, clock: Clock, earlier: &[Instant]) -> Arc<Self> {
        let state = State {
            door: Door::Open,
            pace: Pace::new(config.rate, clock),
            given: SendLog::new(config.rate.period + slack(config.rate), earlier),
            made: SendLog::new(config.rate.period, &[]),
            closings: 0,
            refusals: 0,
            last_answer: None,
            paced_since: clock.now(),
            pauses: Pauses::default(),
        };
        Arc::new(Self {
            clock,
            config,
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Waits until one submission may be made. Dropping the future spends nothing.
    ///
    /// # Errors
    /// [`OutageOver`] once the service has refused everyone for the configured time.
    pub async fn ready(self: &Arc<Self>) -> Result<Permit, OutageOver> {
        let _turn = self.turn.lock().await;
        loop {
            let changed = self.changed.notified();
            let pass = self.state().pass(self.clock.now(), &self.config);
            match pass {
                Pass::Now { probe } => return Ok(Permit::new(self, probe)),
                Pass::At(time) => tokio::select! { () = sleep_until(time) => (), () = changed => () },
                Pass::OnNews => changed.await,
                Pass::Never => return Err(OutageOver),
            }
        }
    }

    /// Leave for one submission, if it is to be had at once.
    pub fn try_ready(self: &Arc<Self>) -> Option<Permit> {
        let _turn = self.turn.try_lock().ok()?;
        let Pass::Now { probe } = self.state().pass(self.clock.now(), &self.config) else { return None };
        Some(Permit::new(self, probe))
    }

    /// Whether it is neither closed nor waits for a probe.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().door == Door::Open
    }

    /// The pace that it keeps.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.config.rate
    }

    /// What the gate has seen so far.
    #[must_use]
    pub fn view(&self) -> GateView {
        let state = self.state();
        GateView {
            most_in_window: state.made.most(),
            closings: state.closings,
            closed_for: state.pauses.total(self.clock.now()),
            closed: state.closed(self.clock.now()),
            share: state.pace.share(),
        }
    }

    /// When nothing was sent because of the service, and why, as far as the first of these times go.
    #[must_use]
    pub fn pauses(&self) -> Vec<Pause> {
        self.state().pauses.all(self.clock.now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a permit is good for: half of the slack, the other half is for the way to the service.
    fn freshness(&self) -> Duration {
        slack(self.config.rate) / 2
    }
}

impl State {
    /// Whether a caller may pass now; a permit is given with the answer.
    fn pass(&mut self, now: Instant, config: &GateConfig) -> Pass {
        let given_up = self.last_answer.filter(|_| self.refusals > 0).map(|last| last + config.max_outage);
        if given_up.is_some_and(|end| end <= now) {
            return Pass::Never;
        }
        match self.door {
            Door::Probing => Pass::OnNews,
            Door::Closed { until, .. } if until > now => Pass::At(given_up.map_or(until, |end| end.min(until))),
            Door::Closed { refusal: Refusal::Unavailable, .. } => self.keep_pace(now, config, true),
            Door::Closed { refusal: Refusal::Throttled, .. } => {
                self.open(now);
                self.keep_pace(now, config, false)
            }
            Door::Open => self.keep_pace(now, config, false),
        }
    }

    /// Gives a permit unless that would be too soon after the last ones.
    fn keep_pace(&mut self, now: Instant, config: &GateConfig, probe: bool) -> Pass {
        if let Some(earliest) = self.given.earliest(config.rate.count).filter(|earliest| *earliest > now) {
            return Pass::At(earliest);
        }
        if let Err(wait) = self.pace.pass() {
            return Pass::At(now + wait);
        }
        // Right after a permit, where a new limiter, which lets nobody pass at once, costs nothing.
        self.speed_up(now, config);
        self.given.note(now);
        self.last_answer.get_or_insert(now);
        if probe {
            self.door = Door::Probing;
        }
        Pass::Now { probe }
    }

    /// A little faster after each window without a throttle.
    fn speed_up(&mut self, now: Instant, config: &GateConfig) {
        if now.duration_since(self.paced_since) >= config.rate.period && self.pace.share() < 1.0 {
            self.pace.set_share(self.pace.share() + SPEEDUP);
            self.paced_since = now;
        }
    }

    fn open(&mut self, now: Instant) {
        self.door = Door::Open;
        self.paced_since = now;
        self.pauses.end(now);
    }

    fn close(&mut self, now: Instant, until: Instant, refusal: Refusal, reason: Reason) {
        self.door = Door::Closed { until, refusal };
        self.pauses.begin(reason, now);
    }

    fn closed(&self, now: Instant) -> Option<(Refusal, Instant)> {
        match self.door {
            Door::Open => None,
            Door::Closed { until, refusal } => Some((refusal, until)),
            Door::Probing => Some((Refusal::Unavailable, now)),
        }
    }

    /// Closes after the first refusal that came since the last closing.
    fn refuse(&mut self, now: Instant, refused: Refused, jitter: Jitter) {
        let Refused { refusal, reason, retry_after } = refused;
        let nth = NonZeroU32::MIN.saturating_add(self.refusals);
        let wait = GATE_BACKOFF.delay(nth, jitter, retry_after);
        self.refusals = nth.get();
        self.closings += 1;
        self.close(now, now + wait, refusal, reason);
        if refusal == Refusal::Throttled {
            self.pace.set_share(self.pace.share() * SLOWDOWN);
            self.paced_since = now;
        }
        info!(%reason, nth, wait = %Brief(wait), share = self.pace.share(), asked = ?retry_after, "no submission for a while");
    }

    /// Stays closed until `until` at least, when an answer to an earlier submission asks for it.
    fn prolong(&mut self, until: Instant) {
        if let Door::Closed { until: before, refusal } = self.door {
            self.door = Door::Closed { until: before.max(until), refusal };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate_after(earlier: &[Instant]) -> (Clock, Arc<Gate>) {
        let clock = Clock::start();
        let config = GateConfig { rate: "20/10s".parse().unwrap(), max_outage: Duration::from_secs(3600) };
        (clock, Gate::new(config, clock, earlier))
    }

    fn unavailable(retry_after: Option<Duration>) -> Refused {
        Refused { refusal: Refusal::Unavailable, reason: Reason::Maintenance, retry_after }
    }

    fn throttled(retry_after: Option<Duration>) -> Refused {
        Refused { refusal: Refusal::Throttled, reason: Reason::RateLimited, retry_after }
    }

    fn full() -> Jitter {
        Jitter::new(0.0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_rows_take_at_most_three_percent_longer_than_the_limit_demands() {
        let (clock, gate) = gate_after(&[]);
        for _ in 0..1_000 {
            gate.ready().await.unwrap().depart().answered();
        }
        assert_eq!(gate.view().most_in_window, 20);
        assert!(clock.elapsed() < Duration::from_secs(500).mul_f64(1.0 / 0.97), "{:?}", clock.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_run_counts_what_the_first_one_sent() {
        let (clock, first) = gate_after(&[]);
        let mut sent = Vec::new();
        for _ in 0..20 {
            first.ready().await.unwrap().depart().answered();
            sent.push(clock.now());
        }
        sleep(SECOND).await;
        // Crowded together, as a run with a higher --rate would have left them.
        let crowded = vec![clock.now() - SECOND; 20];
        for earlier in [sent, crowded] {
            let (_, second) = gate_after(&earlier);
            for _ in 0..40 {
                second.ready().await.unwrap().depart().answered();
            }
            assert!(second.view().most_in_window <= 20);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_lets_single_probes_through_at_growing_distances_and_then_everyone_at_the_normal_pace() {
        let (clock, gate) = gate_after(&[]);
        gate.ready().await.unwrap().depart().refused(unavailable(None), full());
        let mut probes = Vec::new();
        let start = clock.now();
        for _ in 0..4 {
            let probe = gate.ready().await.unwrap();
            probes.push((clock.now() - start).as_millis());
            let others = Arc::clone(&gate);
            let other = tokio::time::timeout(Duration::from_secs(3), others.ready()).await;
            assert!(other.is_err(), "nobody else passes while a probe is out");
            probe.depart().refused(unavailable(None), full());
        }
        assert_eq!(probes, [1_000, 6_000, 13_000, 24_000]);
        gate.ready().await.unwrap().depart().answered();
        let resumed = clock.now();
        let pauses: Vec<_> = gate.pauses().iter().map(|pause| (pause.reason, pause.from, pause.until)).collect();
        assert_eq!(pauses, [(Reason::Maintenance, start, resumed)]);
        assert_eq!(gate.view().closed_for, resumed - start);
        for _ in 0..4 {
            gate.ready().await.unwrap().depart().answered();
        }
        assert!(clock.now() - resumed >= Duration::from_millis(4 * 512));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_not_used_makes_way_for_the_next() {
        let (_, gate) = gate_after(&[]);
        gate.ready().await.unwrap().depart().refused(unavailable(None), full());
        drop(gate.ready().await.unwrap());
        let next = tokio::time::timeout(SECOND, gate.ready()).await;
        assert!(next.unwrap().unwrap().probe);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_what_was_on_its_way_count_once_but_may_ask_for_more_time() {
        let (clock, gate) = gate_after(&[]);
        let mut flights = Vec::new();
        for _ in 0..5 {
            flights.push(gate.ready().await.unwrap().depart());
        }
        let start = clock.now();
        for flight in flights.drain(..4) {
            flight.refused(unavailable(None), full());
        }
        assert_eq!(gate.view().closings, 1);
        flights.remove(0).refused(unavailable(Some(Duration::from_secs(30))), full());
        let _probe = gate.ready().await.unwrap();
        assert_eq!(clock.now() - start, Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_slows_the_pace_and_clean_windows_bring_it_back() {
        let (clock, gate) = gate_after(&[]);
        gate.ready().await.unwrap().depart().refused(throttled(None), full());
        assert!((gate.view().share - 0.9).abs() < 1e-9);
        let before = clock.now();
        gate.ready().await.unwrap().depart().answered();
        assert!(clock.now() - before >= SECOND);
        while gate.view().share < 1.0 {
            gate.ready().await.unwrap().depart().answered();
        }
        let windows = (clock.now() - before).as_secs() / 10;
        assert!((10..=11).contains(&windows), "{windows}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_longest_outage_nobody_passes() {
        let (clock, gate) = gate_after(&[]);
        gate.ready().await.unwrap().depart().answered();
        let last_answer = clock.now();
        let ended = loop {
            match gate.ready().await {
                Ok(permit) => permit.depart().refused(unavailable(None), full()),
                Err(over) => break over,
            }
        };
        assert_eq!(ended, OutageOver);
        assert_eq!(clock.now() - last_answer, Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_grows_stale_and_does_not_outlive_a_pause() {
        let (_, gate) = gate_after(&[]);
        let first = gate.ready().await.unwrap();
        assert!(first.is_fresh());
        sleep(Duration::from_millis(126)).await;
        assert!(!first.is_fresh() && !first.is_outdated());
        let second = gate.ready().await.unwrap();
        assert!(gate.is_open());
        first.depart().refused(throttled(None), full());
        assert!(second.is_outdated() && !gate.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_while_waiting_spends_nothing() {
        let (clock, gate) = gate_after(&[]);
        gate.ready().await.unwrap().depart().answered();
        let start = clock.now();
        for _ in 0..3 {
            assert!(tokio::time::timeout(Duration::from_millis(100), gate.ready()).await.is_err());
        }
        gate.ready().await.unwrap().depart().answered();
        assert!(clock.now() - start < Duration::from_millis(514));
    }
}
