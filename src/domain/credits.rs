//! Amounts of credits.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// How many parts a credit has here; prices have one decimal place as far as they are known.
const PARTS: i64 = 1000;

/// An amount of credits, to the thousandth; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(i64);

impl Credits {
    /// None.
    pub const ZERO: Self = Self(0);

    /// So many thousandths of a credit; `None` if that is less than nothing.
    #[must_use]
    pub fn of_thousandths(thousandths: i64) -> Option<Self> {
        (thousandths >= 0).then_some(Self(thousandths))
    }

    /// How many thousandths of a credit it is.
    #[must_use]
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// This much more.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// How much less than `before` this is; nothing if it is more.
    #[must_use]
    pub fn less_than(self, before: Self) -> Self {
        Self((before.0 - self.0).max(0))
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
}

/// A text is no amount of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a number of credits, such as `50` or `12.5`")]
pub struct BadCredits;

/// A decimal number such as `12` or `0.4`.
impl FromStr for Credits {
    type Err = BadCredits;

    fn from_str(text: &str) -> Result<Self, BadCredits> {
        let amount: f64 = text.trim().parse().map_err(|_| BadCredits)?;
        // What is not finite or too large is no whole number of thousandths.
        let thousandths = format!("{:.0}", amount * 1000.0).parse().ok();
        thousandths.and_then(Self::of_thousandths).ok_or(BadCredits)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / PARTS, self.0 % PARTS);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// As a number.
impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_string().parse().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_as_it_was_said() {
        for text in ["0", "12", "0.4", "100", "5916.25", "0.001", "9000000000"] {
            assert_eq!(text.parse::<Credits>().unwrap().to_string(), text);
        }
        assert_eq!(" 2.0 ".parse::<Credits>().unwrap().to_string(), "2");
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in ["", "free", "-1", "-0.4", "NaN", "inf", "1e300", "1,5", "null"] {
            assert_eq!(text.parse::<Credits>(), Err(BadCredits), "{text}");
        }
        assert_eq!((Credits::of_thousandths(-1), Credits::of_thousandths(400).unwrap().thousandths()), (None, 400));
    }

    #[test]
    fn amounts_are_reckoned_to_the_thousandth() {
        let credits = |text: &str| text.parse::<Credits>().unwrap();
        assert_eq!(credits("0.4").times(3), credits("1.2"));
        assert_eq!((credits("10").each_of(3), credits("10").each_of(0)), (credits("3.334"), credits("10")));
        assert_eq!(credits("7").less_than(credits("9.5")), credits("2.5"));
        assert_eq!(
            (credits("9.5").less_than(credits("7")), credits("7").plus(credits("0.5"))),
            (Credits::ZERO, credits("7.5"))
        );
        assert_eq!(serde_json::to_string(&credits("5916.25")).unwrap(), "5916.25");
    }
}
