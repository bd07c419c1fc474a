//! Who is turned away before anyone looks at what he asks for. Pure; the time comes in.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::Rate;

use super::call::{Call, Caller};
use super::scenario::{Scenario, Window};
use super::window::Limiter;

/// Why a call is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Maintenance.
    Closed,
    /// No key.
    Stranger,
    /// A generate request over the limit.
    FastSubmission,
    /// A read of a record over the limit.
    FastRead,
}

impl Refusal {
    /// The code of the answer.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Closed => 455,
            Self::Stranger => 401,
            Self::FastSubmission | Self::FastRead => 429,
        }
    }
}

/// The door: maintenance, key, limits.
#[derive(Debug)]
pub(super) struct Door {
    maintenance: Vec<Window>,
    submissions: Limits,
    reads: Limits,
}

impl Door {
    /// A door that nobody has passed yet.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let maintenance = scenario.maintenance.clone();
        Self { maintenance, submissions: Limits::new(scenario.limit), reads: Limits::new(scenario.read_limit) }
    }

    /// Why this call is turned away, if it is.
    pub(super) fn refuses(&mut self, now: Duration, caller: Option<Caller>, call: &Call) -> Option<Refusal> {
        if self.maintenance.iter().any(|window| window.contains(now)) {
            return Some(Refusal::Closed);
        }
        let Some(caller) = caller else { return Some(Refusal::Stranger) };
        match call {
            Call::Generate(_) => (!self.submissions.admit(caller, now)).then_some(Refusal::FastSubmission),
            Call::CoverRecord(_) | Call::MusicRecord(_) => {
                (!self.reads.admit(caller, now)).then_some(Refusal::FastRead)
            }
            // "May be called often", by its documentation.
            Call::Credit => None,
        }
    }
}

/// One limit, kept for each caller apart.
#[derive(Debug)]
struct Limits {
    rate: Rate,
    callers: HashMap<Caller, Limiter>,
}

impl Limits {
    fn new(rate: Rate) -> Self {
        Self { rate, callers: HashMap::new() }
    }

    fn admit(&mut self, caller: Caller, now: Duration) -> bool {
        self.callers.entry(caller).or_insert_with(|| Limiter::new(self.rate)).admits(now)
    }
}
