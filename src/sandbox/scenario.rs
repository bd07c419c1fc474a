//! How the stand-in behaves as a whole, the texts a command line says it with, and everything that it leaves to chance: a
//! function of the seed, so that it comes out the same again.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::behavior::{Canned, Delivery, Fault};
use crate::domain::{MusicTaskId, Rate, parse_duration};

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Most generate requests per key in any window; more are answered 429.
    pub limit: Rate,
    /// Most reads of records per key in any window; more are answered 429.
    pub read_limit: Rate,
    /// How long an answer takes, drawn for each request.
    pub latency: RangeInclusive<Duration>,
    /// How many covers can be paid for, at one credit each; then 402. `None`: endless.
    pub credits: Option<u64>,
    /// When everything is answered 455, or by `spoken_maintenance`.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Whether maintenance is answered as `api.kie.ai` really does: code 500, and only the words speak of it.
    pub spoken_maintenance: bool,
    /// Of 100 requests, how many get a fault that passes: code 500, a gateway's 502 page, or a broken connection.
    pub fault_percent: u8,
    /// Where an answer carries its code.
    pub form: Form,
    /// From acceptance until a cover is done or failed, drawn for each cover.
    pub generation: RangeInclusive<Duration>,
    /// Of 100 covers, how many fail.
    pub generation_failure_percent: u8,
    /// How long after its end a cover has its images.
    pub retention: Duration,
    /// Width and height of an image; from 1.
    pub image_pixels: u16,
    /// How the end of a cover is told to an address on this machine; any other is never called. `None`: nor is that.
    pub callbacks: Option<Callbacks>,
    /// Fixes every cover id, every draw and every image.
    pub seed: u64,
}

/// What `api.kie.ai` documents: 20 generate requests per 10 s.
const LIMIT: Rate = per_ten_seconds(20);

/// The one limit that is written down for reads on `api.kie.ai`, of its job record: 10 a second for each key.
///
/// In a window as long as that of [`LIMIT`], since a client that looks for all its covers every 30 s reads in bursts.
const READ_LIMIT: Rate = per_ten_seconds(100);

const fn per_ten_seconds(count: u32) -> Rate {
    Rate { count: NonZeroU32::new(count).expect("more than none"), period: Duration::from_secs(10) }
}

/// How long a cover takes; the service takes minutes, which nobody who tries something out wants to wait.
const GENERATION: Duration = Duration::from_secs(3);

/// How long the service keeps images, by its documentation.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// 20/10s and 100/10s for reads, 50 to 400 ms, endless credits, no maintenance, no faults, codes in the body, covers
/// done after 3 s without a failure, images of 512 pixels for 14 days, one callback at once, seed 0.
impl Default for Scenario {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            read_limit: READ_LIMIT,
            latency: Duration::from_millis(50)..=Duration::from_millis(400),
            credits: None,
            maintenance: Vec::new(),
            spoken_maintenance: false,
            fault_percent: 0,
            form: Form::Body,
            generation: GENERATION..=GENERATION,
            generation_failure_percent: 0,
            retention: RETENTION,
            image_pixels: 512,
            callbacks: Some(Callbacks::default()),
            seed: 0,
        }
    }
}

/// How the stand-in calls back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callbacks {
    /// From the end of a cover to its callback, drawn for each cover.
    pub delay: RangeInclusive<Duration>,
    /// How often a callback that was answered 200 is delivered again.
    pub repeats: u32,
    /// Signs each delivery.
    pub signing_key: Option<SigningKey>,
}

/// At once, without repeats, unsigned.
impl Default for Callbacks {
    fn default() -> Self {
        Self { delay: Duration::ZERO..=Duration::ZERO, repeats: 0, signing_key: None }
    }
}

