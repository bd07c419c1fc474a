//! What all runs of an account share of the pace: a value that the ledger keeps, read and written in the transaction that
//! claims a row.
//!
//! Each run has a gate of its own, which knows its own requests best. What that lets pass is asked here once more, with the
//! requests and the pauses of the others, as long as there are others.

use std::time::Duration;

use super::slack;
use super::spacing::pass_shared;
use crate::clock::UnixMillis;
use crate::domain::{Rate, Reason};
use crate::policy::Refusal;

/// When to look again for what ends at no known time: the answer to a request of another run.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// When to look again whether the probe of another run was answered.
const LOOK_AT_PROBE: Duration = Duration::from_secs(1);

/// What a run asks with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asking {
    /// The rate that it keeps.
    pub rate: Rate,
    /// The share of it that it uses.
    pub share: f64,
    /// Whether it asks as a probe, after a pause.
    pub is_probe: bool,
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseCause {
    /// Whether the service is there.
    pub refusal: Refusal,
    /// What it said.
    pub reason: Reason,
    /// Refusals in a row, each after a pause of its own.
    pub refusals: u32,
}

/// What the answer to a request does to the pause of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseChange {
    /// Nothing.
    Keep,
    /// Nothing is sent for so long.
    Begin(PauseCause, Duration),
    /// The service answers again.
    End,
}

/// Requests that count against the limit, whoever made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many there are.
    pub requests: u64,
    /// From when the first of them counts; `None` if none has been answered.
    pub first: Option<UnixMillis>,
}

/// A request may not be made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet {
    /// When to ask again, from when it was asked.
    pub wait: Duration,
    /// Why nobody may, if that is so.
    pub pause: Option<PauseCause>,
}

/// What all runs share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedPace {
    /// The theoretical arrival time of the next request, in nanoseconds since 1970: even spacing needs no more.
    pub next_at: u64,
    /// Why nothing is sent, and until when.
    pub pause: Option<(PauseCause, UnixMillis)>,
    /// Whether a probe is on its way.
    pub is_probing: bool,
}

impl SharedPace {
    /// Lets one request pass at `now`, which counts from then on; or says when to ask again.
    ///
    /// # Errors
    /// [`NotYet`]
    pub fn admit(&mut self, asking: Asking, counted: Counted, now: UnixMillis) -> Result<(), NotYet> {
        self.admit_after_pause(asking.is_probe, now)?;
        if counted.requests >= u64::from(asking.rate.count.get()) {
            // To the moment: who waits for longer once a window loses as much of each one.
            let reach = asking.rate.period + slack(asking.rate);
            let wait = counted.first.map_or(LOOK_AGAIN, |first| now.until(first.after(reach)));
            return Err(NotYet { wait, pause: None });
        }
        let nanos = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000_000);
        pass_shared(asking.rate, asking.share, &mut self.next_at, nanos)
            .map_err(|wait| NotYet { wait, pause: None })?;
        self.is_probing |= asking.is_probe;
        Ok(())
    }

    /// After an outage a single probe goes first, whichever run makes it.
    fn admit_after_pause(&self, is_probe: bool, now: UnixMillis) -> Result<(), NotYet> {
        let Some((cause, until)) = self.pause else { return Ok(()) };
        let not_yet = |wait| Err(NotYet { wait, pause: Some(cause) });
        match cause.refusal {
            _ if until > now => not_yet(now.until(until)),
            Refusal::Unavailable if self.is_probing => not_yet(LOOK_AT_PROBE),
            // It learns of the pause by this, and asks as a probe next.
            Refusal::Unavailable if !is_probe => not_yet(Duration::ZERO),
            Refusal::Unavailable | Refusal::Throttled => Ok(()),
        }
    }

    /// What an answer at `now` does to the pause; of two pauses the longer one counts.
    pub fn change(&mut self, change: PauseChange, now: UnixMillis) {
        match change {
            PauseChange::Keep => {}
            PauseChange::End => self.pause = None,
            PauseChange::Begin(cause, wait) => {
                let until = now.after(wait);
                if self.pause.is_none_or(|(_, known)| known < until) {
                    self.pause = Some((cause, until));
                }
            }
        }
    }
}
