//! Everything that is left to chance, as a function of the seed, so that it comes out the same again.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::MusicTaskId;

use super::behavior::{Canned, Delivery, Fault};
use super::scenario::{Form, Scenario};

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
    /// Whether it fails.
    pub(super) fails: bool,
}

impl CoverDraw {
    /// The draw for this cover.
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
