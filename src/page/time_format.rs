//! Times as people read them, in UTC like the results CSV, and how long the service keeps a picture.

use crate::clock::UnixMillis;

use super::activity::DAY;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days before the end at which people are warned.
pub(super) const WARNING_DAYS: i64 = 3;

impl UnixMillis {
    /// `02:10`.
    pub(super) fn time_of_day(self) -> String {
        part(self, 11, 16)
    }

    /// `02:10:07`.
    pub(super) fn second_of_day(self) -> String {
        part(self, 11, 19)
    }

    /// `22 Nov`.
    pub(super) fn day(self) -> String {
        let month = part(self, 5, 7).parse().ok().and_then(|month: usize| MONTHS.get(month.wrapping_sub(1)));
        format!("{} {}", part(self, 8, 10).trim_start_matches('0'), month.unwrap_or(&"?"))
    }

    /// `22 Nov 2026`.
    pub(super) fn date(self) -> String {
        format!("{} {}", self.day(), part(self, 0, 4))
    }

    /// `22 Nov 2026, 02:10`.
    pub(super) fn day_and_time(self) -> String {
        format!("{}, {}", self.date(), self.time_of_day())
    }

    /// `22 Nov, 02:10`.
    pub(super) fn short(self) -> String {
        format!("{}, {}", self.day(), self.time_of_day())
    }
}

fn part(time: UnixMillis, from: usize, to: usize) -> String {
    time.to_string().get(from..to).unwrap_or_default().to_owned()
}

/// How much time is left of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Days enough.
    Later(i64),
    /// Less than [`WARNING_DAYS`].
    Soon(i64),
    /// None: the service promises nothing any more, and only its answer tells.
    Over,
}

impl Expiry {
    /// What is left at `now` until `end`, in begun days, so that the last hours are one day.
    pub(super) fn at(now: UnixMillis, end: UnixMillis) -> Self {
        let left = end.0.saturating_sub(now.0);
        let days = left / DAY + i64::from(left % DAY > 0);
        match left {
            ..=0 => Self::Over,
            _ if left < WARNING_DAYS * DAY => Self::Soon(days),
            _ => Self::Later(days),
        }
    }

    /// How it looks: a class of the style sheet.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Later(_) => "later",
            Self::Soon(_) => "soon",
            Self::Over => "gone",
        }
    }

    /// `12 days left`; the page's script says the same.
    pub(super) fn words(self) -> String {
        match self {
            Self::Later(1) | Self::Soon(1) => "last day".to_owned(),
            Self::Later(days) | Self::Soon(days) => format!("{days} days left"),
            Self::Over => "may be gone".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_in_utc() {
        let time = UnixMillis::from_rfc3339("2026-11-02T02:10:07.500Z").unwrap();
        assert_eq!(time.day_and_time(), "2 Nov 2026, 02:10");
        assert_eq!(time.second_of_day(), "02:10:07");
        assert_eq!(UnixMillis(i64::MAX).day(), "30 Dec");
    }

    #[test]
    fn people_are_warned_in_the_last_three_days() {
        let at = |left| {
            let expiry = Expiry::at(UnixMillis(0), UnixMillis(left));
            format!("{} {}", expiry.tone(), expiry.words())
        };
        assert_eq!(at(14 * DAY), "later 14 days left");
        assert_eq!(at(3 * DAY), "later 3 days left");
        assert_eq!(at(3 * DAY - 1), "soon 3 days left");
        assert_eq!(at(DAY + 1), "soon 2 days left");
        assert_eq!(at(1), "soon last day");
        assert_eq!(at(0), "gone may be gone");
        assert_eq!(at(i64::MIN), "gone may be gone");
    }
}
