//! How long mails take on a usual day: for each of the last days, how many mails arrived so long after their `Date`.
//!
//! The checker's clock may be wrong by any amount, so a day is counted in plain seconds of received − sent, and what
//! is quick is found when it is asked for. What is counted depends on the set of mails alone, not on their order.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::ledger::arrivals::Arrival;

const DAY_SECONDS: i64 = 86_400;
/// The newest day and the seven before it.
const DAYS_MAX: i64 = 8;
/// Different lengths that are told apart on one day. When there are more, neighbours are counted together.
const BINS_MAX: usize = 32;
/// Fewer mails do not show what one of a hundred does.
const MAILS_MIN: u64 = 100;
/// On a day with fewer mails, a single odd one would pass for the quickest.
const MAILS_A_DAY_MIN: u64 = 3;
/// The quick mails of a day are within this of each other, and at least one of ten.
const QUICK_WITHIN: i64 = 60;
const QUICK_SHARE: u64 = 10;

/// From, number of mails, and the sum of their seconds beyond `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bin(i64, u32, i64);

impl Bin {
    fn mean(self) -> i64 {
        let Self(from, mails, beyond) = self;
        from + beyond / i64::from(mails.max(1))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// Since 1970, of the receipt.
    day: i64,
    /// From the first relay to the mailbox, at least: the part of the way that no wrong clock of the checker hides.
    relaying_seconds: i64,
    /// A bin is 2^shift seconds wide: the least that fits into `BINS_MAX`.
    shift: u32,
    /// Ascending.
    bins: Vec<Bin>,
}

impl Day {
    fn add(&mut self, seconds: i64) {
        self.put(Bin(seconds, 1, 0));
        while self.bins.len() > BINS_MAX {
            self.shift += 1;
            let narrow = std::mem::take(&mut self.bins);
            narrow.into_iter().for_each(|bin| self.put(bin));
        }
    }

    fn put(&mut self, Bin(at, mails, beyond): Bin) {
        let from = at >> self.shift << self.shift;
        let beyond = beyond.saturating_add((at - from).saturating_mul(i64::from(mails)));
        match self.bins.binary_search_by_key(&from, |Bin(from, ..)| *from) {
            Ok(place) => {
                if let Some(Bin(_, known, sum)) = self.bins.get_mut(place) {
                    *known = known.saturating_add(mails);
                    *sum = sum.saturating_add(beyond);
                }
            }
            Err(place) => self.bins.insert(place, Bin(from, mails, beyond)),
        }
    }

    fn mails(&self) -> u64 {
        self.bins.iter().map(|Bin(_, mails, _)| u64::from(*mails)).sum()
    }

    /// The 99th percentile, in seconds, when the quickest mails needed no time before the first relay: the path's delay is
    /// never negative, whatever the clock says. A few mails that are far ahead of all others came by another clock.
    fn slowest_of_a_hundred(&self) -> Option<i64> {
        let mails = self.mails();
        if mails < MAILS_A_DAY_MIN {
            return None;
        }
        let enough = mails.div_ceil(QUICK_SHARE).max(MAILS_A_DAY_MIN);
        let near = |quickest: i64| -> u64 {
            let bins = self.bins.iter().filter(|bin| (0..=QUICK_WITHIN).contains(&(bin.mean() - quickest)));
            bins.map(|Bin(_, mails, _)| u64::from(*mails)).sum()
        };
        let quickest = self.bins.iter().map(|bin| bin.mean()).find(|quickest| near(*quickest) >= enough)?;
        let rank = (mails * 99).div_ceil(100);
        let mut passed = 0;
        let reached = |bin: &&Bin| {
            passed += u64::from(bin.1);
            passed >= rank
        };
        let above = self.bins.iter().find(reached).map(|bin| (bin.mean() - quickest).max(0));
        above.map(|above| above + self.relaying_seconds)
    }
}

/// The last days of one checker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Days {
    /// Ascending.
    days: Vec<Day>,
}

impl Days {
    pub(super) fn add(&mut self, arrival: Arrival) {
        let Arrival { received, relaying_ms, .. } = arrival;
        let Some(sent) = arrival.sent else { return };
        let relaying_seconds = relaying_ms / 1000;
        let day = received.timestamp().div_euclid(DAY_SECONDS);
        let newest = self.days.last().map_or(day, |newest| newest.day.max(day));
        if day <= newest - DAYS_MAX {
            return;
        }
        let place = self.days.partition_point(|known| known.day < day);
        if self.days.get(place).is_none_or(|known| known.day != day) {
            self.days.insert(place, Day { day, relaying_seconds, shift: 0, bins: Vec::new() });
        }
        if let Some(known) = self.days.get_mut(place) {
            known.relaying_seconds = known.relaying_seconds.min(relaying_seconds);
            known.add((received - sent).num_seconds());
        }
        self.days.retain(|known| known.day > newest - DAYS_MAX);
    }

