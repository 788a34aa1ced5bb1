//! Which days a digest is about, and when it is sent: by the calendar and the clock on the wall. Pure.
//!
//! A period begins and ends at a local midnight, so the day on which the clock is put has 23 or 25 hours.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;

use crate::time::Time;

/// No clock is put forward by more than a day: Samoa left one out when it changed sides of the date line.
const GAP_MINUTES_MAX: i64 = 24 * 60;
/// After a long pause a digest goes back so far at most.
const DAYS_MAX: i64 = 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Day,
    /// From Monday to Sunday.
    Week,
}

/// How often a digest is sent, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    pub every: Every,
    /// On the first day after the period.
    pub at: NaiveTime,
    pub zone: Tz,
}

/// From the first moment to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub from: Time,
    pub until: Time,
}

impl Calendar {
    /// The beginning of the day, or week, of `now`: whoever was told up to here is told of it when it is over.
    pub fn current(&self, now: Time) -> Time {
        let today = self.date(now);
        match self.every {
            Every::Day => self.midnight(today),
            Every::Week => self.midnight(today.week(Weekday::Mon).first_day()),
        }
    }

    /// The last day, or week, that was over at `now`.
    pub fn last(&self, now: Time) -> Period {
        let until = self.current(now);
        Period { from: self.current(until - TimeDelta::seconds(1)), until }
    }

    /// When the next digest is sent if everything up to `told` was told.
    pub fn next_due(&self, told: Time) -> Time {
        // A day on which the clock is put begins late, but not by more than it lasts.
        let first = self.date(told);
        let end = (1..=14)
            .filter_map(|days| first.checked_add_days(Days::new(days)))
            .find(|date| self.every == Every::Day || date.weekday() == Weekday::Mon);
        end.map_or(Time::MAX_UTC, |date| self.instant(date, self.at))
    }

    /// What is to be told at `now` if everything up to `told` was: all that is over, which is more than one day or week
    /// after a pause. None before its time.
    pub fn due(&self, told: Time, now: Time) -> Option<Period> {
        if self.next_due(told) > now {
            return None;
        }
        let mut until = self.current(now);
        // Before the hour of today's, the latest that is due is the one before.
        if self.instant(self.date(until), self.at) > now {
            until = self.current(until - TimeDelta::seconds(1));
        }
        let from = told.max(self.midnight(self.date(until - TimeDelta::days(DAYS_MAX))));
        (from < until).then_some(Period { from, until })
    }

    fn date(&self, at: Time) -> NaiveDate {
        at.with_timezone(&self.zone).date_naive()
    }

    fn midnight(&self, date: NaiveDate) -> Time {
        self.instant(date, NaiveTime::MIN)
    }

