//! Times as people read them, in UTC like the results CSV.

use crate::clock::UnixMillis;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time as it is read.
pub(super) trait Moment: Sized + Copy {
    /// `02:10`.
    fn time_of_day(self) -> String;
    /// `02:10:07`.
    fn second_of_day(self) -> String;
    /// `22 Nov`.
    fn day(self) -> String;
    /// `22 Nov 2026`.
    fn date(self) -> String;

    /// `22 Nov 2026, 02:10`.
    fn day_and_time(self) -> String {
        format!("{}, {}", self.date(), self.time_of_day())
    }

    /// `22 Nov, 02:10`.
    fn short(self) -> String {
        format!("{}, {}", self.day(), self.time_of_day())
    }
}

impl Moment for UnixMillis {
    fn time_of_day(self) -> String {
        part(self, 11, 16)
    }

    fn second_of_day(self) -> String {
        part(self, 11, 19)
    }

    fn day(self) -> String {
        let month = part(self, 5, 7).parse().ok().and_then(|month: usize| MONTHS.get(month.wrapping_sub(1)));
        format!("{} {}", part(self, 8, 10).trim_start_matches('0'), month.unwrap_or(&"?"))
    }

    fn date(self) -> String {
        format!("{} {}", self.day(), part(self, 0, 4))
    }
}

fn part(time: UnixMillis, from: usize, to: usize) -> String {
    time.to_string().get(from..to).unwrap_or_default().to_owned()
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
}
