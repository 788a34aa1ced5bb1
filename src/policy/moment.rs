//! `mon-fri 09:30`: moments of the wall clock at which something is done. Pure.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::schedule;
use crate::time::Time;

/// The next one is looked for so many days ahead: longer than any row of holidays.
const AHEAD_DAYS: u64 = 400;

/// A time of the day, on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    days: BTreeSet<u8>,
    time: NaiveTime,
}

impl Moment {
    /// Reads `mon-fri 09:30`, `mon,thu 14:00`, `daily 09:30` or `09:30`. None when it is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next()?, words.next());
        let (days, time) = second.map_or(("daily", first), |time| (first, time));
        let moment = Self { days: schedule::days(days)?, time: schedule::time(time)? };
        words.next().is_none().then_some(moment)
    }

    /// The first one after `after` that `accepts` allows; None when that is more than a year away.
    pub fn next(&self, zone: Tz, after: Time, accepts: impl Fn(Time) -> bool) -> Option<Time> {
        let first = after.with_timezone(&zone).date_naive();
        (0..AHEAD_DAYS).find_map(|day| {
            let date = first.checked_add_days(Days::new(day))?;
            let holds = self.days.contains(&schedule::number(date.weekday()));
            let moment = holds.then(|| instant(date.and_time(self.time), zone))?;
            (moment > after && accepts(moment)).then_some(moment)
        })
    }
}

/// RFC 5545, section 3.3.5: a time that the clock shows twice is the first of the two; one that it leaves out is meant by
/// the offset that was in force before.
fn instant(wall: NaiveDateTime, zone: Tz) -> Time {
    let shown = zone.from_local_datetime(&wall).earliest();
    shown.map_or_else(
        || {
            // No offset is larger than a day.
            let before = zone.offset_from_utc_datetime(&(wall - TimeDelta::days(1)));
            let offset = TimeDelta::seconds(before.fix().local_minus_utc().into());
            (wall - offset).and_utc()
        },
        |shown| shown.to_utc(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let moment = Moment::parse(text).unwrap();
        let mut time: Time = after.parse().unwrap();
        (0..count)
            .map(|_| {
                time = moment.next(zone.parse().unwrap(), time, |_| true).unwrap();
                time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            })
            .collect()
    }

    #[test]
    fn moments_follow_the_wall_clock_over_both_changes() {
        // 2026-03-29 02:00 to 03:00 is left out in Paris, 2026-10-25 02:00 to 03:00 is shown twice.
        assert_eq!(
            all("02:30", "Europe/Paris", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            all("daily 02:30", "Europe/Paris", "2026-10-24T00:00:00Z", 3),
            ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            all("mon,thu 09:30", "Europe/Paris", "2026-10-22T07:30:00Z", 3),
            ["2026-10-26T08:30:00Z", "2026-10-29T08:30:00Z", "2026-11-02T08:30:00Z"],
            "after, and not at"
        );
    }

    #[test]
    fn what_is_not_a_moment_is_refused_and_one_that_never_comes_is_not_looked_for_forever() {
        for text in
            ["", "mon", "mon 9:30", "mon 24:00", "mon 09:30 10:30", "moon 09:30", "mon-fri 08:00-18:00"]
        {
            assert_eq!(Moment::parse(text), None, "{text:?}");
        }
        assert_eq!(Moment::parse("09:30").unwrap().next(Tz::UTC, Time::UNIX_EPOCH, |_| false), None);
    }
}
