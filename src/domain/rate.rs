//! Rates and durations, as options say them and as messages show them; counts and times, as messages show them.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::clock::UnixMillis;

/// At most `count` in any window of `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time; from 1 ms to a day.
    pub period: Duration,
}

/// Why a text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected N/PERIOD such as `20/10s`, N from 1 to {MAX_RATE_COUNT} and PERIOD from 1ms to 24h")]
pub struct BadRate;

/// Most submissions a rate may name: the send times of one window are kept in memory.
pub const MAX_RATE_COUNT: u32 = 1_000_000;

/// Longest period a rate may name.
const MAX_RATE_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (count, period) = text.split_once('/').ok_or(BadRate)?;
        let count: NonZeroU32 = count.trim().parse().map_err(|_| BadRate)?;
        let period = parse_duration(period).map_err(|_| BadRate)?;
        let fits = (Duration::from_millis(1)..=MAX_RATE_PERIOD).contains(&period);
        if fits && count.get() <= MAX_RATE_COUNT { Ok(Self { count, period }) } else { Err(BadRate) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, Brief(self.period))
    }
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a number with a unit, such as `30s`, `1m 30s` or `2h`, at most 8760h (a year)")]
pub struct BadDuration;

/// The longest duration that is taken: sums of a few of them stay within what every clock can hold.
const MAX_DURATION: Duration = Duration::from_secs(8760 * 60 * 60);

/// The duration in a text such as `30s`, `1m 30s` or `250ms`.
///
/// # Errors
/// [`BadDuration`] for a number without unit, a negative duration, one of more than a year, or anything else.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let signed: jiff::SignedDuration = text.trim().parse().map_err(|_| BadDuration)?;
    Duration::try_from(signed).ok().filter(|duration| *duration <= MAX_DURATION).ok_or(BadDuration)
}

/// A duration as a person would say it: `0.4s`, `12s`, `2m 05s`, `3h 07m`.
#[derive(Debug, Clone, Copy)]
pub struct Brief(
    /// What to show.
    pub Duration,
);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0) if self.0.is_zero() => f.write_str("0s"),
            (0, 0, 0) => write!(f, "{}ms", self.0.as_millis()),
            (0, 0, s) if self.0.subsec_millis() >= 50 && s < 10 => write!(f, "{:.1}s", self.0.as_secs_f64()),
            (0, 0, s) => write!(f, "{s}s"),
            (0, m, 0) => write!(f, "{m}m"),
            (0, m, s) => write!(f, "{m}m {s:02}s"),
            (h, 0, _) => write!(f, "{h}h"),
            (h, m, _) => write!(f, "{h}h {m:02}m"),
        }
    }
}

/// `2026-11-22 02:10 UTC`.
#[must_use]
pub fn day_and_time(time: UnixMillis) -> String {
    format!("{} UTC", time.to_string().get(..16).unwrap_or_default().replace('T', " "))
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_period_with_a_unit() {
        let rate: Rate = "20/10s".parse().unwrap();
        assert_eq!((rate.count.get(), rate.period), (20, Duration::from_secs(10)));
        assert_eq!(rate.to_string(), "20/10s");
        for wrong in ["", "20", "0/10s", "-1/10s", "20/10", "20/0s", "20/25h", "20/-10s", "1000001/1s", "x/1s"] {
            assert_eq!(wrong.parse::<Rate>(), Err(BadRate), "{wrong}");
        }
    }

    #[test]
    fn a_duration_reads_as_a_person_would_say_it() {
        let shown = |ms| Brief(Duration::from_millis(ms)).to_string();
        let all = [0, 7, 900, 1_500, 12_000, 60_000, 125_000, 3_600_000, 11_220_000].map(shown);
        assert_eq!(all, ["0s", "7ms", "900ms", "1.5s", "12s", "1m", "2m 05s", "1h", "3h 07m"]);
    }
}
