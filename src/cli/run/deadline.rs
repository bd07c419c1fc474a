//! Until when a run sends: for a while, or until a time of day.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::clock::UnixMillis;
use crate::domain::parse_duration;

/// Until when a run sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    /// For so long.
    After(Duration),
    /// Until it is this time of day where this machine is, today or tomorrow.
    At(Time),
}

/// `6h`, or `06:00`.
impl FromStr for Deadline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(':') {
            let wrong = |bad| format!("{bad}; or a time of day, such as `06:00`");
            return parse_duration(text).map(Self::After).map_err(wrong);
        }
        let time = Time::strptime("%H:%M", text.trim());
        time.map(Self::At).map_err(|_| "expected a time of day from `00:00` to `23:59`, such as `06:00`".to_owned())
    }
}

impl Deadline {
    /// How long after `now` it is.
    pub(super) fn since(self, now: UnixMillis) -> Duration {
        match self {
            Self::After(duration) => duration,
            Self::At(time) => {
                let now = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::MAX);
                until_next(time, &now.to_zoned(TimeZone::system())).unwrap_or(Duration::MAX)
            }
        }
    }
}

/// How long it is from `now` until it is `time` there for the next time. One that a day skips comes as much later as the
/// clocks were put forward; of one that a day has twice the first counts.
fn until_next(time: Time, now: &Zoned) -> Option<Duration> {
    let on = |day: Zoned| day.with().time(time).build().ok();
    let next = on(now.clone()).filter(|next| next > now).or_else(|| on(now.tomorrow().ok()?))?;
    Duration::try_from(now.duration_until(&next)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(time: &str, now: &str) -> String {
        let Ok(Deadline::At(time)) = time.parse() else { panic!("{time} is no time of day") };
        format!("{:?}", until_next(time, &now.parse().unwrap()).unwrap())
    }

    #[test]
    fn a_time_of_day_is_the_next_one_where_the_machine_is() {
        for (time, now, wait) in [
            ("06:00", "2026-11-27T02:10:00+01:00[+01:00]", "13800s"),
            ("06:00", "2026-11-27T05:59:59.5+01:00[+01:00]", "500ms"),
            ("06:00", "2026-11-27T06:00:00+01:00[+01:00]", "86400s"),
            ("06:00", "2026-12-31T23:00:00+01:00[+01:00]", "25200s"),
            ("00:00", "2026-11-27T23:59:00-05:00[-05:00]", "60s"),
        ] {
            assert_eq!(until(time, now), wait, "{time} after {now}");
        }
    }

    #[test]
    fn a_night_in_which_the_clocks_are_set_is_as_long_as_it_is() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().to_zoned(zone.clone());
        let wait = |time: &str, now: &str| until_next(Time::strptime("%H:%M", time).unwrap(), &at(now)).unwrap();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(wait("06:00", "2026-03-28T23:00:00Z"), hours(5), "put forward at 02:00");
        assert_eq!(wait("06:00", "2026-10-24T22:00:00Z"), hours(7), "put back at 03:00");
        assert_eq!(wait("02:30", "2026-03-28T23:00:00Z"), hours(2) + hours(1) / 2, "it is 03:30 then");
    }

    #[test]
    fn a_deadline_is_a_duration_or_a_time_of_day() {
        assert_eq!("6h".parse(), Ok(Deadline::After(Duration::from_secs(21_600))));
        assert_eq!(" 06:30 ".parse(), Ok(Deadline::At(Time::constant(6, 30, 0, 0))));
        for wrong in ["", "6", "-1h", "24:00", "6:60", "06:00:00", "06:00 UTC", "noon"] {
            let told = wrong.parse::<Deadline>().unwrap_err();
            assert!(told.contains("such as `06:00`"), "{wrong}: {told}");
        }
    }
}