    /// What 99 of 100 mails of a usual day stay below; None before enough mails are known.
    ///
    /// Of the days the middle one, each weighed by its mails: a queue that was held for half a day, or a clock that was
    /// set, does not make the path slow for a week.
    pub(super) fn usual_p99(&self) -> Option<TimeDelta> {
        let mut days: Vec<(i64, u64)> =
            self.days.iter().filter_map(|day| Some((day.slowest_of_a_hundred()?, day.mails()))).collect();
        let mails: u64 = days.iter().map(|(_, mails)| mails).sum();
        if mails < MAILS_MIN {
            return None;
        }
        days.sort_unstable();
        let mut passed = 0;
        let middle = days.iter().find(|(_, of_day)| {
            passed += of_day;
            passed * 2 > mails
        });
        middle.map(|(seconds, _)| TimeDelta::seconds(*seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;
    use chrono::{TimeZone, Utc};
    use proptest::prelude::*;

    fn at(minute: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 0, 0, 0).unwrap() + TimeDelta::minutes(minute)
    }

    /// Each a mail received in a minute, so many seconds after its `Date`.
    fn days(mails: impl IntoIterator<Item = (i64, i64)>) -> Days {
        let mut days = Days::default();
        for (minute, seconds) in mails {
            days.add(Arrival::new(at(minute), Some(at(minute) - TimeDelta::seconds(seconds)), &[]));
        }
        days
    }

    /// A mail every five minutes; `seconds` of the mail's number.
    fn every_five_minutes(mails: i64, seconds: impl Fn(i64) -> i64) -> Option<i64> {
        days((0..mails).map(|mail| (mail * 5, seconds(mail)))).usual_p99().map(|p99| p99.num_seconds())
    }

    const DAY: i64 = 288;

    #[test]
    fn nothing_is_said_before_a_hundred_mails() {
        assert_eq!(every_five_minutes(99, |_| 3), None);
        assert_eq!(every_five_minutes(100, |_| 3), Some(0));
    }

    #[test]
    fn one_of_a_hundred_decides_whatever_the_clock_says() {
        for clock in [0, -10_800, 10_800, 1_000_000_000] {
            let usual = |mail: i64| clock + 2 + mail % 4;
            assert_eq!(every_five_minutes(DAY, usual), Some(3), "{clock}");
            let slow = |mail: i64| if mail % 50 == 0 { clock + 92 } else { usual(mail) };
            assert_eq!(every_five_minutes(8 * DAY, slow), Some(90), "{clock}");
        }
    }

    #[test]
    fn a_day_of_held_queues_or_of_a_clock_that_was_set_does_not_make_a_slow_path() {
        let held =
            |mail: i64| if (2 * DAY..2 * DAY + 100).contains(&mail) { (100 - mail % 100) * 300 } else { 2 };
        assert_eq!(every_five_minutes(8 * DAY, held), Some(0));
        let set = |mail: i64| if mail < 4 * DAY + 100 { 2 } else { 10_802 };
        assert_eq!(every_five_minutes(8 * DAY, set), Some(0));
        let wrong_for_a_moment = |mail: i64| if mail % 40 == 7 { -1_000_000 } else { 2 };
        assert_eq!(every_five_minutes(8 * DAY, wrong_for_a_moment), Some(0));
    }

    #[test]
    fn a_path_that_is_slow_every_day_is_slow() {
        let spread = every_five_minutes(8 * DAY, |mail| 2 + mail * 7 % 600).unwrap();
        assert!((560..=600).contains(&spread), "{spread}");
        assert_eq!(every_five_minutes(8 * DAY, |mail| if mail % 4 == 0 { 302 } else { 2 }), Some(300));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let slow_then_quick = |mail: i64| if mail < 8 * DAY { 2 + mail % 100 } else { 2 };
        assert_eq!(every_five_minutes(16 * DAY, slow_then_quick), Some(0));
    }

    #[test]
    fn a_day_takes_little_room_whatever_comes() {
        let mails = (0..5_000).map(|mail| (mail % 1440, (mail * 7_919) % 3_000_000_000));
        let days = days(mails);
        assert!(days.days.iter().all(|day| day.bins.len() <= BINS_MAX));
        assert_eq!(days.days.iter().map(Day::mails).sum::<u64>(), 5_000);
    }

    proptest! {
        #[test]
        fn the_order_of_reading_changes_nothing(
            mut mails in proptest::collection::vec((0_i64..20 * 1440, -20_000_i64..20_000), 0..400),
            seed in any::<u64>(),
        ) {
            let forward = days(mails.iter().copied());
            let mut random = fastrand::Rng::with_seed(seed);
            random.shuffle(&mut mails);
            prop_assert_eq!(&days(mails.iter().copied()), &forward);
        }
    }
}
