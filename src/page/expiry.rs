//! How long the service keeps a picture.

use crate::clock::UnixMillis;

use super::activity::DAY;

/// Days before the end at which people are warned.
pub(super) const WARNING_DAYS: i64 = 3;

/// How much time is left of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Days enough.
    Later(i64),
    /// Less than [`WARNING_DAYS`].
    Soon(i64),
    /// None.
    Gone,
}

impl Expiry {
    /// What is left at `now` until `end`, in begun days, so that the last hours are one day.
    pub(super) fn at(now: UnixMillis, end: UnixMillis) -> Self {
        let left = end.0.saturating_sub(now.0);
        let days = left / DAY + i64::from(left % DAY > 0);
        match left {
            ..=0 => Self::Gone,
            _ if left < WARNING_DAYS * DAY => Self::Soon(days),
            _ => Self::Later(days),
        }
    }

    /// How it looks: a class of the style sheet.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Later(_) => "later",
            Self::Soon(_) => "soon",
            Self::Gone => "gone",
        }
    }

    /// `12 days left`; the page's script says the same.
    pub(super) fn words(self) -> String {
        match self {
            Self::Later(1) | Self::Soon(1) => "last day".to_owned(),
            Self::Later(days) | Self::Soon(days) => format!("{days} days left"),
            Self::Gone => "gone".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(at(0), "gone gone");
        assert_eq!(at(i64::MIN), "gone gone");
    }
}