    /// The first moment at which the clock on the wall shows this time; where it is put forward over it, the first after.
    fn instant(&self, date: NaiveDate, time: NaiveTime) -> Time {
        let wall = date.and_time(time);
        (0..=GAP_MINUTES_MAX)
            .find_map(|minute| {
                let shown = wall.checked_add_signed(TimeDelta::minutes(minute))?;
                self.zone.from_local_datetime(&shown).earliest()
            })
            .map_or_else(|| wall.and_utc(), |local| local.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::rfc3339;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn paris(every: Every, time: &str) -> Calendar {
        Calendar { every, at: time.parse().unwrap(), zone: Tz::Europe__Paris }
    }

    /// What is due then, with nothing told since `told`.
    fn due(calendar: Calendar, told: &str, now: &str) -> Option<String> {
        let Period { from, until } = calendar.due(at(told), at(now))?;
        Some(format!("{} {}", rfc3339(from), rfc3339(until)))
    }

    #[test]
    fn a_day_is_told_on_the_next_morning_and_not_before() {
        let calendar = paris(Every::Day, "07:00:00");
        let told = "2026-11-18T23:00:00Z";
        assert_eq!(due(calendar, told, "2026-11-20T05:59:59Z"), None);
        let day = Some("2026-11-18T23:00:00Z 2026-11-19T23:00:00Z".to_owned());
        assert_eq!(due(calendar, told, "2026-11-20T06:00:00Z"), day);
        assert_eq!(due(calendar, told, "2026-11-21T05:59:59Z"), day);
        assert_eq!(due(calendar, "2026-11-19T23:00:00Z", "2026-11-20T06:00:00Z"), None, "it was told");
    }

    #[test]
    fn after_a_pause_one_digest_tells_all_that_was_missed() {
        let calendar = paris(Every::Day, "07:00:00");
        let told = "2026-11-18T23:00:00Z";
        let missed = due(calendar, told, "2026-11-23T12:00:00Z");
        assert_eq!(missed.unwrap(), "2026-11-18T23:00:00Z 2026-11-22T23:00:00Z");
        let year = due(calendar, "2025-11-18T23:00:00Z", "2026-11-23T12:00:00Z");
        assert_eq!(year.unwrap(), "2026-10-22T22:00:00Z 2026-11-22T23:00:00Z", "and no more than a month");
    }

    #[test]
    fn a_week_goes_from_monday_to_sunday() {
        let calendar = paris(Every::Week, "07:00:00");
        assert_eq!(calendar.current(at("2026-11-20T12:00:00Z")), at("2026-11-15T23:00:00Z"));
        let told = "2026-11-08T23:00:00Z";
        assert_eq!(due(calendar, told, "2026-11-16T05:59:00Z"), None);
        let week = "2026-11-08T23:00:00Z 2026-11-15T23:00:00Z";
        assert_eq!(due(calendar, told, "2026-11-16T06:00:00Z").unwrap(), week);
        assert_eq!(due(calendar, told, "2026-11-22T20:00:00Z").unwrap(), week);
        let Period { from, until } = calendar.last(at("2026-11-20T12:00:00Z"));
        assert_eq!((from, until), (at("2026-11-08T23:00:00Z"), at("2026-11-15T23:00:00Z")));
    }

    #[test]
    fn the_days_on_which_the_clock_is_put_have_23_and_25_hours() {
        for (night, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-19", 24)] {
            let calendar = paris(Every::Day, "02:30:00");
            let day: NaiveDate = night.parse().unwrap();
            let from = calendar.midnight(day);
            let next = calendar.next_due(from);
            let Period { until, .. } = calendar.due(from, next).unwrap();
            assert_eq!((until - from).num_hours(), hours, "{night}");
            assert_eq!(calendar.due(from, next - TimeDelta::seconds(1)), None);
        }
        // 02:30 does not exist on one of them, and comes twice on the other.
        let calendar = paris(Every::Day, "02:30:00");
        assert_eq!(calendar.next_due(at("2026-03-27T23:00:00Z")), at("2026-03-29T01:00:00Z"));
        assert_eq!(calendar.next_due(at("2026-10-23T22:00:00Z")), at("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn every_moment_of_a_year_is_told_once() {
        for (every, time) in [(Every::Day, "00:00:00"), (Every::Day, "23:59:00"), (Every::Week, "02:30:00")] {
            for zone in [Tz::Europe__Paris, Tz::Africa__Cairo, Tz::Australia__Lord_Howe, Tz::UTC] {
                let calendar = Calendar { zone, ..paris(every, time) };
                let mut told = calendar.current(at("2026-01-01T12:00:00Z"));
                while told < at("2027-01-10T00:00:00Z") {
                    let due = calendar.next_due(told);
                    let period = calendar.due(told, due).unwrap_or_else(|| panic!("{zone} {told} {due}"));
                    assert_eq!(period.from, told, "{zone}");
                    assert!(period.until > told && period.until <= due, "{zone} {period:?}");
                    assert!(
                        period.until - told <= TimeDelta::hours(if every == Every::Day { 25 } else { 169 })
                    );
                    told = period.until;
                }
            }
        }
    }
}
