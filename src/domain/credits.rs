//! Credits, the money of the service.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// An amount of credits, in thousandths: documented as whole numbers, balances come with decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(i64);

/// Why a text is not an amount of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a number of credits, such as `50` or `12.5`")]
pub struct BadCredits;

/// Thousandths in one.
const PRECISION: f64 = 1000.0;

/// The most that is taken for an amount: sums of many stay exact.
const MOST: f64 = 1e12;

impl Credits {
    /// None.
    pub const ZERO: Self = Self(0);

    /// The amount nearest to a number; `None` if that is none, or beyond all reason.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "within bounds, and rounded")]
        (number.abs() <= MOST).then(|| Self((number * PRECISION).round() as i64))
    }

    /// This much more.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// How much less than `before` this is; nothing if it is more.
    #[must_use]
    pub const fn less_than(self, before: Self) -> Self {
        let less = before.0.saturating_sub(self.0);
        Self(if less > 0 { less } else { 0 })
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// The part that each of `count` has, rounded up; all of it if there is none to have it.
    #[must_use]
    pub fn each_of(self, count: u64) -> Self {
        let count = i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        Self(self.0 / count + i64::from(self.0 % count > 0))
    }

    /// As a number.
    #[must_use]
    pub fn number(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "amounts are far from where that begins")]
        let thousandths = self.0 as f64;
        thousandths / PRECISION
    }
}

impl FromStr for Credits {
    type Err = BadCredits;

    fn from_str(text: &str) -> Result<Self, BadCredits> {
        let number: f64 = text.trim().parse().map_err(|_| BadCredits)?;
        Self::new(number).filter(|amount| *amount >= Self::ZERO).ok_or(BadCredits)
    }
}

/// `100`, `5916.25`.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_to_the_thousandth() {
        let credits = |text: &str| text.parse::<Credits>().unwrap();
        assert_eq!(
            ["0", "100", "5916.25", "0.4"].map(|text| credits(text).to_string()),
            ["0", "100", "5916.25", "0.4"]
        );
        assert_eq!(credits("0.4").times(3), credits("1.2"));
        assert_eq!(credits("10").each_of(3), credits("3.334"));
        assert_eq!(
            (credits("7").less_than(credits("9.5")), credits("9.5").less_than(credits("7"))),
            (credits("2.5"), Credits::ZERO)
        );
        assert_eq!(Credits::new(-2.5).unwrap().to_string(), "-2.5");
        for wrong in ["", "-1", "NaN", "inf", "1e13", "five"] {
            assert_eq!(wrong.parse::<Credits>(), Err(BadCredits), "{wrong}");
        }
    }
}
