//! How the gate finds a limit that is lower than the configured one: simulated in virtual time, against services that
//! enforce theirs in different ways. The table stands in `docs/rate-limit.md`.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coverbatch::clock::Clock;
use coverbatch::domain::Reason;
use coverbatch::policy::{Jitter, Refusal};
use coverbatch::ratelimit::{Feedback, Gate, Refused, Reservation};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Requests that have to be admitted in one simulation.
const ROWS: u32 = 1_000;

/// What the gate is set to: this many in each window.
const CONFIGURED: u32 = 20;

const WINDOW: Duration = Duration::from_secs(10);

const IN_FLIGHT: usize = 32;

/// How a service counts. What it refuses does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At most the limit in any window.
    Sliding,
    /// At most the limit in each window of the service's own clock.
    Fixed,
    /// Tokens that come back evenly, at most the limit of them.
    Bucket,
}

struct Service {
    kind: Kind,
    limit: u32,
    started: Instant,
    admitted: VecDeque<Instant>,
    tokens: f64,
    filled: Instant,
}

impl Service {
    fn new(kind: Kind, limit: u32, now: Instant) -> Self {
        Self { kind, limit, started: now, admitted: VecDeque::new(), tokens: limit.into(), filled: now }
    }

    fn admits(&mut self, now: Instant) -> bool {
        match self.kind {
            Kind::Sliding => self.admits_in_window(now, |at| at + WINDOW <= now),
            Kind::Fixed => {
                let started = self.started;
                let nth = move |at: Instant| (at - started).as_millis() / WINDOW.as_millis();
                self.admits_in_window(now, |at| nth(at) < nth(now))
            }
            Kind::Bucket => self.takes_token(now),
        }
    }

    fn admits_in_window(&mut self, now: Instant, is_over: impl Fn(Instant) -> bool) -> bool {
        while self.admitted.front().is_some_and(|at| is_over(*at)) {
            self.admitted.pop_front();
        }
        let admits = self.admitted.len() < usize::try_from(self.limit).unwrap();
        if admits {
            self.admitted.push_back(now);
        }
        admits
    }

    fn takes_token(&mut self, now: Instant) -> bool {
        let limit = f64::from(self.limit);
        let back = (now - self.filled).as_secs_f64() * limit / WINDOW.as_secs_f64();
        (self.tokens, self.filled) = ((self.tokens + back).min(limit), now);
        let admits = self.tokens >= 1.0;
        if admits {
            self.tokens -= 1.0;
        }
        admits
    }
}

/// What a simulation shows.
struct Shown {
    /// Admitted per time, as a share of what the service allows.
    throughput: f64,
    /// Refused, as a share of all requests.
    refused: f64,
    refusals: u32,
    took: Duration,
}

/// The way to the service and back.
#[derive(Debug, Clone, Copy)]
struct Network {
    /// The shortest time there, and back.
    way: Duration,
    /// How much longer either may take, evenly spread.
    jitter: Duration,
    /// How often the way is gone before the request on a new connection.
    handshake: u32,
    /// How many requests a connection serves.
    requests_per_connection: u32,
}

impl Network {
    /// Each way takes the same time, on one connection.
    const fn steady(way: Duration) -> Self {
        Self { way, jitter: Duration::ZERO, handshake: 0, requests_per_connection: u32::MAX }
    }

    fn one_way(&self, rng: &mut fastrand::Rng) -> Duration {
        self.way + self.jitter.mul_f64(rng.f64())
    }

    /// The time there and the time back of the `nth` request.
    fn ways(&self, nth: u32, rng: &mut fastrand::Rng) -> (Duration, Duration) {
        let legs = if nth.is_multiple_of(self.requests_per_connection) { 1 + self.handshake } else { 1 };
        ((0..legs).map(|_| self.one_way(rng)).sum(), self.one_way(rng))
    }
}

/// Sends until [`ROWS`] requests are admitted; each waits for the `disk` between its reservation and its departure.
async fn simulate_with(kind: Kind, limit: u32, network: Network, disk: Duration, seed: u64) -> Shown {
    let clock = Clock::start();
    let gate = Gate::new("20/10s".parse().unwrap(), Duration::from_secs(3600), clock);
    let service = Arc::new(Mutex::new(Service::new(kind, limit, clock.now())));
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut admitted, mut refusals, mut sent) = (0, 0, 0);
    let mut requests: JoinSet<bool> = JoinSet::new();
    while admitted < ROWS {
        let has_room = requests.len() < IN_FLIGHT;
        tokio::select! {
            Some(admits) = requests.join_next() => if admits.unwrap() { admitted += 1 } else { refusals += 1 },
            reserved = gate.reserve(), if has_room => {
                let (ways, jitter) = (network.ways(sent, &mut rng), Jitter::new(rng.f64()));
                sent += 1;
                requests.spawn(call(Arc::clone(&service), clock, disk, ways, reserved.unwrap(), jitter));
            }
        }
    }
    let took = clock.elapsed();
    let allowed = f64::from(limit.min(CONFIGURED)) * took.as_secs_f64() / WINDOW.as_secs_f64();
    let requests = f64::from(ROWS + refusals);
    Shown { throughput: f64::from(ROWS) / allowed, refused: f64::from(refusals) / requests, refusals, took }
}

