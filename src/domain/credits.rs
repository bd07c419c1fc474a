//! Amounts of credits.

use std::fmt;
use std::str::FromStr;

/// How many parts a credit has here; prices have one decimal place as far as they are known.
const PARTS: i64 = 1000;

/// An amount of credits, to the thousandth; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credits(i64);

impl Credits {
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
}

/// A text is no amount of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}
