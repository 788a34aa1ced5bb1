//! The newest of a row of things told in one run each, and since when it has been told so. The order in which runs are
//! learnt does not matter to what is true now.

use serde::{Deserialize, Serialize};

use crate::time::{Time, exact};

/// What a run can tell.
pub trait Told: Copy + PartialEq {
    fn is_bad(self) -> bool;

    /// Whether it continues a row of good or bad ones.
    fn counts(self) -> bool;
}

impl Told for bool {
    fn is_bad(self) -> bool {
        self
    }

    fn counts(self) -> bool {
        true
    }
}

/// An unbroken row of equal things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Row<T> {
    told: T,
    /// The first known run of the row.
    #[serde(with = "exact")]
    since: Time,
    /// The newest known run before the row; it said something else.
    #[serde(with = "exact::option")]
    before: Option<Time>,
    /// Runs in a row that were as good or as bad.
    streak: u32,
}

/// The newest, by the order of the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series<T> {
    /// The newest run that told something.
    #[serde(with = "exact")]
    at: Time,
    row: Row<T>,
    /// The row as it was before that run: what it tells may be revised while its mails still come in.
    earlier: Option<(Time, Row<T>)>,
}

impl<T: Told> Series<T> {
    pub fn new(at: Time, told: T) -> Self {
        Self { at, row: Row { told, since: at, before: None, streak: 1 }, earlier: None }
    }

    pub fn told(&self) -> T {
        self.row.told
    }

    /// The newest run that told something.
    pub fn at(&self) -> Time {
        self.at
    }

    /// The run in which the present row of equal things began.
    pub fn since(&self) -> Time {
        self.row.since
    }

    /// Runs in a row, the newest among them, that were all bad or all good.
    pub fn streak(&self) -> u32 {
        self.row.streak
    }

    /// Takes in what the run of `at` told, whether that run is newer than what is known, the same, or history.
    pub fn learn(&mut self, at: Time, told: T) {
        if at > self.at {
            self.earlier = Some((self.at, self.row));
            self.row = follow(self.at, self.row, at, told);
            self.at = at;
        } else if at == self.at {
            self.row = match self.earlier {
                Some((before_at, row)) => follow(before_at, row, at, told),
                None if told == self.row.told => self.row,
                None => Row { told, since: at, before: None, streak: 1 },
            };
        } else {
            self.row.learn_history(at, told, self.at);
            if let Some((before_at, row)) = &mut self.earlier {
                row.learn_history(at, told, *before_at);
            }
        }
    }
}

impl<T: Told> Row<T> {
    /// History never changes what is true now, only since when.
    fn learn_history(&mut self, at: Time, told: T, newest: Time) {
        if self.before.is_some_and(|before| at <= before) || at >= newest {
            return;
        }
        if told != self.told {
            self.before = Some(at);
            if self.since <= at {
                // Which of the runs after `at` began the row is not known here; the newest certainly belongs to it.
                self.since = newest;
                self.streak = 1;
            }
        } else if at < self.since {
            self.since = at;
            self.streak = self.streak.saturating_add(1);
        }
    }
}

fn follow<T: Told>(before_at: Time, before: Row<T>, at: Time, told: T) -> Row<T> {
    let same_kind = told.is_bad() == before.told.is_bad() && told.counts();
    let streak = if same_kind { before.streak.saturating_add(1) } else { 1 };
    if told == before.told {
        Row { streak, ..before }
    } else {
        Row { told, since: at, before: Some(before_at), streak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Outcome::{self, Missing, Nok, Ok, Unread};
    use chrono::{TimeZone, Utc};

    fn at(minute: u32) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, minute, 0).unwrap()
    }

    fn after(runs: &[(u32, Outcome)]) -> (Outcome, Time, u32) {
        let (first, rest) = runs.split_first().unwrap();
        let mut series = Series::new(at(first.0), first.1);
        rest.iter().for_each(|(minute, outcome)| series.learn(at(*minute), *outcome));
        (series.told(), series.since(), series.streak())
    }

    #[test]
    fn a_row_begins_with_the_first_run_that_said_so() {
        assert_eq!(after(&[(0, Ok), (5, Ok), (10, Nok), (15, Nok)]), (Nok, at(10), 2));
        assert_eq!(after(&[(0, Nok), (5, Missing)]), (Missing, at(5), 2));
    }

    #[test]
    fn an_old_bad_run_that_arrives_late_is_history() {
        assert_eq!(after(&[(0, Ok), (10, Ok), (5, Nok)]), (Ok, at(10), 1));
    }

    #[test]
    fn reading_newest_first_finds_the_same_beginning() {
        let runs = [(0, Ok), (5, Nok), (10, Ok), (15, Ok), (20, Ok)];
        let mut reversed = runs;
        reversed.reverse();
        assert_eq!(after(&runs), (Ok, at(10), 3));
        assert_eq!(after(&reversed), (Ok, at(10), 3));
    }

    #[test]
    fn the_same_run_may_be_revised_and_the_row_before_it_is_taken_up_again() {
        assert_eq!(after(&[(0, Ok), (5, Ok), (10, Missing)]), (Missing, at(10), 1));
        assert_eq!(after(&[(0, Ok), (5, Ok), (10, Missing), (10, Ok)]), (Ok, at(0), 3));
        assert_eq!(after(&[(0, Nok), (0, Nok)]), (Nok, at(0), 1));
    }

    #[test]
    fn what_was_not_read_is_neither_good_nor_bad() {
        assert_eq!(after(&[(0, Nok), (5, Unread)]), (Unread, at(5), 1));
        assert_eq!(Unread.word(), "UNKNOWN");
    }
}
