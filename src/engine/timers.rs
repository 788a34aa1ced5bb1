//! Deadlines by time, so that nothing sweeps: one entry per checker, moved when a mail is heard.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::fleet::Place;
use crate::time::Time;

/// A deadline has passed *after* its moment; the look that confirms it starts this much later.
const PASSED: TimeDelta = TimeDelta::milliseconds(1);

/// One moment per key at most.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    by_time: BTreeSet<(Time, K)>,
    by_key: BTreeMap<K, Time>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// Sets, moves or (with None) removes the moment of `key`.
    pub(super) fn set(&mut self, key: K, time: Option<Time>) {
        let before = self.by_key.get(&key).copied();
        if before == time {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key.clone()));
        }
        match time {
            Some(time) => {
                self.by_key.insert(key.clone(), time);
                self.by_time.insert((time, key));
            }
            None => {
                self.by_key.remove(&key);
            }
        }
    }

    pub(super) fn first(&self) -> Option<Time> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// The first moment that is not before `from`.
    pub(super) fn first_from(&self, from: Option<Time>) -> Option<Time> {
        match from {
            Some(from) => self.by_time.iter().map(|(time, _)| *time).find(|time| *time >= from),
            None => self.first(),
        }
    }

    /// The keys whose moment lies before `now`, in the order of their moments.
    pub(super) fn before(&self, now: Time) -> impl Iterator<Item = &K> {
        self.by_time.iter().take_while(move |(time, _)| *time < now).map(|(_, key)| key)
    }

    /// The last moment before `now`.
    pub(super) fn last_before(&self, now: Time) -> Option<Time> {
        self.by_time.iter().map(|(time, _)| *time).take_while(|time| *time < now).last()
    }

    /// All that have a moment, in their order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }

    /// The keys whose moment has come, in their order.
    pub(super) fn due(&self, now: Time) -> BTreeSet<K> {
        self.by_time.iter().take_while(|(time, _)| *time <= now).map(|(_, key)| key.clone()).collect()
    }
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    schedule: Schedule<Place>,
    /// For deadlines before this a look was asked for.
    asked: Option<Time>,
}

impl Timers {
    /// Sets, moves or (with None) removes the timer of a checker.
    pub(super) fn set(&mut self, checker: Place, time: Option<Time>) {
        self.schedule.set(checker, time);
    }

    /// The places of the checkers have changed: each is set anew. What was asked for was asked for.
    pub(super) fn clear(&mut self) {
        self.schedule = Schedule::default();
    }

    /// The checkers whose timer lies before `now`.
    pub(super) fn passed(&self, now: Time) -> impl Iterator<Item = Place> {
        self.schedule.before(now).copied()
    }

    /// Whether a timer, or `other`, has passed for which no look was asked for yet; from now on it was.
    pub(super) fn ask(&mut self, now: Time, other: Option<Time>) -> bool {
        // The clock may have been set back: what was asked for by the wrong one is asked for again.
        self.asked = self.asked.filter(|asked| *asked <= now);
        let passed = self.schedule.by_time.range(..(now, Place::MIN)).next_back();
        let latest = passed.map(|(time, _)| *time).max(other);
        let wanted = latest.is_some_and(|time| self.asked.is_none_or(|asked| time >= asked));
        if wanted {
            self.asked = Some(now);
        }
        wanted
    }

    /// The next moment at which [`Self::ask`] will want a look. `other_from` gives the first other moment that is not before
    /// a given one.
    pub(super) fn next(&self, other_from: impl Fn(Option<Time>) -> Option<Time>) -> Option<Time> {
        let own = match self.asked {
            Some(asked) => self.schedule.by_time.range((asked, Place::MIN)..).next().map(|(time, _)| *time),
            None => self.schedule.first(),
        };
        own.into_iter().chain(other_from(self.asked)).min().map(|time| time + PASSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    #[test]
    fn a_look_is_asked_for_once_per_deadline() {
        let mut timers = Timers::default();
        timers.set(0, Some(at(10)));
        timers.set(1, Some(at(20)));
        let none = |_| None;
        assert_eq!(timers.next(none), Some(at(10) + PASSED));
        assert!(!timers.ask(at(10), None), "not passed yet");
        assert!(timers.ask(at(11), None));
        assert!(!timers.ask(at(12), None));
        assert_eq!(timers.next(none), Some(at(20) + PASSED));
        assert_eq!(timers.passed(at(11)).collect::<Vec<_>>(), [0]);
        assert!(timers.ask(at(21), None));
        assert_eq!(timers.next(none), None, "both wait for a look that succeeds");
    }

    #[test]
    fn a_clock_that_was_set_back_lets_deadlines_be_asked_for_again() {
        let mut timers = Timers::default();
        timers.set(0, Some(at(10)));
        assert!(timers.ask(at(600), None));
        timers.set(0, Some(at(30)));
        assert!(!timers.ask(at(20), None), "not passed yet, by the clock as it is now");
        assert_eq!(timers.next(|_| None), Some(at(30) + PASSED));
        assert!(timers.ask(at(31), None));
        assert!(!timers.ask(at(32), None));
    }

    #[test]
    fn a_moved_timer_counts_where_it_is_now() {
        let mut timers = Timers::default();
        timers.set(0, Some(at(10)));
        timers.set(0, Some(at(30)));
        assert_eq!(timers.passed(at(20)).count(), 0);
        timers.set(0, None);
        assert_eq!(timers.next(|_| Some(at(5))), Some(at(5) + PASSED));
    }
}
