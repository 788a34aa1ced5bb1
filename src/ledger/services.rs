//! What a checker last said of one service, and since when it has been saying so.

use serde::{Deserialize, Serialize};

use crate::report::Said;
use crate::time::Time;

/// A service's result in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Nok,
    /// The run is over and has not named the service.
    Missing,
    /// The run said OK and NOK.
    Contradiction,
    /// The mail could not be read far enough.
    Unread,
}

impl Outcome {
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Nok | Self::Missing | Self::Contradiction)
    }

    /// The word of the contract. A contradiction counts as a NOK.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Nok | Self::Contradiction => "NOK",
            Self::Missing => "MISSING",
            Self::Unread => "UNKNOWN",
        }
    }
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Self {
        match said {
            Said::Ok => Self::Ok,
            Said::Nok => Self::Nok,
            Said::Both => Self::Contradiction,
        }
    }
}

/// An unbroken row of equal outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    outcome: Outcome,
    /// The first known run of the row.
    since: Time,
    /// The newest known run before the row; it said something else.
    before: Option<Time>,
    /// Runs in a row that were as good or as bad.
    streak: u32,
}

/// The newest outcome of one service, by the order of the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The newest run that told of the service.
    at: Time,
    row: Row,
    /// The row as it was before that run: its outcome may be revised while its mails still come in.
    earlier: Option<(Time, Row)>,
}

impl Service {
    pub fn new(at: Time, outcome: Outcome) -> Self {
        Self { at, row: Row { outcome, since: at, before: None, streak: 1 }, earlier: None }
    }

    pub fn outcome(&self) -> Outcome {
        self.row.outcome
    }

    /// The run in which the present row of equal outcomes began.
    pub fn since(&self) -> Time {
        self.row.since
    }

    /// Runs in a row, the newest among them, that were all bad or all good.
    pub fn streak(&self) -> u32 {
        self.row.streak
    }

    /// Takes in what the run of `at` said, whether that run is newer than what is known, the same, or history.
    pub fn learn(&mut self, at: Time, outcome: Outcome) {
        if at > self.at {
            self.earlier = Some((self.at, self.row));
            self.row = follow(self.at, self.row, at, outcome);
            self.at = at;
        } else if at == self.at {
            self.row = match self.earlier {
                Some((before_at, row)) => follow(before_at, row, at, outcome),
                None if outcome == self.row.outcome => self.row,
                None => Row { outcome, since: at, before: None, streak: 1 },
            };
        } else {
            self.row.learn_history(at, outcome, self.at);
            if let Some((before_at, row)) = &mut self.earlier {
                row.learn_history(at, outcome, *before_at);
            }
        }
    }
}

impl Row {
    /// History never changes what is true now, only since when.
    fn learn_history(&mut self, at: Time, outcome: Outcome, newest: Time) {
        if self.before.is_some_and(|before| at <= before) || at >= newest {
            return;
        }
        if outcome != self.outcome {
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

fn follow(before_at: Time, before: Row, at: Time, outcome: Outcome) -> Row {
    let same_kind = outcome.is_bad() == before.outcome.is_bad() && outcome != Outcome::Unread;
    let streak = if same_kind { before.streak.saturating_add(1) } else { 1 };
    if outcome == before.outcome {
        Row { streak, ..before }
    } else {
        Row { outcome, since: at, before: Some(before_at), streak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Missing, Nok, Ok};
    use chrono::{TimeZone, Utc};

    fn at(minute: u32) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, minute, 0).unwrap()
    }

    fn after(runs: &[(u32, Outcome)]) -> (Outcome, Time, u32) {
        let (first, rest) = runs.split_first().unwrap();
        let mut service = Service::new(at(first.0), first.1);
        rest.iter().for_each(|(minute, outcome)| service.learn(at(*minute), *outcome));
        (service.outcome(), service.since(), service.streak())
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
        assert_eq!(after(&[(0, Nok), (5, Outcome::Unread)]), (Outcome::Unread, at(5), 1));
        assert_eq!(Outcome::Unread.word(), "UNKNOWN");
    }
}
