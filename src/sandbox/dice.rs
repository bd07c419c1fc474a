//! Everything that is left to chance, as a function of the seed, so that it comes out the same again.

use std::time::Duration;

use crate::domain::MusicTaskId;

use super::fate::{Canned, Damage, Fault};
use super::scenario::{Form, Scenario};

/// The cover task id that a stand-in with this seed gives to this music task: 32 hex digits.
#[must_use]
pub fn cover_id_for(seed: u64, music: &MusicTaskId) -> String {
    let number = fastrand::Rng::with_seed(fingerprint(seed, &["cover", music.as_str()])).u128(..);
    format!("{number:032x}")
}

/// What chance decides about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw {
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

impl Draw {
    /// The draw for the request about `subject` that has `before` others before it.
    ///
    /// Of nothing else, so that it does not depend on the order in which requests about several subjects arrive.
    pub(super) fn new(scenario: &Scenario, subject: u64, before: u32) -> Self {
        let mut dice = fastrand::Rng::with_seed(subject.wrapping_add(u64::from(before).wrapping_mul(FNV_PRIME)));
        let (shortest, longest) = (*scenario.latency.start(), *scenario.latency.end());
        let spread = u64::try_from(longest.saturating_sub(shortest).as_nanos()).unwrap_or(u64::MAX);
        let latency = shortest.saturating_add(Duration::from_nanos(dice.u64(0..=spread)));
        let carrier = carrier(scenario.form, &mut dice);
        let fault = (dice.u8(0..100) < scenario.fault_percent).then(|| passing_fault(carrier, &mut dice));
        Self { latency, carrier, fault }
    }
}

fn carrier(form: Form, dice: &mut fastrand::Rng) -> Carrier {
    match form {
        Form::Body => Carrier::Body,
        Form::Http => Carrier::Status,
        Form::Mixed => dice.choice([Carrier::Body, Carrier::Status]).unwrap_or(Carrier::Body),
    }
}

fn passing_fault(carrier: Carrier, dice: &mut fastrand::Rng) -> Fault {
    match (dice.u8(0..3), carrier) {
        (0, Carrier::Body) => Fault::Instead(Canned::Code(500)),
        (0, Carrier::Status) => Fault::Instead(Canned::Http(500)),
        (1, _) => Fault::Instead(Canned::Http(502)),
        (_, _) => Fault::Spoilt(Damage::Cut),
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

    fn draws(scenario: &Scenario) -> Vec<Draw> {
        (0..1000).map(|subject| Draw::new(scenario, fingerprint(scenario.seed, &[&subject.to_string()]), 0)).collect()
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
        let of_one_row: Vec<_> = (0..100).map(|before| Draw::new(&scenario, 7, before).fault).collect();
        let (cut, code, page) =
            (Fault::Spoilt(Damage::Cut), Fault::Instead(Canned::Code(500)), Fault::Instead(Canned::Http(502)));
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