/// The same, each request taking `latency`, half of it on the way there.
async fn simulate(kind: Kind, limit: u32, latency: Duration, seed: u64) -> Shown {
    simulate_with(kind, limit, Network::steady(latency / 2), Duration::ZERO, seed).await
}

/// One request, and whether it is admitted. One that comes too late after a pause is not made.
async fn call(
    service: Arc<Mutex<Service>>,
    clock: Clock,
    disk: Duration,
    (there, back): (Duration, Duration),
    reservation: Reservation,
    jitter: Jitter,
) -> bool {
    sleep(disk).await;
    let Some(in_flight) = reservation.depart() else { return false };
    sleep(there).await;
    let admits = service.lock().unwrap().admits(clock.now());
    sleep(back).await;
    let refused =
        Feedback::Refused(Refused { refusal: Refusal::Throttled, reason: Reason::RateLimited, retry_after: None });
    in_flight.report(if admits { Feedback::Answered } else { refused }, jitter);
    admits
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_is_found_and_followed_with_few_requests_wasted() {
    let mut table = "             throughput, and answered 429, at a latency of\n".to_owned();
    writeln!(table, "service   limit    {:<18}{:<18}3 s", "0.1 s", "0.5 s").unwrap();
    for kind in [Kind::Sliding, Kind::Fixed, Kind::Bucket] {
        for limit in [20, 15, 10, 5] {
            let mut row = format!("{:<9} {limit:>2}/10s", format!("{kind:?}").to_lowercase());
            for latency in [100, 500, 3_000].map(Duration::from_millis) {
                let Shown { throughput, refused, .. } = simulate(kind, limit, latency, 1).await;
                write!(row, "  {:>5.1} %  {:>4.1} %", throughput * 100.0, refused * 100.0).unwrap();
            }
            writeln!(table, "{row}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[tokio::test(start_paused = true)]
async fn half_the_configured_limit_costs_at_most_a_tenth_of_the_throughput_and_one_request_in_twenty() {
    for latency in [100, 500, 3_000].map(Duration::from_millis) {
        for seed in 0..10 {
            let Shown { throughput, refused, .. } = simulate(Kind::Sliding, CONFIGURED / 2, latency, seed).await;
            assert!(throughput >= 0.90 && refused <= 0.05, "{throughput}, {refused} at {latency:?}, seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_as_configured_costs_nothing() {
    for kind in [Kind::Sliding, Kind::Fixed, Kind::Bucket] {
        let shown = simulate(kind, CONFIGURED, Duration::from_millis(500), 1).await;
        assert_eq!(shown.refusals, 0, "{kind:?}");
        let ideal = WINDOW * ROWS / CONFIGURED;
        assert!(shown.took <= ideal.div_f64(0.97), "{kind:?} {:?}", shown.took);
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Every kind of network with one of these ways, to a service that counts in a sliding window.
async fn sees_never_one_too_many(ways: [u64; 3]) {
    for way in ways.map(ms) {
        for jitter in [0, 20, 100, 250, 600, 2_000].map(ms) {
            for (handshake, requests_per_connection) in [(0, 1), (3, 1), (3, 7), (3, 100)] {
                let network = Network { way, jitter, handshake, requests_per_connection };
                for (seed, disk) in [(1, 0), (2, 0), (3, 400)] {
                    let shown = simulate_with(Kind::Sliding, CONFIGURED, network, ms(disk), seed).await;
                    assert_eq!(shown.refusals, 0, "{network:?}, seed {seed}, disk {disk} ms");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_near_never_sees_one_too_many() {
    sees_never_one_too_many([0, 5, 50]).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_far_away_never_sees_one_too_many() {
    sees_never_one_too_many([150, 400, 1_500]).await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_half_a_second_give_or_take_a_tenth_cost_at_most_three_percent() {
    let network = Network { way: ms(200), jitter: ms(100), handshake: 0, requests_per_connection: u32::MAX };
    for seed in 0..10 {
        let shown = simulate_with(Kind::Sliding, CONFIGURED, network, Duration::ZERO, seed).await;
        let ideal = WINDOW * ROWS / CONFIGURED;
        assert!(shown.took <= ideal.div_f64(0.97), "{:?}, seed {seed}", shown.took);
    }
}