/// Why a text says nothing about a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {0}")]
pub struct BadScenario(&'static str);

/// A key that callbacks are signed with; it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(pub(super) Box<str>);

impl FromStr for SigningKey {
    type Err = BadScenario;

    fn from_str(text: &str) -> Result<Self, BadScenario> {
        if text.is_empty() { Err(BadScenario("a key, and it is empty")) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// When the service is under maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceWindow {
    /// When it begins, after the start of the stand-in.
    pub from: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl MaintenanceWindow {
    /// Whether `moment`, counted from the start of the stand-in, lies in it.
    #[must_use]
    pub fn contains(self, moment: Duration) -> bool {
        moment.checked_sub(self.from).is_some_and(|passed| passed < self.lasts)
    }
}

/// `30s+20s`: begins 30 s after the start and lasts 20 s.
impl FromStr for MaintenanceWindow {
    type Err = BadScenario;

    fn from_str(text: &str) -> Result<Self, BadScenario> {
        let bad = BadScenario("FROM+LASTS, two durations such as `30s+20s`");
        let (from, lasts) = text.split_once('+').ok_or(bad)?;
        let part = |text| parse_duration(text).map_err(|_| bad);
        Ok(Self { from: part(from)?, lasts: part(lasts)? })
    }
}

/// A range of durations as a command line gives it; its start is not after its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread(
    /// The shortest and the longest.
    pub RangeInclusive<Duration>,
);

/// `50ms..400ms`, both included, or `100ms` for always the same.
impl FromStr for Spread {
    type Err = BadScenario;

    fn from_str(text: &str) -> Result<Self, BadScenario> {
        let bad =
            BadScenario("a duration such as `100ms`, or a range such as `50ms..400ms` with the shorter one first");
        let (shortest, longest) = text.split_once("..").unwrap_or((text, text));
        let part = |text| parse_duration(text).map_err(|_| bad);
        let range = part(shortest)?..=part(longest)?;
        if range.is_empty() { Err(bad) } else { Ok(Self(range)) }
    }
}

/// Where an answer carries its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HTTP 200, with the code in the body only, as the service does.
    Body,
    /// As HTTP status too, as its documentation says.
    Http,
    /// Sometimes one, sometimes the other.
    Mixed,
}

/// `body`, `http` or `mixed`.
impl FromStr for Form {
    type Err = BadScenario;

    fn from_str(text: &str) -> Result<Self, BadScenario> {
        match text {
            "body" => Ok(Self::Body),
            "http" => Ok(Self::Http),
            "mixed" => Ok(Self::Mixed),
            _ => Err(BadScenario("`body`, `http` or `mixed`")),
        }
    }
}

/// The cover task id that a stand-in with this seed gives to this music task: 32 hex digits.
#[must_use]
pub fn cover_id_for(seed: u64, music: &MusicTaskId) -> String {
    hex_id(fingerprint(seed, &["cover", music.as_str()]))
}

/// The id of the cover that has `before` failed ones before it; of the first it is that of [`cover_id_for`].
pub(super) fn later_cover_id(seed: u64, music: &MusicTaskId, before: usize) -> String {
    match before {
        0 => cover_id_for(seed, music),
        _ => hex_id(fingerprint(seed, &["cover", music.as_str(), &before.to_string()])),
    }
}

fn hex_id(seed: u64) -> String {
    format!("{:032x}", fastrand::Rng::with_seed(seed).u128(..))
}

/// What chance decides about one cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CoverDraw {
    /// From acceptance to its end.
    pub(super) takes: Duration,
    pub(super) fails: bool,
}

impl CoverDraw {
    pub(super) fn new(scenario: &Scenario, cover_id: &str) -> Self {
        let mut rng = fastrand::Rng::with_seed(fingerprint(scenario.seed, &["making", cover_id]));
        let takes = within(&scenario.generation, &mut rng);
        Self { takes, fails: rng.u8(0..100) < scenario.generation_failure_percent }
    }
}

/// How long after its end this cover is told of.
pub(super) fn callback_delay(seed: u64, cover_id: &str, range: &RangeInclusive<Duration>) -> Duration {
    within(range, &mut fastrand::Rng::with_seed(fingerprint(seed, &["callback", cover_id])))
}

/// A duration out of this range, ends included.
fn within(range: &RangeInclusive<Duration>, rng: &mut fastrand::Rng) -> Duration {
    let spread = range.end().saturating_sub(*range.start());
    let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
    range.start().saturating_add(Duration::from_nanos(rng.u64(0..=nanos)))
}

/// What chance decides about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestDraw {
    /// How long the answer takes.
    pub(super) latency: Duration,
    /// Where the answer carries its code.
    pub(super) carrier: Carrier,
    /// A fault that passes.
    pub(super) fault: Option<Fault>,
}

