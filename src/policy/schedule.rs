//! Working hours, contracts and holidays: whether a moment lies within them, and when that changes. Pure.
//!
//! Hours are of the wall clock, half-open: a moment is within them when the clock on the wall shows a time from the first
//! to before the last. So in the night in which the clock is put back an hour that lies within counts twice, and in the
//! one in which it is put forward an hour that does not exist counts not at all.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;

use crate::time::Time;

/// A change is looked for so many days ahead: longer than any row of holidays.
const AHEAD_DAYS: u64 = 400;

/// `mon-fri 08:00-18:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    days: BTreeSet<u8>,
    from: NaiveTime,
    /// None: the end of the day.
    to: Option<NaiveTime>,
}

impl Hours {
    /// Reads `mon-fri 08:00-18:00`, `sat,sun 10:00-12:00`, `daily 22:00-06:00` (until the next morning), `sun` (all of it).
    /// None when it is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let days = days(words.next()?)?;
        let (from, to) = match words.next() {
            None => (NaiveTime::MIN, None),
            Some(span) => {
                let (from, to) = span.split_once('-')?;
                (time(from)?, if to == "24:00" { None } else { Some(time(to)?) })
            }
        };
        (words.next().is_none() && to != Some(from)).then_some(Self { days, from, to })
    }

    /// Whether they hold at this time of the wall clock; `works` says of a date whether it is one to work on. Hours that
    /// end on the next morning belong to the day on which they begin.
    fn hold(&self, wall: NaiveDateTime, works: impl Fn(NaiveDate) -> bool) -> bool {
        let (date, time) = (wall.date(), wall.time());
        let begins = |date: NaiveDate| self.days.contains(&number(date.weekday())) && works(date);
        let overnight = self.to.is_some_and(|to| to < self.from);
        if overnight {
            let since_yesterday = || date.pred_opt().is_some_and(&begins);
            (time >= self.from && begins(date)) || (self.to.is_some_and(|to| time < to) && since_yesterday())
        } else {
            time >= self.from && self.to.is_none_or(|to| time < to) && begins(date)
        }
    }
}

/// `[[schedule]]`: when something applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    pub zone: Tz,
    /// Any of them.
    pub hours: Vec<Hours>,
    /// Dates on which no hours begin.
    pub holidays: BTreeSet<NaiveDate>,
}

impl Schedule {
    pub fn is_open(&self, at: Time) -> bool {
        let wall = at.with_timezone(&self.zone).naive_local();
        self.hours.iter().any(|hours| hours.hold(wall, |date| !self.holidays.contains(&date)))
    }

    /// The first moment after `at` at which it opens or closes; None when that is more than a year away.
    pub fn next_change(&self, at: Time) -> Option<Time> {
        let open = self.is_open(at);
        let first = at.with_timezone(&self.zone).date_naive();
        (0..AHEAD_DAYS).find_map(|day| {
            let date = first.checked_add_days(Days::new(day))?;
            self.moments(date).into_iter().find(|moment| *moment > at && self.is_open(*moment) != open)
        })
    }

    /// The moments of a date at which it may open or close, in order: what the hours name, by any offset that is in force
    /// that day, and the moment at which the clock is put forward or back.
    fn moments(&self, date: NaiveDate) -> BTreeSet<Time> {
        let midnight = date.and_time(NaiveTime::MIN);
        // No offset is larger than a day.
        let (before, after) = (midnight - TimeDelta::days(1), midnight + TimeDelta::days(2));
        let (before, after) = (before.and_utc(), after.and_utc());
        let offsets = [self.offset(before), self.offset(after)];
        let ends = self.hours.iter().flat_map(|hours| [Some(hours.from), hours.to]);
        let times: BTreeSet<NaiveTime> = ends.flatten().chain([NaiveTime::MIN]).collect();
        let mut moments: BTreeSet<Time> = times
            .iter()
            .flat_map(|time| offsets.map(|offset| (date.and_time(*time) - offset).and_utc()))
            .collect();
        if offsets[0] != offsets[1] {
            moments.insert(self.put(before, after));
        }
        // With the other offset some lie in a neighbouring date, whose own moments come before or after them.
        moments.retain(|moment| moment.with_timezone(&self.zone).date_naive() == date);
        moments
    }

    fn offset(&self, at: Time) -> TimeDelta {
        TimeDelta::seconds(self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    }

    /// The second at which the clock is put forward or back, between two moments with different offsets.
    fn put(&self, mut before: Time, mut after: Time) -> Time {
        let old = self.offset(before);
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if self.offset(middle) == old { before = middle } else { after = middle }
        }
        after
    }
}

pub(super) fn time(text: &str) -> Option<NaiveTime> {
    (text.len() == 5).then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten()
}

/// `mon-fri`, `sat,sun`, `daily`; a range may go over the end of the week.
pub(super) fn days(text: &str) -> Option<BTreeSet<u8>> {
    let text = text.to_ascii_lowercase();
    if text == "daily" {
        return Some((0..7).collect());
    }
    let mut days = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        days.insert(day);
        while day != last {
            day = (day + 1) % 7;
            days.insert(day);
        }
    }
    Some(days)
}

fn weekday(text: &str) -> Option<u8> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    DAYS.iter().zip(0..).find(|(day, _)| **day == text).map(|(_, number)| number)
}

pub(super) fn number(day: Weekday) -> u8 {
    u8::try_from(day.num_days_from_monday()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