/// Where one answer carries its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// In the body only, under HTTP 200.
    Body,
    /// In the body and as HTTP status.
    Status,
}

impl RequestDraw {
    /// The draw for the request about `subject` that has `before` others before it.
    ///
    /// Of nothing else, so that it does not depend on the order in which requests about several subjects arrive.
    pub(super) fn new(scenario: &Scenario, subject: u64, before: u32) -> Self {
        let mut rng = fastrand::Rng::with_seed(subject.wrapping_add(u64::from(before).wrapping_mul(FNV_PRIME)));
        let latency = within(&scenario.latency, &mut rng);
        let carrier = carrier(scenario.form, &mut rng);
        let fault = (rng.u8(0..100) < scenario.fault_percent).then(|| passing_fault(carrier, &mut rng));
        Self { latency, carrier, fault }
    }
}

fn carrier(form: Form, rng: &mut fastrand::Rng) -> Carrier {
    match form {
        Form::Body => Carrier::Body,
        Form::Http => Carrier::Status,
        Form::Mixed => rng.choice([Carrier::Body, Carrier::Status]).unwrap_or(Carrier::Body),
    }
}

fn passing_fault(carrier: Carrier, rng: &mut fastrand::Rng) -> Fault {
    match (rng.u8(0..3), carrier) {
        (0, Carrier::Body) => Fault::Canned(Canned::Code(500)),
        (0, Carrier::Status) => Fault::Canned(Canned::Http(500)),
        (1, _) => Fault::Canned(Canned::Http(502)),
        (_, _) => Fault::Delivery(Delivery::Cut),
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a of the seed and the parts; unlike the standard library's hash it is the same in every build.
pub(super) fn fingerprint(seed: u64, parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    seed.to_le_bytes()
        .into_iter()
        .chain(bytes)
        .fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_spread_is_a_range_or_one_duration() {
        assert_eq!("50ms..400ms".parse(), Ok(Spread(ms(50)..=ms(400))));
        assert_eq!("0s..1s".parse(), Ok(Spread(ms(0)..=ms(1000))));
        assert_eq!("100ms".parse(), Ok(Spread(ms(100)..=ms(100))));
        for wrong in ["", "..", "50..400", "400ms..50ms", "50ms..", "50ms...400ms", "50ms..=400ms", "-1s..1s"] {
            assert!(wrong.parse::<Spread>().unwrap_err().to_string().starts_with("expected a duration"), "{wrong}");
        }
    }

    #[test]
    fn a_maintenance_window_is_its_beginning_and_its_length() {
        assert_eq!("30s+20s".parse(), Ok(MaintenanceWindow { from: ms(30_000), lasts: ms(20_000) }));
        for wrong in ["", "30s", "30+20", "30s+", "+20s", "30s+-20s", "30s+20s+1s"] {
            let error = wrong.parse::<MaintenanceWindow>().unwrap_err();
            assert!(error.to_string().starts_with("expected FROM+LASTS"), "{wrong}");
        }
    }

    #[test]
    fn a_maintenance_window_holds_its_beginning_and_not_its_end() {
        let window = MaintenanceWindow { from: ms(10), lasts: ms(5) };
        assert_eq!([9, 10, 14, 15].map(|at| window.contains(ms(at))), [false, true, true, false]);
        assert!(MaintenanceWindow { from: ms(1), lasts: Duration::MAX }.contains(Duration::MAX));
    }

    #[test]
    fn a_form_is_one_of_three_words() {
        assert_eq!(["body", "http", "mixed"].map(str::parse), [Ok(Form::Body), Ok(Form::Http), Ok(Form::Mixed)]);
        assert!("Body".parse::<Form>().is_err());
    }

    #[test]
    fn a_key_is_not_empty_and_not_printed() {
        assert_eq!(format!("{:?}", "a-key".parse::<SigningKey>().unwrap()), "SigningKey(***)");
        assert!("".parse::<SigningKey>().is_err());
    }

    fn draws(scenario: &Scenario) -> Vec<RequestDraw> {
        (0..1000)
            .map(|subject| RequestDraw::new(scenario, fingerprint(scenario.seed, &[&subject.to_string()]), 0))
            .collect()
    }

    #[test]
    fn a_cover_id_is_32_hex_digits_of_seed_and_music_task() {
        let id = |seed, music: u32| cover_id_for(seed, &MusicTaskId::new(music.to_string()).unwrap());
        assert_eq!(id(7, 1), id(7, 1));
        assert_ne!(id(7, 1), id(8, 1));
        let ids: HashSet<String> = (0..10_000).map(|music| id(7, music)).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn each_cover_of_a_music_task_has_an_id_of_its_own() {
        let music = MusicTaskId::new("a").unwrap();
        let ids: HashSet<String> = (0..100).map(|before| later_cover_id(7, &music, before)).collect();
        assert_eq!((ids.len(), later_cover_id(7, &music, 0)), (100, cover_id_for(7, &music)));
    }

    #[test]
    fn covers_take_a_time_within_the_range_and_the_asked_share_fails() {
        let (shortest, longest) = (Duration::from_secs(2), Duration::from_secs(10));
        let scenario = |seed, generation_failure_percent| Scenario {
            generation: shortest..=longest,
            generation_failure_percent,
            seed,
            ..Scenario::default()
        };
        let draw = |scenario: &Scenario| -> Vec<CoverDraw> {
            (0..1000).map(|cover: u32| CoverDraw::new(scenario, &cover.to_string())).collect()
        };
        let drawn = draw(&scenario(1, 25));
        assert_eq!(drawn, draw(&scenario(1, 25)));
        assert_ne!(drawn, draw(&scenario(2, 25)));
        assert!(drawn.iter().all(|cover| (shortest..=longest).contains(&cover.takes)));
        assert!(drawn.iter().map(|cover| cover.takes).min() < Some(Duration::from_millis(2100)));
        assert!(drawn.iter().map(|cover| cover.takes).max() > Some(Duration::from_millis(9900)));
        let failed = |percent| draw(&scenario(1, percent)).iter().filter(|cover| cover.fails).count();
        assert_eq!((failed(0), failed(100)), (0, 1000));
        assert!((200..300).contains(&failed(25)), "{}", failed(25));
    }

    #[test]
    fn one_seed_draws_the_same_and_another_seed_does_not() {
        let scenario = |seed| Scenario { seed, fault_percent: 50, form: Form::Mixed, ..Scenario::default() };
        assert_eq!(draws(&scenario(1)), draws(&scenario(1)));
        assert_ne!(draws(&scenario(1)), draws(&scenario(2)));
    }

    #[test]
    fn the_asked_share_of_requests_is_faulted() {
        let faulted = |fault_percent| {
            let scenario = Scenario { fault_percent, ..Scenario::default() };
            draws(&scenario).iter().filter(|draw| draw.fault.is_some()).count()
        };
        assert_eq!((faulted(0), faulted(100)), (0, 1000));
        assert!((200..300).contains(&faulted(25)), "{}", faulted(25));
    }

    #[test]
    fn a_fault_passes_and_all_kinds_occur() {
        let scenario = Scenario { fault_percent: 50, ..Scenario::default() };
        let of_one_row: Vec<_> = (0..100).map(|before| RequestDraw::new(&scenario, 7, before).fault).collect();
        let (cut, code, page) =
            (Fault::Delivery(Delivery::Cut), Fault::Canned(Canned::Code(500)), Fault::Canned(Canned::Http(502)));
        for expected in [None, Some(cut), Some(code), Some(page)] {
            assert!(of_one_row.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn latency_stays_in_its_range_and_uses_it() {
        let drawn: Vec<Duration> = draws(&Scenario::default()).iter().map(|draw| draw.latency).collect();
        let allowed = Scenario::default().latency;
        assert!(drawn.iter().all(|latency| allowed.contains(latency)));
        assert!(drawn.iter().min() < Some(&Duration::from_millis(60)));
        assert!(drawn.iter().max() > Some(&Duration::from_millis(390)));
    }
}
